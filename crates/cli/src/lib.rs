//! What the two binaries share: configuration, commands, the pipeline, and exit codes.
//!
//! Flags say *where*, configuration says *what*. Data goes to stdout, logs to stderr.

pub mod commands;
pub mod config;
pub mod failure;
mod lock;
pub mod pipeline;
pub mod progress;
pub mod repository;
pub mod stage;
pub mod summary;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use failure::Outcome;
use tracing_subscriber::EnvFilter;

/// Sends logs to stderr; `RUST_LOG` chooses which, warnings by default.
pub fn start_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

/// The exit code of a command; a failure is reported first.
pub fn exit(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
