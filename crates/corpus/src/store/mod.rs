//! Repositories as they were read, on disk, by shard: what every later stage reads instead of the source.
//!
//! A shard is a function of the repository's name and of the number of shards, so it holds the same
//! repositories whoever works on it. For shard `00042` there are
//!
//! - `00042.repositories.zst`: one zstd frame a repository (a [`Repository`] as JSON), with checksums;
//! - `00042.index.jsonl.zst`: one [`Entry`] a repository, in the same order, with the place of its
//!   frame and the files that stand elsewhere in the corpus already.
//!
//! Only repositories that are kept have an entry. Memory holds the index of one shard and one
//! repository.

mod read;
mod write;

use std::path::{Path, PathBuf};

use recon_repository::Repository;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

pub use read::Store;
pub(crate) use write::{Frame, StoreWriter};

/// One kept repository in the index of its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The repository's name, which no other of the store has.
    pub name: String,
    /// First byte of its frame.
    pub offset: u64,
    /// Bytes of its frame.
    pub bytes: u64,
    /// Bytes of text in it, for whoever spreads work.
    pub text_bytes: u64,
    /// Files of it that stand earlier in the corpus, or stand there nearly the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<String>,
}

/// The shard, of `shards`, that a repository of this name belongs to.
pub fn shard_of(name: &str, shards: u32) -> u32 {
    (xxh3_64(name.as_bytes()) % u64::from(shards.max(1))) as u32
}

/// How a shard is called in names of files and folders.
pub fn shard_name(shard: u32) -> String {
    format!("{shard:05}")
}

fn frames(directory: &Path, shard: u32) -> PathBuf {
    directory.join(format!("{}.repositories.zst", shard_name(shard)))
}

fn index(directory: &Path, shard: u32) -> PathBuf {
    directory.join(format!("{}{INDEX}", shard_name(shard)))
}

const INDEX: &str = ".index.jsonl.zst";
const SCHEMA: &str = "recon.repository/1";

/// Serialised and compressed; the form a repository has in its shard.
fn encode(repository: &Repository) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1)?;
    encoder.include_checksum(true)?;
    serde_json::to_writer(&mut encoder, repository).map_err(std::io::Error::other)?;
    encoder.finish()
}
