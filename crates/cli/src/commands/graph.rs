//! `recon graph`: a repository's files, outlines, imports and development order.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use recon_corpus::Shard;
use recon_graph::{build, output};

use super::{corpus, print_line, print_text};
use crate::config::ConfigArgs;
use crate::failure::Outcome;
use crate::lock::Lock;
use crate::repository;

/// Read a repository as a graph of files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  recon graph . --format dot | dot -Tsvg > graph.svg
  recon graph project.git@v1.2 --format json      a tag, without a checkout
  recon graph package-1.0.tar.gz --out out                         to out/graph.txt instead of stdout
  recon graph --corpus shards/ --out out --set corpus.columns=stack_v1    many repositories")]
pub struct GraphArgs {
    /// The repository: a directory, `DIR@REVISION` (a commit of the git repository there), a bare
    /// git repository, or an archive (tar, tar.gz, tar.zst, zip); the git root of the current
    /// folder if absent.
    repository: Option<PathBuf>,
    /// A corpus instead of one repository: shards (.jsonl, .jsonl.gz, .jsonl.zst, .parquet), a
    /// folder of shards, or a folder of repositories and archives; may be repeated. Graphs,
    /// accounts and a report go to OUT/graph.
    #[arg(long, value_name = "PATH", conflicts_with = "repository")]
    corpus: Vec<PathBuf>,
    /// Work on a share of the corpus, chosen by the repositories' names.
    #[arg(long, value_name = "I/N", requires = "corpus", default_value_t = Shard::WHOLE)]
    shard: Shard,
    #[command(flatten)]
    config: ConfigArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
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
    if !arguments.corpus.is_empty() {
        return corpus::run(&arguments.corpus, arguments.shard, &config, arguments.format);
    }
    if let Some(repository) = &arguments.repository {
        config.repository = Some(repository.clone());
    }
    let graph = build(&repository::read(&config)?.0);
    let (text, ending) = match arguments.format {
        GraphFormat::Text => (output::text(&graph), "txt"),
        GraphFormat::Json => (output::json(&graph), "json"),
        GraphFormat::Dot => (output::dot(&graph), "dot"),
    };
    // The configuration names the place of a run's stages, of which this is none.
    let Some(out) = &arguments.config.out else { return print_text(&text) };
    let source = config.repository()?;
    let _lock = Lock::take_beside(out, [source.path()])?;
    let file = out.join("graph").with_extension(ending);
    recon_schema::file::write_bytes(&file, text.as_bytes())?;
    print_line(format_args!("{}", file.display()))
}
