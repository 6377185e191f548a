//! A checkpoint, or a model by name, as a Hugging Face directory that transformers and vLLM load.
//!
//! Both are written in one way: the tensors that the configuration asks for and no others, and the configuration in
//! every spelling that versions of transformers read. Tensors pass in blocks, so memory does not grow with the model.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use recon_checkpoint::state::{self, SavedState};
use recon_checkpoint::{COMPANIONS, HfDirectory, ModelFiles, SHARD_BYTES, blocks, write_hf};
use recon_llama::Config;
use serde_json::{Value, json};

use crate::checkpoint::{self, Place};
use crate::{Error, Result};

const TOKENIZER: &str = "tokenizer.json";
const GENERATION: &str = "generation_config.json";

/// Writes the parameters of `checkpoint` (a `checkpoints/step-N` directory of a run) to `out` as
/// `dtype` (`BF16` or `F32`; the model's own if absent), with the configuration they were trained under, overrides included,
/// and the tokenizer of the run.
///
/// # Errors
/// A checkpoint that is incomplete or damaged; an `out` that exists and is not empty.
pub fn export(checkpoint: &Path, out: &Path, dtype: Option<DType>) -> Result<()> {
    export_state(&SavedState::open(checkpoint)?, out, dtype)
}

/// The same of the newest checkpoint below `checkpoints` that is whole; each newer one is warned of. Returns which it
/// was; `None` where there is none at all, and nothing is written.
///
/// # Errors
/// As [`export`], and where there are checkpoints and none is whole.
pub fn export_newest(checkpoints: &Path, out: &Path, dtype: Option<DType>) -> Result<Option<PathBuf>> {
    let Some(state) = state::open_newest(checkpoints)? else { return Ok(None) };
    export_state(&state, out, dtype)?;
    Ok(Some(state.path().into()))
}

fn export_state(state: &SavedState, out: &Path, dtype: Option<DType>) -> Result<()> {
    let config = config(state)?;
    let places = checkpoint::places(state, &config)?;
    let mut places = places.iter();
    write(state.path(), &config, out, dtype, |_| {
        // `write_hf` reads each tensor once, in the order given.
        let Place { stored, spec } = places.next().expect("one place was listed for each tensor");
        Ok(blocks(spec.range()).map(move |range| state.read(stored, range)))
    })
}

/// The configuration that `state` was trained under.
pub(crate) fn config(state: &SavedState) -> Result<Config> {
    Ok(Config::from_json(&checkpoint::progress(state)?.identity.model.to_string())?)
}

/// Writes a model of `config`, trained in the run of `checkpoint`, whose tensors `read` gives in the order of the layouts.
pub(crate) fn write<B: IntoIterator<Item = Result<Tensor, recon_checkpoint::Error>>>(
    checkpoint: &Path,
    config: &Config,
    out: &Path,
    dtype: Option<DType>,
    read: impl FnMut(&str) -> Result<B, recon_checkpoint::Error>,
) -> Result<()> {
    let extra = companions(checkpoint, config)?;
    write_files(config, out, dtype, &extra, read)
}

fn write_files<B: IntoIterator<Item = Result<Tensor, recon_checkpoint::Error>>>(
    config: &Config,
    out: &Path,
    dtype: Option<DType>,
    extra: &[(String, Vec<u8>)],
    read: impl FnMut(&str) -> Result<B, recon_checkpoint::Error>,
) -> Result<()> {
    let (dtype, config_json) = (dtype.unwrap_or_else(|| own_dtype(config)), &config.to_json());
    let contents = HfDirectory { dtype, max_shard_bytes: SHARD_BYTES, config_json, extra };
    Ok(write_hf(out, &contents, &shapes(config), read)?)
}

/// Name and shape of every tensor, in the order of the layouts.
fn shapes(config: &Config) -> Vec<(String, Vec<usize>)> {
    let layouts = config.units().into_iter().flat_map(|unit| config.layout(unit).specs);
    layouts.map(|spec| (spec.name, spec.shape)).collect()
}

/// The type that a model says its weights have: what an export has where nothing else is asked for.
fn own_dtype(config: &Config) -> DType {
    let named = ["dtype", "torch_dtype"].into_iter().find_map(|key| config.other(key)?.as_str());
    if matches!(named, Some("bfloat16" | "float16")) { DType::BF16 } else { DType::F32 }
}

/// Writes the model `files` to `out` as `dtype` (`BF16` or `F32`; its own if absent). Tensors that no Llama uses stay behind.
///
/// # Errors
/// A file of the model that is missing or damaged; an `out` that exists and is not empty.
pub fn export_model(files: &ModelFiles, out: &Path, dtype: Option<DType>) -> Result<()> {
    let config = Config::from_json(&files.config_json()?)?;
    let tensors = files.tensors()?;
    let mut extra = files.companions()?;
    extra.push((TOKENIZER.into(), files.tokenizer_json()?));
    let extra = with_generation(extra, &config);
    let shapes = shapes(&config);
    let mut expected = shapes.iter();
    write_files(&config, out, dtype, &extra, |_| {
        // `write_hf` reads each tensor once, in the order given.
        let (name, shape) = expected.next().expect("one tensor is read for each shape");
        tensors.read_blocks(name, shape)
    })
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
