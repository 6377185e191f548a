//! A small tokenizer in Llama-3 form for tests, made of nothing but bytes and a few merges.
//!
//! Ids 0–255 are the bytes by value, then one id for each of [`MERGES`], then the control tokens.

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
    llama3::files(&vocabulary, &merges, 8192)
}

/// The small tokenizer.
pub fn tokenizer() -> Tokenizer {
    let files = files();
    Tokenizer::from_bytes(files.tokenizer_json.as_bytes(), Some(files.tokenizer_config_json.as_bytes()))
        .expect("the files were made in the form the reader asks for")
}
