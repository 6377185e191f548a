//! A model copied to a directory of its own, its weights in the type asked for.

use std::path::Path;

use candle_core::{DType, Device};

use crate::{HfDirectory, ModelFiles, Result, SHARD_BYTES, write_hf};

/// Writes `files` to `directory`, which must not exist yet or be empty, weights as `dtype`
/// (`BF16` or `F32`).
///
/// # Errors
/// As [`write_hf`], and where a file of the model cannot be read.
pub fn convert(files: &ModelFiles, directory: &Path, dtype: DType) -> Result<()> {
    let tensors = files.tensors()?;
    let shape = |name: &str| tensors.shape(name).expect("a listed tensor has a shape").to_vec();
    let shapes: Vec<_> = tensors.names().map(|name| (name.to_string(), shape(name))).collect();
    let mut extra = files.companions()?;
    extra.push(("tokenizer.json".into(), files.tokenizer_json()?));
    let contents =
        HfDirectory { dtype, max_shard_bytes: SHARD_BYTES, config_json: &files.config_json()?, extra: &extra };
    write_hf(directory, &contents, &shapes, |name| tensors.read(name, DType::F32, &Device::Cpu))
}
