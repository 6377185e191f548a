//! The tokenizer: content to ids that are never special, ids to text.
//!
//! The encoder is built from `tokenizer.json` after every added token, the post-processor,
//! truncation and padding have been taken out of it. What remains is the model's own vocabulary,
//! and no text can name a special id: not by a match, not by a merge, not by a whole-word hit.
//! Special ids are placed by the renderer, and nowhere else.
//!
//! Only byte-level BPE without normalizer is accepted: under it `decode(encode(s)) == s` for
//! every text `s` whose bytes all have a token, which is what makes a written file restorable from
//! its tokens. [`Tokenizer::unencodable`] finds the texts of which that is not so.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use recon_schema::Sha256;
use serde_json::Value;
use tokenizers::pipeline::{EncodeOptions, Override, PipelineTokenizer};

use crate::vocabulary::{
    Added, TOKENIZER_CONFIG_JSON, TOKENIZER_JSON, TokenBytes, compare_with_config, parse, take_added_tokens,
};
use crate::{Error, Result};

const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// A byte-level BPE tokenizer.
pub struct Tokenizer {
    content: PipelineTokenizer,
    options: EncodeOptions,
    tokens: TokenBytes,
    added: BTreeMap<u32, Added>,
    names: Names,
    sha256: Sha256,
}

/// What the tokenizer's files say of the use of its special tokens.
#[derive(Debug, Default)]
struct Names {
    chat_template: Option<String>,
    bos: Option<String>,
    eos: Option<String>,
    /// What stands before every text.
    opening: Option<String>,
}

