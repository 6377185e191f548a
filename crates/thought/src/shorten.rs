//! Texts cut to a number of tokens, at lines and sentences, or else at words. What a model answers is cut at sentences alone.

use crate::validity::sentence_ends;

/// As much of the beginning of `text` as stays within `limit` tokens: whole lines and sentences, or where the
/// first one is too long by itself, whole words.
pub fn shorten(text: &str, limit: usize, tokens: impl Fn(&str) -> usize) -> &str {
    let text = text.trim_end();
    if tokens(text) <= limit {
        return text;
    }
    let before = |border: char| text.match_indices(border).map(|(at, _)| at);
    let mut ends: Vec<usize> = before('\n').chain(sentence_ends(text)).collect();
    ends.sort_unstable();
    let whole = longest_within(text, &ends, limit, &tokens);
    if whole.is_empty() { longest_within(text, &before(' ').collect::<Vec<_>>(), limit, &tokens) } else { whole }
}

/// The longest beginning of `text` that ends at one of `ends` and stays within `limit` tokens.
/// Longer beginnings are taken to have more tokens, so the end is found by halving.
fn longest_within<'t>(text: &'t str, ends: &[usize], limit: usize, tokens: impl Fn(&str) -> usize) -> &'t str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_lines_and_sentences_then_at_words() {
        let text = "one\ntwo two\nthree";
        let words = |line: &str| line.split_whitespace().count();
        assert_eq!(shorten(text, 3, words), "one\ntwo two");
        assert_eq!(shorten(text, 2, words), "one");
        assert_eq!(shorten(text, 9, words), text);
        assert_eq!(shorten(text, 0, words), "");
        assert_eq!(shorten("One. Then `a.b` comes. Last", 4, words), "One. Then `a.b` comes.");
        assert_eq!(shorten("four words in line\nlast", 2, words), "four words");
    }
}
