//! The shards of a corpus: files by their endings, in the order of their paths.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Deepest folder looked into.
const MAX_DEPTH: usize = 8;

/// One file of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shard {
    /// JSON Lines, plain, gzip or zstd.
    Json(PathBuf),
    /// Parquet.
    Parquet(PathBuf),
}

impl Shard {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Json(path) | Self::Parquet(path) => path,
        }
    }
}

/// The shard that a file is, by its ending.
pub(crate) fn is_shard(path: &Path) -> Option<Shard> {
    const JSON: [&str; 7] = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".json.gz"];
    let name = path.file_name()?.to_str()?;
    if name.starts_with('.') {
        None
    } else if JSON.iter().any(|ending| name.ends_with(ending)) {
        Some(Shard::Json(path.into()))
    } else {
        name.ends_with(".parquet").then(|| Shard::Parquet(path.into()))
    }
}

/// Every shard below `folder`, sorted by path; links are not followed.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<Shard>> {
    let mut shards = Vec::new();
    let mut open = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if kind.is_dir() && depth < MAX_DEPTH && !hidden {
                open.push((path, depth + 1));
            } else if kind.is_file() {
                shards.extend(is_shard(&path));
            }
        }
    }
    shards.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(shards)
}
