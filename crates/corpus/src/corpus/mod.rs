//! A set of repositories from wherever it stands to a [`Store`](crate::Store).
//!
//! [`Input`] → repositories in an order of their own ([`read`]) → each cleaned, held against the
//! benchmarks and fingerprinted, its frame written → once all fingerprints are there, the index of
//! those that stay, and one account a repository ([`gather()`]).
//!
//! Invariants: what is written depends on the set and the settings, not on the number of threads;
//! memory holds repositories of `batch_bytes` of text, or one larger repository, and a part of
//! `partition_bytes` where rows are regrouped; every file and every row that was met is in exactly
//! one of the counts of the report; one repository is a set of one.

mod gather;
mod read;
mod report;

use std::path::PathBuf;

use recon_repository::{CleanOptions, ReadOptions, Repository, SourceOptions};
use serde::{Deserialize, Serialize};

use crate::contamination::ContaminationOptions;
use crate::duplicates::DuplicateOptions;
use crate::rows::Columns;

pub use gather::{ACCOUNTS, each_repository, gather};
pub use read::NO_SOURCE;
pub use report::{CorpusReport, Count, RepositoryAccount};

/// The rule that drops a file that stands earlier in the corpus.
pub(crate) const DUPLICATE_FILE: &str = "duplicate_file";
pub(crate) const DUPLICATE_MESSAGE: &str = "the same file, or nearly the same, stands earlier in the corpus";

/// How a corpus is read, and what counts as the same or as a benchmark in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorpusOptions {
    /// Which column of a file of rows holds what.
    pub columns: Columns,
    /// How rows of one repository come together.
    pub grouping: Grouping,
    /// Shards that the repositories are divided into by their names: the unit in which workers share a run.
    pub shards: u32,
    /// Longest row read, in bytes; longer ones are faults.
    pub max_row_bytes: u64,
    /// Rows sorted in memory at once when they are regrouped, in bytes.
    pub partition_bytes: u64,
    /// Text worked on at once, in bytes, unless a single repository has more.
    pub batch_bytes: u64,
    /// Fraction of rows or repositories that may be unusable before a stage fails.
    pub max_skipped_fraction: f64,
    /// What counts as a duplicate.
    pub duplicates: DuplicateOptions,
    /// Benchmarks that must not be trained on.
    pub contamination: ContaminationOptions,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        Self {
            columns: Columns::default(),
            grouping: Grouping::default(),
            shards: 64,
            max_row_bytes: 64 << 20,
            partition_bytes: 256 << 20,
            batch_bytes: 256 << 20,
            max_skipped_fraction: 0.05,
            duplicates: DuplicateOptions::default(),
            contamination: ContaminationOptions::default(),
        }
    }
}

/// Most shards: each has a file open while a corpus is read.
const MAX_SHARDS: u32 = 4_096;

impl CorpusOptions {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option).
    pub fn validate(&self) -> crate::Result<()> {
        let refuse = |name, value: String, expected| Err(crate::Error::Option { name, value, expected });
        if !(0.0..=1.0).contains(&self.max_skipped_fraction) {
            return refuse("max_skipped_fraction", self.max_skipped_fraction.to_string(), "0 to 1");
        }
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return refuse("shards", self.shards.to_string(), "1 to 4096");
        }
        if !(self.duplicates.jaccard > 0.0 && self.duplicates.jaccard <= 1.0) {
            return refuse("duplicates.jaccard", self.duplicates.jaccard.to_string(), "above 0, at most 1");
        }
        if self.contamination.run_words == 0 {
            return refuse("contamination.run_words", "0".into(), "1 or more");
        }
        Ok(())
    }
}

/// How rows of one repository come together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// They may stand anywhere: rows are sorted by way of the disk, which takes about the space
    /// of the corpus under zstd.
    #[default]
    Regroup,
    /// They stand together: nothing but the store is written to disk. A row that stands apart
    /// from its repository is a fault.
    Together,
}

/// Where the repositories of a run come from.
#[derive(Debug, Clone)]
pub enum Input {
    /// One, which its reader has in memory.
    One(Box<Repository>),
    /// Files of rows, folders of them, folders of repositories, archives.
    Many(Vec<PathBuf>),
}

/// Everything that decides what becomes of an input.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// Reading a repository.
    pub read: &'a ReadOptions,
    /// What an archive may cost.
    pub source: &'a SourceOptions,
    /// Cleaning.
    pub clean: &'a CleanOptions,
    /// The corpus.
    pub corpus: &'a CorpusOptions,
}
