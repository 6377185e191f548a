//! One walk over a set of repositories: read, clean, fingerprint, store; then the verdicts.
//!
//! What is known of a repository before all are read goes to disk as a [`Provisional`], one a
//! line, and is read back in the same order when duplicates are known.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use rayon::prelude::*;
use recon_repository::clean::{DroppedFile, Refusal, drop_file};
use recon_repository::{CleanReport, Repository, clean, language};
use recon_schema::file::{JsonLines, each_json_line};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::read::{Corpus, Faults, Item, NO_SOURCE};
use super::{CorpusReport, Count, DUPLICATE_FILE, Input, RepositoryAccount, Settings};
use crate::contamination::Benchmarks;
use crate::duplicates::{Fingerprint, Index, Verdicts, fingerprints};
use crate::rows::Fault;
use crate::store::{Entry, Frame, StoreWriter};
use crate::{Error, Result};

/// Repositories held at once.
const BATCH_ITEMS: usize = 1_024;
/// File of the accounts, one repository a line.
pub const ACCOUNTS: &str = "accounts.jsonl.zst";
const PROVISIONAL: &str = "recon.provisional/1";

/// What is known of a repository before its duplicates are.
#[derive(Serialize, Deserialize)]
struct Provisional {
    account: RepositoryAccount,
    /// Where its frame lies, with the bytes of the frame; none of a refused one.
    place: Option<(u64, u64)>,
    /// Its kept files with their bytes, in path order.
    kept: Vec<(String, u64)>,
}

/// Reads `input`, writes the store and [`ACCOUNTS`] into `out`, and says what was met.
///
/// `progress` hears the name of each repository that was read.
///
/// # Errors
/// When a path cannot be read, a file of rows has other columns, more than the accepted fraction
/// is unusable, or the disk refuses.
pub fn gather(
    input: Input,
    settings: &Settings<'_>,
    out: &Path,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<CorpusReport> {
    let fail = |source| Error::Write { path: out.into(), source };
    let scratch = tempfile::Builder::new().prefix(".spill-").suffix(".tmp").tempdir_in(out).map_err(fail)?;
    let set_of_one = matches!(input, Input::One(_));
    let corpus = Corpus::open(input, settings, scratch.path())?;
    let duplicates = &settings.corpus.duplicates;
    // Files are held against those of other repositories, so a set of one has no duplicates.
    let wanted = !set_of_one && (duplicates.files || duplicates.repositories);
    let index = wanted.then(|| Index::create(&scratch.path().join("index"))).transpose()?;
    let shards = if set_of_one { 1 } else { settings.corpus.shards };
    let provisional = scratch.path().join("provisional.jsonl.zst");
    let mut walk = Walk {
        settings,
        benchmarks: Benchmarks::read(&settings.corpus.contamination)?,
        store: StoreWriter::create(out, shards),
        provisional: JsonLines::create(&provisional)?,
        index,
        progress,
    };
    let faults = walk.run(&corpus)?;
    let Walk { store, provisional: lines, index, .. } = walk;
    lines.finish()?;
    let verdicts = index.map(|index| index.finish(duplicates)).transpose()?;
    let mut report = decide(&provisional, verdicts, store, out)?;
    report.faults(&corpus, faults);
    report.verify(settings.corpus.max_skipped_fraction)?;
    Ok(report)
}

/// Hands every readable repository of `input` to `each`, as it was read: nothing is cleaned, and nothing is written but
/// what regrouping needs while it lasts.
///
/// # Errors
/// When a path cannot be read, or a file of rows has other columns.
pub fn each_repository(input: Input, settings: &Settings<'_>, each: &mut dyn FnMut(Repository)) -> Result<()> {
    let place = std::env::temp_dir();
    let fail = |source| Error::Write { path: place.clone(), source };
    let scratch = tempfile::Builder::new().prefix("recon-").tempdir().map_err(fail)?;
    let corpus = Corpus::open(input, settings, scratch.path())?;
    let mut stream = corpus.read()?;
    loop {
        let batch = stream.batch(settings.corpus.batch_bytes, BATCH_ITEMS)?;
        if batch.is_empty() {
            return Ok(());
        }
        batch.into_iter().filter_map(|item| item.read(settings).ok()).for_each(&mut *each);
    }
}

struct Walk<'a> {
    settings: &'a Settings<'a>,
    benchmarks: Benchmarks,
    store: StoreWriter,
    provisional: JsonLines,
    index: Option<Index>,
    progress: &'a (dyn Fn(&str) + Sync),
}

/// A repository that was read, cleaned and brought into its form on disk.
struct Ready {
    provisional: Provisional,
    frame: Option<Frame>,
    fingerprints: Vec<Fingerprint>,
}

impl Ready {
    fn name(&self) -> &str {
        &self.provisional.account.name
    }
}

fn repeated(name: &str) -> Fault {
    let message = "another repository of this name was met before it";
    Fault { rule: "repeated_name", place: name.into(), message: message.into() }
}

