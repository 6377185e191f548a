//! The account of a run: what was met, what was kept, and under which rule the rest went.

use std::collections::BTreeMap;

use recon_repository::Repository;
use recon_repository::clean::{CleanReport, DroppedFile, RedactedFile};
use serde::{Deserialize, Serialize};

use super::read::{Corpus, Faults, NO_SOURCE};
use crate::{Error, Result};

/// Files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many files.
    pub files: u64,
    /// Their bytes of text.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// Spans replaced by one rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redacted {
    /// Files they stand in.
    pub files: u64,
    /// How many spans.
    pub spans: u64,
    /// Their bytes in the originals.
    pub bytes: u64,
}

/// The account of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryAccount {
    /// Its name.
    pub name: String,
    /// Its licence, where one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The rule that refused it as a whole, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Everything met.
    pub met: Count,
    /// What takes part; nothing of a refused repository.
    pub kept: Count,
    /// Files that reading could not take, by reason.
    pub unread: BTreeMap<String, u64>,
    /// Files that rules dropped.
    pub dropped: Vec<DroppedFile>,
    /// Spans that rules replaced.
    pub redacted: Vec<RedactedFile>,
}

impl RepositoryAccount {
    pub(super) fn of(repository: &Repository, report: CleanReport, met: Count) -> Self {
        let CleanReport { refused, dropped, redacted } = report;
        let mut unread: BTreeMap<String, u64> = BTreeMap::new();
        for (path, file) in &repository.skipped {
            // What is listed under another path than its own was dropped for it.
            if dropped.binary_search_by(|it| it.path.as_str().cmp(path)).is_err() {
                *unread.entry(file.reason.name().into()).or_default() += 1;
            }
        }
        let mut kept = Count::default();
        repository.kept().for_each(|(_, text)| kept.add(Count { files: 1, bytes: text.len() as u64 }));
        if refused.is_some() {
            kept = Count::default();
        }
        let (name, licence) = (repository.reference.name.clone(), repository.reference.licence.clone());
        Self { name, licence, refused, met, kept, unread, dropped, redacted }
    }

    /// Takes the repository out as a whole.
    pub(super) fn refuse(&mut self, rule: &str) {
        self.refused = Some(rule.into());
        self.kept = Count::default();
    }

    /// Takes one kept file out.
    pub(super) fn drop_file(&mut self, file: DroppedFile) {
        self.kept.files -= 1;
        self.kept.bytes -= file.bytes;
        let at = self.dropped.partition_point(|it| it.path < file.path);
        self.dropped.insert(at, file);
    }

    /// Files that are kept by the rules for files, but not by those for repositories.
    fn files_of_refused(&self) -> u64 {
        let accounted = self.dropped.len() as u64 + self.unread.values().sum::<u64>() + self.kept.files;
        self.met.files.saturating_sub(accounted)
    }
}

/// The account of a whole run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusReport {
    /// Rows met in shards; none of a corpus without shards.
    pub rows: u64,
    /// Rows that could not be used, by rule.
    pub unusable_rows: BTreeMap<String, u64>,
    /// Repositories met.
    pub repositories: u64,
    /// Repositories of which a graph was written.
    pub kept_repositories: u64,
    /// Repositories that could not be read, by rule.
    pub unusable_repositories: BTreeMap<String, u64>,
    /// Repositories that a rule refused, by rule.
    pub refused_repositories: BTreeMap<String, u64>,
    /// Every file met in a readable repository.
    pub met: Count,
    /// Files that take part.
    pub kept: Count,
    /// Files that reading could not take, by reason.
    pub unread_files: BTreeMap<String, u64>,
    /// Files that rules dropped, by rule.
    pub dropped_files: BTreeMap<String, Count>,
    /// Files that were fine and belong to refused repositories.
    pub files_of_refused_repositories: u64,
    /// Spans replaced, by rule.
    pub redacted: BTreeMap<String, Redacted>,
    /// The first fault of each rule, in words.
    pub examples: BTreeMap<String, String>,
}

impl CorpusReport {
    pub(super) fn add(&mut self, account: &RepositoryAccount) {
        self.repositories += 1;
        match &account.refused {
            None => self.kept_repositories += 1,
            Some(rule) => *self.refused_repositories.entry(rule.clone()).or_default() += 1,
        }
        self.met.add(account.met);
        self.kept.add(account.kept);
        for (reason, count) in &account.unread {
            *self.unread_files.entry(reason.clone()).or_default() += count;
        }
        for file in &account.dropped {
            self.dropped_files.entry(file.rule.clone()).or_default().add(Count { files: 1, bytes: file.bytes });
        }
        self.files_of_refused_repositories += account.files_of_refused();
        for file in &account.redacted {
            let sum = self.redacted.entry(file.rule.clone()).or_default();
            sum.files += 1;
            sum.spans += file.spans;
            sum.bytes += file.bytes;
        }
    }

    pub(super) fn faults(&mut self, corpus: &Corpus<'_>, faults: Faults) {
        let rows = corpus.rows();
        self.rows = rows.total + faults.rows.total;
        for found in [rows, &faults.rows] {
            for (rule, count) in &found.by_rule {
                *self.unusable_rows.entry(rule.clone()).or_default() += count;
            }
        }
        self.repositories += faults.repositories.faults() + faults.without_source;
        if faults.without_source > 0 {
            *self.refused_repositories.entry(NO_SOURCE.into()).or_default() += faults.without_source;
        }
        self.unusable_repositories.clone_from(&faults.repositories.by_rule);
        for found in [rows, &faults.rows, &faults.repositories] {
            for (rule, example) in &found.examples {
                self.examples.entry(rule.clone()).or_insert_with(|| example.clone());
            }
        }
    }

    /// Refuses a run in which too much was unusable.
    pub(super) fn verify(&self, limit: f64) -> Result<()> {
        let checks = [
            ("rows", self.rows, &self.unusable_rows),
            ("repositories", self.repositories, &self.unusable_repositories),
        ];
        for (things, total, by_rule) in checks {
            let faults: u64 = by_rule.values().sum();
            if faults as f64 > limit * total as f64 {
                let (rule, _) = by_rule.iter().max_by_key(|(_, count)| **count).expect("there are faults");
                let example = self.examples.get(rule).cloned().unwrap_or_default();
                return Err(Error::TooManyFaults { faults, total, things, limit, rule: rule.clone(), example });
            }
        }
        Ok(())
    }
}
