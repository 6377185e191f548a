//! Many repositories: where they stand, which of them are the same, and what must not be trained on.
//!
//! Paths (shards of rows, folders of repositories, archives) → [`recon_repository::Repository`] one
//! after another, cleaned, those that stand twice or share text with a benchmark marked.
//!
//! Invariants: memory is bounded by options, never by the number of repositories or by what a
//! source claims of itself; what cannot be taken is counted under the rule that refused it.

pub mod contamination;
pub mod corpus;
pub mod duplicates;
pub mod rows;
mod store;
mod words;

pub use corpus::{
    ACCOUNTS, CorpusOptions, CorpusReport, Count, Grouping, Input, NO_SOURCE, RepositoryAccount, Settings,
    each_repository, gather,
};
pub use store::{Entry, Store, shard_name, shard_of};

use std::path::PathBuf;

/// Why a source could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory that is none, or a repository without source.
    #[error(transparent)]
    Repository(#[from] recon_repository::Error),
    /// A file could not be opened or read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A shard that breaks off or contradicts itself.
    #[error("{}: damaged shard: {reason}", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// What is wrong, in the words of the reader.
        reason: String,
    },
    /// A file could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A shard without a column that is asked for.
    #[error("{} has no column of texts named `{name}`; it has: {found}", path.display())]
    Columns {
        /// The shard.
        path: PathBuf,
        /// The column asked for.
        name: String,
        /// The columns there are.
        found: String,
    },
    /// A file that is no table of texts by its name.
    #[error("{} is no file of texts; these end in .jsonl, .jsonl.gz, .jsonl.zst, .ndjson or .parquet", path.display())]
    NoTexts {
        /// The file.
        path: PathBuf,
    },
    /// Benchmarks without a run long enough to be recognised.
    #[error("{} holds no text of {run_words} words", path.display())]
    NoBenchmark {
        /// The first benchmark.
        path: PathBuf,
        /// Words in a run.
        run_words: usize,
    },
    /// More of the corpus is unusable than is accepted.
    #[error(
        "{faults} of {total} {things} are unusable, above {limit:.3} (corpus.max_skipped_fraction); most by rule `{rule}`: {example}"
    )]
    TooManyFaults {
        /// Unusable ones.
        faults: u64,
        /// All met.
        total: u64,
        /// `rows` or `repositories`.
        things: &'static str,
        /// The fraction accepted.
        limit: f64,
        /// The rule with most faults.
        rule: String,
        /// The first fault of that rule.
        example: String,
    },
    /// A record could not be written.
    #[error(transparent)]
    Record(#[from] recon_schema::Error),
    /// An option has no meaning.
    #[error("`corpus.{name} = {value}`: expected {expected}")]
    Option {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What can be meant.
        expected: &'static str,
    },
    /// A folder that holds neither shards nor repositories.
    #[error("{} holds neither shards (.jsonl, .jsonl.gz, .jsonl.zst, .parquet) nor repositories", path.display())]
    EmptyCorpus {
        /// The folder.
        path: PathBuf,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
