//! Texts cut to a number of tokens, at lines or words. What a model answers is cut at sentences instead.

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
}
