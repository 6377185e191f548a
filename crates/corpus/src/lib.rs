//! Where repositories come from, one or many, and what is taken out of them before they are used.
//!
//! [`Source`] names one repository (a directory, a commit of a git repository, an archive) and
//! reads it into a [`recon_graph::Repository`]. [`clean`] takes out files that no person wrote
//! for this project and replaces secrets and personal data.
//!
//! Invariants: no source is written to disk as it names itself, and none is run; memory is
//! bounded by options, never by what a source claims of itself; what a source holds that cannot
//! be taken is counted under the rule that refused it.

pub mod clean;
pub mod contamination;
pub mod corpus;
pub mod duplicates;
pub mod rows;
pub mod source;

mod words;

pub use clean::{CleanOptions, CleanReport, clean};
pub use corpus::{CorpusOptions, CorpusReport, Grouping, Settings, Shard};
pub use source::{Source, SourceOptions};

use std::path::PathBuf;

/// Why a source could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory that is none, or a repository without source.
    #[error(transparent)]
    Repository(#[from] recon_graph::Error),
    /// A file could not be opened or read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file that is no archive this program knows.
    #[error("{} is neither a directory, a git repository, a tar archive (plain, gzip, zstd) nor a zip archive", path.display())]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// An archive that breaks off or contradicts itself.
    #[error("{}: damaged archive: {reason}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong, in the words of the reader.
        reason: String,
    },
    /// More comes out than the limits allow.
    #[error("{}: {reason}", path.display())]
    TooMuch {
        /// The source.
        path: PathBuf,
        /// Which limit, and where it stands.
        reason: String,
    },
    /// A git repository that cannot be opened or lacks the objects to begin with.
    #[error("{}: {action}: {reason}", path.display())]
    Git {
        /// The repository.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the object database said.
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
    /// The second pass met another corpus than the first.
    #[error("the corpus changed while it was read, at repository {repository}")]
    Changed {
        /// Its name.
        repository: String,
    },
    /// A record could not be written.
    #[error(transparent)]
    Record(#[from] recon_schema::Error),
    /// A folder that holds neither shards nor repositories.
    #[error("{} holds neither shards (.jsonl, .jsonl.gz, .jsonl.zst, .parquet) nor repositories", path.display())]
    EmptyCorpus {
        /// The folder.
        path: PathBuf,
    },
    /// A name that is no commit of the repository.
    #[error("{} has no branch, tag or commit `{revision}`", path.display())]
    Revision {
        /// The repository.
        path: PathBuf,
        /// As given.
        revision: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
