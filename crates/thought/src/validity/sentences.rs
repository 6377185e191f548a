//! Sentences and list items: where a text may be cut.
//!
//! A sentence ends with `.`, `!`, `?` or `…` before white space; a full stop inside code, behind the
//! number of an item or in a short form ends none. An item of a list also ends with its line.

/// Short forms whose full stop ends no sentence.
const SHORT: [&str; 9] = ["e.g.", "i.e.", "etc.", "cf.", "vs.", "approx.", "resp.", "incl.", "no."];

/// The longest beginning of `text` in whole sentences that `fits`. With `ended`, the end of the text
/// is also the end of an item. Longer beginnings are taken to fit less well.
pub(super) fn whole(text: &str, ended: bool, fits: impl Fn(&str) -> bool) -> Option<&str> {
    let ends = ends(text, ended);
    let mut fitting = ends.partition_point(|&end| fits(text[..end].trim_end()));
    while fitting > 0 {
        let piece = text[..ends[fitting - 1]].trim_end();
        // A longer text can have fewer tokens, so what was found by halving is looked at again.
        if fits(piece) {
            return Some(piece);
        }
        fitting -= 1;
    }
    None
}

/// The pieces between the places at which `text` may be cut, trimmed.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut start = 0;
    let ends = ends(text, true).into_iter().chain([text.len()]);
    let cut = ends.map(|end| {
        let piece = text[start..end].trim();
        start = end;
        piece
    });
    cut.filter(|piece| !piece.is_empty()).collect()
}

/// Characters of `text`, and those of them that stand in sentences: not in items, headings or fields.
pub(super) fn spoken(text: &str) -> (usize, usize) {
    let (mut all, mut spoken) = (0, 0);
    for line in text.lines().map(str::trim) {
        let sentences = ends_in_line(line).last().copied().unwrap_or(0);
        all += line.len();
        spoken += if is_item(line) { 0 } else { sentences };
    }
    (all, spoken)
}

/// Places behind sentences and items, ascending.
pub(super) fn ends(text: &str, ended: bool) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches('\n');
        ends.extend(ends_in_line(body).into_iter().map(|end| start + end));
        let is_whole = body.len() < line.len() || ended;
        if is_whole && is_item(body) && ends.last() != Some(&(start + body.len())) {
            ends.push(start + body.len());
        }
        start += line.len();
    }
    ends
}

fn ends_in_line(line: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut in_code = false;
    for (at, c) in line.char_indices() {
        in_code ^= c == '`';
        if in_code || !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let behind = &line[at + c.len_utf8()..];
        let closers = behind.len() - behind.trim_start_matches(['"', '\'', ')', ']', '*', '”', '’', '_']).len();
        let end = at + c.len_utf8() + closers;
        let is_border = line[end..].chars().next().is_none_or(char::is_whitespace);
        if is_border && !(c == '.' && is_short(&line[..=at])) {
            ends.push(end);
        }
    }
    ends
}

/// Whether the full stop at the end of `text` belongs to a number of an item or to a short form.
fn is_short(text: &str) -> bool {
    let word = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    let is_number = word.len() > 1 && word[..word.len() - 1].chars().all(|c| c.is_ascii_digit());
    let is_first = text.trim_start().len() == word.len();
    let word = word.trim_start_matches(['(', '"', '\'']).to_lowercase();
    (is_number && is_first) || SHORT.contains(&word.as_str())
}

/// Whether a line is an item of a list: a mark or a number, then words.
pub(super) fn is_item(line: &str) -> bool {
    let line = line.trim_start();
    let marked = ["- ", "* ", "• ", "+ "].iter().find_map(|mark| line.strip_prefix(mark));
    let numbered = || {
        let digits = line.find(|c: char| !c.is_ascii_digit()).filter(|digits| (1..=3).contains(digits))?;
        line[digits..].strip_prefix(". ").or_else(|| line[digits..].strip_prefix(") "))
    };
    marked.or_else(numbered).is_some_and(|rest| rest.split_whitespace().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(text: &str, chars: usize, ended: bool) -> Option<&str> {
        whole(text, ended, |piece| piece.len() <= chars)
    }

    #[test]
    fn a_text_is_cut_at_the_end_of_a_sentence_and_never_inside_one() {
        let text = "It signs. It takes `a.b. c` (e.g. a salt). Then it";
        assert_eq!(within(text, 99, false), Some("It signs. It takes `a.b. c` (e.g. a salt)."));
        assert_eq!(within(text, 99, true), Some("It signs. It takes `a.b. c` (e.g. a salt)."));
        assert_eq!(within(text, 20, false), Some("It signs."));
        assert_eq!(within(text, 5, false), None);
        assert_eq!(within("a half sent", 99, true), None);
        assert_eq!(within("Is it \"done?\" Yes! No", 99, true), Some("Is it \"done?\" Yes!"));
    }

    #[test]
    fn an_item_ends_with_its_line() {
        let text = "1. `a.py`: what signs\n2. `b.py`: what che";
        assert_eq!(within(text, 99, false), Some("1. `a.py`: what signs"));
        assert_eq!(within(text, 99, true), Some(text), "the model ended it");
        assert_eq!(within("Song\n1.\n2.", 99, true), None, "a number alone is no item");
    }

    #[test]
    fn pieces_are_what_lies_between_ends() {
        assert_eq!(pieces("One. Two!\n- three four\nfive"), ["One.", "Two!", "- three four", "five"]);
    }
}
