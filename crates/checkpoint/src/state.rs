//! Training states: named tensors and a JSON record, kept bit for bit.
//!
//! Layout: `directory/step-N/` with one `.tensor` file per tensor, `state.json` and, last,
//! `manifest.json` with the digest of each. A directory without a manifest is no checkpoint.
//!
//! Invariants: values come back bit for bit; a truncated, flipped or missing file is refused and
//! named; an older checkpoint is removed only when a newer one is complete; what comes after the state last saved is
//! not of its run's past, and goes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use recon_schema::file::{AtomicFile, Written, hash_file, read_json, write_json};
use recon_schema::manifest::{self, Manifest};
use serde::{Deserialize, Serialize};

use crate::write::write_values;
use crate::{Error, Result};

/// The schema of `state.json`.
pub const SCHEMA: &str = "recon.state/1";
const STAGE: &str = "training-state";
const RECORD: &str = "state.json";

/// A training state read back.
#[derive(Debug)]
pub struct State {
    /// The step it was saved at.
    pub step: u64,
    /// The record given to [`save`].
    pub record: serde_json::Value,
    /// The tensors in the order given to [`save`], on the CPU.
    pub tensors: Vec<(String, Tensor)>,
}

impl State {
    /// The tensor `name`, taken out.
    pub fn take(&mut self, name: &str) -> Option<Tensor> {
        let at = self.tensors.iter().position(|(found, _)| found == name)?;
        Some(self.tensors.remove(at).1)
    }
}

/// `state.json`.
#[derive(Serialize, Deserialize)]
struct Record {
    schema: String,
    step: u64,
    record: serde_json::Value,
    tensors: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    dtype: Stored,
    shape: Vec<usize>,
    file: String,
}

/// The types a state may hold.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stored {
    F32,
    F64,
    Bf16,
    U32,
    I64,
}

impl Stored {
    fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F64 => Some(Self::F64),
            DType::BF16 => Some(Self::Bf16),
            DType::U32 => Some(Self::U32),
            DType::I64 => Some(Self::I64),
            _ => None,
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
            Self::Bf16 => DType::BF16,
            Self::U32 => DType::U32,
            Self::I64 => DType::I64,
        }
    }
}

/// The directory of the checkpoint at `step`.
pub fn path(directory: &Path, step: u64) -> PathBuf {
    directory.join(format!("step-{step}"))
}

/// Saves a state as `directory/step-N` and returns that path; a tensor is asked for when the one before is written. Then
/// removes all but the `keep`
/// newest complete checkpoints up to it, and every later one: a run that was at a later step once and saves this one
/// went on from here because that was damaged.
///
/// # Errors
/// The file that could not be written is named; a half-written checkpoint has no manifest.
pub fn save<E: From<Error>>(
    directory: &Path,
    step: u64,
    record: &serde_json::Value,
    tensors: impl IntoIterator<Item = Result<(String, Tensor), E>>,
    keep: NonZeroUsize,
) -> Result<PathBuf, E> {
    let target = path(directory, step);
    remove(&target)?;
    let mut outputs = BTreeMap::new();
    let mut entries = Vec::new();
    for (at, named) in tensors.into_iter().enumerate() {
        let (name, tensor) = named?;
        let file = format!("{at:05}.tensor");
        let dtype = Stored::of(tensor.dtype()).ok_or_else(|| Error::Unwritable {
            path: target.join(&file),
            problem: format!("tensor `{name}` is {:?}, which a training state does not hold", tensor.dtype()),
        })?;
        outputs.insert(file.clone(), write_tensor(&target.join(&file), &tensor, dtype)?);
        entries.push(Entry { name, dtype, shape: tensor.dims().to_vec(), file });
    }
    let record = Record { schema: SCHEMA.into(), step, record: record.clone(), tensors: entries };
    outputs.insert(RECORD.into(), write_json(&target.join(RECORD), &record).map_err(Error::from)?);
    let mut manifest = Manifest::new(STAGE, serde_json::json!({"step": step}), BTreeMap::new());
    manifest.outputs = outputs;
    manifest.write(&target).map_err(Error::from)?;
    let mut past = complete(directory)?;
    let future = past.split_off(&(step.saturating_add(1)));
    for old in past.into_values().rev().skip(keep.get()).chain(future.into_values()) {
        remove(&old)?;
    }
    Ok(target)
}

