//! The model a run works with: found, opened, and its refusals sorted by fault.

use recon_checkpoint::{ModelFiles, resolve};
use recon_engine::{Engine, EngineOptions};
use recon_text::{Renderer, Rendering, Tokenizer};

use crate::failure::{Failure, Outcome};

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

/// The tokenizer of a model.
pub fn tokenizer(files: &ModelFiles) -> Outcome<Tokenizer> {
    let json = files.tokenizer_json().map_err(Failure::input)?;
    let config = files.tokenizer_config_json().map_err(Failure::input)?;
    let template = files.chat_template().map_err(Failure::input)?;
    let tokenizer = Tokenizer::from_bytes(&json, config.as_deref()).map_err(Failure::input)?;
    Ok(match template {
        Some(template) => tokenizer.with_chat_template(template),
        None => tokenizer,
    })
}

/// The tokenizer of a model, found to have what `rendering` needs.
pub(crate) fn tokenizer_for(files: &ModelFiles, rendering: Rendering) -> Outcome<Tokenizer> {
    let tokenizer = tokenizer(files)?;
    renderer(&tokenizer, rendering)?;
    Ok(tokenizer)
}

/// The renderer of `tokenizer` for `rendering`; what is to be known of its template is logged.
///
/// # Errors
/// Where the tokenizer has no such template.
pub fn renderer(tokenizer: &Tokenizer, rendering: Rendering) -> Outcome<Renderer<'_>> {
    let renderer = Renderer::find(tokenizer, rendering).map_err(Failure::input)?;
    tracing::info!(form = %renderer.template().form(), "turns are marked as in this template");
    for line in renderer.template().warnings(tokenizer) {
        tracing::warn!("{line}");
    }
    Ok(renderer)
}
