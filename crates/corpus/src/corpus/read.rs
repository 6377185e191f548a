//! The repositories of a corpus, one after another: directories, archives, rows of shards.
//!
//! A path is a shard, a repository, or a folder. A folder that holds shards, or nothing but folders
//! of shards, is a corpus of rows; any other folder is a corpus of repositories: each folder and each archive
//! directly inside it is one. Order: paths as given, entries by name, rows as regrouped.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use recon_repository::source::stem;
use recon_repository::{Intake, Repository, Source, TopFolder};
use recon_schema::graph::RepositoryRef;
use xxhash_rust::xxh3::xxh3_64;

use super::{Grouping, Input, Settings};
use crate::rows::regroup::{Group, Parts, Spill, Spilled};
use crate::rows::{self, Fault, Row, RowOptions, Rows};
use crate::{Error, Result};

/// The rule that refuses a repository without a source file.
pub const NO_SOURCE: &str = "no_source";

/// How many faults of each rule there were, and the first of each in words.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Everything met, faults included.
    pub(super) total: u64,
    pub(super) by_rule: BTreeMap<String, u64>,
    pub(super) examples: BTreeMap<String, String>,
}

impl Tally {
    fn add(&mut self, fault: &Fault) {
        tracing::debug!(rule = fault.rule, place = fault.place, "{}", fault.message);
        *self.by_rule.entry(fault.rule.into()).or_default() += 1;
        self.examples.entry(fault.rule.into()).or_insert_with(|| format!("{}: {}", fault.place, fault.message));
    }

    pub(super) fn faults(&self) -> u64 {
        self.by_rule.values().sum()
    }
}

/// Faults of one pass.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) rows: Tally,
    pub(super) repositories: Tally,
    /// Repositories without source: nothing is wrong with them, they are of no use.
    pub(super) without_source: u64,
}

/// A corpus that can be read more than once.
pub(super) struct Corpus<'a> {
    settings: &'a Settings<'a>,
    /// A repository that is there already.
    one: Option<Box<Repository>>,
    sources: Vec<Source>,
    rows: RowsOf,
    /// Rows met while they were regrouped.
    tally: Tally,
}

enum RowsOf {
    /// Read from the shards again in every pass.
    Shards(Vec<rows::Shard>),
    /// Read from the spill.
    Regrouped(Spilled),
}

impl<'a> Corpus<'a> {
    /// Looks at every path; rows that must be regrouped are, into `spill`.
    pub(super) fn open(input: Input, settings: &'a Settings<'a>, spill: &Path) -> Result<Self> {
        let (mut sources, mut shards) = (Vec::new(), Vec::new());
        let (one, paths) = match input {
            Input::One(repository) => (Some(repository), Vec::new()),
            Input::Many(paths) => (None, paths),
        };
        for path in &paths {
            locate(path, &mut sources, &mut shards)?;
        }
        // What is named twice is met once.
        let mut met = HashSet::new();
        let mut is_new = |path: &Path| met.insert(path.canonicalize().unwrap_or_else(|_| path.into()));
        sources.retain(|source| is_new(Path::new(&source.to_string())));
        shards.retain(|shard| is_new(shard.path()));
        // Columns are the user's to name: a shard without them is told before anything is read.
        for shard in &shards {
            if matches!(shard, rows::Shard::Parquet(_)) {
                drop(rows::open(shard, &row_options(settings))?);
            }
        }
        let mut tally = Tally::default();
        let rows = match settings.corpus.grouping {
            Grouping::Regroup if !shards.is_empty() => {
                RowsOf::Regrouped(regroup(&shards, settings, spill, &mut tally)?)
            }
            _ => RowsOf::Shards(shards),
        };
        Ok(Self { settings, one, sources, rows, tally })
    }

    /// What regrouping met.
    pub(super) fn rows(&self) -> &Tally {
        &self.tally
    }

    /// Begins a pass.
    pub(super) fn read(&self) -> Result<Stream<'_>> {
        let rows = match &self.rows {
            RowsOf::Shards(shards) => Reading::Shards(Together::new(shards, self.settings)),
            RowsOf::Regrouped(spilled) => Reading::Parts { parts: spilled.read(), ready: Vec::new() },
        };
        Ok(Stream {
            settings: self.settings,
            one: self.one.clone(),
            sources: self.sources.iter(),
            rows,
            faults: RefCell::default(),
        })
    }
}

