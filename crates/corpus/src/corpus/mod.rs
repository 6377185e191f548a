//! A corpus of repositories from end to end: read, clean, drop duplicates and contaminated files,
//! build graphs, account for everything.
//!
//! Paths → repositories in an order of their own ([`read`]) → with duplicates looked for, a first
//! pass that only fingerprints → a pass that writes one graph a line and one account a line.
//!
//! Invariants: the output depends on the corpus and the settings, not on the number of threads;
//! memory holds repositories of `batch_bytes` of text, or one larger repository, and a part of
//! `partition_bytes` where rows are regrouped;
//! every file and every row that was met is in exactly one of the counts of the report.

mod read;
mod report;

use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rayon::prelude::*;
use recon_graph::{ReadOptions, Repository, build};
use recon_schema::file::JsonLines;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::clean::{CleanOptions, CleanReport, Refusal, clean, drop_file};
use crate::contamination::{Benchmarks, ContaminationOptions};
use crate::duplicates::{DuplicateOptions, Index, Verdicts, fingerprints};
use crate::rows::Columns;
use crate::{Error, Result, SourceOptions};

use read::{Corpus, Item};
pub use report::{CorpusReport, Count, RepositoryAccount};

/// Repositories held at once.
const BATCH_ITEMS: usize = 1_024;

/// File of the graphs, one a line.
pub const GRAPHS: &str = "graphs.jsonl.zst";
/// File of the accounts, one repository a line.
pub const ACCOUNTS: &str = "accounts.jsonl.zst";

/// How a corpus is read and what is taken out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorpusOptions {
    /// Which column of a shard holds what.
    pub columns: Columns,
    /// How rows of one repository come together.
    pub grouping: Grouping,
    /// Longest row read, in bytes; longer ones are faults.
    pub max_row_bytes: u64,
    /// Rows sorted in memory at once when they are regrouped, in bytes.
    pub partition_bytes: u64,
    /// Text worked on at once, in bytes, unless a single repository has more.
    pub batch_bytes: u64,
    /// Fraction of rows or repositories that may be unusable before the run fails.
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
            max_row_bytes: 64 << 20,
            partition_bytes: 256 << 20,
            batch_bytes: 256 << 20,
            max_skipped_fraction: 0.05,
            duplicates: DuplicateOptions::default(),
            contamination: ContaminationOptions::default(),
        }
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
    /// They stand together: nothing is written to disk. A row that stands apart from its
    /// repository is a fault.
    Together,
}

/// A share of the corpus, chosen by the repositories' names: `I/N`, `I` from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: NonZeroU64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 1, count: NonZeroU64::MIN };

    /// Whether a repository of this name belongs to the share.
    pub fn holds(self, name: &str) -> bool {
        xxh3_64(name.as_bytes()) % self.count == self.index - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (index, count) = text.split_once('/')?;
            let (index, count) = (index.parse().ok()?, count.parse().ok()?);
            Some(Self { index, count }).filter(|shard| (1..=shard.count.get()).contains(&shard.index))
        };
        parsed().ok_or_else(|| format!("`{text}` is no share: expected I/N with I from 1 to N"))
    }
}

/// Everything a run over a corpus is asked.
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
    /// Which share of it.
    pub shard: Shard,
}

/// Goes over the corpus at `paths` and writes [`GRAPHS`] and [`ACCOUNTS`] into `out`.
///
/// `progress` hears the name of each repository that is done.
///
/// # Errors
/// When a path cannot be read, a shard has other columns, more than the accepted fraction is
/// unusable, or the disk refuses.
pub fn run(paths: &[PathBuf], settings: &Settings<'_>, out: &Path, progress: &dyn Fn(&str)) -> Result<CorpusReport> {
    let benchmarks = Benchmarks::read(&settings.corpus.contamination)?;
    let fail = |source| Error::Write { path: out.into(), source };
    let spill = tempfile::Builder::new().prefix(".spill-").tempdir_in(out).map_err(fail)?;
    let corpus = Corpus::open(paths, settings, spill.path())?;
    let duplicates = &settings.corpus.duplicates;
    let mut verdicts = None;
    if duplicates.files || duplicates.repositories {
        let mut index = Index::create(&spill.path().join("index"))?;
        let mut first = Pass { settings, benchmarks: &benchmarks, corpus: &corpus };
        first.each_batch(
            |_| None,
            |prepared| prepared.fingerprints(),
            |prints| prints.map_or(Ok(()), |prints| index.add(&prints)),
        )?;
        verdicts = Some(index.finish(duplicates)?);
    }
    let mut graphs = JsonLines::create(&out.join(GRAPHS))?;
    let mut accounts = JsonLines::create(&out.join(ACCOUNTS))?;
    let mut report = CorpusReport::default();
    let mut last = Pass { settings, benchmarks: &benchmarks, corpus: &corpus };
    let plan = |number: u64| verdicts.as_mut().map(|verdicts| Plan::of(verdicts, number));
    let faults = last.each_batch(plan, Prepared::finish, |done| {
        let Done { account, graph } = done;
        progress(&account.name);
        accounts.push(&account)?;
        report.add(&account);
        if let Some(line) = graph {
            graphs.push_line(line)?;
        }
        Ok(())
    })?;
    report.faults(&corpus, faults);
    report.verify(settings.corpus.max_skipped_fraction)?;
    graphs.finish()?;
    accounts.finish()?;
    Ok(report)
}

