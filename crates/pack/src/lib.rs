//! Packing of tokenized documents into MDS rows, and the loader that reads them in keyed order.
//!
//! Legend: a *row* is at most `T` tokens; a *span* is one document, or one piece of a document
//! longer than `T`, inside a row.
//!
//! [`pack`]: documents (ids, mask) → a directory of MDS shards with the columns `domain: str`,
//! `indices: ndarray:uint32` (spans, `[spans, 2]`, start and end), `input_ids: ndarray:uint32`,
//! `length: uint64`, `mask: ndarray:uint8`; a sidecar saying where each span came from; a manifest.
//!
//! Invariants:
//! - Spans follow each other without gap and cover their row. Rows are not padded: a row shorter
//!   than `T` is stored short, so padding is never trained and never stored.
//! - `mask[i] = 1` means token `i` is predicted. A span's first token never is. A reader that
//!   ignores `mask` would also train observations.
//! - No token of one span may attend to another span.
//! - The same documents in the same order give the same bytes; the same packs, weights and seed
//!   give the same row at each position, whatever the number of ranks or restarts.

mod cut;
mod document;
mod fit;
mod loader;
mod mix;
mod order;
mod pack;
mod provenance;
mod row;
mod source;

use std::path::PathBuf;

pub use document::PackDocument;
pub use fit::best_fit_decreasing;
pub use loader::{Loader, Place, Source, share};
pub use mix::Phase;
pub use pack::{PackOptions, PackReport, pack};
pub use provenance::{FILE_NAME as PROVENANCE_FILE, SpanRecord, read_provenance};
pub use row::Row;
pub use source::Longest;

/// What went wrong while packing or loading.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The packed data could not be read or written.
    #[error(transparent)]
    Mds(#[from] recon_mds::Error),
    /// The sidecar or the manifest could not be read or written.
    #[error(transparent)]
    File(#[from] recon_schema::Error),
    /// A leftover of an earlier run could not be removed.
    #[error("failed to remove {}", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An option is out of range.
    #[error("`{name}` is {value}, expected {expected}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A document's mask or cuts do not fit its ids.
    #[error("document `{id}`: {reason}")]
    Document {
        /// The document.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing to train on.
    #[error("no document has a token to train on ({documents} documents seen)")]
    Nothing {
        /// Documents seen.
        documents: u64,
    },
    /// A source to load from holds no row.
    #[error("{} holds no rows", directory.display())]
    NoRows {
        /// The source.
        directory: PathBuf,
    },
    /// A stored row is not what the invariants promise.
    #[error("row {row} of {}: {reason}", directory.display())]
    Row {
        /// The source.
        directory: PathBuf,
        /// Index of the row in it.
        row: usize,
        /// What is wrong.
        reason: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