impl Names {
    fn read(post_processor: &Value, config: Option<&Value>) -> Self {
        let config = config.unwrap_or(&Value::Null);
        let bos = named(config, "bos_token");
        let added = bos.clone().filter(|_| config["add_bos_token"] == true);
        Self {
            chat_template: chat_template(config),
            eos: named(config, "eos_token"),
            opening: opening_name(post_processor).map(Into::into).or(added),
            bos,
        }
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where there is one, `tokenizer_config.json` from `directory`.
    pub fn from_dir(directory: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path).map_err(|source| Error::File(recon_schema::Error::Read { path, source }))
        };
        let config = directory.join(TOKENIZER_CONFIG_JSON).exists().then(|| read(TOKENIZER_CONFIG_JSON));
        let tokenizer = Self::from_bytes(&read(TOKENIZER_JSON)?, config.transpose()?.as_deref())?;
        if !directory.join(CHAT_TEMPLATE).exists() {
            return Ok(tokenizer);
        }
        Ok(tokenizer.with_chat_template(String::from_utf8_lossy(&read(CHAT_TEMPLATE)?).into_owned()))
    }

    /// Builds the tokenizer from the content of its files.
    ///
    /// # Errors
    /// If a file is malformed, if the tokenizer is not a byte-level BPE without normalizer, or if the
    /// two files name one id differently.
    pub fn from_bytes(tokenizer_json: &[u8], tokenizer_config: Option<&[u8]>) -> Result<Self> {
        let mut root = parse(TOKENIZER_JSON, tokenizer_json)?;
        let post_processor = root.get_mut("post_processor").map(Value::take).unwrap_or_default();
        tokenizers::canonicalize_value(&mut root)
            .map_err(|error| Error::Malformed { file: TOKENIZER_JSON, reason: error.to_string() })?;
        refuse_lossy(&mut root)?;
        let added = take_added_tokens(&mut root)?;
        let config = tokenizer_config.map(|config| parse(TOKENIZER_CONFIG_JSON, config)).transpose()?;
        if let Some(config) = &config {
            compare_with_config(&added, config)?;
        }
        let names = Names::read(&post_processor, config.as_ref());
        // Else a byte without a token would become that token, which is often a control token.
        root["model"]["unk_token"] = Value::Null;
        root["model"]["byte_fallback"] = false.into();
        for key in ["truncation", "padding"] {
            root[key] = Value::Null;
        }
        let tokens = TokenBytes::read(&root, &added)?;
        let beyond = added.last_key_value().map_or(0, |(&id, _)| id as usize + 1).max(tokens.len());
        tokens.complete(&mut root["model"]["vocab"], beyond);
        let content = tokenizers::from_json(&root.to_string()).map_err(|source| Error::Build { source })?;
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: true,
            padding: Override::Off,
            truncation: Override::Off,
        };
        let tokenizer = Self { content, options, tokens, added, names, sha256: Sha256::of(tokenizer_json) };
        tokenizer.probe()?;
        Ok(tokenizer)
    }

    /// A pre-tokenizer that fails, or drops what it splits at, does so here and not on content.
    fn probe(&self) -> Result<()> {
        // With a blank first, and without: some tokenizers put one there.
        for text in [" def f(x):\n\n\treturn  x1234 \u{e9}\u{6771}\u{0}<|eot_id|>'s \r\n ", "def f():\n  0"] {
            let text = self.encodable(text);
            let mut tokens = Vec::new();
            self.content.encode_into(&text, &self.options, &mut tokens).map_err(|source| Error::Build { source })?;
            let restored = self.decode(&self.encode(&text));
            if restored != text {
                return Err(Error::Lossy { found: format!("{text:?} became {restored:?}") });
            }
        }
        Ok(())
    }

    /// The same tokenizer with the chat template of a file of its own, which counts before the one
    /// in `tokenizer_config.json`.
    pub fn with_chat_template(mut self, template: String) -> Self {
        self.names.chat_template = Some(template);
        self
    }

    /// The first character of `text` that no ids stand for; `None` where all of it is restored.
    pub fn unencodable(&self, text: &str) -> Option<char> {
        if self.tokens.is_complete() || !text.bytes().any(|byte| self.tokens.is_missing(byte)) {
            return None;
        }
        text.chars().find(|&character| !self.has(character))
    }

    /// How many characters of `text` no ids stand for.
    pub fn count_unencodable(&self, text: &str) -> usize {
        match self.unencodable(text) {
            None => 0,
            Some(_) => text.chars().filter(|&character| !self.has(character)).count(),
        }
    }

    fn has(&self, character: char) -> bool {
        character.encode_utf8(&mut [0; 4]).bytes().all(|byte| !self.tokens.is_missing(byte))
    }

    /// `text` without the characters that no ids stand for.
    fn encodable<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.unencodable(text) {
            None => Cow::Borrowed(text),
            Some(_) => Cow::Owned(text.chars().filter(|&character| self.has(character)).collect()),
        }
    }

    /// The ids of `text` as plain content. Never a special id, whatever the text spells; nothing
    /// is added before or after. Characters that [no ids stand for](Self::unencodable) are passed over.
    ///
    /// # Panics
    /// If `text` is longer than 4 GiB; the readers' limits are far below that.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        self.content
            .encode_into(&self.encodable(text), &self.options, &mut tokens)
            .expect("a byte-level model without normalizer encodes every text up to 4 GiB");
        tokens.into_iter().map(u32::from).collect()
    }

    /// The text of `ids`. Special tokens and ids outside the vocabulary are dropped; bytes that
    /// are no UTF-8 (a cut character) become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            text.extend_from_slice(self.token_bytes(id).unwrap_or_default());
        }
        match String::from_utf8(text) {
            Ok(text) => text,
            Err(invalid) => String::from_utf8_lossy(invalid.as_bytes()).into_owned(),
        }
    }

    /// The bytes that `id` stands for in a text; `None` for special ids and unknown ones.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        match self.added.get(&id) {
            Some(added) if added.special => None,
            Some(added) => Some(added.name.as_bytes()),
            None => self.tokens.get(id),
        }
    }

    /// The name of a special token, such as `<|eot_id|>`; `None` for ordinary ids.
    pub fn special_name(&self, id: u32) -> Option<&str> {
        self.added.get(&id).filter(|added| added.special).map(|added| added.name.as_str())
    }

    /// The id of the special token of that name.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.added.iter().find(|(_, added)| added.special && added.name == name).map(|(&id, _)| id)
    }

    /// The model's own chat template, in Jinja.
    pub fn chat_template(&self) -> Option<&str> {
        self.names.chat_template.as_deref()
    }

    /// What the template calls `bos_token`.
    pub(crate) fn bos(&self) -> Option<&str> {
        self.names.bos.as_deref()
    }

    /// What the template calls `eos_token`.
    pub(crate) fn eos(&self) -> Option<&str> {
        self.names.eos.as_deref()
    }

    /// The special token that the model has seen before every text; none where it has seen none.
    pub fn opening(&self) -> Option<u32> {
        self.special_id(self.names.opening.as_deref()?)
    }

    /// The special token that closes a text in pretraining: `<|end_of_text|>` or `<|endoftext|>` where there is one, since
    /// chat models name the end of a turn as theirs; else what the tokenizer's configuration calls `eos_token`.
    pub fn closing(&self) -> Option<u32> {
        let named = ["<|end_of_text|>", "<|endoftext|>"].into_iter().chain(self.eos());
        named.into_iter().find_map(|name| self.special_id(name))
    }

    /// The ids of a text in which control tokens are spelled by name, as a chat template writes it.
    pub(crate) fn encode_spelled(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let mut rest = text;
        while let Some((at, id, name)) = self.first_special(rest) {
            ids.extend(self.encode(&rest[..at]));
            ids.push(id);
            rest = &rest[at + name.len()..];
        }
        ids.extend(self.encode(rest));
        ids
    }

    /// Where the first special token is spelled in `text`; of several there, the longest.
    pub(crate) fn first_special(&self, text: &str) -> Option<(usize, u32, &str)> {
        let specials = self.added.iter().filter(|(_, added)| added.special && !added.name.is_empty());
        let found = specials.filter_map(|(&id, added)| Some((text.find(&added.name)?, id, added.name.as_str())));
        found.min_by_key(|(at, _, name)| (*at, std::cmp::Reverse(name.len())))
    }

    /// The highest id that a text can produce, plus one.
    pub(crate) fn content_vocabulary(&self) -> usize {
        self.tokens.len()
    }

    /// Every special id, ascending.
    pub fn special_ids(&self) -> impl Iterator<Item = u32> {
        self.added.iter().filter(|(_, added)| added.special).map(|(&id, _)| id)
    }

    /// The highest id plus one.
    pub fn vocabulary(&self) -> usize {
        let added = self.added.last_key_value().map_or(0, |(&id, _)| id as usize + 1);
        self.tokens.len().max(added)
    }

    /// Digest of `tokenizer.json`, which alone decides the ids.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocabulary", &self.vocabulary())
            .field("names", &self.names)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// Takes what does nothing out of `root`, and refuses what would change a text.
