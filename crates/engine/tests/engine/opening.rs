//! Opening: a directory in Hugging Face layout, and what is refused with a clear message.

use std::path::Path;

use recon_checkpoint::ModelFiles;
use recon_engine::{Engine, EngineOptions, Error};
use recon_lm::{Finish, GenJob, Generator, Prompt, Sampling, Scorer};

use crate::support::{
    CONTEXT_TOKENS, config_json, count, ids, key, score, score_from_scratch, small, tokenizer, weight,
};

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
    // The last of the reserved tokens is never used and needs no row; a control token of a turn does.
    write_model(directory.path(), tokenizer().vocabulary() - 1);
    let files = ModelFiles::Directory(directory.path().into());
    let unused = Engine::open(&files, &small()).unwrap();
    assert_eq!(unused.limits().vocabulary, 523);
    write_model(directory.path(), 277);
    let error = Engine::open(&files, &small()).unwrap_err();
    assert!(matches!(error, Error::Text(recon_text::Error::ExceedsModel { .. })), "{error}");
    let ids_alone = Engine::open_for_ids(&files, &small(), count(9)).unwrap();
    assert_eq!(ids_alone.limits().vocabulary, 277, "ids are scored without any tokenizer");
}

#[test]
fn an_engine_for_ids_needs_no_tokenizer_and_grows_its_cache() {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), tokenizer().vocabulary() + 3);
    let wordpiece = r#"{"model": {"type": "WordPiece", "vocab": {}}, "added_tokens": []}"#;
    std::fs::write(directory.path().join("tokenizer.json"), wordpiece).unwrap();
    let files = ModelFiles::Directory(directory.path().into());
    Engine::open(&files, &small()).unwrap_err();
    let narrow = EngineOptions { cache_tokens: count(16), ..small() };
    let engine = Engine::open_for_ids(&files, &narrow, count(50)).unwrap();
    assert_eq!((engine.cache_pages().total, engine.limits().context_tokens), (13, 50));
    let document = ids(97, 50);
    let at = engine.extend(None, &document[..10]).unwrap();
    assert_eq!(score(&engine, &at, &document[10..]), score_from_scratch(&document, 10));
    let longer = Engine::open_for_ids(&files, &narrow, count(5_000)).unwrap();
    assert_eq!(longer.limits().context_tokens, CONTEXT_TOKENS, "no longer than the model");
}

#[test]
fn texts_end_at_the_ids_that_the_model_s_own_files_name() {
    let directory = tempfile::tempdir().unwrap();
    write_model(directory.path(), tokenizer().vocabulary() + 3);
    let context = ids(30, 13);
    let greedy = || {
        let engine = Engine::open(&ModelFiles::Directory(directory.path().into()), &small())?;
        let at = engine.extend(None, &context).unwrap();
        let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_new_tokens: 20 };
        let prompt = Prompt::Branch { at: &at, hint: &[] };
        let job = GenJob { prompt, sampling, key: key(0), stop_ids: &[] };
        let written = engine.generate(&[job]).pop().unwrap().unwrap();
        Ok::<_, Error>((written.ids, written.finish))
    };
    let (whole, finish) = greedy().unwrap();
    assert_eq!(finish, Finish::Length);
    let end = whole[whole.len() / 2];
    let until = whole.iter().position(|&id| id == end).unwrap();
    let stopped = (whole[..until].to_vec(), Finish::Stop);
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
    let config = config_json(tokenizer().vocabulary() + 3);
    let with_end = |ids: String| config.replacen('{', &format!("{{\"eos_token_id\": {ids}, "), 1);
    for ids in [format!("{end}"), format!("[523, {end}, 99999]")] {
        write("config.json", with_end(ids.clone()));
        assert_eq!(greedy().unwrap(), stopped, "config.json: {ids}");
        write("config.json", config.clone());
        write("generation_config.json", format!("{{\"eos_token_id\": {ids}}}"));
        assert_eq!(greedy().unwrap(), stopped, "generation_config.json: {ids}");
        std::fs::remove_file(directory.path().join("generation_config.json")).unwrap();
    }
    // The file for generation counts before the other; where it is silent, the other counts.
    write("config.json", with_end(end.to_string()));
    write("generation_config.json", "{\"eos_token_id\": 523}".into());
    assert_eq!(greedy().unwrap(), (whole.clone(), Finish::Length));
    write("generation_config.json", "{\"eos_token_id\": null}".into());
    assert_eq!(greedy().unwrap(), stopped);
    for broken in ["{\"eos_token_id\": \"x\"}", "{\"eos_token_id\": [-1]}", "{"] {
        write("generation_config.json", broken.into());
        let error = greedy().unwrap_err().to_string();
        assert!(error.contains("generation_config.json"), "{error}");
    }
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
