//! `recon synth`, `recon refine`, `recon run`: the path up to a stage, or all of it.

use clap::Args;

use super::{Format, print_json, print_line};
use crate::config::ConfigArgs;
use crate::failure::Outcome;
use crate::pipeline::{self, Until};
use crate::progress::Progress;

/// Run the path up to one stage; stages that are complete are reused.
#[derive(Debug, Args)]
pub struct StageArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Run the whole path, from a repository to a trained, exported checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recon run --config configs/quickstart.toml --set repository=PATH")]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Form of the summary.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the stages up to `last` and says where the last one lies.
pub fn run_until(arguments: &StageArgs, last: Until) -> Outcome {
    let config = arguments.config.load()?;
    let progress = Progress::new();
    let finished = pipeline::run_until(&config, &progress, last)?;
    progress.finish();
    match arguments.format {
        Format::Json => print_json(&finished.manifest),
        Format::Text => print_line(format_args!("{}", finished.directory.display())),
    }
}

/// Runs everything and prints the summary.
pub fn run(arguments: &RunArgs) -> Outcome {
    let config = arguments.config.load()?;
    let progress = Progress::new();
    let summary = pipeline::run(&config, &progress)?;
    progress.finish();
    match arguments.format {
        Format::Json => print_json(&summary),
        Format::Text => print_line(format_args!("{summary}")),
    }
}
