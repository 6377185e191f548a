//! `recon check`: holds trajectories against their repository, byte for byte.

use std::path::{Component, Path, PathBuf};

use clap::Args;
use recon_corpus::{Source, SourceOptions};
use recon_formats::Checker;
use recon_graph::ReadOptions;
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
    /// The repository as it was when the trajectories were made: a directory, `DIR@REVISION`, a
    /// bare git repository or an archive.
    #[arg(long, value_name = "REPOSITORY")]
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

/// The original bytes of a file by its path.
type Originals = Box<dyn Fn(&str) -> Option<Vec<u8>>>;

/// Bytes before any cleaning; of a directory straight from the disk, not through the reader that
/// made the trajectory.
fn originals(name: &Path) -> Outcome<Originals> {
    let source = Source::locate(name);
    if let Source::Directory(root) = source {
        if !root.is_dir() {
            return Err(Failure::input_because(format!("{} is not a directory", root.display())));
        }
        return Ok(Box::new(move |path| {
            let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            inside.then(|| std::fs::read(root.join(path)).ok()).flatten()
        }));
    }
    let all =
        ReadOptions { max_file_bytes: 64 << 20, max_files: usize::MAX, max_bytes: 4 << 30, ..ReadOptions::default() };
    let repository = source.read(&all, &SourceOptions::default()).map_err(Failure::input)?;
    Ok(Box::new(move |path| repository.files.get(path).map(|text| text.clone().into_bytes())))
}

/// Runs the command: exit 1 when a trajectory is refused.
pub fn run(arguments: &CheckArgs) -> Outcome {
    let trajectories: Vec<Trajectory> = read_json_lines(&arguments.trajectories, SCHEMA)?;
    if trajectories.is_empty() {
        return Err(Failure::input_because(format!("{}: holds no trajectory", arguments.trajectories.display())));
    }
    let read = originals(&arguments.repository)?;
    let mut checker = Checker::new(&*read);
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
