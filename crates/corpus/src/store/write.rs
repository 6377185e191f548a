//! Writes a store: frames as repositories come, the index once it is known which of them stay.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use recon_repository::Repository;
use recon_schema::file::{AtomicFile, JsonLines};

use super::{Entry, encode, frames, index, shard_of};
use crate::{Error, Result};

/// A repository in the form it has in its shard.
pub(crate) struct Frame(Vec<u8>);

impl Frame {
    pub(crate) fn of(repository: &Repository) -> Result<Self> {
        let fail = |source| Error::Write { path: repository.reference.name.clone().into(), source };
        encode(repository).map(Self).map_err(fail)
    }
}

/// A store under construction; its files appear when it is finished.
pub(crate) struct StoreWriter {
    directory: PathBuf,
    shards: u32,
    frames: BTreeMap<u32, (AtomicFile, u64)>,
    indexes: BTreeMap<u32, JsonLines>,
}

impl StoreWriter {
    pub(crate) fn create(directory: &Path, shards: u32) -> Self {
        Self { directory: directory.into(), shards, frames: BTreeMap::new(), indexes: BTreeMap::new() }
    }

    /// Adds the frame of the repository `name`; gives the place it has.
    pub(crate) fn push(&mut self, name: &str, frame: &Frame) -> Result<(u64, u64)> {
        let shard = shard_of(name, self.shards);
        if !self.frames.contains_key(&shard) {
            self.frames.insert(shard, (AtomicFile::create(&frames(&self.directory, shard))?, 0));
        }
        let (file, end) = self.frames.get_mut(&shard).expect("it was put there just now");
        let fail = |source| Error::Write { path: frames(&self.directory, shard), source };
        file.write_all(&frame.0).map_err(fail)?;
        let (offset, bytes) = (*end, frame.0.len() as u64);
        *end += bytes;
        Ok((offset, bytes))
    }

    /// Adds an entry to the index of its shard.
    pub(crate) fn keep(&mut self, entry: &Entry) -> Result<()> {
        let shard = shard_of(&entry.name, self.shards);
        if !self.indexes.contains_key(&shard) {
            self.indexes.insert(shard, JsonLines::create(&index(&self.directory, shard))?);
        }
        Ok(self.indexes.get_mut(&shard).expect("it was put there just now").push(entry)?)
    }

    /// Gives every file its name. Of a shard that keeps nothing, nothing is left.
    pub(crate) fn finish(self) -> Result<()> {
        for (shard, (file, _)) in self.frames {
            if self.indexes.contains_key(&shard) {
                file.finish()?;
            }
        }
        for index in self.indexes.into_values() {
            index.finish()?;
        }
        Ok(())
    }
}
