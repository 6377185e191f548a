//! Reading: the index and the shards' tables at once, samples on demand, in any order.
//!
//! Each shard is decoded by its own columns, which may differ between the shards of a dataset.

use std::path::Path;
use std::sync::Arc;

use crate::index::{self, Index};
use crate::shard::{Column, Scratch, Shard};
use crate::{Error, Result, Sample};

/// A dataset on the disk.
#[derive(Debug)]
pub struct Dataset {
    shards: Vec<Shard>,
    /// Number of samples before each shard, and in all.
    starts: Vec<usize>,
}

impl Dataset {
    /// Reads the index of `directory` and every shard's table of offsets.
    ///
    /// # Errors
    /// If a file is missing, damaged in structure, or compressed in a way that is not supported. Hashes are checked
    /// later, before a shard's first sample is returned; a compressed shard's table is read then too.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(index::FILE_NAME);
        let fail = |reason: String| Error::Index { path: path.clone(), reason };
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
        if index.version != index::VERSION {
            return Err(fail(format!("version {}, expected {}", index.version, index::VERSION)));
        }
        let (mut shards, mut starts) = (Vec::new(), vec![0_usize]);
        let scratch = Arc::new(Scratch::default());
        for entry in index.shards {
            let shard = Shard::open(directory, entry, &scratch, &fail)?;
            let samples = starts[starts.len() - 1].checked_add(shard.samples());
            starts.push(samples.ok_or_else(|| fail("it lists more samples than can be counted".into()))?);
            shards.push(shard);
        }
        Ok(Self { shards, starts })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.starts[self.shards.len()]
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the columns of sample `index`, in their order.
    pub fn columns(&self, index: usize) -> Result<impl Iterator<Item = &str>> {
        self.locate(index).map(|(shard, _)| shard.columns().iter().map(Column::name))
    }

    /// Reads one sample. The first read from a shard checks the shard's hashes.
    ///
    /// # Errors
    /// Where a column is of a type that is not supported, and as [`Dataset::read`].
    pub fn sample(&self, index: usize) -> Result<Sample> {
        let (shard, within) = self.locate(index)?;
        shard.sample(within, |_| true)
    }

    /// Reads those columns of one sample that are called `names`; the others are stepped over, whatever their type. A
    /// column that its shard does not have is left out.
    ///
    /// # Errors
    /// Where the sample is damaged, or a column called so is of a type that is not supported.
    pub fn read(&self, index: usize, names: &[&str]) -> Result<Sample> {
        let (shard, within) = self.locate(index)?;
        shard.sample(within, |name| names.contains(&name))
    }

    /// Calls `each` with the index of every sample and the number of elements of its array `column`, `None` where it has
    /// no such array. No element is read.
    ///
    /// # Errors
    /// Where a shard cannot be read or a sample is damaged.
    pub fn each_length(&self, column: &str, mut each: impl FnMut(usize, Option<usize>)) -> Result<()> {
        for (shard, start) in self.shards.iter().zip(&self.starts) {
            shard.each_length(column, |within, elements| each(start + within, elements))?;
        }
        Ok(())
    }

    /// Checks the hashes of every shard that was not checked yet.
    pub fn verify(&self) -> Result<()> {
        self.shards.iter().try_for_each(Shard::verify)
    }

    fn locate(&self, index: usize) -> Result<(&Shard, usize)> {
        if index >= self.len() {
            return Err(Error::OutOfRange { index, samples: self.len() });
        }
        let shard = self.starts.partition_point(|&start| start <= index) - 1;
        Ok((&self.shards[shard], index - self.starts[shard]))
    }
}
