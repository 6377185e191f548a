//! The Llama-3 form of a tokenizer: its control tokens, its pre-tokenisation, its files.
//!
//! [`files`] writes the three files of a tokenizer in this form around any byte-level
//! vocabulary: Hugging Face `transformers` and `tokenizers` read them, and so does
//! [`Tokenizer`](crate::Tokenizer). The chat template renders messages exactly as
//! [`Rendering::Chat`](crate::Rendering::Chat) does: content is not trimmed.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{Result, bytes};

/// Opens a document.
pub const BEGIN_OF_TEXT: &str = "<|begin_of_text|>";
/// Closes a document of a base model.
pub const END_OF_TEXT: &str = "<|end_of_text|>";
/// Opens a turn's header.
pub const START_HEADER_ID: &str = "<|start_header_id|>";
/// Closes a turn's header.
pub const END_HEADER_ID: &str = "<|end_header_id|>";
/// Closes a turn.
pub const EOT_ID: &str = "<|eot_id|>";

/// Number of control tokens.
pub const CONTROL_TOKENS: usize = 256;

/// Where words are cut before merging: Llama-3's expression, word for word.
pub const SPLIT: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"|[^\r\n\p{L}\p{N}]?\p{L}+",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+",
    r"|\s+(?!\S)",
    r"|\s+",
);

/// Renders `messages` in Llama-3's format.
pub const CHAT_TEMPLATE: &str = concat!(
    "{{ bos_token }}",
    "{% for turn in messages %}",
    "{{ '<|start_header_id|>' + turn['role'] + '<|end_header_id|>\\n\\n' + turn['content'] + '<|eot_id|>' }}",
    "{% endfor %}",
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
);

/// The names of the 256 control tokens, in the order of their ids.
pub fn control_tokens() -> Vec<String> {
    let named = [
        BEGIN_OF_TEXT,
        END_OF_TEXT,
        "<|reserved_special_token_0|>",
        "<|reserved_special_token_1|>",
        "<|finetune_right_pad_id|>",
        "<|reserved_special_token_2|>",
        START_HEADER_ID,
        END_HEADER_ID,
        "<|eom_id|>",
        EOT_ID,
        "<|python_tag|>",
    ];
    let reserved = (3..).map(|number| format!("<|reserved_special_token_{number}|>"));
    named.into_iter().map(String::from).chain(reserved).take(CONTROL_TOKENS).collect()
}

/// The three files of a tokenizer, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// Vocabulary, merges, pre-tokenisation and control tokens.
    pub tokenizer_json: String,
    /// Names of special tokens and the chat template, for `transformers`.
    pub tokenizer_config_json: String,
    /// Roles of special tokens, for `transformers`.
    pub special_tokens_map_json: String,
}

impl TokenizerFiles {
    /// Writes the files into `directory` under the names Hugging Face uses.
    pub fn write(&self, directory: &Path) -> Result<()> {
        for (name, text) in [
            ("tokenizer.json", &self.tokenizer_json),
            ("tokenizer_config.json", &self.tokenizer_config_json),
            ("special_tokens_map.json", &self.special_tokens_map_json),
        ] {
            recon_schema::file::write_bytes(&directory.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// A tokenizer over `vocabulary` (token bytes, by id) and `merges` (pairs of ids, by rank). The
/// control tokens follow the vocabulary.
///
/// `model_tokens` is the model's context, recorded for `transformers`.
///
/// # Panics
/// If a merge names an id outside the vocabulary.
pub fn files(vocabulary: &[Vec<u8>], merges: &[(u32, u32)], model_tokens: usize) -> TokenizerFiles {
    let text = |id: u32| bytes::to_text(&vocabulary[id as usize]);
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
        "vocab": vocabulary.iter().zip(0_u32..).map(|(token, id)| (bytes::to_text(token), id.into())).collect::<Map<_, Value>>(),
        "merges": merges.iter().map(|&(left, right)| format!("{} {}", text(left), text(right))).collect::<Vec<_>>(),
    });
    let first = vocabulary.len();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": control_tokens().iter().zip(first..).map(|(name, id)| added_token(name, Some(id))).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]},
        "post_processor": post_processor(first),
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": model,
    });
    let added = control_tokens();
    let config = json!({
        "added_tokens_decoder": added.iter().zip(first..).map(|(name, id)| (id.to_string(), added_token(name, None))).collect::<Map<_, _>>(),
        "bos_token": BEGIN_OF_TEXT, "eos_token": EOT_ID, "pad_token": "<|finetune_right_pad_id|>",
        "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": false,
        "model_input_names": ["input_ids", "attention_mask"], "model_max_length": model_tokens,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    let map = json!({"bos_token": BEGIN_OF_TEXT, "eos_token": EOT_ID, "pad_token": "<|finetune_right_pad_id|>"});
    TokenizerFiles {
        tokenizer_json: pretty(&tokenizer),
        tokenizer_config_json: pretty(&config),
        special_tokens_map_json: pretty(&map),
    }
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("a JSON value has string keys");
    text.push('\n');
    text
}

fn added_token(name: &str, id: Option<usize>) -> Value {
    let mut token = Map::new();
    if let Some(id) = id {
        token.insert("id".into(), id.into());
    }
    token.insert("content".into(), name.into());
    for flag in ["single_word", "lstrip", "rstrip", "normalized"] {
        token.insert(flag.into(), false.into());
    }
    token.insert("special".into(), true.into());
    token.into()
}

/// What `transformers` adds around a text by default: the opening token.
fn post_processor(begin_of_text: usize) -> Value {
    let special = json!({"SpecialToken": {"id": BEGIN_OF_TEXT, "type_id": 0}});
    json!({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        {"type": "TemplateProcessing",
         "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [special, {"Sequence": {"id": "A", "type_id": 0}},
                  {"SpecialToken": {"id": BEGIN_OF_TEXT, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {BEGIN_OF_TEXT: {"id": BEGIN_OF_TEXT, "ids": [begin_of_text], "tokens": [BEGIN_OF_TEXT]}}},
    ]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_tokens_stand_where_llama_3_has_them() {
        let names = control_tokens();
        assert_eq!(names.len(), 256);
        assert_eq!(names[4], "<|finetune_right_pad_id|>");
        assert_eq!(names[6..10], [START_HEADER_ID, END_HEADER_ID, "<|eom_id|>", EOT_ID]);
        assert_eq!(names[11], "<|reserved_special_token_3|>");
        assert_eq!(names[255], "<|reserved_special_token_247|>");
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), 256);
    }
}
