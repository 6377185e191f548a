//! The tokenizer: content to ids that are never special, ids to text.
//!
//! The encoder is built from `tokenizer.json` after every added token, the post-processor,
//! truncation and padding have been taken out of it. What remains is the model's own vocabulary,
//! and no text can name a special id: not by a match, not by a merge, not by a whole-word hit.
//! Special ids are placed by name, by the renderer, and nowhere else.
//!
//! Only byte-level BPE without normalizer is accepted: under it `decode(encode(s)) == s` for
//! every text `s`, which is what makes a written file restorable from its tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use recon_schema::Sha256;
use serde_json::Value;
use tokenizers::pipeline::{EncodeOptions, Override, PipelineTokenizer};

use crate::{Error, Result, bytes, llama3};

const TOKENIZER_JSON: &str = "tokenizer.json";
const TOKENIZER_CONFIG_JSON: &str = "tokenizer_config.json";

/// A byte-level BPE tokenizer in Llama-3 form.
pub struct Tokenizer {
    content: PipelineTokenizer,
    options: EncodeOptions,
    tokens: TokenBytes,
    added: BTreeMap<u32, Added>,
    specials: Specials,
    sha256: Sha256,
}

/// The special tokens that rendering uses, looked up by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Specials {
    /// `<|begin_of_text|>` opens a document.
    pub begin_of_text: u32,
    /// `<|end_of_text|>` closes a turn of the plain rendering.
    pub end_of_text: u32,
    /// `<|start_header_id|>` opens a turn's header.
    pub start_header_id: u32,
    /// `<|end_header_id|>` closes a turn's header.
    pub end_header_id: u32,
    /// `<|eot_id|>` closes a turn of the chat rendering.
    pub eot_id: u32,
}

struct Added {
    name: String,
    special: bool,
}

