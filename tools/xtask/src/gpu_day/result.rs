//! The results file of a step, `NAME.json`: written whole when the step has ended, read to know what is left to do.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::machine::Machine;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Done,
    Failed,
    /// Its limit was reached.
    OutOfTime,
    /// The machine lacks a program that the step needs.
    Absent,
    /// The GPU has too little memory.
    TooSmall,
}

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) step: String,
    pub(super) status: Status,
    pub(super) commit: String,
    pub(super) machine: Machine,
    /// As it was started.
    pub(super) command: Vec<String>,
    pub(super) seconds: f64,
    /// What it printed: the lines of a bench, the counts of tests, one structure of a program.
    pub(super) figures: Value,
    /// PyTorch's, where there is such a thing.
    pub(super) torch: Value,
    /// Where it is not done: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

pub(super) fn path(folder: &Path, step: &str) -> PathBuf {
    folder.join(format!("{step}.json"))
}

impl Outcome {
    /// The outcome that stands in `folder`, if the step has ended.
    pub(super) fn read(folder: &Path, step: &str) -> anyhow::Result<Option<Self>> {
        let path = path(folder, step);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let read = serde_json::from_str(&text);
        read.map(Some)
            .with_context(|| format!("{} is no results file; remove it to run the step again", path.display()))
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let (path, half) = (path(folder, &self.step), folder.join(format!("{}.half", self.step)));
        let write = || -> std::io::Result<()> {
            fs::write(&half, serde_json::to_vec_pretty(self)?)?;
            fs::rename(&half, &path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))
    }
}
