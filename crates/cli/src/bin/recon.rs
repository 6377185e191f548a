//! The `recon` binary: one subcommand per stage, and `run` for all of them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use recon_cli::commands::{average, check, convert, eval, export, generate, graph, pack, report, score, stages, study};
use recon_pipeline::Until;

#[derive(Parser)]
#[command(
    name = "recon",
    version,
    about = "Turns repositories into development trajectories and trains a Llama on them"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Graph(graph::GraphArgs),
    /// Simulate the development of a repository.
    #[command(after_help = "Example:\n  recon synth --config configs/quickstart.toml --set repository=PATH --out out")]
    Synth(stages::StageArgs),
    /// Search for thoughts that make the real code more likely.
    #[command(after_help = "Example:\n  recon refine --config configs/quickstart.toml --set repository=PATH --out out")]
    Refine(stages::StageArgs),
    Check(check::CheckArgs),
    Convert(convert::ConvertArgs),
    Pack(pack::PackArgs),
    Export(export::ExportArgs),
    Average(average::AverageArgs),
    Eval(eval::EvalArgs),
    Score(score::ScoreArgs),
    Generate(generate::GenerateArgs),
    Run(stages::RunArgs),
    Report(report::ReportArgs),
    Study(study::StudyArgs),
}

fn main() -> ExitCode {
    recon_cli::start_logs();
    let outcome = match Arguments::parse().command {
        Command::Graph(arguments) => graph::run(&arguments),
        Command::Synth(arguments) => stages::run_until(&arguments, Until::Synth),
        Command::Refine(arguments) => stages::run_until(&arguments, Until::Refine),
        Command::Check(arguments) => check::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Pack(arguments) => pack::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Average(arguments) => average::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Run(arguments) => stages::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Study(arguments) => study::run(&arguments),
    };
    recon_cli::exit(outcome)
}
