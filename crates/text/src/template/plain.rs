//! Turns of models that know none: the text header `### role` `\n\n`, then body and the token that
//! closes a document, which a base model knows as the end and which no content can produce.

use super::{Form, Role, Template};
use crate::llama3::{BEGIN_OF_TEXT, END_OF_TEXT};
use crate::{Error, Result, Tokenizer};

/// The template of any tokenizer that has a token to close a document with.
pub(super) fn template(tokenizer: &Tokenizer) -> Result<Template> {
    let end = document_end(tokenizer)
        .ok_or(Error::MissingSpecial { name: "the end of a document (`eos_token`)", rendering: "plain" })?;
    let header = |role: Role| {
        let mut ids = tokenizer.encode(&format!("### {}", role.name()));
        ids.extend(tokenizer.encode("\n\n"));
        ids
    };
    let begin = tokenizer.opening().or_else(|| tokenizer.special_id(BEGIN_OF_TEXT));
    Ok(Template {
        form: Form::Plain,
        begin: begin.into_iter().collect(),
        headers: Role::ALL.map(header),
        end,
        after_end: Vec::new(),
        stops: vec![end],
    })
}

/// What closes a document. Chat models name the end of a turn as their `eos_token`, so the names
/// that mean a document's end come first.
pub(super) fn document_end(tokenizer: &Tokenizer) -> Option<u32> {
    let named = [END_OF_TEXT, "<|endoftext|>"].into_iter().find_map(|name| tokenizer.special_id(name));
    named.or_else(|| tokenizer.special_id(tokenizer.eos()?))
}
