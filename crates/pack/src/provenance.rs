//! The sidecar that says where every span came from, for audits and for removing a repository.
//!
//! One record a span, JSON Lines under zstd. (Parquet would suit analytic queries better; it
//! would also be the largest dependency of the workspace.) The records are held in memory until
//! the last row is written: some 200 bytes a span.

use std::path::Path;

use recon_schema::graph::RepositoryRef;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The name every record's schema carries in messages.
const SCHEMA: &str = "recon.provenance/1";

/// The sidecar in a packed directory.
pub const FILE_NAME: &str = "provenance.jsonl.zst";

/// Where one span came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanRecord {
    /// The row.
    pub row: u64,
    /// First token in the row.
    pub start: u32,
    /// One past the last token in the row.
    pub end: u32,
    /// The document; the trajectory's id where it is one.
    pub document: String,
    /// First token in the document: not 0 for the later pieces of a document that was cut.
    pub document_start: u64,
    /// Repository, commit and licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryRef>,
}

/// Reads the sidecar of a packed directory, in row order.
pub fn read_provenance(directory: &Path) -> Result<Vec<SpanRecord>> {
    Ok(recon_schema::file::read_json_lines(&directory.join(FILE_NAME), SCHEMA)?)
}
