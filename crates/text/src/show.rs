//! Tokens as a person reads them: text, special tokens by name, and what is trained.

use crate::Tokenizer;

/// Marks the beginning of a trained run.
const OPEN: &str = "⟦";
/// Marks the end of a trained run.
const CLOSE: &str = "⟧";

/// `ids` as text with special tokens by name; runs with `mask = 1` stand between `⟦` and `⟧`.
/// Tokens beyond the end of `mask` count as untrained.
pub fn show(tokenizer: &Tokenizer, ids: &[u32], mask: &[u8]) -> String {
    let is_trained = |at: usize| mask.get(at).is_some_and(|&bit| bit != 0);
    let mut text = String::new();
    let mut start = 0;
    while start < ids.len() {
        let trained = is_trained(start);
        let length = (start..ids.len()).take_while(|&at| is_trained(at) == trained).count();
        if trained {
            text.push_str(OPEN);
        }
        show_run(tokenizer, &ids[start..start + length], &mut text);
        if trained {
            text.push_str(CLOSE);
        }
        start += length;
    }
    text
}

/// Ordinary tokens between two special ones are decoded together: one token may hold half a
/// character.
fn show_run(tokenizer: &Tokenizer, ids: &[u32], text: &mut String) {
    let mut rest = ids;
    while !rest.is_empty() {
        let ordinary = rest.iter().take_while(|&&id| tokenizer.special_name(id).is_none()).count();
        text.push_str(&tokenizer.decode(&rest[..ordinary]));
        rest = &rest[ordinary..];
        if let [special, after @ ..] = rest {
            text.push_str(tokenizer.special_name(*special).unwrap_or_default());
            rest = after;
        }
    }
}
