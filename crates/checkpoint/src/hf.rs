//! The tensors of a Hugging Face model, in one file or in shards, read lazily.
//!
//! Invariants: a shard's name in the index is a plain file name (nothing outside the directory is
//! ever opened); every tensor the index names is where it says, checked when opened; bf16 and f16
//! are widened exactly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::header::{Bytes, SafetensorsFile};
use crate::{Error, Result};

pub(crate) const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// `model.safetensors.index.json`.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Index {
    #[serde(default)]
    pub(crate) metadata: serde_json::Value,
    pub(crate) weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Parses an index and refuses shard names that could leave their directory.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        let malformed = |problem: String| Error::Malformed { path: path.into(), problem };
        let index: Self = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        for (tensor, shard) in &index.weight_map {
            let plain = shard.ends_with(".safetensors") && !shard.contains(['/', '\\', ':', '\0']);
            if !plain {
                return Err(malformed(format!("it places `{tensor}` in `{shard}`, which is not a plain file name")));
            }
        }
        Ok(index)
    }

    /// The shard files, each once.
    pub(crate) fn shards(&self) -> Vec<&str> {
        let mut shards: Vec<&str> = self.weight_map.values().map(String::as_str).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }
}

/// Tensors by name.
#[derive(Debug)]
pub struct HfTensors {
    /// The file, or the index, named when a tensor is missing.
    source: PathBuf,
    shards: Vec<SafetensorsFile>,
    /// Shard by tensor name.
    place: BTreeMap<String, usize>,
}

impl HfTensors {
    /// Opens the model in `directory`; a single file is preferred to an index, as in transformers.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Read`] name the file.
    pub fn open(directory: &Path) -> Result<Self> {
        let single = directory.join(SINGLE);
        if single.exists() {
            return Self::single(Bytes::File(single));
        }
        let path = directory.join(INDEX);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                let problem = format!("it holds neither {SINGLE} nor {INDEX}");
                return Err(Error::Malformed { path: directory.into(), problem });
            }
            Err(source) => return Err(Error::Read { path, source }),
        };
        let index = Index::parse(&path, &text)?;
        let mut tensors = Self { source: path, shards: Vec::new(), place: BTreeMap::new() };
        for shard in index.shards() {
            let file = directory.join(shard);
            if !file.exists() {
                let problem = format!("it names the shard `{shard}`, which is missing");
                return Err(Error::Malformed { path: tensors.source, problem });
            }
            tensors.shards.push(SafetensorsFile::open(Bytes::File(file))?);
        }
        let at: BTreeMap<&str, usize> = index.shards().into_iter().zip(0..).collect();
        for (name, shard) in &index.weight_map {
            let place = at[shard.as_str()];
            if tensors.shards[place].info(name).is_none() {
                return Err(Error::NoTensor { name: name.clone(), path: tensors.shards[place].path() });
            }
            tensors.place.insert(name.clone(), place);
        }
        Ok(tensors)
    }

    /// Opens one safetensors file.
    pub(crate) fn single(bytes: Bytes) -> Result<Self> {
        let file = SafetensorsFile::open(bytes)?;
        let place = file.names().into_iter().map(|name| (name, 0)).collect();
        Ok(Self { source: file.path(), shards: vec![file], place })
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.place.keys().map(String::as_str)
    }

    /// The shape of `name`, `None` where there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let place = *self.place.get(name)?;
        self.shards[place].info(name).map(|info| info.shape.as_slice())
    }

    /// Reads one tensor and converts it to `dtype` on `device`; widening is exact, narrowing
    /// rounds to nearest even.
    ///
    /// # Errors
    /// [`Error::NoTensor`] and [`Error::Dtype`] name the tensor and its file.
    pub fn read(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.file(name)?.read(name)?;
        if !tensor.dtype().is_float() {
            return Err(Error::Dtype {
                name: name.into(),
                path: self.file(name)?.path(),
                dtype: format!("{:?}", tensor.dtype()),
                expected: "a floating-point type",
            });
        }
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }

    /// [`HfTensors::read`], refusing another shape than `expected`.
    ///
    /// # Errors
    /// As [`HfTensors::read`], and [`Error::Shape`] before any data is read.
    pub fn read_shaped(&self, name: &str, expected: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let file = self.file(name)?;
        let found = self.shape(name).unwrap_or_default();
        if found != expected {
            let (expected, found) = (expected.to_vec(), found.to_vec());
            return Err(Error::Shape { name: name.into(), path: file.path(), expected, found });
        }
        self.read(name, dtype, device)
    }

    fn file(&self, name: &str) -> Result<&SafetensorsFile> {
        let place = self.place.get(name);
        let place = place.ok_or_else(|| Error::NoTensor { name: name.into(), path: self.source.clone() })?;
        Ok(&self.shards[*place])
    }
}