fn row_options(settings: &Settings<'_>) -> RowOptions {
    let corpus = settings.corpus;
    let (names, max_row_bytes) = (corpus.columns.names().into(), corpus.max_row_bytes);
    RowOptions { names, max_row_bytes, limits: settings.source.clone() }
}

fn locate(path: &Path, sources: &mut Vec<Source>, shards: &mut Vec<rows::Shard>) -> Result<()> {
    let fail = |source| Error::Read { path: path.into(), source };
    if let Some(shard) = rows::is_shard(path).filter(|_| path.is_file()) {
        shards.push(shard);
        return Ok(());
    }
    let source = Source::locate(path);
    if !matches!(source, Source::Directory(_)) {
        sources.push(source);
        return Ok(());
    }
    let found = rows::list(path).map_err(fail)?;
    if !found.is_empty() {
        shards.extend(found);
        return Ok(());
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>).map_err(fail)?;
    let mut inside: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    inside.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    inside.retain(|path| {
        path.is_dir() || path.is_file() && stem(path) != path.file_name().unwrap_or_default().to_string_lossy()
    });
    inside.sort();
    if inside.is_empty() {
        return Err(Error::EmptyCorpus { path: path.into() });
    }
    sources.extend(inside.iter().map(|path| Source::locate(path)));
    Ok(())
}

fn regroup(shards: &[rows::Shard], settings: &Settings<'_>, spill: &Path, tally: &mut Tally) -> Result<Spilled> {
    // Text grows about fourfold when it is decompressed; the number of parts needs no more.
    let size = |shard: &rows::Shard| fs::metadata(shard.path()).map_or(0, |metadata| metadata.len());
    let corpus_bytes = 4 * shards.iter().map(size).sum::<u64>();
    let mut spill = Spill::new(spill, corpus_bytes, settings.corpus.partition_bytes);
    let options = row_options(settings);
    for shard in shards {
        for row in rows::open(shard, &options)? {
            tally.total += 1;
            match row {
                Err(fault) => tally.add(&fault),
                Ok(row) => spill.push(&row)?,
            }
        }
    }
    spill.finish()
}

/// One repository on its way.
pub(super) enum Item {
    /// To be read by whoever takes it.
    Source(Source),
    /// Read already.
    Ready(Box<Repository>),
}

impl Item {
    fn bytes(&self) -> u64 {
        match self {
            // Its size is not known; this many stand for it, so that a batch has a few for each thread.
            Self::Source(_) => 1 << 20,
            Self::Ready(repository) => repository.files.values().map(|text| text.len() as u64).sum(),
        }
    }

    /// The repository, or why it cannot be read.
    pub(super) fn read(self, settings: &Settings<'_>) -> Result<Repository, Fault> {
        let source = match self {
            Self::Ready(repository) => return Ok(*repository),
            Self::Source(source) => source,
        };
        source.read(settings.read, settings.source).map_err(|error| {
            use recon_repository::Error::{Archive, Git, NoSource, Revision, TooMuch, UnknownKind};
            let rule = match &error {
                TooMuch { .. } => "too_much",
                Archive { .. } | UnknownKind { .. } => "archive_damaged",
                Git { .. } | Revision { .. } => "git_damaged",
                NoSource { .. } => NO_SOURCE,
                _ => "unreadable",
            };
            Fault { rule, place: stem(source.path()), message: error.to_string() }
        })
    }
}

/// One pass over a corpus.
pub(super) struct Stream<'c> {
    settings: &'c Settings<'c>,
    one: Option<Box<Repository>>,
    sources: std::slice::Iter<'c, Source>,
    rows: Reading<'c>,
    faults: RefCell<Faults>,
}

enum Reading<'c> {
    Shards(Together<'c>),
    Parts { parts: Parts, ready: Vec<Group> },
}

