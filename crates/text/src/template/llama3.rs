//! Llama 3's turns by the names of its control tokens:
//! `<|start_header_id|>` role `<|end_header_id|>` `\n\n` body `<|eot_id|>`.

use super::Turns;
use crate::llama3::{BEGIN_OF_TEXT, END_HEADER_ID, EOT_ID, START_HEADER_ID};
use crate::{Error, Result, Tokenizer};

/// The turns of a tokenizer that has all of the tokens.
pub(super) fn named(tokenizer: &Tokenizer) -> Result<Turns> {
    let id = |name| tokenizer.special_id(name).ok_or(Error::MissingSpecial { name, rendering: "llama3" });
    Ok(Turns {
        begin: Some(id(BEGIN_OF_TEXT)?),
        start: id(START_HEADER_ID)?,
        role_end: Some(id(END_HEADER_ID)?),
        gap: "\n\n".into(),
        end: id(EOT_ID)?,
        tail: String::new(),
    })
}
