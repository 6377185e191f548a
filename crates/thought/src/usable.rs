//! Which answers count as a thought: trimmed text within its budget, or why there is none.

use recon_schema::trajectory::Leak;

/// Words above which the variety of an answer is judged.
const JUDGED_WORDS: usize = 24;

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

/// Why there is no thought.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// The model failed.
    #[error(transparent)]
    Failed(#[from] recon_lm::Error),
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
    /// The text was proposed before at the same place.
    #[error("a repetition")]
    Repetition,
    /// Every level of detail was proposed.
    #[error("the outline has nothing more to say")]
    Exhausted,
    /// The text hands its target over.
    #[error("the leak gate refuses it: {leak:?}")]
    Leaked {
        /// The text refused.
        text: String,
        /// Which rule it breaks, and by how much.
        leak: Leak,
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
