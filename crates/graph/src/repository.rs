//! A repository held in memory: the text of every readable file, and a record of every other.
//!
//! Invariants: a path stands either in `files` or in `skipped`, never in both; `redacted` speaks
//! of files that are kept, and replaying its spans on the original bytes gives the text; `source` of the
//! reference is a directory name or a URL without credentials, never an absolute local path.

use std::collections::BTreeMap;
use std::path::Path;

use recon_schema::Sha256;
use recon_schema::graph::{Diagnostic, RepositoryRef, SkipReason};
use recon_schema::trajectory::{FileContent, Redaction};

use crate::{Error, Result, languages};

/// A repository's files, as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// Name, origin, commit and licence.
    pub reference: RepositoryRef,
    /// Readable UTF-8 text by `/`-separated path from the root.
    pub files: BTreeMap<String, String>,
    /// Files that are known to exist and take no part.
    pub skipped: BTreeMap<String, SkippedFile>,
    /// Of files whose text is not the original any more: what the original was, what was replaced.
    pub redacted: BTreeMap<String, Original>,
    /// What was noticed while reading, sorted.
    pub diagnostics: Vec<Diagnostic>,
}

/// A file that is listed without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
            skipped: BTreeMap::new(),
            redacted: BTreeMap::new(),
            diagnostics: Vec::new(),
        };
        for (path, text) in files {
            repository.insert(path.into(), text.into());
        }
        repository
    }

    /// Adds or replaces one file.
    pub(crate) fn insert(&mut self, path: String, text: String) {
        if text.is_empty() {
            let sha256 = Some(Sha256::of(b""));
            self.skipped.insert(path, SkippedFile { bytes: 0, lines: 0, sha256, reason: SkipReason::Empty });
        } else {
            self.files.insert(path, text);
        }
    }

    /// Takes the files for which `held_out` says so out of the repository, as if they had never
    /// been there; returns their paths. Imports of them will be reported as missing.
    pub fn remove(&mut self, mut held_out: impl FnMut(&str) -> bool) -> Vec<String> {
        let mut removed = Vec::new();
        let mut keep = |path: &String| {
            let out = held_out(path);
            if out {
                removed.push(path.clone());
            }
            !out
        };
        self.files.retain(|path, _| keep(path));
        self.skipped.retain(|path, _| keep(path));
        self.redacted.retain(|path, _| !removed.contains(path));
        self.diagnostics.retain(|diagnostic| !removed.contains(&diagnostic.path));
        removed.sort_unstable();
        removed
    }

    /// Replaces spans of a kept file; each names bytes of the text as it stands, in order and
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

    /// Takes a kept file's content away and lists it as skipped: it keeps its node in the graph.
    pub fn skip(&mut self, path: &str, reason: SkipReason) {
        let Some(text) = self.files.remove(path) else { return };
        let lines = text.lines().count() as u64;
        let original = self.redacted.remove(path);
        let (bytes, sha256) = original.map_or_else(
            || (text.len() as u64, Sha256::of(text.as_bytes())),
            |original| (original.bytes, original.sha256),
        );
        self.skipped.insert(path.into(), SkippedFile { bytes, lines, sha256: Some(sha256), reason });
    }

    /// A kept file as it stands in a trajectory: its text, and what the original was.
    pub fn content(&self, path: &str) -> Option<FileContent> {
        let text = self.files.get(path)?.clone();
        let (sha256, redactions) = match self.redacted.get(path) {
            Some(original) => (original.sha256, original.redactions.clone()),
            None => (Sha256::of(text.as_bytes()), Vec::new()),
        };
        Some(FileContent { path: path.into(), sha256, text, redactions })
    }

    /// Whether any kept file is written in a known language.
    pub fn has_source(&self) -> bool {
        self.files.iter().any(|(path, text)| languages::of(path, text).is_some())
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
        Err(Error::NoSource { path: place.into(), known: languages::names().join(", "), files, beyond })
    }

    /// Whether a file of this path exists, with or without its content.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.skipped.contains_key(path)
    }

    /// Every path, kept or skipped.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().chain(self.skipped.keys()).map(String::as_str)
    }
}
