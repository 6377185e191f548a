//! The records recon's stages exchange, and the one way they reach the disk.
//!
//! Stages meet only on disk. What they meet in is defined here: the repository graph
//! ([`graph`]), the trajectory ([`trajectory`]), the manifest that says a stage is complete
//! ([`manifest`]), and the writer that never leaves a half-written file ([`file`]).
//!
//! Invariants: a record names its schema and version; nothing is visible half-written; a
//! manifest is written last, and every file it lists is verified by hash when it is read.

pub mod file;
pub mod graph;
pub mod manifest;
pub mod trajectory;

mod hash;

pub use hash::Sha256;

/// What went wrong while reading or writing a record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file could not be written; nothing is left under its final name.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file under its final name.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what its schema says.
    #[error("{} is not a valid {schema} record (line {line})", path.display())]
    Malformed {
        /// The file.
        path: std::path::PathBuf,
        /// The schema expected.
        schema: &'static str,
        /// 1-based line; 1 for a file that holds one record.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A record of another schema, or of a version this program does not know.
    #[error("{} holds `{found}`, expected `{expected}`", path.display())]
    Schema {
        /// The file.
        path: std::path::PathBuf,
        /// The schema named in the file.
        found: String,
        /// The schema asked for.
        expected: &'static str,
    },
    /// A listed output is missing or its bytes have changed since its manifest was written.
    #[error("{} does not match its manifest", path.display())]
    HashMismatch {
        /// The file.
        path: std::path::PathBuf,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
