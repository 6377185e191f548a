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
pub mod source;

pub use clean::{CleanOptions, CleanReport, clean};
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
    /// A name that is no commit of the repository.
    #[error("{} has no commit `{revision}`", path.display())]
    Revision {
        /// The repository.
        path: PathBuf,
        /// As given.
        revision: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
