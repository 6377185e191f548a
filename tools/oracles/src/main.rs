//! `recon-oracles`: what programs written by others say of the same packages, and how fast the graph is beside them.
//!
//! `cargo xtask graph-accuracy` and `cargo xtask graph-speed` start it. Output: `docs/graph-accuracy.md` and
//! `docs/graph-speed.md`. Exit 1 where an order is broken or files are lost, as where something failed.

mod accuracy;
mod speed;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use recon_outside::folder::workspace;

#[derive(Parser)]
#[command(
    name = "recon-oracles",
    about = "The graph against each language's own tools, and its speed on real packages"
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compare the graph's edges with each language's own tools; writes docs/graph-accuracy.md.
    GraphAccuracy {
        /// Measure only the languages whose name contains this.
        #[arg(long)]
        language: Option<String>,
        /// A built `recon` to use; the release binary is built if absent.
        #[arg(long)]
        recon: Option<PathBuf>,
        /// Print every difference.
        #[arg(long)]
        differences: bool,
    },
    /// Measure graph, cleaning and duplicates on packages fetched by name, beside bare parsing and
    /// `ruff analyze graph`; writes docs/graph-speed.md.
    GraphSpeed,
}

fn main() -> ExitCode {
    let root = workspace();
    let outcome = match Arguments::parse().task {
        Task::GraphAccuracy { language, recon, differences } => {
            accuracy::run(&root, language.as_deref(), recon.as_deref(), differences)
        }
        Task::GraphSpeed => speed::run(&root),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