/// What the first pass decided about one repository.
struct Plan {
    files_seen: Option<u64>,
    drop_whole: bool,
    drop_files: Vec<usize>,
}

impl Plan {
    fn of(verdicts: &mut Verdicts, number: u64) -> Self {
        let files_seen = verdicts.files_seen(number);
        let drop_whole = files_seen.is_some() && verdicts.drops_repository(number);
        let drop_files = if files_seen.is_none() || drop_whole {
            Vec::new()
        } else {
            verdicts.dropped_files(number).into_iter().collect()
        };
        Self { files_seen, drop_whole, drop_files }
    }
}

/// A repository that was read and cleaned.
struct Prepared {
    repository: Repository,
    report: CleanReport,
    plan: Option<Plan>,
    met: Count,
}

/// What is written of a repository.
struct Done {
    account: RepositoryAccount,
    graph: Option<Vec<u8>>,
}

/// One walk over the corpus.
struct Pass<'a> {
    settings: &'a Settings<'a>,
    benchmarks: &'a Benchmarks,
    corpus: &'a Corpus<'a>,
}

impl Pass<'_> {
    /// Prepares every repository, lets `work` do its part in parallel, and hands the results to
    /// `each` in the order of the corpus. Returns the faults of repositories.
    fn each_batch<T: Send>(
        &mut self,
        mut plan: impl FnMut(u64) -> Option<Plan>,
        work: impl Fn(Prepared) -> Result<T> + Sync,
        mut each: impl FnMut(T) -> Result<()>,
    ) -> Result<read::Faults> {
        let mut stream = self.corpus.read()?;
        let mut number = 0;
        loop {
            let batch = stream.batch(self.settings.corpus.batch_bytes, BATCH_ITEMS)?;
            if batch.is_empty() {
                return Ok(stream.faults());
            }
            let read: Vec<_> = batch.into_par_iter().map(|item| self.prepare(item)).collect();
            let mut ready = Vec::new();
            for prepared in read {
                match prepared {
                    Err(fault) => stream.fault(fault),
                    Ok(mut prepared) => {
                        prepared.plan = plan(number);
                        number += 1;
                        ready.push(prepared);
                    }
                }
            }
            let done: Vec<Result<T>> = ready.into_par_iter().map(&work).collect();
            done.into_iter().try_for_each(|done| each(done?))?;
        }
    }

    fn prepare(&self, item: Item) -> Result<Prepared, crate::rows::Fault> {
        let mut repository = item.read(self.settings)?;
        let met = Count {
            files: (repository.files.len() + repository.skipped.len()) as u64,
            bytes: repository.files.values().map(|text| text.len() as u64).sum(),
        };
        let mut report = clean(&mut repository, self.settings.clean);
        let contaminated: Vec<(String, Refusal)> = repository
            .files
            .par_iter()
            .filter_map(|(path, text)| Some((path.clone(), self.benchmarks.refuse(text)?)))
            .collect();
        for (path, refusal) in contaminated {
            drop_file(&mut repository, path, refusal, &mut report);
        }
        if report.refused.is_none() && !repository.has_source() {
            report.refused = Some(read::NO_SOURCE.into());
        }
        Ok(Prepared { repository, report, plan: None, met })
    }
}

impl Prepared {
    /// Of a repository that stays; one that is refused keeps no other out.
    fn fingerprints(self) -> Result<Option<Vec<crate::duplicates::Fingerprint>>> {
        let refused = self.report.refused.is_some();
        Ok(Some(if refused { Vec::new() } else { fingerprints(&self.repository) }))
    }

    fn finish(self) -> Result<Done> {
        let Self { mut repository, mut report, plan, met } = self;
        if let Some(plan) = plan {
            let files = if report.refused.is_some() { 0 } else { repository.files.len() as u64 };
            if plan.files_seen != Some(files) {
                return Err(Error::Changed { repository: repository.reference.name });
            }
            if plan.drop_whole && report.refused.is_none() {
                report.refused = Some("duplicate_repository".into());
            }
            let paths: Vec<String> = repository.files.keys().cloned().collect();
            for at in plan.drop_files {
                let message = "the same file, or nearly the same, stands earlier in the corpus";
                let refusal = Refusal::new("duplicate_file", recon_schema::graph::SkipReason::Duplicate, message);
                drop_file(&mut repository, paths[at].clone(), refusal, &mut report);
            }
            if report.refused.is_none() && !repository.has_source() {
                report.refused = Some(read::NO_SOURCE.into());
            }
        }
        report.dropped.sort_by(|a, b| a.path.cmp(&b.path));
        repository.diagnostics.sort();
        let account = RepositoryAccount::of(&repository, report, met);
        let graph = account
            .refused
            .is_none()
            .then(|| serde_json::to_vec(&build(&repository)).expect("graphs have string keys and finite numbers"));
        Ok(Done { account, graph })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_every_name_once() {
        let shares: Vec<Shard> = (1..=3).map(|index| format!("{index}/3").parse().unwrap()).collect();
        for name in (0..100).map(|at| format!("owner/r{at}")) {
            assert_eq!(shares.iter().filter(|shard| shard.holds(&name)).count(), 1);
            assert!(Shard::WHOLE.holds(&name));
        }
        for wrong in ["0/3", "4/3", "1/0", "1", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
