//! Loading: a position, one integer, names a row of one of several packs.
//!
//! Positions count from 0 without end. Each draws from a source in the proportion of the weights;
//! the `n`-th draw from a source of `r` rows is row `n mod r` of epoch `n / r`, whose order is a
//! permutation keyed by (seed, source, epoch). Nothing is remembered between calls: a run resumes
//! at any position, and any number of ranks can share the positions between them ([`share`]).

use std::ops::Range;
use std::path::{Path, PathBuf};

use recon_schema::Sha256;
use serde::{Deserialize, Serialize};

use crate::mix::{Mix, Phase};
use crate::order::Order;
use crate::source::{Longest, OpenSource};
use crate::{Error, Result, Row};

/// A packed directory and its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A directory written by [`pack`](crate::pack()), or any MDS dataset of the same columns.
    pub directory: PathBuf,
    /// Share of the rows drawn, in proportion to the other sources' weights.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// Where a position leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the source.
    pub source: usize,
    /// How often the source was used up before.
    pub epoch: u64,
    /// Index of the row as it is stored, or of the joined row.
    pub row: usize,
}

/// Reads rows in a keyed order.
#[derive(Debug)]
pub struct Loader {
    sources: Vec<OpenSource>,
    mix: Mix,
    /// Key of the mix.
    key: u64,
    seed: u64,
}

impl Loader {
    /// Opens one packed directory.
    pub fn open(directory: &Path, seed: u64) -> Result<Self> {
        Self::open_all(&[directory], seed)
    }

    /// Opens several packed directories, to be drawn from in proportion to their weights.
    ///
    /// # Errors
    /// If a directory holds no dataset or no rows, or weights cannot be honoured.
    pub fn open_mix(sources: &[Source], seed: u64) -> Result<Self> {
        let directories: Vec<&Path> = sources.iter().map(|source| source.directory.as_path()).collect();
        let weights = sources.iter().map(|source| source.weight).collect();
        Self::open_all(&directories, seed)?.dealt(&[Phase { from: 0, weights }])
    }

    /// Opens several packed directories, to be drawn from equally often.
    ///
    /// # Errors
    /// If there is none, or one holds no dataset or no rows.
    pub fn open_all(directories: &[&Path], seed: u64) -> Result<Self> {
        if directories.is_empty() {
            return Err(Error::Option { name: "sources", value: "empty".into(), expected: "one or more" });
        }
        let sources = directories.iter().map(|directory| OpenSource::open(directory)).collect::<Result<Vec<_>>>()?;
        let key = Sha256::of_fields([&b"mix"[..], &seed.to_le_bytes()]).to_u64();
        let mix = Mix::new(key, &[Phase { from: 0, weights: vec![1.0; sources.len()] }])?;
        Ok(Self { sources, mix, key, seed })
    }

    /// The same sources, drawn from in proportion to the weights of `phases`, of which the first begins at 0 and each
    /// after the one before.
    ///
    /// # Errors
    /// If weights cannot be honoured.
    pub fn dealt(self, phases: &[Phase]) -> Result<Self> {
        Ok(Self { mix: Mix::new(self.key, phases)?, ..self })
    }

    /// The same sources with their short rows joined, best fit first, into rows of at most `window_tokens`. Which rows
    /// are joined depends on their lengths alone. Looks at every row.
    ///
    /// # Errors
    /// [`Error::Row`] names a row that is longer.
    pub fn joined(mut self, window_tokens: usize) -> Result<Self> {
        self.sources.iter_mut().try_for_each(|source| source.join(window_tokens))?;
        Ok(self)
    }

    /// Rows in all sources.
    pub fn rows(&self) -> u64 {
        self.sources.iter().map(|source| source.rows() as u64).sum()
    }

    /// Digest of the index of each source, which names it wherever it lies.
    pub fn digests(&self) -> impl Iterator<Item = Sha256> {
        self.sources.iter().map(OpenSource::digest)
    }

    /// The row at `index` of the stretch number `epoch`, each as long as [`rows`](Self::rows).
    /// With one source a stretch is an epoch: every row once.
    pub fn row(&self, epoch: u64, index: u64) -> Result<Row> {
        self.at(epoch * self.rows() + index)
    }

    /// The row at `position`.
    ///
    /// # Errors
    /// If the row cannot be read, its shard does not have the listed hashes, or the row breaks
    /// the invariants of this crate.
    pub fn at(&self, position: u64) -> Result<Row> {
        let place = self.place(position);
        self.sources[place.source].read(place.row)
    }

    /// Which stored row stands at `position`.
    pub fn place(&self, position: u64) -> Place {
        let (source, draw) = self.mix.draw(position);
        let rows = self.sources[source].rows() as u64;
        let (epoch, index) = (draw / rows, draw % rows);
        let key = Sha256::of_fields([
            &b"epoch"[..],
            &self.seed.to_le_bytes(),
            self.sources[source].digest().to_string().as_bytes(),
            &epoch.to_le_bytes(),
        ]);
        Place { source, epoch, row: Order::new(key.to_u64(), rows).at(index) as usize }
    }

    /// The longest row of the source of this index, by its stored ids. Reads no id, but looks at every row.
    ///
    /// # Errors
    /// If a shard cannot be read, or a row has no ids.
    ///
    /// # Panics
    /// If there is no such source.
    pub fn longest(&self, source: usize) -> Result<Longest> {
        self.sources[source].longest()
    }

    /// Checks the hashes of every shard now; otherwise each is checked when it is first read.
    pub fn verify(&self) -> Result<()> {
        self.sources.iter().try_for_each(|source| source.verify())
    }
}

/// The positions of `positions` that `rank` of `world` loads: every `world`-th, so that the ranks
/// together load each position once, and in the same order for every world size.
///
/// # Panics
/// If `rank` is not below `world`.
pub fn share(positions: Range<u64>, rank: usize, world: usize) -> impl Iterator<Item = u64> {
    assert!(rank < world, "rank {rank} of {world}");
    positions.skip(rank).step_by(world)
}
