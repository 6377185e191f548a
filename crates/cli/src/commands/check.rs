//! `recon check`: holds trajectories against their repository, byte for byte.

use std::path::{Component, Path, PathBuf};

use clap::Args;
use recon_formats::Checker;
use recon_schema::file::read_json_lines;
use recon_schema::trajectory::{SCHEMA, Trajectory};
use serde::Serialize;

use super::{Format, print_json, print_line};
use crate::failure::{Failure, Outcome};

/// Check that trajectories say what their repository says.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recon check out/recon/refine/trajectories.jsonl.zst --repository .")]
pub struct CheckArgs {
    /// Trajectories, JSON Lines, plain or zstd.
    trajectories: PathBuf,
    /// The repository at the commit the trajectories were made from.
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Checked {
    trajectories: usize,
    steps: usize,
    violations: Vec<String>,
}

/// Runs the command: exit 1 when a trajectory is refused.
pub fn run(arguments: &CheckArgs) -> Outcome {
    let trajectories: Vec<Trajectory> = read_json_lines(&arguments.trajectories, SCHEMA)?;
    if trajectories.is_empty() {
        return Err(Failure::input_because(format!("{}: holds no trajectory", arguments.trajectories.display())));
    }
    if !arguments.repository.is_dir() {
        return Err(Failure::input_because(format!("{} is not a directory", arguments.repository.display())));
    }
    // Bytes straight from the disk, not through the reader that made the trajectory.
    let read = |path: &str| {
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| std::fs::read(arguments.repository.join(path)).ok()).flatten()
    };
    let mut checker = Checker::new(&read);
    let mut violations = Vec::new();
    for trajectory in &trajectories {
        violations.extend(checker.check(trajectory).iter().map(|it| format!("{}: {it}", trajectory.id)));
    }
    let steps = trajectories.iter().map(|trajectory| trajectory.steps.len()).sum();
    let refused = violations.len();
    let first = violations.first().cloned();
    match arguments.format {
        Format::Json => print_json(&Checked { trajectories: trajectories.len(), steps, violations })?,
        Format::Text => {
            for violation in &violations {
                print_line(format_args!("{violation}"))?;
            }
            print_line(format_args!("{} trajectories, {steps} steps, {refused} violations", trajectories.len()))?;
        }
    }
    match first {
        None => Ok(()),
        Some(first) => Err(Failure::run(anyhow::anyhow!("{refused} violations, the first: {first}"))),
    }
}
