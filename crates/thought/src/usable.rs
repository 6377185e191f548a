//! How a thought is asked for, and which answers count as one.
//!
//! A template filled with grounding is the hint of a generation: it stands after the branch for
//! the writer only, and no document contains it. The answer is trimmed text, or why there is none.

use recon_lm::Error;

/// Words above which the variety of an answer is judged.
const JUDGED_WORDS: usize = 24;

/// Replaces every `{name}` of `values` in one pass; other braces, and braces inside values, stay.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        let found = rest.find('}').and_then(|close| {
            let name = &rest[1..close];
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, close + 1))
        });
        let (piece, length) = found.unwrap_or(("{", 1));
        text.push_str(piece);
        rest = &rest[length..];
    }
    text + rest
}

/// As much of the beginning of `text` as stays within `limit` tokens: whole lines, or where the
/// first line is too long by itself, whole words.
pub fn shorten(text: &str, limit: usize, tokens: impl Fn(&str) -> usize) -> &str {
    let text = text.trim_end();
    if tokens(text) <= limit {
        return text;
    }
    let lines = longest_within(text, '\n', limit, &tokens);
    if lines.is_empty() { longest_within(text, ' ', limit, &tokens) } else { lines }
}

/// The longest beginning of `text` that ends before a `border` and stays within `limit` tokens.
/// Longer beginnings are taken to have more tokens, so the border is found by halving.
fn longest_within(text: &str, border: char, limit: usize, tokens: impl Fn(&str) -> usize) -> &str {
    let ends: Vec<usize> = text.match_indices(border).map(|(at, _)| at).collect();
    let mut fitting = ends.partition_point(|&end| tokens(text[..end].trim_end()) <= limit);
    while fitting > 0 {
        let piece = text[..ends[fitting - 1]].trim_end();
        if tokens(piece) <= limit {
            return piece;
        }
        fitting -= 1;
    }
    ""
}

/// Why an answer is no thought.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The generator failed.
    #[error("generation failed: {0}")]
    Failed(#[from] Error),
    /// Nothing but white space.
    #[error("the answer is empty")]
    Empty,
    /// No letter, or text that is not valid Unicode.
    #[error("the answer is not readable text")]
    Unreadable,
    /// The same few words over and over.
    #[error("the answer repeats itself: {distinct} distinct words of {words}")]
    Repetitive {
        /// Distinct words.
        distinct: usize,
        /// Words.
        words: usize,
    },
}

/// An answer's text as a thought: trimmed, with Unix line ends.
pub fn usable(text: &str) -> Result<String, Unusable> {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    let broken = |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_control() && !matches!(c, '\n' | '\t'));
    if text.contains(broken) || !text.contains(char::is_alphabetic) {
        return Err(Unusable::Unreadable);
    }
    let words = text.split_whitespace().count();
    let distinct = text.split_whitespace().collect::<std::collections::BTreeSet<_>>().len();
    if words > JUDGED_WORDS && distinct * 5 < words {
        return Err(Unusable::Repetitive { distinct, words });
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_expanded_again() {
        let filled = fill("{a} {b} {c} {", &[("a", "{b}"), ("b", "x")]);
        assert_eq!(filled, "{b} x {c} {");
        assert_eq!(fill("{ {a}", &[("a", "1")]), "{ 1");
    }

    #[test]
    fn a_text_is_cut_at_lines_then_at_words() {
        let text = "one\ntwo two\nthree";
        let words = |line: &str| line.split_whitespace().count();
        assert_eq!(shorten(text, 3, words), "one\ntwo two");
        assert_eq!(shorten(text, 2, words), "one");
        assert_eq!(shorten(text, 9, words), text);
        assert_eq!(shorten(text, 0, words), "");
        assert_eq!(shorten("four words in line\nlast", 2, words), "four words");
    }

    #[test]
    fn what_is_no_thought_is_refused() {
        assert_eq!(usable(" The plan.\r\nThen. ").unwrap(), "The plan.\nThen.");
        assert_eq!(usable(" \n"), Err(Unusable::Empty));
        assert_eq!(usable("123 ***"), Err(Unusable::Unreadable));
        assert_eq!(usable("a\u{fffd}b"), Err(Unusable::Unreadable));
        assert!(matches!(usable(&"the file ".repeat(20)), Err(Unusable::Repetitive { distinct: 2, words: 40 })));
        assert!(usable(&"the file ".repeat(12)).is_ok(), "short texts are not judged");
    }
}
