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

/// Every shard of `folder`, sorted by path; none where it is no folder of shards. Links are not
/// followed.
///
/// A folder of shards holds some itself, or holds folders and each of them is one: a data file
/// deep inside a repository does not make a folder of repositories a folder of shards.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<Shard>> {
    let mut shards = Vec::new();
    if !collect(folder, 0, &mut shards)? {
        shards.clear();
    }
    shards.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(shards)
}

/// Whether `folder` is one of shards; those found are added. The depth is bounded.
fn collect(folder: &Path, depth: usize, shards: &mut Vec<Shard>) -> io::Result<bool> {
    let (mut here, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            here.extend(is_shard(&entry.path()));
        } else if kind.is_dir() && depth < MAX_DEPTH && !entry.file_name().to_string_lossy().starts_with('.') {
            folders.push(entry.path());
        }
    }
    let mut all = !folders.is_empty();
    for inside in folders {
        // The first folder that is none decides, unless there are shards right here.
        if (all || !here.is_empty()) && !collect(&inside, depth + 1, shards)? {
            all = false;
        }
    }
    let is_one = all || !here.is_empty();
    shards.append(&mut here);
    Ok(is_one)
}
