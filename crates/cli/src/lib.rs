//! What the two binaries share: flags, commands, progress on a terminal, and exit codes.
//!
//! Flags say *where*, configuration says *what*. Data goes to stdout, logs to stderr.

pub mod commands;
pub mod config;
mod progress;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use recon_pipeline::{Fault, Outcome};
use tracing_subscriber::EnvFilter;

/// Sends logs to stderr; `RUST_LOG` chooses which, warnings by default.
pub fn start_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

/// The exit code of a command: 2 for what the user got wrong, 1 for what failed. A failure is told first, in one line,
/// and one `hint:` line where it helps.
pub fn exit(outcome: Outcome) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    eprintln!("error: {}", failure.message());
    if let Some(hint) = failure.advice() {
        eprintln!("hint: {hint}");
    }
    match failure.fault {
        Fault::Input => ExitCode::from(2),
        Fault::Run => ExitCode::from(1),
    }
}
