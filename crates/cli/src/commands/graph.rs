//! `recon graph`: repositories as files, outlines, imports and a development order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use recon_corpus::{CorpusReport, Count};
use recon_graph::{build, output};
use recon_pipeline::{Ended, Lock, Outcome, Until, one};

use super::{print_json, print_line, print_text};
use crate::config::{ConfigArgs, SetArgs, repository};
use crate::progress::Progress;

/// Read a repository as a graph of files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  recon graph . --format dot | dot -Tsvg > graph.svg
  recon graph project.git@v1.2 --format json      a tag, without a checkout
  recon graph package-1.0.tar.gz --out out                         to out/graph.txt instead of stdout
  recon graph --corpus shards/ --out out --set corpus.columns=stack_v1    many repositories, to out/shards")]
pub struct GraphArgs {
    /// The repository: a directory, `DIR@REVISION` (a commit of the git repository there), a bare
    /// git repository, or an archive (tar, tar.gz, tar.zst, zip); the git root of the current
    /// folder if absent.
    #[arg(conflicts_with = "corpus")]
    repository: Option<PathBuf>,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// For people.
    #[default]
    Text,
    /// The record `recon.graph/1`.
    Json,
    /// For graphviz.
    Dot,
}

/// Runs the command.
pub fn run(arguments: &GraphArgs) -> Outcome {
    let mut config = arguments.config.load()?;
    if !arguments.set.corpus.is_empty() {
        let progress = Progress::new();
        let members = arguments.set.members(&config)?;
        let ended = recon_pipeline::run(&config, members, arguments.set.shard, Until::Graph, &progress)?;
        progress.finish();
        let Ended::Stage { root, read, .. } = ended else { unreachable!("the run ends before its end") };
        return match arguments.format {
            GraphFormat::Json => print_json(&read),
            _ => print_line(format_args!("{}{}", account(&read), root.display())),
        };
    }
    if let Some(repository) = &arguments.repository {
        config.repository = Some(repository.clone());
    }
    let source = repository(&config)?;
    let graph = build(&one(&config, &source)?);
    let (text, ending) = match arguments.format {
        GraphFormat::Text => (output::text(&graph), "txt"),
        GraphFormat::Json => (output::json(&graph), "json"),
        GraphFormat::Dot => (output::dot(&graph), "dot"),
    };
    // The configuration names the place of a run's stages, of which this is none.
    let Some(out) = &arguments.config.out else { return print_text(&text) };
    let _lock = Lock::take_beside(out, [source.path()])?;
    let file = out.join("graph").with_extension(ending);
    recon_schema::file::write_bytes(&file, text.as_bytes())?;
    print_line(format_args!("{}", file.display()))
}

/// The account of a set for people: what was met, what was kept, and where the rest went.
pub(super) fn account(report: &CorpusReport) -> String {
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
