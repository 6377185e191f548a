//! `recon study`: the arms compared at equal trained tokens.

use std::path::PathBuf;

use clap::Args;
use recon_pipeline::{Members, Outcome, Study};

use super::{Format, print_json, print_line};
use crate::config::{load, repository};
use crate::progress::Progress;

/// Compare arms at equal trained tokens, with several seeds each; what is done already is reused.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recon study configs/study/smollm2.toml --corpus packages/")]
pub struct StudyArgs {
    /// The study: arms, seeds, trained tokens, and under `run` what every arm shares.
    #[arg(value_name = "CONFIG")]
    study: PathBuf,
    /// Set one key, over the file; may be repeated. Sections are separated by dots.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    /// A corpus instead of the repository that `run` names; may be repeated.
    #[arg(long, value_name = "PATH")]
    corpus: Vec<PathBuf>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(arguments: &StudyArgs) -> Outcome {
    let study: Study = load(Some(&arguments.study), &arguments.assignments)?;
    let members = match arguments.corpus.as_slice() {
        [] => Members::One(repository(&study.run)?),
        paths => Members::Many(paths.to_vec()),
    };
    let progress = Progress::new();
    let table = study.run(&members, &progress)?;
    progress.finish();
    match arguments.format {
        Format::Json => print_json(&table),
        Format::Text => print_line(format_args!("{table}")),
    }
}
