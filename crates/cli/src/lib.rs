//! What the two binaries share: flags, commands, progress on a terminal, and exit codes.
//!
//! Flags say *where*, configuration says *what*. Data goes to stdout, logs to stderr.

pub mod commands;
pub mod config;
mod progress;
mod ranks;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use recon_pipeline::{Fault, Outcome};
use tracing_subscriber::EnvFilter;

/// Sends logs to stderr; `RUST_LOG` chooses which. By default warnings, and what a training says of itself: of several
/// ranks, the first.
pub fn start_logs() {
    let default = if ranks::is_first() { "warn,recon_train=info" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

/// The exit code of a command: 2 for what the user got wrong, 1 for what failed, 75 (`EX_TEMPFAIL`, which schedulers
/// requeue) for a run that was asked to stop. A failure is told first, in one line, and one `hint:` line where it helps.
pub fn exit(outcome: Outcome) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    let (word, code) = match failure.fault {
        Fault::Input => ("error", 2),
        Fault::Run => ("error", 1),
        Fault::Stopped => ("stopped", 75),
    };
    eprintln!("{word}: {}", failure.message());
    if let Some(hint) = failure.advice() {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(code)
}
