//! Reads a store: which shards there are, what is in them, one repository at a time.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use recon_repository::Repository;
use recon_schema::file::read_json_lines;
use recon_schema::graph::{Diagnostic, SkipReason};

use super::{Entry, INDEX, SCHEMA, frames, index};
use crate::{Error, Result};

/// A finished store.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    shards: Vec<u32>,
}

impl Store {
    /// Opens the store in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn open(directory: &Path) -> Result<Self> {
        let fail = |source| Error::Read { path: directory.into(), source };
        let mut shards = Vec::new();
        for entry in fs::read_dir(directory).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            shards.extend(name.to_str().and_then(|name| name.strip_suffix(INDEX)?.parse::<u32>().ok()));
        }
        shards.sort_unstable();
        Ok(Self { directory: directory.into(), shards })
    }

    /// The shards that hold a repository, in order.
    pub fn shards(&self) -> &[u32] {
        &self.shards
    }

    /// The files of a shard: what decides everything that is made of it.
    pub fn files(&self, shard: u32) -> [PathBuf; 2] {
        [frames(&self.directory, shard), index(&self.directory, shard)]
    }

    /// The repositories of a shard, in order.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn entries(&self, shard: u32) -> Result<Vec<Entry>> {
        Ok(read_json_lines(&index(&self.directory, shard), SCHEMA)?)
    }

    /// One repository, its duplicates marked as untrained.
    ///
    /// # Errors
    /// When its frame cannot be read or is not what was written.
    pub fn repository(&self, shard: u32, entry: &Entry) -> Result<Repository> {
        let path = frames(&self.directory, shard);
        let mut repository = decode(&path, entry).map_err(|source| Error::Read { path, source })?;
        for file in &entry.duplicates {
            repository.untrain(file, SkipReason::Duplicate);
            let (rule, message) = (crate::corpus::DUPLICATE_FILE.into(), crate::corpus::DUPLICATE_MESSAGE.into());
            repository.diagnostics.push(Diagnostic { path: file.clone(), rule, message });
        }
        repository.diagnostics.sort();
        Ok(repository)
    }
}

fn decode(path: &Path, entry: &Entry) -> io::Result<Repository> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(entry.offset))?;
    let frame = zstd::Decoder::new(file.take(entry.bytes))?;
    let mut bytes = Vec::new();
    BufReader::new(frame).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}