impl Walk<'_> {
    fn run(&mut self, corpus: &Corpus<'_>) -> Result<Faults> {
        let mut stream = corpus.read()?;
        // Hashes of the names met so far: a name is what a repository is known by in all that follows.
        let mut names = HashSet::new();
        loop {
            let batch = stream.batch(self.settings.corpus.batch_bytes, BATCH_ITEMS)?;
            if batch.is_empty() {
                return Ok(stream.faults());
            }
            let read: Vec<_> = batch.into_par_iter().map(|item| self.prepare(item)).collect();
            for ready in read {
                match ready? {
                    Ok(ready) if names.insert(xxh3_64(ready.name().as_bytes())) => self.add(ready)?,
                    Ok(ready) => stream.fault(repeated(ready.name())),
                    Err(fault) => stream.fault(fault),
                }
            }
        }
    }

    fn prepare(&self, item: Item) -> Result<Result<Ready, Fault>> {
        let mut repository = match item.read(self.settings) {
            Ok(repository) => repository,
            Err(fault) => return Ok(Err(fault)),
        };
        let met = Count {
            files: (repository.files.len() + repository.skipped.len()) as u64,
            bytes: repository.files.values().map(|text| text.len() as u64).sum(),
        };
        let mut report = clean(&mut repository, self.settings.clean);
        self.hold_against_benchmarks(&mut repository, &mut report);
        if report.refused.is_none() && !repository.has_source() {
            report.refused = Some(NO_SOURCE.into());
        }
        report.dropped.sort_by(|a, b| a.path.cmp(&b.path));
        repository.diagnostics.sort();
        let refused = report.refused.is_some();
        // One that is refused keeps no other out.
        let prints = if refused || self.index.is_none() { Vec::new() } else { fingerprints(&repository) };
        let frame = if refused { None } else { Some(Frame::of(&repository)?) };
        let kept = repository.kept().map(|(path, text)| (path.to_owned(), text.len() as u64)).collect();
        let account = RepositoryAccount::of(&repository, report, met);
        Ok(Ok(Ready { provisional: Provisional { account, place: None, kept }, frame, fingerprints: prints }))
    }

    fn hold_against_benchmarks(&self, repository: &mut Repository, report: &mut CleanReport) {
        let kept: Vec<(&str, &str)> = repository.kept().collect();
        let shared = |(path, text): (&str, &str)| Some((path.to_owned(), self.benchmarks.refuse(text)?));
        let contaminated: Vec<(String, Refusal)> = kept.into_par_iter().filter_map(shared).collect();
        for (path, refusal) in contaminated {
            drop_file(repository, path, refusal, report);
        }
    }

    fn add(&mut self, ready: Ready) -> Result<()> {
        let Ready { mut provisional, frame, fingerprints } = ready;
        (self.progress)(&provisional.account.name);
        provisional.place = frame.map(|frame| self.store.push(&provisional.account.name, &frame)).transpose()?;
        if let Some(index) = &mut self.index {
            index.add(&fingerprints)?;
        }
        Ok(self.provisional.push(&provisional)?)
    }
}

/// Goes over what was met once more, now that duplicates are known.
fn decide(
    provisional: &Path,
    mut verdicts: Option<Verdicts>,
    mut store: StoreWriter,
    out: &Path,
) -> Result<CorpusReport> {
    let mut report = CorpusReport::default();
    let mut accounts = JsonLines::create(&out.join(ACCOUNTS))?;
    for (number, line) in each_json_line::<Provisional>(provisional, PROVISIONAL)?.enumerate() {
        let mut met = line?;
        let duplicates = match &mut verdicts {
            Some(verdicts) if met.place.is_some() => duplicates_of(&mut met, verdicts, number as u64),
            _ => BTreeSet::new(),
        };
        accounts.push(&met.account)?;
        report.add(&met.account);
        if let (Some((offset, bytes)), None) = (met.place, &met.account.refused) {
            let (name, text_bytes) = (met.account.name, met.account.kept.bytes);
            store.keep(&Entry { name, offset, bytes, text_bytes, duplicates: duplicates.into_iter().collect() })?;
        }
    }
    accounts.finish()?;
    store.finish()?;
    Ok(report)
}

/// The files of a repository that stand earlier in the corpus, taken out of its account.
fn duplicates_of(met: &mut Provisional, verdicts: &mut Verdicts, number: u64) -> BTreeSet<String> {
    if verdicts.drops_repository(number) {
        met.account.refuse("duplicate_repository");
        return BTreeSet::new();
    }
    let at = verdicts.dropped_files(number);
    let duplicates: Vec<&(String, u64)> = at.iter().map(|at| &met.kept[*at]).collect();
    for (path, bytes) in &duplicates {
        met.account.drop_file(DroppedFile { path: path.clone(), rule: DUPLICATE_FILE.into(), bytes: *bytes });
    }
    let duplicates: BTreeSet<String> = duplicates.into_iter().map(|(path, _)| path.clone()).collect();
    let source = |(path, _): &(String, u64)| language::of_path(path).is_some() && !duplicates.contains(path);
    if !met.kept.iter().any(source) {
        met.account.refuse(NO_SOURCE);
    }
    duplicates
}
