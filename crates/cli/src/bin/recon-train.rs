//! The `recon-train` binary.

use std::process::ExitCode;

use clap::Parser as _;
use recon_cli::commands::train;

fn main() -> ExitCode {
    recon_cli::start_logs();
    recon_cli::exit(train::run(&train::TrainArgs::parse()))
}
