//! The part of `recon.graph/1` that is compared, read from the program's own output.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use recon_outside::program;
use serde::Deserialize;

use crate::tools::Tools;

/// Settings with which every source file takes part: a witness judges files that a person would
/// not train on like any other.
const UNCLEANED: &str = "\
[clean]
generated = false
vendored = false
encoded_data = false
secrets = false
shape = { max_lines = 1_000_000_000, max_bytes = 1_000_000_000, max_line_chars = 1_000_000_000, measured_from_bytes = 1_000_000_000, xml_start = false }
";

/// Whether the graph is that of a user, who trains on what cleaning keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cleaning {
    Off,
    On,
}

/// A repository's graph.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    files: Vec<File>,
    pub(super) edges: Vec<Edge>,
    pub(super) order: Vec<String>,
    pub(super) cycles: Vec<Vec<String>>,
    #[serde(skip)]
    languages: BTreeMap<String, Option<String>>,
    /// Files whose content is not text, too much, or dropped by cleaning.
    #[serde(skip)]
    unread: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    language: Option<String>,
    /// Why the file's content was not read, if so.
    skipped: Option<String>,
}

/// One resolved import.
#[derive(Debug, Deserialize)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) kind: String,
    pub(super) line: u32,
    /// What is named, where an import or the code says it.
    #[serde(default)]
    pub(super) names: Vec<String>,
}

impl Record {
    /// What `recon graph` says about a directory.
    pub(super) fn of(tools: &Tools, directory: &Path, cleaning: Cleaning) -> anyhow::Result<Self> {
        let settings = tools.work.join("recon.toml");
        std::fs::write(&settings, if cleaning == Cleaning::On { "" } else { UNCLEANED })?;
        let mut command = Command::new(&tools.recon);
        command.args(["graph", "--format", "json", "--config"]).arg(settings).arg(directory);
        command.current_dir(&tools.work);
        let mut record: Self = serde_json::from_str(&program::output(&mut command)?)?;
        record.unread =
            record.files.iter().filter(|file| file.skipped.is_some()).map(|file| file.path.clone()).collect();
        record.languages = record.files.drain(..).map(|file| (file.path, file.language)).collect();
        Ok(record)
    }

    /// The language of a file; none for other text or a file that is not there.
    pub(super) fn language(&self, path: &str) -> Option<&str> {
        self.languages.get(path)?.as_deref()
    }

    /// The files of known languages, with their languages.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.languages.iter().filter_map(|(path, language)| Some((path.as_str(), language.as_deref()?)))
    }

    /// Whether recon looked into the file.
    pub(super) fn is_read(&self, path: &str) -> bool {
        self.has(path) && !self.unread.contains(path)
    }

    /// Whether the file is in the record.
    pub(super) fn has(&self, path: &str) -> bool {
        self.languages.contains_key(path)
    }
}
