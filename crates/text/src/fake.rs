//! A small tokenizer for tests, made of nothing but bytes and a few merges, in the form of Llama 3 and others.
//!
//! Ids 0–255 are the bytes by value, then one id for each of [`MERGES`], then the control tokens.

use serde_json::{Value, json};

use crate::{Tokenizer, llama3};

/// The merges by rank; both halves are bytes or earlier products.
pub const MERGES: [(&str, &str); 12] = [
    ("i", "n"),
    ("e", "r"),
    ("d", "e"),
    ("de", "f"),
    (" ", " "),
    ("  ", "  "),
    (" ", "t"),
    (" t", "h"),
    (" th", "e"),
    ("o", "r"),
    ("\n", "\n"),
    ("r", "e"),
];

/// The files of the small tokenizer.
pub fn files() -> llama3::TokenizerFiles {
    let (vocabulary, merges) = vocabulary();
    llama3::files(&vocabulary, &merges, 8192)
}

/// The bytes of each id, and the merges by rank.
fn vocabulary() -> (Vec<Vec<u8>>, Vec<(u32, u32)>) {
    let mut vocabulary: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    let mut merges = Vec::new();
    for (left, right) in MERGES {
        let id = |half: &str| {
            let at = vocabulary.iter().position(|token| token == half.as_bytes());
            at.expect("MERGES names bytes and earlier products") as u32
        };
        merges.push((id(left), id(right)));
        vocabulary.push([left.as_bytes(), right.as_bytes()].concat());
    }
    (vocabulary, merges)
}

/// The small tokenizer.
pub fn tokenizer() -> Tokenizer {
    let files = files();
    Tokenizer::from_bytes(files.tokenizer_json.as_bytes(), Some(files.tokenizer_config_json.as_bytes()))
        .expect("the files were made in the form the reader asks for")
}

/// The small tokenizer without a token for `bytes`, as vocabularies are that never met them.
pub fn without_bytes(bytes: &[u8]) -> Tokenizer {
    let mut root: Value = serde_json::from_str(&files().tokenizer_json).expect("it was written as JSON");
    let vocabulary = root["model"]["vocab"].as_object_mut().expect("a vocabulary is an object");
    vocabulary.retain(|_, id| !bytes.iter().any(|&byte| *id == byte));
    Tokenizer::from_bytes(root.to_string().as_bytes(), None).expect("a byte without a token is a fault of a text")
}

/// The small tokenizer with other control tokens, nothing put before a text, and `config` for its
/// `tokenizer_config.json`. The control tokens' ids follow the vocabulary from 268 on.
pub fn with_controls(controls: &[&str], config: &Value) -> Tokenizer {
    let mut root: Value = serde_json::from_str(&files().tokenizer_json).expect("it was written as JSON");
    let added = controls.iter().zip(256 + MERGES.len()..).map(|(name, id)| {
        json!({"id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    });
    root["added_tokens"] = added.collect();
    root["post_processor"] = Value::Null;
    Tokenizer::from_bytes(root.to_string().as_bytes(), Some(config.to_string().as_bytes()))
        .expect("control tokens do not change how text is read")
}

/// ChatML as a chat template, with a system turn of its own where the conversation gives none.
pub const CHATML_TEMPLATE: &str = concat!(
    "{% for turn in messages %}",
    "{% if loop.first and turn['role'] != 'system' %}{{ '<|im_start|>system\nBe of help.<|im_end|>\n' }}{% endif %}",
    "{{ '<|im_start|>' + turn['role'] + '\n' + turn['content'] + '<|im_end|>' + '\n' }}",
    "{% endfor %}",
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
);

/// The small tokenizer with ChatML's control tokens and template, as small instruct models have them.
pub fn chatml() -> Tokenizer {
    with_controls(
        &["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"],
        &json!({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": CHATML_TEMPLATE}),
    )
}
