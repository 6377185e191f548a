//! A training state that is read in parts: every digest is checked when it is opened, a tensor is read when it is asked
//! for, whole or a range of it. So a state may be larger than memory.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use recon_schema::file::{Written, hash_file, read_json};
use recon_schema::manifest::{self, Manifest};

use super::record::{Entry, RECORD, Record, SCHEMA, STAGE};
use crate::{Error, Result};

/// A training state on the disk that was whole when it was opened.
#[derive(Debug)]
pub struct SavedState {
    path: PathBuf,
    /// The step it was saved at.
    pub step: u64,
    /// The record it was saved with.
    pub record: serde_json::Value,
    entries: Vec<Entry>,
}

impl SavedState {
    /// Opens the checkpoint at `path` (a `step-N` directory) after checking every digest. Memory does not grow with it.
    ///
    /// # Errors
    /// [`Error::Record`] and [`Error::Malformed`] name the file that is missing or damaged.
    pub fn open(path: &Path) -> Result<Self> {
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
        let Record { schema, step, record, tensors: entries } = read_json(&record_path, SCHEMA)?;
        if schema != SCHEMA {
            return Err(recon_schema::Error::Schema { path: record_path, found: schema, expected: SCHEMA }.into());
        }
        for Entry { name, dtype, shape, file } in &entries {
            let Some(written) = manifest.outputs.get(file).filter(|_| !file.contains(['/', '\\'])) else {
                let problem = format!("tensor `{name}` is in `{file}`, which the manifest does not list");
                return Err(malformed(&record_path, problem));
            };
            let (file, dtype, bytes) = (path.join(file), dtype.dtype(), written.bytes);
            verify(&file, written)?;
            let expected = shape.iter().try_fold(dtype.size_in_bytes(), |bytes, dim| bytes.checked_mul(*dim));
            if expected.map(|expected| expected as u64) != Some(bytes) {
                let problem = format!("it has {bytes} bytes, which is not a {dtype:?} tensor of shape {shape:?}");
                return Err(malformed(&file, problem));
            }
        }
        Ok(Self { path: path.into(), step, record, entries })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors' names, in the order in which they were saved.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The shape of `name`, `None` where there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(|entry| entry.shape.as_slice())
    }

    /// The tensor `name`, on the CPU.
    ///
    /// # Errors
    /// [`Error::NoTensor`], and [`Error::Read`] where its file cannot be read any more.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let shape = self.shape(name).ok_or_else(|| self.missing(name))?;
        Ok(self.read(name, 0..shape.iter().product())?.reshape(shape)?)
    }

    /// The elements `range` of `name`, row after row: `[range.len()]`, on the CPU.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), and where the tensor has no such elements.
    pub fn read(&self, name: &str, range: Range<usize>) -> Result<Tensor> {
        let Entry { dtype, shape, file, .. } = self.entry(name).ok_or_else(|| self.missing(name))?;
        let (path, dtype, elements) = (self.path.join(file), dtype.dtype(), shape.iter().product::<usize>());
        if range.start > range.end || range.end > elements {
            let problem = format!("tensor `{name}` has {elements} elements, {range:?} were asked for");
            return Err(Error::Malformed { path, problem });
        }
        let size = dtype.size_in_bytes();
        let mut bytes = vec![0; range.len() * size];
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start((range.start * size) as u64))?;
            file.read_exact(&mut bytes)
        });
        read.map_err(|source| Error::Read { path, source })?;
        Ok(Tensor::from_raw_buffer(&bytes, dtype, &[range.len()], &Device::Cpu)?)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn missing(&self, name: &str) -> Error {
        Error::NoTensor { name: name.into(), path: self.path.join(RECORD) }
    }
}

fn verify(path: &Path, written: &Written) -> Result<()> {
    if hash_file(path)? == *written {
        return Ok(());
    }
    Err(recon_schema::Error::HashMismatch { path: path.into() }.into())
}
