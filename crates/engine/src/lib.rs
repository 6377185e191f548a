//! Serves `lm` from `llama`: ragged batches over paged keys and values, scoring, generation.
//!
//! Any number of callers bring jobs (`caller`, `callers`); each becomes a *sequence* (`sequence`),
//! and every forward is a *batch* of chunks of many sequences, chosen by the schedule
//! (`schedule`). Keys and values lie in pages (`pool`) that branches share (`prefix`), so a
//! context is computed once, however many candidates are scored and written after it; what
//! documents of a request begin with in common is found (`radix`) and computed once too. The head
//! runs only where a likelihood is asked (`score`) or a token is drawn (`generate`), and tokens
//! are drawn where the logits are.
//!
//! Invariants: the likelihood of a token given what stands before it is the same to the bit
//! whether it is computed in one job or many, in whatever chunks and company, after a branch, or
//! again after its pages were given up (on the CPU); a text depends on prompt, sampling and key
//! alone; a job's failure leaves the others and every branch as they were; a document that the
//! context takes finds room.

mod branch;
mod caller;
mod callers;
mod conversation;
mod core;
mod engine;
mod generate;
mod job;
mod open;
mod options;
mod pool;
mod prefix;
mod radix;
mod schedule;
mod score;
mod sequence;
mod share;

pub use caller::{Caller, Document};
pub use conversation::conversation;
pub use engine::{CachePages, Engine};
pub use options::{EngineOptions, Stats};

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model's files.
    #[error(transparent)]
    Checkpoint(#[from] recon_checkpoint::Error),
    /// The model's configuration or weights.
    #[error(transparent)]
    Llama(#[from] recon_llama::Error),
    /// The tokenizer, or that it does not belong to the model.
    #[error(transparent)]
    Text(#[from] recon_text::Error),
    /// End ids that are neither a number nor a list of numbers.
    #[error("{file}: `eos_token_id` is {found}, expected an id or a list of ids")]
    EndIds {
        /// The file that names them.
        file: &'static str,
        /// What it says.
        found: String,
    },
    /// A file of the model is not JSON.
    #[error("{file} is not JSON")]
    NotJson {
        /// The file.
        file: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A longer context than the model's positions.
    #[error("`engine.context_tokens` is {asked}, the model has {limit} positions")]
    ContextTooLong {
        /// Tokens asked for.
        asked: usize,
        /// The model's positions.
        limit: usize,
    },
    /// A longer context than the whole cache.
    #[error("`engine.context_tokens` is {asked}, `engine.cache_tokens` only {cache}")]
    CacheTooSmall {
        /// Tokens of context asked for.
        asked: usize,
        /// Tokens of cache.
        cache: usize,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
