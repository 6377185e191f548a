//! Opening: a directory in Hugging Face layout, and what is refused with a clear message.

use std::path::Path;

use recon_checkpoint::ModelFiles;
use recon_engine::{Engine, EngineOptions, Error};
use recon_lm::Scorer;

use crate::support::{CONTEXT_TOKENS, config_json, count, ids, score, score_from_scratch, small, tokenizer, weight};

/// A model directory with the small model's own weights.
fn write_model(directory: &Path, vocabulary: usize) {
    let files = recon_text::fake::files();
    std::fs::write(directory.join("tokenizer.json"), files.tokenizer_json).unwrap();
    std::fs::write(directory.join("tokenizer_config.json"), files.tokenizer_config_json).unwrap();
    std::fs::write(directory.join("config.json"), config_json(vocabulary)).unwrap();
    let config = recon_llama::Config::from_json(&config_json(vocabulary)).unwrap();
    let tensors = config.units().into_iter().flat_map(|unit| config.layout(unit).specs).map(|spec| {
        let tensor = weight(&spec.name, &spec.shape).unwrap();
        (spec.name, tensor)
    });
    candle_core::safetensors::save(&tensors.collect(), directory.join("model.safetensors")).unwrap();
}

#[test]
fn a_model_directory_serves_the_same_numbers() {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), tokenizer().vocabulary() + 3);
    let engine = Engine::open(&ModelFiles::Directory(directory.path().into()), &small()).unwrap();
    let document = ids(97, 50);
    let at = engine.extend(None, &document[..10]).unwrap();
    assert_eq!(score(&engine, &at, &document[10..]), score_from_scratch(&document, 10));
    assert_eq!(engine.limits().context_tokens, CONTEXT_TOKENS);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), tokenizer().vocabulary() - 1);
    let error = Engine::open(&ModelFiles::Directory(directory.path().into()), &small()).unwrap_err();
    assert!(matches!(error, Error::Text(recon_text::Error::ExceedsModel { .. })), "{error}");
}

#[test]
fn a_context_longer_than_the_model_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), tokenizer().vocabulary());
    let files = ModelFiles::Directory(directory.path().into());
    let asked = |tokens| EngineOptions { context_tokens: Some(count(tokens)), ..small() };
    let error = Engine::open(&files, &asked(CONTEXT_TOKENS as u32 + 1)).unwrap_err();
    assert!(matches!(error, Error::ContextTooLong { limit: CONTEXT_TOKENS, .. }), "{error}");
    let narrow = EngineOptions { cache_tokens: count(64), ..asked(65) };
    let error = Engine::open(&files, &narrow).unwrap_err();
    assert!(matches!(error, Error::CacheTooSmall { asked: 65, cache: 64 }), "{error}");
    let shorter = Engine::open(&files, &asked(20)).unwrap();
    assert_eq!(shorter.limits().context_tokens, 20);
    assert!(shorter.extend(None, &ids(98, 21)).is_err());
}
