//! `recon graph --corpus`: a corpus of many repositories, one graph a line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use recon_corpus::corpus::{self, Count};
use recon_corpus::{CorpusReport, Error, Settings, Shard};
use recon_schema::Sha256;
use recon_schema::file::{hash_file, write_json};
use serde_json::json;

use super::graph::GraphFormat;
use super::{print_json, print_line};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::lock::Lock;
use crate::progress::Progress;
use crate::stage::{Finished, Stage};

/// File of the account of the run.
const REPORT: &str = "report.json";

/// Runs the stage `graph` over `paths` into `OUT/graph`, or reuses it.
pub(super) fn run(paths: &[PathBuf], shard: Shard, config: &Config, format: GraphFormat) -> Outcome {
    let Some(out) = &config.out else {
        return Err(Failure::input_because("a corpus needs a place for its results").hint("add `--out DIR`"));
    };
    let _lock = Lock::take_beside(out, paths.iter().map(PathBuf::as_path))?;
    let progress = Progress::new();
    let finished = stage(paths, shard, config, out, &progress)?;
    progress.finish();
    let report: CorpusReport = serde_json::from_value(finished.manifest.facts["report"].clone())
        .map_err(|error| Failure::run(anyhow::Error::new(error).context("the manifest's report")))?;
    match format {
        GraphFormat::Json => print_json(&report),
        _ => print_line(format_args!("{}{}", text(&report), finished.directory.display())),
    }
}

fn stage(paths: &[PathBuf], shard: Shard, config: &Config, out: &Path, progress: &Progress) -> Outcome<Finished> {
    let plan = json!({
        "read": config.read, "source": config.source, "clean": config.clean, "corpus": config.corpus,
        "shard": shard.to_string(),
    });
    let mut inputs = Vec::new();
    for path in paths {
        inputs.push((path.display().to_string(), digest(path)?));
    }
    for path in &config.corpus.contamination.benchmarks {
        inputs.push((format!("benchmark {}", path.display()), digest(path)?));
    }
    let inputs: Vec<(&str, Sha256)> = inputs.iter().map(|(role, digest)| (role.as_str(), *digest)).collect();
    let settings =
        Settings { read: &config.read, source: &config.source, clean: &config.clean, corpus: &config.corpus, shard };
    progress.begin("graph", 0);
    Stage::new(out, "graph", &plan, &inputs).run(|directory| {
        let report = corpus::run(paths, &settings, directory, &|name| progress.advance(name)).map_err(fault)?;
        write_json(&directory.join(REPORT), &report)?;
        Ok(json!({ "report": report }))
    })
}

/// Whose fault it is: a disk that refuses and a corpus with too many faults fail the run, the
/// rest is in what was named.
fn fault(error: Error) -> Failure {
    match &error {
        Error::Write { .. } | Error::Record(_) | Error::Changed { .. } => Failure::run(error),
        Error::TooManyFaults { .. } => {
            Failure::run(error).hint("raise `corpus.max_skipped_fraction`, or mend the corpus")
        }
        Error::Columns { .. } => Failure::input(error).hint("set `corpus.columns`: plain, stack_v1, stack_v2 or named"),
        _ => Failure::input(error),
    }
}

/// Of a file its bytes; of a folder the names, sizes and times of what is in it, since a corpus
/// is too large to be read once more for this.
fn digest(path: &Path) -> Outcome<Sha256> {
    if path.is_file() {
        return Ok(hash_file(path)?.sha256);
    }
    let fail = |error: std::io::Error| {
        Failure::input(anyhow::Error::new(error).context(format!("failed to read {}", path.display())))
    };
    let (mut open, mut found) = (vec![path.to_path_buf()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let metadata = entry.metadata().map_err(fail)?;
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                let modified = metadata.modified().ok().and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
                found.push(format!("{} {} {modified:?}", entry.path().display(), metadata.len()));
            }
        }
    }
    found.sort_unstable();
    Ok(Sha256::of_fields(found.iter().map(String::as_bytes)))
}

/// The report for people: what was met, what was kept, and where the rest went.
fn text(report: &CorpusReport) -> String {
    let mut lines = vec![
        format!("repositories {:>12} met {:>12} kept", report.repositories, report.kept_repositories),
        format!("files        {:>12} met {:>12} kept", report.met.files, report.kept.files),
        format!("bytes        {:>12} met {:>12} kept", report.met.bytes, report.kept.bytes),
    ];
    let mut table = |title: &str, counts: &BTreeMap<String, u64>| {
        lines.extend(counts.iter().map(|(rule, count)| format!("{title:12} {count:>12} {rule}")));
    };
    let files = |counts: &BTreeMap<String, Count>| counts.iter().map(|(rule, it)| (rule.clone(), it.files)).collect();
    table("rows lost", &report.unusable_rows);
    table("repos lost", &report.unusable_repositories);
    table("repos out", &report.refused_repositories);
    table("unread", &report.unread_files);
    table("dropped", &files(&report.dropped_files));
    table("redacted", &report.redacted.iter().map(|(rule, it)| (rule.clone(), it.spans)).collect());
    lines.push(String::new());
    lines.join("\n")
}
