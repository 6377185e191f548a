//! What `tokenizer.json` says of its tokens: the bytes of each, and which stand beside the vocabulary.
//!
//! Invariants: an id stands for one token; a byte is *missing* if no token is that byte alone, so
//! that a text with it cannot be restored from its ids.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Error, Result, bytes};

pub(crate) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG_JSON: &str = "tokenizer_config.json";

/// A token that stands beside the vocabulary.
pub(crate) struct Added {
    pub(crate) name: String,
    pub(crate) special: bool,
}

/// The bytes of the model's own tokens, by id, in one allocation.
pub(crate) struct TokenBytes {
    bytes: Vec<u8>,
    /// Where each id's bytes begin; one more entry than ids.
    starts: Vec<usize>,
    /// Ids the vocabulary skips.
    holes: BTreeSet<u32>,
    missing: [bool; 256],
}

impl TokenBytes {
    pub(crate) fn read(root: &Value, added: &BTreeMap<u32, Added>) -> Result<Self> {
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
        let mut tokens = Self { bytes: Vec::new(), starts: vec![0], holes: BTreeSet::new(), missing: [true; 256] };
        for (id, text) in by_id {
            let bytes = bytes::from_text(text)
                .ok_or_else(|| Error::Lossy { found: format!("token {id}, `{text}`, is outside the byte alphabet") })?;
            if let [byte] = bytes[..] {
                tokens.missing[usize::from(byte)] = false;
            }
            while tokens.len() < id as usize {
                tokens.holes.insert(tokens.len() as u32);
                tokens.starts.push(tokens.bytes.len());
            }
            tokens.bytes.extend_from_slice(&bytes);
            tokens.starts.push(tokens.bytes.len());
        }
        // What every program is written with: without it no file could be told.
        let needed = (b' '..=b'~').chain([b'\n', b'\t']);
        match needed.into_iter().find(|&byte| tokens.is_missing(byte)) {
            Some(byte) => Err(Error::Lossy { found: format!("no token for byte {byte:#04x}") }),
            None => Ok(tokens),
        }
    }

    /// The highest id plus one.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn get(&self, id: u32) -> Option<&[u8]> {
        let at = id as usize;
        let end = *self.starts.get(at.checked_add(1)?)?;
        (!self.holes.contains(&id)).then(|| &self.bytes[self.starts[at]..end])
    }

    /// Whether no token is this byte alone.
    pub(crate) fn is_missing(&self, byte: u8) -> bool {
        self.missing[usize::from(byte)]
    }

    /// Gives the missing bytes ids from `beyond` on: the library refuses a vocabulary without them.
    /// They are never produced, because no text that holds one is encoded.
    pub(crate) fn complete(&self, vocabulary: &mut Value, beyond: usize) {
        let missing = (0..=u8::MAX).filter(|&byte| self.is_missing(byte));
        for (byte, id) in missing.zip(beyond..) {
            vocabulary[bytes::to_text(&[byte])] = id.into();
        }
    }

    /// Whether any text can be encoded.
    pub(crate) fn is_complete(&self) -> bool {
        // 0xC0, 0xC1 and 0xF5 on never occur in UTF-8.
        !self.missing.iter().enumerate().any(|(byte, &missing)| missing && !matches!(byte, 0xc0 | 0xc1 | 0xf5..))
    }
}

pub(crate) fn parse(file: &'static str, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed { file, reason: error.to_string() })
}

fn read_id(value: &Value) -> Option<u32> {
    // An id near the top of u32 would make the table of token bytes as large as memory.
    value.as_u64().filter(|&id| id < 1 << 24).map(|id| id as u32)
}

/// Takes the added tokens out of `root`: from their list, and from the model's vocabulary where
/// an older tokenizer keeps them too.
pub(crate) fn take_added_tokens(root: &mut Value) -> Result<BTreeMap<u32, Added>> {
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
pub(crate) fn compare_with_config(added: &BTreeMap<u32, Added>, config: &Value) -> Result<()> {
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
