//! ChatML's turns by the names of its control tokens:
//! `<|im_start|>` role `\n` body `<|im_end|>` `\n`.
//!
//! The line break behind `<|im_end|>` stands between turns: a model that has written its turn stops
//! at `<|im_end|>`, and whoever renders the next turn writes the break.

use super::Turns;
use crate::{Error, Result, Tokenizer};

/// Opens a turn.
pub(super) const START: &str = "<|im_start|>";
/// Closes a body.
const END: &str = "<|im_end|>";

/// The turns of a tokenizer that has both tokens. Without a template that says otherwise nothing
/// opens a document.
pub(super) fn named(tokenizer: &Tokenizer) -> Result<Turns> {
    let id = |name| tokenizer.special_id(name).ok_or(Error::MissingSpecial { name, rendering: "chatml" });
    Ok(Turns { begin: None, start: id(START)?, role_end: None, gap: "\n".into(), end: id(END)?, tail: "\n".into() })
}
