//! `recon check`: holds trajectories against their repositories, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use clap::{ArgGroup, Args};
use recon_check::Checker;
use recon_corpus::{CorpusOptions, Input, Settings, each_repository};
use recon_pipeline::{Config, Failure, Outcome};
use recon_repository::{CleanOptions, ReadOptions, Repository, Source, SourceOptions};
use recon_schema::file::read_json_lines;
use recon_schema::trajectory::{SCHEMA, Trajectory};
use serde::Serialize;

use super::{Format, print_json, print_line};
use crate::config::load;

/// Check that trajectories say what their repositories say.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  recon check out/recon --repository .
  recon check out --corpus shards/ --set corpus.columns=stack_v1
  recon check out/shards/00042/refine/trajectories.jsonl.zst --corpus shards/")]
#[command(group = ArgGroup::new("against").required(true).args(["repository", "corpus"]))]
pub struct CheckArgs {
    /// Trajectories, JSON Lines, plain or zstd; or a run, of which the last ones made are meant. They are held in memory.
    trajectories: PathBuf,
    /// The repository as it was when the trajectories were made: a directory, `DIR@REVISION`, a
    /// bare git repository or an archive.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<PathBuf>,
    /// The corpus, as it was when the trajectories were made; may be repeated.
    #[arg(long, value_name = "PATH")]
    corpus: Vec<PathBuf>,
    /// Set one key of the configuration, such as `corpus.columns`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Default, Serialize)]
struct Checked {
    trajectories: usize,
    steps: usize,
    violations: Vec<String>,
}

impl Checked {
    fn add<'o>(&mut self, trajectories: &[Trajectory], originals: &'o dyn Fn(&str) -> Option<Vec<u8>>) {
        let mut checker = Checker::new(originals);
        for trajectory in trajectories {
            self.trajectories += 1;
            self.steps += trajectory.steps.len();
            self.violations.extend(checker.check(trajectory).iter().map(|it| format!("{}: {it}", trajectory.id)));
        }
    }
}

/// Everything is read that might be in a trajectory; cleaning is replayed by the checker.
fn limits() -> ReadOptions {
    ReadOptions { max_file_bytes: 64 << 20, max_files: usize::MAX, max_bytes: 4 << 30, ..ReadOptions::default() }
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
    Ok(of(source.read(&limits(), &SourceOptions::default()).map_err(Failure::input)?))
}

fn of(repository: Repository) -> Originals {
    Box::new(move |path| repository.files.get(path).map(|text| text.clone().into_bytes()))
}

/// The files of trajectories that a path names: itself, or those of a run's folder, one at least.
pub(super) fn files(named: &Path) -> Outcome<Vec<PathBuf>> {
    if !named.is_dir() {
        return Ok(vec![named.into()]);
    }
    let mut found = Vec::new();
    let shards = named.join("shards");
    if shards.is_dir() {
        for shard in std::fs::read_dir(&shards).map_err(Failure::of_file("failed to list", &shards))?.flatten() {
            let of_stage = |stage: &str| shard.path().join(stage).join("trajectories.jsonl.zst");
            found.extend(["refine", "synth"].map(of_stage).into_iter().find(|path| path.is_file()));
        }
    }
    if found.is_empty() {
        return Err(Failure::input_because(format!("{}: holds no trajectories of a run", named.display()))
            .hint("name the directory that `recon run` wrote, such as `out/NAME`"));
    }
    found.sort();
    Ok(found)
}

/// Runs the command: exit 1 when a trajectory is refused.
pub fn run(arguments: &CheckArgs) -> Outcome {
    let mut trajectories: Vec<Trajectory> = Vec::new();
    for file in files(&arguments.trajectories)? {
        trajectories.extend(read_json_lines::<Trajectory>(&file, SCHEMA)?);
    }
    if trajectories.is_empty() {
        return Err(Failure::input_because(format!("{}: holds no trajectory", arguments.trajectories.display())));
    }
    let mut checked = Checked::default();
    match &arguments.repository {
        Some(repository) => checked.add(&trajectories, &*originals(repository)?),
        None => against_corpus(arguments, trajectories, &mut checked)?,
    }
    let (refused, first) = (checked.violations.len(), checked.violations.first().cloned());
    match arguments.format {
        Format::Json => print_json(&checked)?,
        Format::Text => {
            for violation in &checked.violations {
                print_line(format_args!("{}", recon_repository::line::visible(violation)))?;
            }
            let Checked { trajectories, steps, .. } = checked;
            print_line(format_args!("{trajectories} trajectories, {steps} steps, {refused} violations"))?;
        }
    }
    match first {
        None => Ok(()),
        Some(first) => Err(Failure::run_because(format!("{refused} violations, the first: {first}"))),
    }
}

/// Holds each repository's trajectories against it; one that the corpus lacks is a violation.
fn against_corpus(arguments: &CheckArgs, trajectories: Vec<Trajectory>, checked: &mut Checked) -> Outcome {
    let config: Config = load(None, &arguments.assignments)?;
    let mut by_name: BTreeMap<String, Vec<Trajectory>> = BTreeMap::new();
    for trajectory in trajectories {
        by_name.entry(trajectory.repository.name.clone()).or_default().push(trajectory);
    }
    let (read, source, clean) = (limits(), SourceOptions::default(), CleanOptions::default());
    let corpus = CorpusOptions { max_skipped_fraction: 1.0, ..config.corpus };
    let settings = Settings { read: &read, source: &source, clean: &clean, corpus: &corpus };
    let mut missing: BTreeSet<String> = by_name.keys().cloned().collect();
    each_repository(Input::Many(arguments.corpus.clone()), &settings, &mut |repository| {
        let name = repository.reference.name.clone();
        if let Some(trajectories) = by_name.get(&name).filter(|_| missing.remove(&name)) {
            checked.add(trajectories, &*of(repository));
        }
    })?;
    for name in missing {
        checked.trajectories += by_name[&name].len();
        checked.violations.push(format!("{name}: the corpus holds no such repository"));
    }
    Ok(())
}
