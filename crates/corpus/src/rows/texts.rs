//! Plain texts: one column of JSON Lines or Parquet, one document a row.

use std::path::Path;

use recon_repository::SourceOptions;

use super::{Fault, RowOptions, Wanted, is_shard, open};
use crate::{CorpusOptions, Error, Result};

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// `file:row`.
    pub place: String,
    /// The text.
    pub text: String,
}

/// The texts in `column` of the file `path` (.jsonl, .jsonl.gz, .jsonl.zst, .parquet), in order.
///
/// # Errors
/// When it is no such file, cannot be read, or has no such column. A row that cannot be used is a [`Fault`].
pub fn texts(
    path: &Path,
    column: &str,
    corpus: &CorpusOptions,
    limits: &SourceOptions,
) -> Result<impl Iterator<Item = Result<Text, Fault>> + use<>> {
    let shard = is_shard(path).ok_or_else(|| Error::NoTexts { path: path.into() })?;
    let names = Wanted { repository: None, path: None, content: column.into(), licence: None, commit: None };
    let rows = open(&shard, &RowOptions { names, max_row_bytes: corpus.max_row_bytes, limits: limits.clone() })?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = rows.zip(1_u64..);
    Ok(numbered.map(move |(row, at)| Ok(Text { place: format!("{file}:{at}"), text: row?.content })))
}
