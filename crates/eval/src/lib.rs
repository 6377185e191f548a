//! Held-out likelihood: how well a model predicts files it was not trained on.
//!
//! Input: files with their repository's name. Each becomes a document of its own in the form of
//! the raw arm: an opening with the repository's name and the file's path, then the file's
//! `write`. Output: summed negative log-likelihood of the content tokens in nats, with token and
//! byte counts, per file and in all.
//!
//! Invariants: only content tokens are counted, never the opening, the action line or the closing
//! token, so models with different renderings compare; sums are taken in the order of the files;
//! a file longer than the context is cut at its end, and what was left out is recorded.
//!
//! Bits per byte do not depend on the vocabulary: nats / (ln 2 · bytes).

mod held_out;
mod report;

pub use held_out::{HeldOutFile, held_out};
pub use report::{FileReport, Report};

/// Why likelihood could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model did not score a file.
    #[error("failed to score {path} of {repository}")]
    Score {
        /// The file's repository.
        repository: String,
        /// The file.
        path: String,
        /// What the model said.
        source: recon_lm::Error,
    },
    /// The beginning all documents share could not be computed.
    #[error("failed to begin a document")]
    Begin(#[source] recon_lm::Error),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
