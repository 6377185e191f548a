//! From a model's files to an engine.

use candle_core::{DType, Device};
use recon_checkpoint::ModelFiles;
use recon_llama::{Config, FlatParams, Llama};
use recon_schema::trajectory::ModelRef;
use recon_text::Tokenizer;

use crate::{Engine, EngineOptions, Result};

impl Engine {
    /// Opens a model on the CPU in f32.
    ///
    /// # Errors
    /// If a file of the model is missing or broken, if its tokenizer has more ids than the model
    /// has embeddings, or if the options do not fit together.
    pub fn open(files: &ModelFiles, options: &EngineOptions) -> Result<Self> {
        let (device, dtype) = (Device::Cpu, DType::F32);
        let config = Config::from_json(&files.config_json()?)?;
        let tokenizer = Tokenizer::from_bytes(&files.tokenizer_json()?, files.tokenizer_config_json()?.as_deref())?;
        tokenizer.check_fits(config.vocab_size)?;
        let tensors = files.tensors()?;
        let params = FlatParams::load(&config, &device, dtype, |name, _| tensors.read(name, dtype, &device))?;
        let llama = Llama::new(config, &device, dtype)?;
        let model = ModelRef { name: files.name(), sha256: files.sha256()? };
        Self::from_parts(llama, params, tokenizer, model, options)
    }
}
