//! How much a source may ask of the machine that reads it.

use serde::{Deserialize, Serialize};

/// What an archive or a history may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceOptions {
    /// Bytes an archive may expand to.
    pub max_expanded_bytes: u64,
    /// Bytes that may come out for each byte that went in, once 64 MiB have come out.
    pub max_ratio: u32,
    /// Entries of an archive or a git tree.
    pub max_entries: u64,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { max_expanded_bytes: 16 << 30, max_ratio: 200, max_entries: 5_000_000 }
    }
}
