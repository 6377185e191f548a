//! Whose fault it was: exit 2 for what the user got wrong, 1 for what failed.
//!
//! Every error ends as one line on stderr, and one `hint:` line where one helps.

use std::path::Path;
use std::process::ExitCode;
use std::{fmt, io};

/// A run that did not succeed.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, causes included.
    pub error: anyhow::Error,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whose fault it was.
    pub fault: Fault,
}

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The input, a flag or the configuration: exit 2.
    Input,
    /// The machine or this program: exit 1.
    Run,
}

const GPU_IS_FULL: &str = "other processes may hold the GPU's memory (`nvidia-smi` lists them); else make \
    `engine.cache_tokens` smaller, train shorter rows, or keep fewer activations";

/// `Result` with [`Failure`].
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The user's input was wrong.
    pub fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), hint: None, fault: Fault::Input }
    }

    /// The user's input was wrong, in these words.
    pub fn input_because(message: impl fmt::Display) -> Self {
        Self::input(anyhow::anyhow!("{message}"))
    }

    /// The run failed.
    pub fn run(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), hint: None, fault: Fault::Run }
    }

    /// The file system did not do what was asked of it: `failed` says what, in words that go before the path.
    pub fn of_file(failed: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::run(anyhow::Error::new(error).context(format!("{failed} {}", path.display())))
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the failure to stderr and gives its exit code.
    pub fn report(&self) -> ExitCode {
        let message = self.message();
        eprintln!("error: {message}");
        // Memory runs out anywhere below, so what to change is said here.
        let full = message.contains("CUDA_ERROR_OUT_OF_MEMORY").then_some(GPU_IS_FULL);
        if let Some(hint) = self.hint.as_deref().or(full) {
            eprintln!("hint: {hint}");
        }
        match self.fault {
            Fault::Input => ExitCode::from(2),
            Fault::Run => ExitCode::from(1),
        }
    }

    /// The error and its causes on one line; a cause that repeats what was said is left out.
    pub fn message(&self) -> String {
        let mut message = String::new();
        for cause in self.error.chain() {
            let text = cause.to_string();
            // The tensor library puts a backtrace behind its message where RUST_BACKTRACE is set.
            let text = text.split("\n   0: ").next().unwrap_or_default().trim_end().replace('\n', " ");
            if message.is_empty() {
                message = text;
            } else if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
        }
        message
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::run(error)
    }
}

impl From<recon_schema::Error> for Failure {
    fn from(error: recon_schema::Error) -> Self {
        match error {
            // A record that cannot be read was named by the user; one that cannot be written was not.
            recon_schema::Error::Write { .. } => Self::run(error),
            _ => Self::input(error),
        }
    }
}
