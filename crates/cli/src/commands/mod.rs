//! One file per command, and what all of them need: output forms and printing.

pub mod average;
pub mod check;
pub mod convert;
pub mod eval;
pub mod export;
pub mod generate;
pub mod graph;
pub mod model;
pub mod pack;
mod plan;
mod rehearse;
pub mod report;
pub mod score;
pub mod stages;
pub mod study;
pub mod train;

use std::fmt;
use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use recon_pipeline::{Failure, Outcome};

/// Form of what goes to stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Prints `value` as JSON and a final newline.
pub fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(Failure::run)?;
    print_line(format_args!("{text}"))
}

/// Prints one line of data. A reader that has closed the pipe has had enough: no error.
pub fn print_line(line: fmt::Arguments<'_>) -> Outcome {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::run(anyhow::Error::new(error).context("failed to write to stdout")))
        }
        _ => Ok(()),
    }
}

/// Prints text that ends its own lines.
pub fn print_text(text: &str) -> Outcome {
    print_line(format_args!("{}", text.strip_suffix('\n').unwrap_or(text)))
}
