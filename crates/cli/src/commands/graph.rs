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
#[command(after_help = "Example:\n  recon graph . --format dot | dot -Tsvg > graph.svg")]
pub struct GraphArgs {
    /// The repository; the git root of the current folder if absent.
    directory: Option<PathBuf>,
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
    if let Some(directory) = &arguments.directory {
        config.repository = Some(directory.clone());
    }
    let graph = build(&repository::read(&config)?);
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
