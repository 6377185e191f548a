//! Whose fault it was: the user's, who can mend it, or the machine's and the program's.
//!
//! Every error ends as one line, and one `hint:` line where one helps.

use std::path::Path;
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
    /// Nobody's: the run was asked to stop and can go on from what it saved: exit 75.
    Stopped,
}

const GPU_IS_FULL: &str = "other processes may hold the GPU's memory (`nvidia-smi` lists them); else make \
    `engine.cache_tokens` smaller, train shorter rows, or keep fewer activations";

const DISK_IS_FULL: &str = "make room on that disk and give the same command again; a training goes on from its newest \
    checkpoint with --resume";

const LONGER: &str = "cut longer documents, or set `model.max_position_embeddings` (and `model.rope_theta`) to \
    train the model on more positions";

const RANKS: &str = "when all ranks can run, the same command with --resume goes on from the newest checkpoint";

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

    /// The run failed, in these words.
    pub fn run_because(message: impl fmt::Display) -> Self {
        Self::run(anyhow::anyhow!("{message}"))
    }

    /// The run was asked to stop, and what it has is saved.
    pub fn stopped(message: impl fmt::Display) -> Self {
        Self { error: anyhow::anyhow!("{message}"), hint: None, fault: Fault::Stopped }
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

    /// What to do about it, where that is known.
    pub fn advice(&self) -> Option<&str> {
        // Memory and disks run out anywhere below, so what to change is said here.
        let full = |sign: &str, hint| self.message().contains(sign).then_some(hint);
        let gpu = || full("CUDA_ERROR_OUT_OF_MEMORY", GPU_IS_FULL);
        self.hint.as_deref().or_else(gpu).or_else(|| full("No space left on device", DISK_IS_FULL))
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
        // Names of files and repositories are content: nothing in them moves the cursor.
        recon_repository::line::visible(&message).into_owned()
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

impl From<recon_corpus::Error> for Failure {
    /// A disk that refuses and a corpus with too many faults fail the run, the rest is in what was named.
    fn from(error: recon_corpus::Error) -> Self {
        use recon_corpus::Error::{Columns, Record, TooManyFaults, Write};
        match error {
            Record(error) => error.into(),
            Write { .. } => Self::run(error),
            TooManyFaults { .. } => Self::run(error).hint("raise `corpus.max_skipped_fraction`, or mend the corpus"),
            Columns { .. } => Self::input(error).hint("set `corpus.columns`: plain, stack_v1, stack_v2 or named"),
            _ => Self::input(error),
        }
    }
}

impl From<recon_train::Error> for Failure {
    fn from(error: recon_train::Error) -> Self {
        use recon_train::Error::{
            Average, Checkpoint, Data, Id, Incomplete, Longer, Mismatch, Model, NothingTrained, Occupied, Option,
            Ranks, Read, Shape, Unlike,
        };
        match error {
            Checkpoint(error) => error.into(),
            Id { .. }
            | Shape { .. }
            | Option { .. }
            | Occupied { .. }
            | Mismatch { .. }
            | Unlike { .. }
            | Average { .. }
            | Incomplete { .. }
            | NothingTrained { .. } => Self::input(error),
            Longer { .. } => Self::input(error).hint(LONGER),
            Ranks(error) if error.is_input() => Self::input(error),
            Ranks(error) => Self::run(error).hint(RANKS),
            Data(_) | Model(_) | Read { .. } => Self::input(error),
            _ => Self::run(error),
        }
    }
}

impl From<recon_checkpoint::Error> for Failure {
    /// What could not be written is the machine's fault; what could not be read was named by the user.
    fn from(error: recon_checkpoint::Error) -> Self {
        match error {
            recon_checkpoint::Error::Write { .. }
            | recon_checkpoint::Error::Record(recon_schema::Error::Write { .. }) => Self::run(error),
            recon_checkpoint::Error::NoneWhole { .. } => {
                Self::input(error).hint("remove that folder to train from the beginning")
            }
            _ => Self::input(error),
        }
    }
}
