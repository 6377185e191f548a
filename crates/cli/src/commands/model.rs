//! The model a command works with: found, opened, and its refusals sorted by fault.

use clap::Args;
use recon_checkpoint::{ModelFiles, resolve};
use recon_engine::{Engine, EngineOptions};
use recon_text::Tokenizer;

use crate::failure::{Failure, Outcome};

/// Which model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A directory in Hugging Face layout, a hub id, or `nano`, which is in the program.
    #[arg(long, default_value = "nano", value_name = "NAME")]
    model: String,
    /// Where to compute: `cpu`, `cuda` (the first GPU) or `cuda:N`.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
}

impl ModelArgs {
    /// Opens it on its device, with the default settings otherwise.
    pub fn open(&self) -> Outcome<Engine> {
        let options = EngineOptions { device: self.device.clone(), ..EngineOptions::default() };
        open(&files(&self.model)?, &options)
    }
}

/// The files of the model of this name.
pub fn files(name: &str) -> Outcome<ModelFiles> {
    resolve(name).map_err(|error| {
        Failure::input(error).hint("a model is a directory with config.json, a hub id (owner/name), or `nano`")
    })
}

/// Opens a model; one that is broken or does not fit its tokenizer is the user's to mend.
pub fn open(files: &ModelFiles, options: &EngineOptions) -> Outcome<Engine> {
    let engine = Engine::open(files, options).map_err(Failure::input)?;
    tracing::info!(model = engine.model_ref().name, sha256 = %engine.model_ref().sha256, "model opened");
    Ok(engine)
}

/// A model's refusal: the caller's where it is about what was asked, else the run's.
pub fn model_fault(error: recon_lm::Error) -> Failure {
    use recon_lm::Error::{ContextTooLong, EmptyContext, UnknownToken};
    match error {
        ContextTooLong { .. } | EmptyContext | UnknownToken { .. } => Failure::input(error),
        _ => Failure::run(error),
    }
}

/// The tokenizer of a model.
pub fn tokenizer(files: &ModelFiles) -> Outcome<Tokenizer> {
    let json = files.tokenizer_json().map_err(Failure::input)?;
    let config = files.tokenizer_config_json().map_err(Failure::input)?;
    Tokenizer::from_bytes(&json, config.as_deref()).map_err(Failure::input)
}
