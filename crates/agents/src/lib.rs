//! Main agent and one sub-agent per file: a repository and its graph become trajectories.
//!
//! The main agent writes requirements and plan and delegates each file, dependencies first. A
//! sub-agent thinks about what it will read, reads files that exist already, thinks, and writes; or
//! it thinks about the design, and the model decides what it reads. Without anything to read it
//! thinks once. Where it debugs, the model drafts the file, tools answer, and it thinks again before
//! the real file is written. Every file read or written is the repository's own.
//!
//! Invariants: no document is longer than `context_tokens`; a repository that is longer is cut
//! at sub-agent borders into parts, and every later part opens with an untrained continuation
//! that holds requirements, plan and the files that exist; the bytes depend on inputs, options
//! and seed only.
//!
//! Source: *Understanding by Reconstruction* (arXiv 2603.11103); PAPER.md, definitions 1, 2, 11, 13.

mod choice;
mod document;
mod draft;
mod episode;
mod first;
mod options;
mod reads;
mod simulate;
mod steps;

pub use first::ModelWriter;
pub use options::{AgentOptions, DebugOptions, FirstAuthor, Reads};
pub use simulate::{select, simulate};

/// Why a repository could not be simulated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The graph orders no file.
    #[error("repository {repository} has no file that takes part")]
    NoFiles {
        /// Its name.
        repository: String,
    },
    /// The graph was not built from this repository.
    #[error("the graph of {repository} orders {path}, which the repository does not hold")]
    ForeignGraph {
        /// The repository's name.
        repository: String,
        /// The file.
        path: String,
    },
    /// Even the opening leaves no room for work.
    #[error(
        "the opening of {repository} takes {tokens} of {context_tokens} context tokens, more than half; \
         lower `max_files` or raise `context_tokens`"
    )]
    OpeningTooLong {
        /// The repository's name.
        repository: String,
        /// Length of the opening.
        tokens: usize,
        /// The limit.
        context_tokens: usize,
    },
    /// The options ask for what a model does.
    #[error("`first_author = \"model\"`, `reads = \"model\"` and `debug` need a model; name one, or leave them")]
    NoModel,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
