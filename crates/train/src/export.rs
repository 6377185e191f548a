//! A checkpoint, or a model by name, as a Hugging Face directory that transformers and vLLM load.
//!
//! Both are written in one way: the tensors that the configuration asks for and no others, and the configuration in
//! every spelling that versions of transformers read.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use recon_checkpoint::state::State;
use recon_checkpoint::{COMPANIONS, HfDirectory, ModelFiles, SHARD_BYTES, state, write_hf};
use recon_llama::Config;
use serde_json::{Value, json};

use crate::{Error, Result, checkpoint};

const TOKENIZER: &str = "tokenizer.json";
const GENERATION: &str = "generation_config.json";

/// Writes the parameters of `checkpoint` (a `checkpoints/step-N` directory of a run) to `out` as
/// `dtype` (`BF16` or `F32`), with the configuration they were trained under, overrides included,
/// and the tokenizer of the run.
///
/// # Errors
/// A checkpoint that is incomplete or damaged; an `out` that exists and is not empty.
pub fn export(checkpoint: &Path, out: &Path, dtype: DType) -> Result<()> {
    export_state(state::load(checkpoint)?, checkpoint, out, dtype)
}

/// The same of the newest checkpoint below `checkpoints` that is whole; each newer one is warned of. Returns which it
/// was; `None` where there is none at all, and nothing is written.
///
/// # Errors
/// As [`export`], and where there are checkpoints and none is whole.
pub fn export_newest(checkpoints: &Path, out: &Path, dtype: DType) -> Result<Option<PathBuf>> {
    let Some((checkpoint, state)) = state::load_newest(checkpoints)? else { return Ok(None) };
    export_state(state, &checkpoint, out, dtype)?;
    Ok(Some(checkpoint))
}

fn export_state(mut state: State, checkpoint: &Path, out: &Path, dtype: DType) -> Result<()> {
    let identity = checkpoint::progress(&state, checkpoint)?.identity;
    let config = Config::from_json(&identity.model.to_string())?;
    let params = checkpoint::parameters(&mut state, checkpoint, &config, (&Device::Cpu, DType::F32), Ok)?;
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

/// Writes the model `files` to `out` as `dtype` (`BF16` or `F32`). Tensors that no Llama uses stay behind.
///
/// # Errors
/// A file of the model that is missing or damaged; an `out` that exists and is not empty.
pub fn export_model(files: &ModelFiles, out: &Path, dtype: DType) -> Result<()> {
    let config = Config::from_json(&files.config_json()?)?;
    let tensors = files.tensors()?;
    let layouts = config.units().into_iter().flat_map(|unit| config.layout(unit).specs);
    let shapes: Vec<_> = layouts.map(|spec| (spec.name, spec.shape)).collect();
    let mut extra = files.companions()?;
    extra.push((TOKENIZER.into(), files.tokenizer_json()?));
    let extra = with_generation(extra, &config);
    let contents = HfDirectory { dtype, max_shard_bytes: SHARD_BYTES, config_json: &config.to_json(), extra: &extra };
    let mut expected = shapes.iter();
    write_hf(out, &contents, &shapes, |name| -> Result<Tensor, recon_checkpoint::Error> {
        // `write_hf` reads each tensor once, in the order given.
        let (_, shape) = expected.next().expect("one tensor is read for each shape");
        tensors.read_shaped(name, shape, DType::F32, &Device::Cpu)
    })?;
    Ok(())
}

/// The files a run keeps in `model/` for its exports.
fn companions(checkpoint: &Path, config: &Config) -> Result<Vec<(String, Vec<u8>)>> {
    let incomplete = |what: &str| Error::Incomplete { path: checkpoint.into(), what: what.into() };
    let run = checkpoint.ancestors().nth(2).ok_or_else(|| incomplete("run above it"))?;
    let mut files = Vec::new();
    for name in [TOKENIZER].into_iter().chain(COMPANIONS) {
        let path = run.join("model").join(name);
        match std::fs::read(&path) {
            Ok(bytes) => files.push((name.to_owned(), bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    if !files.iter().any(|(name, _)| name == TOKENIZER) {
        return Err(incomplete("tokenizer (`model/tokenizer.json` of the run)"));
    }
    Ok(with_generation(files, config))
}

fn with_generation(mut files: Vec<(String, Vec<u8>)>, config: &Config) -> Vec<(String, Vec<u8>)> {
    if !files.iter().any(|(name, _)| name == GENERATION) {
        files.push((GENERATION.into(), generation_config(config)));
    }
    files
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
    write(TOKENIZER, &model.tokenizer_json()?)?;
    for (name, bytes) in model.companions()? {
        write(&name, &bytes)?;
    }
    Ok(())
}
