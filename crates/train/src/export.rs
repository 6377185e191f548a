//! A checkpoint as a Hugging Face directory that transformers and vLLM load.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use recon_checkpoint::{HfDirectory, ModelFiles, SHARD_BYTES, state, write_hf};
use recon_llama::Config;
use serde_json::{Value, json};

use crate::{Error, Result, checkpoint};

/// Files of a model besides weights and configuration; the first must be there.
pub(crate) const COMPANIONS: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"];

/// Writes the parameters of `checkpoint` (a `checkpoints/step-N` directory of a run) to `out` as
/// `dtype` (`BF16` or `F32`), with the configuration they were trained under, overrides included,
/// and the tokenizer of the run.
///
/// # Errors
/// A checkpoint that is incomplete or damaged; an `out` that exists and is not empty.
pub fn export(checkpoint: &Path, out: &Path, dtype: DType) -> Result<()> {
    let mut state = state::load(checkpoint)?;
    let identity = checkpoint::progress(&state, checkpoint)?.identity;
    let config = Config::from_json(&identity.model.to_string())?;
    let params = checkpoint::parameters(&mut state, checkpoint, &config, (&Device::Cpu, DType::F32))?;
    let named = params.named().map(|pair| Ok(pair.map(|(name, tensor)| (name.to_owned(), tensor))?));
    let named = named.collect::<Result<Vec<(String, Tensor)>>>()?;
    let shapes: Vec<_> = named.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect();
    let extra = companions(checkpoint, &config)?;
    let contents = HfDirectory { dtype, max_shard_bytes: SHARD_BYTES, config_json: &config.to_json(), extra: &extra };
    let mut tensors = named.into_iter();
    write_hf(out, &contents, &shapes, |_| -> Result<Tensor, recon_checkpoint::Error> {
        // `write_hf` reads each tensor once, in the order given.
        Ok(tensors.next().expect("one tensor was listed for each shape").1)
    })?;
    Ok(())
}

/// The files a run keeps in `model/` for its exports.
fn companions(checkpoint: &Path, config: &Config) -> Result<Vec<(String, Vec<u8>)>> {
    let incomplete = |what: &str| Error::Incomplete { path: checkpoint.into(), what: what.into() };
    let run = checkpoint.ancestors().nth(2).ok_or_else(|| incomplete("run above it"))?;
    let mut files = Vec::new();
    for name in COMPANIONS {
        let path = run.join("model").join(name);
        match std::fs::read(&path) {
            Ok(bytes) => files.push((name.to_owned(), bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    if !files.iter().any(|(name, _)| name == COMPANIONS[0]) {
        return Err(incomplete("tokenizer (`model/tokenizer.json` of the run)"));
    }
    if !files.iter().any(|(name, _)| name == COMPANIONS[3]) {
        files.push((COMPANIONS[3].into(), generation_config(config)));
    }
    Ok(files)
}

/// What transformers would derive from `config.json`: the tokens that open and end a text.
fn generation_config(config: &Config) -> Vec<u8> {
    let config: Value = serde_json::from_str(&config.to_json()).expect("a configuration is written as JSON");
    let mut generation = serde_json::Map::new();
    for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
        if let Some(id) = config.get(key).filter(|id| !id.is_null()) {
            generation.insert(key.into(), id.clone());
        }
    }
    generation.insert("_from_model_config".into(), json!(true));
    let mut text = serde_json::to_vec_pretty(&generation).expect("a map of JSON values is JSON");
    text.push(b'\n');
    text
}

/// Copies what an export needs from `model` to `directory`.
pub(crate) fn keep_companions(model: &ModelFiles, directory: &Path) -> Result<()> {
    let write = |name: &str, bytes: &[u8]| recon_schema::file::write_bytes(&directory.join(name), bytes);
    write("config.json", model.config_json()?.as_bytes())?;
    write(COMPANIONS[0], &model.tokenizer_json()?)?;
    for (name, bytes) in model.companions()? {
        write(&name, &bytes)?;
    }
    Ok(())
}
