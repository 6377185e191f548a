//! From a model's files to an engine.

use candle_core::Device;
use recon_checkpoint::ModelFiles;
use recon_kernels::device;
use recon_llama::{Config, FlatParams, Llama, place};
use recon_schema::trajectory::ModelRef;
use recon_text::Tokenizer;

use crate::{Engine, EngineOptions, Result};

impl Engine {
    /// Opens a model on the device the options name.
    ///
    /// # Errors
    /// If a file of the model is missing or broken, if its tokenizer has more ids than the model
    /// has embeddings, if the options do not fit together, or if the device cannot be used or has
    /// too little memory.
    pub fn open(files: &ModelFiles, options: &EngineOptions) -> Result<Self> {
        let dtype = place::precision(&options.device, options.precision)?.dtype();
        let config = Config::from_json(&files.config_json()?)?;
        let tokenizer = Tokenizer::from_bytes(&files.tokenizer_json()?, files.tokenizer_config_json()?.as_deref())?;
        tokenizer.check_fits(config.vocab_size)?;
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
        Self::from_parts(llama, params, tokenizer, model, options)
    }
}