fn refuse_lossy(root: &mut Value) -> Result<()> {
    if is_identity(&root["normalizer"]) {
        root["normalizer"] = Value::Null;
    }
    let model = &root["model"];
    let found = if is_sentencepiece(root) {
        return Err(Error::SentencePiece);
    } else if model["type"] != "BPE" {
        format!("model {}", model["type"])
    } else if model["byte_level"] != true {
        "no ByteLevel step".into()
    } else if !root["normalizer"].is_null() {
        format!("normalizer {}", root["normalizer"]["type"])
    } else {
        return Ok(());
    };
    Err(Error::Lossy { found })
}

/// No normalizer, or a sequence of none.
fn is_identity(normalizer: &Value) -> bool {
    let is_sequence = normalizer["type"] == "Sequence";
    let steps = normalizer["normalizers"].as_array().filter(|_| is_sequence);
    normalizer.is_null() || steps.is_some_and(|steps| steps.iter().all(is_identity))
}

/// Whether blanks are written as `▁` and unknown characters as bytes: Llama 2's kind.
fn is_sentencepiece(root: &Value) -> bool {
    let has = |part: &str, word: &str| root[part].to_string().contains(word);
    // A byte-level model has a token for each byte, and so never falls back, whatever a conversion wrote.
    (root["model"]["byte_fallback"] == true && root["model"]["byte_level"] != true)
        || root["model"]["type"] == "Unigram"
        || has("pre_tokenizer", "Metaspace")
        || has("normalizer", "▁")
}

/// The special token that the post-processor puts before a text, by name.
fn opening_name(post_processor: &Value) -> Option<&str> {
    let inside = post_processor["processors"].as_array().map_or(&[][..], Vec::as_slice);
    let mut all = std::iter::once(post_processor).chain(inside);
    let single = all.find_map(|step| step["single"].as_array())?;
    single.first()?["SpecialToken"]["id"].as_str()
}

/// A token that `tokenizer_config.json` names, as text or as an object.
fn named(config: &Value, key: &str) -> Option<String> {
    let token = &config[key];
    token.as_str().or_else(|| token["content"].as_str()).map(Into::into)
}

/// The template among those of `tokenizer_config.json`: the only one, or the one called `default`.
fn chat_template(config: &Value) -> Option<String> {
    let template = &config["chat_template"];
    let listed = template.as_array().map_or(&[][..], Vec::as_slice);
    let default = listed.iter().find(|entry| entry["name"] == "default").map(|entry| &entry["template"]);
    template.as_str().or_else(|| default?.as_str()).map(Into::into)
}