/// The newest complete checkpoint below `directory`, by step; `None` where there is none.
pub fn latest(directory: &Path) -> Result<Option<PathBuf>> {
    Ok(complete(directory)?.pop_last().map(|(_, path)| path))
}

/// Reads the newest checkpoint below `directory` that is whole, and warns of each newer one that is not; `None` where
/// there is none at all.
///
/// # Errors
/// [`Error::NoneWhole`] where there are some.
pub fn load_newest(directory: &Path) -> Result<Option<(PathBuf, State)>> {
    let mut newest = None;
    for path in complete(directory)?.into_values().rev() {
        match load(&path) {
            Ok(state) => return Ok(Some((path, state))),
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

/// Reads the checkpoint at `path` (a `step-N` directory) after checking every digest.
///
/// # Errors
/// [`Error::Record`] and [`Error::Malformed`] name the file that is missing or damaged.
pub fn load(path: &Path) -> Result<State> {
    let manifest = Manifest::read(path)?.ok_or_else(|| Error::Malformed {
        path: path.into(),
        problem: format!("it has no {}, so it was never finished", manifest::FILE_NAME),
    })?;
    let record_path = path.join(RECORD);
    let malformed = |path: &Path, problem: String| Error::Malformed { path: path.into(), problem };
    if manifest.stage != STAGE || !manifest.outputs.contains_key(RECORD) {
        return Err(malformed(&path.join(manifest::FILE_NAME), format!("it is not the manifest of a {STAGE}")));
    }
    verify(&record_path, &manifest.outputs[RECORD])?;
    let record: Record = read_json(&record_path, SCHEMA)?;
    if record.schema != SCHEMA {
        return Err(recon_schema::Error::Schema { path: record_path, found: record.schema, expected: SCHEMA }.into());
    }
    let mut tensors = Vec::with_capacity(record.tensors.len());
    for Entry { name, dtype, shape, file } in record.tensors {
        let Some(written) = manifest.outputs.get(&file).filter(|_| !file.contains(['/', '\\'])) else {
            return Err(malformed(
                &record_path,
                format!("tensor `{name}` is in `{file}`, which the manifest does not list"),
            ));
        };
        let file = path.join(file);
        let tensor = read_tensor(&file, written, dtype, &shape)?;
        tensors.push((name, tensor));
    }
    Ok(State { step: record.step, record: record.record, tensors })
}

fn verify(path: &Path, written: &Written) -> Result<()> {
    if hash_file(path)? == *written {
        return Ok(());
    }
    Err(recon_schema::Error::HashMismatch { path: path.into() }.into())
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

fn write_tensor(path: &Path, tensor: &Tensor, dtype: Stored) -> Result<Written> {
    let values = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    let mut file = AtomicFile::create(path)?;
    match dtype {
        Stored::F32 => write_values(&mut file, &values.to_vec1()?, f32::to_le_bytes),
        Stored::F64 => write_values(&mut file, &values.to_vec1()?, f64::to_le_bytes),
        Stored::Bf16 => write_values(&mut file, &values.to_vec1()?, half::bf16::to_le_bytes),
        Stored::U32 => write_values(&mut file, &values.to_vec1()?, u32::to_le_bytes),
        Stored::I64 => write_values(&mut file, &values.to_vec1()?, i64::to_le_bytes),
    }
    .and_then(|()| file.flush())
    .map_err(|source| Error::Write { path: path.into(), source })?;
    Ok(file.finish()?)
}

fn read_tensor(path: &Path, written: &Written, dtype: Stored, shape: &[usize]) -> Result<Tensor> {
    verify(path, written)?;
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let dtype = dtype.dtype();
    let expected = shape.iter().try_fold(dtype.size_in_bytes(), |bytes, dim| bytes.checked_mul(*dim));
    if expected != Some(bytes.len()) {
        let problem = format!("it has {} bytes, which is not a {dtype:?} tensor of shape {shape:?}", bytes.len());
        return Err(Error::Malformed { path: path.into(), problem });
    }
    Ok(Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?)
}
