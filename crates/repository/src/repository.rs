//! A repository held in memory: the text of every readable file, and a record of every other.
//!
//! Invariants: a path stands either in `files` or in `skipped`, never in both; `untrained` and
//! `redacted` speak of paths in `files`, and replaying the redactions on the original bytes gives
//! the text; `source` of the reference is a directory name or a URL without credentials, never an
//! absolute local path.

use std::collections::BTreeMap;
use std::path::Path;

use recon_schema::Sha256;
use recon_schema::graph::{Diagnostic, RepositoryRef, SkipReason};
use recon_schema::trajectory::{FileContent, Redaction};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, language};

/// A repository's files, as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Name, origin, commit and licence.
    pub reference: RepositoryRef,
    /// Readable UTF-8 text by `/`-separated path from the root.
    pub files: BTreeMap<String, String>,
    /// Of these, the files that nothing is trained on, and why. What they say still counts for what an import means.
    pub untrained: BTreeMap<String, SkipReason>,
    /// Files that are known to exist and were not read as text.
    pub skipped: BTreeMap<String, SkippedFile>,
    /// Of files whose text is not the original any more: what the original was, what was replaced.
    pub redacted: BTreeMap<String, Original>,
    /// Texts of licence files that are skipped because they are not UTF-8, read as Latin-1: good
    /// enough to know a licence by, never shown.
    pub undecoded_licences: BTreeMap<String, String>,
    /// What was noticed while reading, sorted.
    pub diagnostics: Vec<Diagnostic>,
}

/// A file that is listed without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFile {
    /// Size in bytes, 0 where it could not be asked.
    pub bytes: u64,
    /// Number of lines, 0 where the file was not read as text.
    pub lines: u64,
    /// Digest, where the bytes were read.
    pub sha256: Option<Sha256>,
    /// Why it takes no part.
    pub reason: SkipReason,
}

/// What stood in a file before spans of it were replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Digest of the original bytes.
    pub sha256: Sha256,
    /// Size of the original in bytes.
    pub bytes: u64,
    /// What was replaced, in order, without overlap; spans are bytes of the original.
    pub redactions: Vec<Redaction>,
}

impl Repository {
    /// A repository from texts already in memory; an empty text is recorded as skipped, as
    /// [`read_directory`](crate::read_directory) does.
    pub fn from_files<P: Into<String>, T: Into<String>>(name: &str, files: impl IntoIterator<Item = (P, T)>) -> Self {
        let reference = RepositoryRef { name: name.into(), source: name.into(), commit: None, licence: None };
        let mut repository = Self {
            reference,
            files: BTreeMap::new(),
            untrained: BTreeMap::new(),
            skipped: BTreeMap::new(),
            redacted: BTreeMap::new(),
            undecoded_licences: BTreeMap::new(),
            diagnostics: Vec::new(),
        };
        for (path, text) in files {
            repository.insert(path.into(), text.into());
        }
        repository
    }

    /// Adds or replaces one file.
    pub fn insert(&mut self, path: String, text: String) {
        if text.is_empty() {
            let sha256 = Some(Sha256::of(b""));
            self.skipped.insert(path, SkippedFile { bytes: 0, lines: 0, sha256, reason: SkipReason::Empty });
        } else {
            self.files.insert(path, text);
        }
    }

    /// Marks a file that was read as one that nothing is trained on; the first reason given stays.
    pub fn untrain(&mut self, path: &str, reason: SkipReason) {
        if self.files.contains_key(path) {
            self.untrained.entry(path.into()).or_insert(reason);
        }
    }

    /// Takes a file's content away: only that it exists is known from here on.
    pub fn skip(&mut self, path: &str, reason: SkipReason) {
        let Some((bytes, sha256)) = self.original(path) else { return };
        let Some(text) = self.files.remove(path) else { return };
        self.untrained.remove(path);
        self.redacted.remove(path);
        let lines = text.lines().count() as u64;
        self.skipped.insert(path.into(), SkippedFile { bytes, lines, sha256: Some(sha256), reason });
    }

    /// Whether the file of this path was read and is trained on.
    pub fn is_kept(&self, path: &str) -> bool {
        self.files.contains_key(path) && !self.untrained.contains_key(path)
    }

    /// The files that are trained on, by path.
    pub fn kept(&self) -> impl Iterator<Item = (&str, &str)> {
        let kept = |path: &&str| !self.untrained.contains_key(*path);
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).filter(move |(path, _)| kept(path))
    }

    /// Size and digest of a file that was read, as it was before anything in it was replaced.
    pub fn original(&self, path: &str) -> Option<(u64, Sha256)> {
        let text = self.files.get(path)?;
        Some(match self.redacted.get(path) {
            Some(original) => (original.bytes, original.sha256),
            None => (text.len() as u64, Sha256::of(text.as_bytes())),
        })
    }

    /// Replaces spans of a file; each names bytes of the text as it stands, in order and
    /// without overlap. A file is redacted once.
    pub fn redact(&mut self, path: &str, redactions: Vec<Redaction>) {
        let Some(text) = self.files.get_mut(path).filter(|_| !redactions.is_empty()) else { return };
        let (sha256, bytes) = (Sha256::of(text.as_bytes()), text.len() as u64);
        let (mut replaced, mut kept) = (String::with_capacity(text.len()), 0);
        for Redaction { start, end, replacement, .. } in &redactions {
            let (start, end) = (*start as usize, *end as usize);
            replaced.push_str(&text[kept..start]);
            replaced.push_str(replacement);
            kept = end;
        }
        replaced.push_str(&text[kept..]);
        *text = replaced;
        let before = self.redacted.insert(path.into(), Original { sha256, bytes, redactions });
        assert!(before.is_none(), "a second redaction would name bytes of a text that is not the original");
    }

    /// A kept file as it stands in a trajectory: its text, and what the original was.
    pub fn content(&self, path: &str) -> Option<FileContent> {
        let text = self.files.get(path).filter(|_| self.is_kept(path))?.clone();
        let (_, sha256) = self.original(path)?;
        let redactions = self.redacted.get(path).map_or_else(Vec::new, |original| original.redactions.clone());
        Some(FileContent { path: path.into(), sha256, text, redactions })
    }

    /// Whether any kept file is written in a known language.
    pub fn has_source(&self) -> bool {
        self.kept().any(|(path, text)| language::of(path, text).is_some())
    }

    /// Refuses a repository without source; `place` is what the message names.
    ///
    /// # Errors
    /// [`Error::NoSource`].
    pub fn require_source(&self, place: &Path) -> Result<()> {
        if self.has_source() {
            return Ok(());
        }
        let files = self.files.len() + self.skipped.len();
        let limits = [SkipReason::TooLarge, SkipReason::OverBudget];
        let beyond = self.skipped.values().filter(|file| limits.contains(&file.reason)).count();
        Err(Error::NoSource { path: place.into(), known: language::NAMES.join(", "), files, beyond })
    }

    /// Whether a file of this path exists, with or without its content.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.skipped.contains_key(path)
    }

    /// Every path, read or skipped.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().chain(self.skipped.keys()).map(String::as_str)
    }
}
