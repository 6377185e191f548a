//! Turns a directory of source code into a graph of files: outlines, import edges, an order.
//!
//! directory → [`read_directory`] → [`Repository`] → [`build`] → [`RepoGraph`](recon_schema::graph::RepoGraph)
//! → [`outline`] (what a writer may be told about a file) and [`output`] (JSON, DOT, text).
//!
//! Invariants: building never fails, a fault of the corpus becomes a diagnostic; the graph is a
//! function of the files' paths and bytes alone, whatever the thread count or the order in
//! which they were met; no syntax, however deep, is walked by recursion; manifests are read,
//! build tools are never run.

mod arrangement;
mod assemble;
mod escape;
mod feedback;
mod languages;
mod order;
mod paths;
mod read;
mod repository;
mod role;
mod syntax;

pub mod outline;
pub mod output;

pub use assemble::build;
pub use read::{Intake, RESULTS_MARK, ReadOptions, TopFolder, public_url, read_directory, repository_name};
pub use repository::{Original, Repository, SkippedFile};
pub use role::{Role, role};

/// The name of the language a file of this path is written in; none for other text.
pub fn language(path: &str) -> Option<&'static str> {
    languages::of_path(path)
}

/// The name of the language a file is written in: as [`language`], and where the path says nothing,
/// by the interpreter that the first line names.
pub fn language_of(path: &str, text: &str) -> Option<&'static str> {
    languages::of(path, text)
}

/// Why a directory could not be taken as a repository.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing stands at this path, or it cannot be looked at.
    #[error("failed to open repository {}", path.display())]
    Open {
        /// The path as given.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The path names a file.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path as given.
        path: std::path::PathBuf,
    },
    /// No file in a known language could be read.
    #[error(
        "{} holds no readable source file in a known language ({known}); {files} files were met{}",
        path.display(), match .beyond { 0 => String::new(), n => format!(", {n} of them beyond the limits of `read`") }
    )]
    NoSource {
        /// The path as given.
        path: std::path::PathBuf,
        /// The languages looked for, comma-separated.
        known: String,
        /// Files met in any form, skipped ones included.
        files: usize,
        /// Those that a limit of the reading kept out.
        beyond: usize,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
