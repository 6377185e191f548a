//! A repository held in memory: the text of every readable file, and a record of every other.
//!
//! Invariants: a path stands either in `files` or in `skipped`, never in both; `source` of the
//! reference is a directory name or a URL without credentials, never an absolute local path.

use std::collections::BTreeMap;

use recon_schema::Sha256;
use recon_schema::graph::{Diagnostic, RepositoryRef, SkipReason};

/// A repository's files, as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// Name, origin, commit and licence.
    pub reference: RepositoryRef,
    /// Readable UTF-8 text by `/`-separated path from the root.
    pub files: BTreeMap<String, String>,
    /// Files that are known to exist and take no part.
    pub skipped: BTreeMap<String, SkippedFile>,
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

impl Repository {
    /// A repository from texts already in memory; an empty text is recorded as skipped, as
    /// [`read_directory`](crate::read_directory) does.
    pub fn from_files<P: Into<String>, T: Into<String>>(name: &str, files: impl IntoIterator<Item = (P, T)>) -> Self {
        let reference = RepositoryRef { name: name.into(), source: name.into(), commit: None, licence: None };
        let mut repository =
            Self { reference, files: BTreeMap::new(), skipped: BTreeMap::new(), diagnostics: Vec::new() };
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
        self.diagnostics.retain(|diagnostic| !removed.contains(&diagnostic.path));
        removed.sort_unstable();
        removed
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
