//! The model that a command asks, as its flags name it.

use std::num::NonZeroU32;

use clap::Args;
use recon_engine::{Engine, EngineOptions};

use recon_pipeline::{Failure, Outcome, model};

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
        model::open(&model::files(&self.model)?, &self.options())
    }

    /// Opens it to score ids alone, documents of at most `longest_tokens`, which the cache holds.
    pub fn open_for_ids(&self, longest_tokens: NonZeroU32) -> Outcome<Engine> {
        let files = model::files(&self.model)?;
        Engine::open_for_ids(&files, &self.options(), longest_tokens).map_err(Failure::input)
    }

    fn options(&self) -> EngineOptions {
        EngineOptions { device: self.device.clone(), ..EngineOptions::default() }
    }
}

/// A model's refusal: the caller's where it is about what was asked, else the run's.
pub fn model_fault(error: recon_lm::Error) -> Failure {
    use recon_lm::Error::{ContextTooLong, EmptyContext, UnknownToken};
    match error {
        ContextTooLong { .. } | EmptyContext | UnknownToken { .. } => Failure::input(error),
        _ => Failure::run(error),
    }
}
