//! `recon graph`: a repository's files, outlines, imports and development order.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use recon_graph::{build, output};

use super::print_text;
use crate::config::ConfigArgs;
use crate::failure::Outcome;
use crate::repository;

/// Read a repository as a graph of files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  recon graph . --format dot | dot -Tsvg > graph.svg
  recon graph project.git@v1.2 --format json      a tag, without a checkout
  recon graph package-1.0.tar.gz")]
pub struct GraphArgs {
    /// The repository: a directory, `DIR@REVISION` (a commit of the git repository there), a bare
    /// git repository, or an archive (tar, tar.gz, tar.zst, zip); the git root of the current
    /// folder if absent.
    repository: Option<PathBuf>,
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
    if let Some(repository) = &arguments.repository {
        config.repository = Some(repository.clone());
    }
    let graph = build(&repository::read(&config)?.0);
    let text = match arguments.format {
        GraphFormat::Text => output::text(&graph),
        GraphFormat::Json => output::json(&graph),
        GraphFormat::Dot => output::dot(&graph),
    };
    match &config.out {
        Some(path) => recon_schema::file::write_bytes(path, text.as_bytes()).map(drop).map_err(Into::into),
        None => print_text(&text),
    }
}
