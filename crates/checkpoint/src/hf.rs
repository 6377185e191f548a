//! The tensors of a Hugging Face model, in one file or in shards, read lazily.
//!
//! What the shards hold decides, not what the index lists: a name without a tensor is an error only
//! when it is read. A decoder saved without its head's wrapper lacks the prefix `model.`; its tensors
//! are known here by their full names.
//!
//! Invariants: a shard's name in the index is a plain file name (nothing outside the directory is
//! ever opened); bf16 and f16 are widened exactly; no name stands for two tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::blocks::blocks;
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
    place: BTreeMap<String, Place>,
}

/// Where a tensor is stored.
#[derive(Debug)]
struct Place {
    shard: usize,
    /// Its name in the shard.
    stored: String,
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
        let mut shards = Vec::new();
        for shard in index.shards() {
            let file = directory.join(shard);
            if !file.exists() {
                let problem = format!("it names the shard `{shard}`, which is missing");
                return Err(Error::Malformed { path, problem });
            }
            shards.push(SafetensorsFile::open(Bytes::File(file))?);
        }
        let at: BTreeMap<&str, usize> = index.shards().into_iter().zip(0..).collect();
        let mut found = BTreeMap::new();
        for (shard, file) in shards.iter().enumerate() {
            for name in file.names() {
                // Of two shards with one tensor, the index says which counts.
                if index.weight_map.get(&name).is_none_or(|named| at[named.as_str()] == shard) {
                    found.insert(name, shard);
                } else {
                    found.entry(name).or_insert(shard);
                }
            }
        }
        Ok(Self { source: path, place: places(found), shards })
    }

    /// Opens one safetensors file.
    pub(crate) fn single(bytes: Bytes) -> Result<Self> {
        let file = SafetensorsFile::open(bytes)?;
        let place = places(file.names().into_iter().map(|name| (name, 0)).collect());
        Ok(Self { source: file.path(), shards: vec![file], place })
    }

    /// The file, or the index of a sharded model.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.place.keys().map(String::as_str)
    }

    /// The shape of `name`, `None` where there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let Place { shard, stored } = self.place.get(name)?;
        self.shards[*shard].info(stored).map(|info| info.shape.as_slice())
    }

    /// Reads one tensor and converts it to `dtype` on `device`; widening is exact, narrowing
    /// rounds to nearest even.
    ///
    /// # Errors
    /// [`Error::NoTensor`] and [`Error::Dtype`] name the tensor and its file.
    pub fn read(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let (file, stored) = self.file(name)?;
        let tensor = floats(name, file, file.read(stored)?)?;
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }

    /// The elements of one tensor of the shape `expected`, row after row, in blocks in their stored type on the CPU.
    ///
    /// # Errors
    /// As [`HfTensors::read_shaped`]; each block as [`HfTensors::read`].
    pub fn read_blocks<'t>(
        &'t self,
        name: &'t str,
        expected: &[usize],
    ) -> Result<impl Iterator<Item = Result<Tensor>> + use<'t>> {
        let (file, stored) = self.file_shaped(name, expected)?;
        let elements = 0..expected.iter().product();
        Ok(blocks(elements).map(move |range| floats(name, file, file.read_range(stored, range)?)))
    }

    /// [`HfTensors::read`], refusing another shape than `expected`.
    ///
    /// # Errors
    /// As [`HfTensors::read`], and [`Error::Shape`] before any data is read.
    pub fn read_shaped(&self, name: &str, expected: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        self.file_shaped(name, expected)?;
        self.read(name, dtype, device)
    }

    fn file_shaped(&self, name: &str, expected: &[usize]) -> Result<(&SafetensorsFile, &str)> {
        let (file, stored) = self.file(name)?;
        let found = self.shape(name).unwrap_or_default();
        if found != expected {
            let (expected, found) = (expected.to_vec(), found.to_vec());
            return Err(Error::Shape { name: name.into(), path: file.path(), expected, found });
        }
        Ok((file, stored))
    }

    /// Whether both names are there and hold other numbers.
    pub(crate) fn differ(&self, one: &str, other: &str) -> Result<bool> {
        let (Some(shape), Some(other_shape)) = (self.shape(one), self.shape(other)) else { return Ok(false) };
        if shape != other_shape {
            return Ok(true);
        }
        let read = |name| self.read(name, DType::F32, &Device::Cpu);
        let unequal = read(one)?.ne(&read(other)?)?.flatten_all()?.max(0)?;
        Ok(unequal.to_scalar::<u8>()? != 0)
    }

    fn file(&self, name: &str) -> Result<(&SafetensorsFile, &str)> {
        let place = self.place.get(name);
        let Place { shard, stored } =
            place.ok_or_else(|| Error::NoTensor { name: name.into(), path: self.source.clone() })?;
        Ok((&self.shards[*shard], stored))
    }
}

/// Refuses what is not of a floating-point type.
fn floats(name: &str, file: &SafetensorsFile, tensor: Tensor) -> Result<Tensor> {
    if tensor.dtype().is_float() {
        return Ok(tensor);
    }
    let dtype = format!("{:?}", tensor.dtype());
    Err(Error::Dtype { name: name.into(), path: file.path(), dtype, expected: "a floating-point type" })
}

/// The full name of each stored tensor.
fn places(found: BTreeMap<String, usize>) -> BTreeMap<String, Place> {
    let full = |name: &str| {
        let prefixed = format!("model.{name}");
        let bare = ["embed_tokens.", "layers.", "norm."].iter().any(|start| name.starts_with(start));
        if bare && !found.contains_key(&prefixed) { prefixed } else { name.to_owned() }
    };
    let named = found.iter().map(|(name, &shard)| (full(name), Place { shard, stored: name.clone() }));
    named.collect()
}
