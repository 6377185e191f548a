//! Training states: named tensors and a JSON record, kept bit for bit.
//!
//! Layout: `directory/step-N/` with one `.tensor` file per tensor, `state.json` and, last,
//! `manifest.json` with the digest of each. A directory without a manifest is no checkpoint.
//!
//! Invariants: values come back bit for bit; a truncated, flipped or missing file is refused and
//! named; an older checkpoint is removed only when a newer one is complete; what comes after the state last saved is
//! not of its run's past, and goes; what could not be written whole takes no room on the disk.

mod read;
mod record;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use recon_schema::manifest;

use crate::{Error, Result};
pub use read::SavedState;
pub use record::SCHEMA;

/// Which complete checkpoints stay when another is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest.
    pub newest: NonZeroUsize,
    /// And each whose step is a multiple of this.
    pub every: Option<NonZeroU64>,
}

/// The directory of the checkpoint at `step`.
pub fn path(directory: &Path, step: u64) -> PathBuf {
    directory.join(format!("step-{step}"))
}

/// Saves a state as `directory/step-N` and returns how large it is. Tensors are asked for one after the other, each when
/// a thread is free to write it, and all of them also where writing fails.
/// Then removes the complete checkpoints before it that `keep` does not name, and every later one: a run that was at a
/// later step once and saves this one went on from here because that was damaged.
///
/// # Errors
/// The file that could not be written is named, and what was written of this checkpoint is removed.
pub fn save<E: From<Error>>(
    directory: &Path,
    step: u64,
    record: &serde_json::Value,
    tensors: impl IntoIterator<Item = Result<(String, Tensor), E>>,
    keep: Keep,
) -> Result<u64, E> {
    let target = path(directory, step);
    remove(&target)?;
    let bytes = write::write(&target, step, record, tensors).inspect_err(|_| {
        // A disk that is full must have room again for what comes next; the error is that of the writing.
        let _ = fs::remove_dir_all(&target);
    })?;
    let mut past = complete(directory)?;
    let future = past.split_off(&(step.saturating_add(1)));
    let is_kept = |step: u64| keep.every.is_some_and(|every| step.is_multiple_of(every.get()));
    let older = past.into_iter().rev().skip(keep.newest.get()).filter(|(step, _)| !is_kept(*step));
    for old in older.map(|(_, old)| old).chain(future.into_values()) {
        remove(&old)?;
    }
    Ok(bytes)
}

/// The newest complete checkpoint below `directory`, by step; `None` where there is none.
pub fn latest(directory: &Path) -> Result<Option<PathBuf>> {
    Ok(complete(directory)?.pop_last().map(|(_, path)| path))
}

/// Opens the newest checkpoint below `directory` that is whole, and warns of each newer one that is not; `None` where
/// there is none at all.
///
/// # Errors
/// [`Error::NoneWhole`] where there are some.
pub fn open_newest(directory: &Path) -> Result<Option<SavedState>> {
    let mut newest = None;
    for path in complete(directory)?.into_values().rev() {
        match SavedState::open(&path) {
            Ok(state) => return Ok(Some(state)),
            Err(error) => {
                tracing::warn!(checkpoint = %path.display(), %error, "this checkpoint is damaged; an older one is looked for");
                newest.get_or_insert(error);
            }
        }
    }
    match newest {
        Some(error) => Err(Error::NoneWhole { directory: directory.into(), source: Box::new(error) }),
        None => Ok(None),
    }
}

/// Removes what an interruption left of checkpoints that were being written or removed. Call it only where no other
/// run writes.
///
/// # Errors
/// The folder that cannot be listed or removed.
pub fn sweep(directory: &Path) -> Result<()> {
    for (checkpoint, is_complete) in entries(directory)?.into_values() {
        if !is_complete && checkpoint.is_dir() {
            tracing::warn!(checkpoint = %checkpoint.display(), "an unfinished checkpoint is removed");
            remove(&checkpoint)?;
        }
    }
    Ok(())
}

/// Complete checkpoints by step.
fn complete(directory: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let all = entries(directory)?.into_iter();
    Ok(all.filter_map(|(step, (path, is_complete))| is_complete.then_some((step, path))).collect())
}

/// What is called like a checkpoint, by step, and whether it is one.
fn entries(directory: &Path) -> Result<BTreeMap<u64, (PathBuf, bool)>> {
    let fail = |source| Error::Read { path: directory.into(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let step = entry.file_name().to_str().and_then(|name| name.strip_prefix("step-")?.parse().ok());
        if let Some(step) = step {
            let path = entry.path();
            let is_complete = path.join(manifest::FILE_NAME).is_file();
            found.insert(step, (path, is_complete));
        }
    }
    Ok(found)
}

/// Removes a checkpoint, its manifest first: what an interruption leaves is no checkpoint.
fn remove(checkpoint: &Path) -> Result<()> {
    let fail = |source| Error::Write { path: checkpoint.into(), source };
    for result in [fs::remove_file(checkpoint.join(manifest::FILE_NAME)), fs::remove_dir_all(checkpoint)] {
        match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
    }
    Ok(())
}