impl Tokenizer {
    /// Reads `tokenizer.json` and, where there is one, `tokenizer_config.json` from `directory`.
    pub fn from_dir(directory: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path).map_err(|source| Error::File(recon_schema::Error::Read { path, source }))
        };
        let config = directory.join(TOKENIZER_CONFIG_JSON).exists().then(|| read(TOKENIZER_CONFIG_JSON));
        Self::from_bytes(&read(TOKENIZER_JSON)?, config.transpose()?.as_deref())
    }

    /// Builds the tokenizer from the content of its files.
    ///
    /// # Errors
    /// If a file is malformed, if the tokenizer is not a byte-level BPE without normalizer, if it
    /// lacks a special token of [`Specials`], or if the two files name one id differently.
    pub fn from_bytes(tokenizer_json: &[u8], tokenizer_config: Option<&[u8]>) -> Result<Self> {
        let mut root = parse(TOKENIZER_JSON, tokenizer_json)?;
        tokenizers::canonicalize_value(&mut root)
            .map_err(|error| Error::Malformed { file: TOKENIZER_JSON, reason: error.to_string() })?;
        refuse_lossy(&root)?;
        let added = take_added_tokens(&mut root)?;
        if let Some(config) = tokenizer_config {
            compare_with_config(&added, &parse(TOKENIZER_CONFIG_JSON, config)?)?;
        }
        for key in ["post_processor", "truncation", "padding"] {
            root[key] = Value::Null;
        }
        let tokens = TokenBytes::read(&root, &added)?;
        let content = tokenizers::from_json(&root.to_string()).map_err(|source| Error::Build { source })?;
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: true,
            padding: Override::Off,
            truncation: Override::Off,
        };
        let specials = Specials::find(&added)?;
        let tokenizer = Self { content, options, tokens, added, specials, sha256: Sha256::of(tokenizer_json) };
        tokenizer.probe()?;
        Ok(tokenizer)
    }

    /// A pre-tokenizer that fails, or drops what it splits at, does so here and not on content.
    fn probe(&self) -> Result<()> {
        let text = " def f(x):\n\n\treturn  x1234 \u{e9}\u{6771}\u{0}<|eot_id|>'s \r\n ";
        let mut tokens = Vec::new();
        self.content.encode_into(text, &self.options, &mut tokens).map_err(|source| Error::Build { source })?;
        let restored = self.decode(&self.encode(text));
        if restored == text { Ok(()) } else { Err(Error::Lossy { found: format!("{text:?} became {restored:?}") }) }
    }

    /// The ids of `text` as plain content. Never a special id, whatever the text spells; nothing
    /// is added before or after.
    ///
    /// # Panics
    /// If `text` is longer than 4 GiB; the readers' limits are far below that.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        self.content
            .encode_into(text, &self.options, &mut tokens)
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

    /// The special tokens that rendering uses.
    pub fn specials(&self) -> &Specials {
        &self.specials
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

    /// Checks that a model with `model_vocabulary` embeddings knows every id.
    pub fn check_fits(&self, model_vocabulary: usize) -> Result<()> {
        let vocabulary = self.vocabulary();
        if vocabulary > model_vocabulary {
            return Err(Error::ExceedsModel { vocabulary, model: model_vocabulary });
        }
        Ok(())
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
            .field("specials", &self.specials)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

impl Specials {
    fn find(added: &BTreeMap<u32, Added>) -> Result<Self> {
        let find = |name: &'static str| {
            let found = added.iter().find(|(_, token)| token.special && token.name == name);
            found.map(|(&id, _)| id).ok_or(Error::MissingSpecial { name })
        };
        Ok(Self {
            begin_of_text: find(llama3::BEGIN_OF_TEXT)?,
            end_of_text: find(llama3::END_OF_TEXT)?,
            start_header_id: find(llama3::START_HEADER_ID)?,
            end_header_id: find(llama3::END_HEADER_ID)?,
            eot_id: find(llama3::EOT_ID)?,
        })
    }
}

/// The bytes of the model's own tokens, by id, in one allocation.
struct TokenBytes {
    bytes: Vec<u8>,
    /// Where each id's bytes begin; one more entry than ids.
    starts: Vec<usize>,
    /// Ids the vocabulary skips.
    holes: BTreeSet<u32>,
}

impl TokenBytes {
    fn read(root: &Value, added: &BTreeMap<u32, Added>) -> Result<Self> {
        let malformed = |reason: String| Error::Malformed { file: TOKENIZER_JSON, reason };
        let vocabulary =
            root["model"]["vocab"].as_object().ok_or_else(|| malformed("`model.vocab` is not an object".into()))?;
        let mut by_id = BTreeMap::new();
        for (text, id) in vocabulary {
            let id = read_id(id).ok_or_else(|| malformed(format!("`{text}` has no id")))?;
            if let Some(other) = added.get(&id).map(|added| &added.name).or(by_id.get(&id).copied()) {
                return Err(Error::Conflict { id, first: text.clone(), second: other.clone() });
            }
            by_id.insert(id, text);
        }
        let mut tokens = Self { bytes: Vec::new(), starts: vec![0], holes: BTreeSet::new() };
        let mut single_bytes = [false; 256];
        for (id, text) in by_id {
            let bytes = bytes::from_text(text)
                .ok_or_else(|| Error::Lossy { found: format!("token {id}, `{text}`, is outside the byte alphabet") })?;
            if let [byte] = bytes[..] {
                single_bytes[usize::from(byte)] = true;
            }
            while tokens.len() < id as usize {
                tokens.holes.insert(tokens.len() as u32);
                tokens.starts.push(tokens.bytes.len());
            }
            tokens.bytes.extend_from_slice(&bytes);
            tokens.starts.push(tokens.bytes.len());
        }
        match single_bytes.iter().position(|&there| !there) {
            Some(byte) => Err(Error::Lossy { found: format!("no token for byte {byte:#04x}") }),
            None => Ok(tokens),
        }
    }

    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn get(&self, id: u32) -> Option<&[u8]> {
        let at = id as usize;
        let end = *self.starts.get(at.checked_add(1)?)?;
        (!self.holes.contains(&id)).then(|| &self.bytes[self.starts[at]..end])
    }
}

fn parse(file: &'static str, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed { file, reason: error.to_string() })
}

fn read_id(value: &Value) -> Option<u32> {
    // An id near the top of u32 would make the table of token bytes as large as memory.
    value.as_u64().filter(|&id| id < 1 << 24).map(|id| id as u32)
}

fn refuse_lossy(root: &Value) -> Result<()> {
    let model = &root["model"];
    let found = if model["type"] != "BPE" {
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

/// Takes the added tokens out of `root`: from their list, and from the model's vocabulary where
/// an older tokenizer keeps them too.
fn take_added_tokens(root: &mut Value) -> Result<BTreeMap<u32, Added>> {
    let malformed = |reason: &str| Error::Malformed { file: TOKENIZER_JSON, reason: reason.into() };
    let list = root["added_tokens"].take();
    root["added_tokens"] = Value::Array(Vec::new());
    let mut added = BTreeMap::new();
    for token in list.as_array().map_or(&[][..], Vec::as_slice) {
        let (Some(id), Some(name)) = (read_id(&token["id"]), token["content"].as_str()) else {
            return Err(malformed("an added token lacks `id` or `content`"));
        };
        let special = token["special"].as_bool().ok_or_else(|| malformed("an added token lacks `special`"))?;
        let entry = Added { name: name.into(), special };
        if let Some(other) = added.insert(id, entry) {
            return Err(Error::Conflict { id, first: other.name, second: name.into() });
        }
    }
    let vocabulary =
        root["model"]["vocab"].as_object_mut().ok_or_else(|| malformed("`model.vocab` is not an object"))?;
    let ids: BTreeSet<u32> = added.keys().copied().collect();
    vocabulary.retain(|text, id| {
        let id = read_id(id);
        let same = |added: &Added| added.name == *text || bytes::to_text(added.name.as_bytes()) == *text;
        !id.filter(|id| ids.contains(id)).is_some_and(|id| same(&added[&id]))
    });
    Ok(added)
}

/// `tokenizer_config.json` lists the added tokens once more; the two lists must name alike.
fn compare_with_config(added: &BTreeMap<u32, Added>, config: &Value) -> Result<()> {
    let Some(decoder) = config["added_tokens_decoder"].as_object() else { return Ok(()) };
    for (id, token) in decoder {
        let (Ok(id), Some(name)) = (id.parse(), token["content"].as_str()) else {
            let reason = format!("`added_tokens_decoder` has a malformed entry `{id}`");
            return Err(Error::Malformed { file: TOKENIZER_CONFIG_JSON, reason });
        };
        if let Some(other) = added.get(&id).filter(|other| other.name != name) {
            return Err(Error::Conflict { id, first: other.name.clone(), second: name.into() });
        }
    }
    Ok(())
}
