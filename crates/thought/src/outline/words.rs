//! Sentences out of lists and names.

pub(super) use recon_repository::line::count;
use recon_repository::line::{self, visible};

/// Longest run of a documentation sentence in a thought, in bytes.
pub const DOC_RUN_BYTES: usize = 44;

/// Names shown in one list.
pub(super) const LIST: usize = 8;

/// A sentence, and how many definitions it tells.
pub(super) type Told = (String, usize);

/// A name as code.
pub(super) fn code(name: &str) -> String {
    format!("`{}`", visible(name))
}

/// `a`, `b` and `c`; beyond `most`, how many more.
pub(crate) fn list<T: AsRef<str>>(items: &[T], most: usize) -> String {
    let shown: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    let hidden = items.len() - shown.len();
    match (shown.split_last(), hidden) {
        (None, _) => String::new(),
        (Some((only, [])), 0) => (*only).to_owned(),
        (Some((last, rest)), 0) => format!("{} and {last}", rest.join(", ")),
        (Some(_), hidden) => format!("{} and {hidden} more", shown.join(", ")),
    }
}

/// Paths as prose, all of them.
pub(crate) fn listed(paths: &[String]) -> String {
    list(&paths.iter().map(|path| code(path)).collect::<Vec<_>>(), paths.len())
}

/// The words of an identifier: `http_client` and `HttpClient` are `http client`.
pub(super) fn split(identifier: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for c in identifier.chars() {
        if c.is_alphanumeric() {
            if c.is_uppercase() && (before.is_lowercase() || before.is_numeric()) {
                words.push(' ');
            }
            words.extend(c.to_lowercase());
        } else {
            words.push(' ');
        }
        before = c;
    }
    line::collapse(&words)
}

/// A documentation sentence for a thought: cut at a word before it repeats a long run of the file.
pub(super) fn doc_run(doc: &str) -> String {
    let doc = visible(doc);
    if doc.len() <= DOC_RUN_BYTES {
        return doc.trim_end_matches('.').to_owned();
    }
    let end = doc.char_indices().map(|(at, _)| at).take_while(|at| *at <= DOC_RUN_BYTES - 3).last().unwrap_or(0);
    let mut kept = &doc[..doc[..end].rfind(' ').unwrap_or(end)];
    // A cut after a word that only joins would read as a slip.
    while let Some((before, last)) = kept.rsplit_once(' ') {
        if !matches!(
            last,
            "a" | "an" | "the" | "and" | "or" | "of" | "to" | "in" | "for" | "with" | "by" | "that" | "is"
        ) {
            break;
        }
        kept = before;
    }
    format!("{}…", kept.trim_end_matches([' ', ',', ';', ':', '.']))
}

/// Collects paragraphs and items up to a bound in characters.
pub(super) struct Bounded {
    text: String,
    left: usize,
}

/// Characters kept free for the line that says what was left out.
const RESERVE_CHARS: usize = 40;

impl Bounded {
    pub(super) fn new(max_chars: usize) -> Self {
        Self { text: String::new(), left: max_chars }
    }

    /// Adds a block after a blank line, clipped to what is left.
    pub(super) fn paragraph(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let separator = if self.text.is_empty() { "" } else { "\n\n" };
        self.push(separator, text);
    }

    /// Adds a line, clipped to what is left.
    pub(super) fn line(&mut self, text: &str) {
        let separator = if self.text.is_empty() { "" } else { "\n" };
        self.push(separator, text);
    }

    /// Adds as many lines as fit; then how many `nouns` were left out.
    pub(super) fn lines(&mut self, lines: &[String], noun: &str) {
        for (at, line) in lines.iter().enumerate() {
            let last = at + 1 == lines.len();
            let needed = line.chars().count() + 1 + if last { 0 } else { RESERVE_CHARS };
            if needed > self.left {
                return self.line(&format!("- … and {}", count(lines.len() - at, &format!("more {noun}"))));
            }
            self.line(line);
        }
    }

    /// Adds a paragraph of as many sentences as fit; then how many definitions they leave out.
    pub(super) fn sentences(&mut self, sentences: &[Told]) {
        let (mut paragraph, mut chars) = (String::new(), "\n\n".len());
        for (at, (sentence, _)) in sentences.iter().enumerate() {
            let last = at + 1 == sentences.len();
            let needed = sentence.chars().count() + 1 + if last { 0 } else { RESERVE_CHARS };
            let blank = if at == 0 { "" } else { " " };
            if chars + needed > self.left {
                let left_out = sentences[at..].iter().map(|(_, told)| told).sum();
                let more = if at == 0 { "definition" } else { "more definition" };
                let verb = if left_out == 1 { "follows" } else { "follow" };
                paragraph.push_str(&format!("{blank}{} {verb}.", count(left_out, more)));
                break;
            }
            paragraph.push_str(blank);
            paragraph.push_str(sentence);
            chars += needed;
        }
        self.paragraph(&paragraph);
    }

    fn push(&mut self, separator: &str, text: &str) {
        if self.left <= separator.len() {
            return;
        }
        self.text.push_str(separator);
        self.left -= separator.len();
        let text = line::clip(text, self.left);
        self.left -= text.chars().count();
        self.text.push_str(&text);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_english() {
        assert_eq!(list::<&str>(&[], 3), "");
        assert_eq!(list(&["a"], 3), "a");
        assert_eq!(list(&["a", "b", "c"], 3), "a, b and c");
        assert_eq!(list(&["a", "b", "c", "d"], 2), "a, b and 2 more");
    }

    #[test]
    fn identifiers_fall_into_words() {
        assert_eq!(split("HTTPClient_v2"), "httpclient v2");
        assert_eq!(split("parseConfigFile"), "parse config file");
    }

    #[test]
    fn a_cut_sentence_stays_below_the_run() {
        let long = "Reads every configuration file below the directory and merges them in order.";
        let cut = doc_run(long);
        assert!(cut.len() <= DOC_RUN_BYTES && cut.ends_with('…'), "{cut}");
        assert!(long.starts_with(cut.trim_end_matches('…')));
        assert_eq!(doc_run("Reads it."), "Reads it");
    }

    #[test]
    fn a_bound_holds_and_says_what_is_missing() {
        let mut bounded = Bounded::new(100);
        let lines: Vec<String> = (0..50).map(|at| format!("- item {at}")).collect();
        bounded.lines(&lines, "item");
        let text = bounded.finish();
        assert!(text.chars().count() <= 100, "{text}");
        assert!(text.ends_with("more items"), "{text}");
    }
}