impl Stream<'_> {
    /// The next repositories, until their text has `max_bytes`; empty at the end.
    pub(super) fn batch(&mut self, max_bytes: u64, max_items: usize) -> Result<Vec<Item>> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes && items.len() < max_items {
            let Some(item) = self.next()? else { break };
            bytes += item.bytes();
            items.push(item);
        }
        Ok(items)
    }

    fn next(&mut self) -> Result<Option<Item>> {
        if let Some(repository) = self.one.take() {
            return Ok(Some(Item::Ready(repository)));
        }
        if let Some(source) = self.sources.next() {
            return Ok(Some(Item::Source(source.clone())));
        }
        let repository = match &mut self.rows {
            Reading::Shards(together) => together.next(&mut self.faults.borrow_mut())?,
            Reading::Parts { parts, ready } => {
                if ready.is_empty() {
                    *ready = parts.next()?.unwrap_or_default();
                    ready.reverse();
                }
                match ready.pop() {
                    None => None,
                    Some(Group::Rows(rows)) => assemble(rows.into_iter().map(Ok), self.settings)?,
                    Some(Group::Large(reader)) => assemble(reader, self.settings)?,
                }
            }
        };
        Ok(repository.map(|repository| Item::Ready(Box::new(repository))))
    }

    /// Counts a repository that could not be read.
    pub(super) fn fault(&self, fault: Fault) {
        let mut faults = self.faults.borrow_mut();
        match fault.rule {
            NO_SOURCE => faults.without_source += 1,
            _ => faults.repositories.add(&fault),
        }
    }

    /// What was counted.
    pub(super) fn faults(self) -> Faults {
        self.faults.into_inner()
    }
}

/// A repository from the rows of one name.
fn assemble(rows: impl Iterator<Item = Result<Row>>, settings: &Settings<'_>) -> Result<Option<Repository>> {
    let mut open: Option<Open> = None;
    for row in rows {
        let row = row?;
        open.get_or_insert_with(|| Open::new(&row, settings)).add(row);
    }
    Ok(open.map(Open::finish))
}

/// A repository whose rows are still coming.
struct Open {
    name: String,
    licence: Option<String>,
    commit: Option<String>,
    intake: Intake,
}

impl Open {
    fn new(row: &Row, settings: &Settings<'_>) -> Self {
        let intake = Intake::new(settings.read);
        Self { name: row.repository.clone(), licence: row.licence.clone(), commit: row.commit.clone(), intake }
    }

    fn add(&mut self, row: Row) {
        // Rows that disagree about the whole leave it open.
        if self.commit != row.commit {
            self.commit = None;
        }
        if self.licence != row.licence {
            self.licence = None;
        }
        if let Some(path) = self.intake.path(row.path.as_bytes()) {
            self.intake.take(path, row.content.into_bytes());
        }
    }

    fn finish(self) -> Repository {
        let Self { name, licence, commit, intake } = self;
        intake.finish(RepositoryRef { source: name.clone(), name, commit, licence }, TopFolder::Keep)
    }
}

/// Rows as they stand in the shards; a repository ends where another name begins.
struct Together<'c> {
    settings: &'c Settings<'c>,
    shards: std::slice::Iter<'c, rows::Shard>,
    rows: Option<Rows>,
    /// The first row of the next repository.
    pending: Option<Row>,
    /// Hashes of the names that have ended.
    ended: HashSet<u64>,
}

impl<'c> Together<'c> {
    fn new(shards: &'c [rows::Shard], settings: &'c Settings<'c>) -> Self {
        Self { settings, shards: shards.iter(), rows: None, pending: None, ended: HashSet::new() }
    }

    fn next(&mut self, faults: &mut Faults) -> Result<Option<Repository>> {
        let mut open: Option<Open> = None;
        loop {
            let Some(row) = self.row(faults)? else { return Ok(open.map(Open::finish)) };
            if open.as_ref().is_some_and(|open| open.name != row.repository) {
                self.pending = Some(row);
                return Ok(open.map(|open| {
                    self.ended.insert(xxh3_64(open.name.as_bytes()));
                    open.finish()
                }));
            }
            open.get_or_insert_with(|| Open::new(&row, self.settings)).add(row);
        }
    }

    /// The next row of this share that stands with its repository.
    fn row(&mut self, faults: &mut Faults) -> Result<Option<Row>> {
        if let Some(row) = self.pending.take() {
            return Ok(Some(row));
        }
        loop {
            let Some(rows) = &mut self.rows else {
                let Some(shard) = self.shards.next() else { return Ok(None) };
                self.rows = Some(rows::open(shard, &row_options(self.settings))?);
                continue;
            };
            match rows.next() {
                None => self.rows = None,
                Some(row) => {
                    faults.rows.total += 1;
                    match row {
                        Err(fault) => faults.rows.add(&fault),
                        Ok(row) if self.ended.contains(&xxh3_64(row.repository.as_bytes())) => {
                            let message =
                                "stands apart from its repository (corpus.grouping = \"regroup\" brings it there)";
                            let (rule, place) = ("scattered_row", format!("{}/{}", row.repository, row.path));
                            faults.rows.add(&Fault { rule, place, message: message.into() });
                        }
                        Ok(row) => return Ok(Some(row)),
                    }
                }
            }
        }
    }
}
