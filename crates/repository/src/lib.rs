//! One repository in memory: where it comes from, and what is not trained on of it.
//!
//! [`Source`] names a repository (a directory, a commit of a git repository, an archive) and reads
//! it into a [`Repository`]; whoever has its files in another form fills an [`Intake`]. [`clean`]
//! marks the files that no person wrote for this project and replaces secrets and personal data.
//!
//! Invariants: the same files give the same repository from every kind of source; no source is
//! written to disk as it names itself, and none is run; memory is bounded by options, never by
//! what a source claims of itself; whatever cannot be taken is recorded with its reason; what is
//! marked keeps its text, so that an import means the same before and after cleaning.

pub mod clean;
pub mod language;
pub mod line;
pub mod paths;
mod read;
mod repository;
mod shebang;
pub mod source;

use std::path::PathBuf;

pub use clean::{CleanOptions, CleanReport, clean};
pub use read::{
    Intake, RESULTS_MARK, ReadOptions, TopFolder, is_licence_file, public_url, read_directory, repository_name,
};
pub use repository::{Original, Repository, SkippedFile};
pub use source::{Source, SourceOptions};

/// Why a source could not be taken as a repository.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing stands at this path, or it cannot be looked at.
    #[error("failed to open repository {}", path.display())]
    Open {
        /// The path as given.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The path names a file.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path as given.
        path: PathBuf,
    },
    /// No file in a known language could be read.
    #[error(
        "{} holds no readable source file in a known language ({known}); {files} files were met{}",
        path.display(), match .beyond { 0 => String::new(), n => format!(", {n} of them beyond the limits of `read`") }
    )]
    NoSource {
        /// The path as given.
        path: PathBuf,
        /// The languages looked for, comma-separated.
        known: String,
        /// Files met in any form, skipped ones included.
        files: usize,
        /// Those that a limit of the reading kept out.
        beyond: usize,
    },
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
