//! From a model's files to an engine.

use std::num::NonZeroU32;

use candle_core::Device;
use recon_checkpoint::ModelFiles;
use recon_kernels::device;
use recon_llama::{Config, FlatParams, Llama, place};
use recon_schema::trajectory::ModelRef;
use recon_text::Tokenizer;

use crate::engine::{EOS_TOKEN_ID, end_ids};
use crate::{Engine, EngineOptions, Error, Result};

impl Engine {
    /// Opens a model on the device the options name.
    ///
    /// # Errors
    /// If a file of the model is missing or broken, if its tokenizer needs ids that the model has
    /// no embeddings for, if the options do not fit together, or if the device cannot be used or
    /// has too little memory.
    pub fn open(files: &ModelFiles, options: &EngineOptions) -> Result<Self> {
        let config = Config::from_json(&files.config_json()?)?;
        let tokenizer = Tokenizer::from_bytes(&files.tokenizer_json()?, files.tokenizer_config_json()?.as_deref())?;
        let tokenizer = match files.chat_template()? {
            Some(template) => tokenizer.with_chat_template(template),
            None => tokenizer,
        };
        recon_text::check_fits(&tokenizer, config.vocab_size)?;
        Self::load(files, config, Some(tokenizer), options)
    }

    /// Opens a model to score ids, whatever its tokenizer. The cache holds a document of
    /// `longest_tokens` at least, and documents are as long as that at most.
    ///
    /// # Errors
    /// As [`Engine::open`], but for the tokenizer.
    pub fn open_for_ids(files: &ModelFiles, options: &EngineOptions, longest_tokens: NonZeroU32) -> Result<Self> {
        let config = Config::from_json(&files.config_json()?)?;
        let positions = u32::try_from(config.max_position_embeddings).ok().and_then(NonZeroU32::new);
        let longest = positions.map_or(longest_tokens, |positions| longest_tokens.min(positions));
        let cache_tokens = options.cache_tokens.max(longest);
        let options = EngineOptions { cache_tokens, context_tokens: Some(longest), ..options.clone() };
        Self::load(files, config, None, &options)
    }

    fn load(files: &ModelFiles, config: Config, tokenizer: Option<Tokenizer>, options: &EngineOptions) -> Result<Self> {
        let dtype = place::precision(&options.device, options.precision)?.dtype();
        let parameter_bytes = config.parameters() * dtype.size_in_bytes() as u64;
        let token_elements = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
        let cache_bytes = u64::from(options.cache_tokens.get()) * (token_elements * dtype.size_in_bytes()) as u64;
        let change = "make `engine.cache_tokens` smaller, use `precision = \"bf16\"`, or take a smaller model";
        device::require(&options.device, "the model with its cache", parameter_bytes + cache_bytes, change)
            .map_err(recon_llama::Error::from)?;
        let (device, _) = place::open(&options.device, options.precision)?;
        let tensors = files.tensors()?;
        let params = FlatParams::load(&config, &device, dtype, |name, _| tensors.read(name, dtype, &Device::Cpu))?;
        let llama = Llama::new(config, &device, dtype)?;
        let model = ModelRef { name: files.name(), sha256: files.sha256()? };
        let engine = Self::from_parts(llama, params, tokenizer, model, options)?;
        Ok(match generation_ends(files)? {
            Some(ends) => engine.ending_with(&ends),
            None => engine,
        })
    }
}

/// The end ids of `generation_config.json`, which count before those of `config.json`.
fn generation_ends(files: &ModelFiles) -> Result<Option<Vec<u32>>> {
    const FILE: &str = "generation_config.json";
    let Some(bytes) = files.generation_config_json()? else { return Ok(None) };
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|source| Error::NotJson { file: FILE, source })?;
    match &json[EOS_TOKEN_ID] {
        serde_json::Value::Null => Ok(None),
        ids => end_ids(ids, FILE).map(Some),
    }
}
