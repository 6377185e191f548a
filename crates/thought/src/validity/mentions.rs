//! What a text mentions: words and pieces of code that look like a path or a definition.
//!
//! Code between backticks is taken for what it says; of prose, only words that no language but a
//! program's has: `snake_case`, `camelCase`, `called()`, `a/path.py`, `file.py`. Words that may be
//! either are told apart as [`Look::Word`].

use recon_repository::{language, paths};

/// What a mention looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// A path or the name of a file.
    Path,
    /// A definition.
    Name,
    /// Perhaps a definition, perhaps a word of the language.
    Word,
}

/// A path or a name as it is mentioned, without call, arguments or possessive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention<'t> {
    pub(super) text: &'t str,
    pub(super) look: Look,
}

/// Endings of files that are in no language.
const ENDINGS: [&str; 14] =
    ["md", "rst", "txt", "toml", "cfg", "ini", "yml", "yaml", "json", "lock", "sh", "html", "css", "in"];
/// Words with a capital inside that are names of products and languages.
const PROPER: [&str; 18] = [
    "JavaScript",
    "TypeScript",
    "GitHub",
    "GitLab",
    "PyPI",
    "NumPy",
    "SciPy",
    "OpenSSL",
    "MongoDB",
    "PostgreSQL",
    "MySQL",
    "SQLite",
    "GraphQL",
    "OAuth",
    "macOS",
    "iOS",
    "Node.js",
    "Vue.js",
];
/// What comes before a name where it is declared.
const DECLARES: [&str; 11] =
    ["class", "def", "fn", "func", "function", "struct", "enum", "trait", "interface", "type", "module"];

/// Every mention, in order.
pub(super) fn mentions(text: &str) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    for (at, piece) in text.split('`').enumerate() {
        match at % 2 {
            0 => in_prose(piece, at == 0, &mut found),
            _ => found.extend(in_code(piece)),
        }
    }
    found
}

/// The name that a piece of code is about.
fn in_code(code: &str) -> Option<Mention<'_>> {
    let code = code.trim();
    let mut words = code.split_whitespace();
    let (first, second) = (words.next()?, words.next());
    let head = match (second, code.find('(')) {
        (Some(name), _) if DECLARES.contains(&first) => name,
        (Some(_), Some(open)) => code[..open].rsplit(char::is_whitespace).next()?,
        (Some(_), None) => return None,
        (None, _) => first,
    };
    let is_literal = |c: char| matches!(c, '"' | '\'' | '-' | '*' | '<' | '$' | '{' | '/' | '%' | '&' | '!');
    if head.starts_with(is_literal) || head.contains("://") || head.contains('*') {
        return None;
    }
    let head = head.trim_start_matches(['@', '.', '#']);
    let name = &head[..head.find(['(', '[', '<', '=', ',', ';', '{', '|', '"']).unwrap_or(head.len())];
    let name = name.trim_end_matches([':', '.', '!', '?']);
    if is_path(name) {
        return Some(Mention { text: name, look: Look::Path });
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '#');
    let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (starts && name.chars().all(is_name) && !is_acronym(name)).then_some(Mention { text: name, look: Look::Name })
}

fn in_prose<'t>(prose: &'t str, is_first: bool, found: &mut Vec<Mention<'t>>) {
    let mut opens_sentence = is_first;
    for word in prose.split_whitespace() {
        let ends = word.ends_with(['.', '!', '?', ':']);
        let bare = word.trim_matches(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '(' | ')' | '/')));
        let bare = bare.trim_start_matches('(');
        let bare = bare.strip_suffix("'s").or_else(|| bare.strip_suffix("’s")).unwrap_or(bare);
        let (name, called) = match bare.find('(') {
            Some(open) if open > 0 => (&bare[..open], true),
            _ => (bare.trim_end_matches(')'), false),
        };
        if let Some(look) = look(name, called, opens_sentence) {
            found.push(Mention { text: name, look });
        }
        opens_sentence = ends;
    }
}

fn look(name: &str, called: bool, opens_sentence: bool) -> Option<Look> {
    if name.contains("://") || name.is_empty() || PROPER.contains(&name) {
        return None;
    }
    if is_path(name) {
        return Some(Look::Path);
    }
    let is_identifier = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ':'))
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !is_identifier || is_acronym(name) {
        return None;
    }
    let last = name.rsplit(['.', ':']).next().unwrap_or(name);
    let dotted = last.len() < name.len();
    let snake = last.trim_matches('_').contains('_') || name.starts_with('_');
    let camel = last.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    // `end.Next` is a sentence without its blank, `e.g` a short form.
    let is_sure = called || snake || (camel && !dotted);
    let capital = name.starts_with(char::is_uppercase);
    match is_sure {
        true => Some(Look::Name),
        false if dotted && name.split(['.', ':']).all(|part| part.is_empty() || part.len() > 1) => Some(Look::Word),
        false if capital && !opens_sentence && !dotted => Some(Look::Word),
        false => None,
    }
}

/// A name with directories, or with the ending of a file.
fn is_path(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | '@'));
    let stem = paths::stem(name);
    if !plain || name.contains("..") || stem.is_empty() || stem.starts_with('.') || PROPER.contains(&name) {
        return false;
    }
    let ending = paths::extension(name);
    let is_file = name.contains('.') && (language::of_path(name).is_some() || ENDINGS.contains(&ending));
    is_file || (name.contains('/') && name.ends_with('/') && name.len() > 2)
}

/// `JSON`, `HTTP2`, `SHA-1`: spoken of by everybody.
fn is_acronym(name: &str) -> bool {
    name.chars().all(|c| c.is_uppercase() || c.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(text: &str) -> Vec<(&str, Look)> {
        mentions(text).into_iter().map(|it| (it.text, it.look)).collect()
    }

    #[test]
    fn code_is_taken_for_the_name_it_is_about() {
        assert_eq!(
            looks(
                "`Signer.sign(value)` of `src/signer.py`, `class Timed(Signer)`, `def get(x: int) -> str`, `list[str]`"
            ),
            [
                ("Signer.sign", Look::Name),
                ("src/signer.py", Look::Path),
                ("Timed", Look::Name),
                ("get", Look::Name),
                ("list", Look::Name)
            ]
        );
        assert_eq!(looks("`x = 1 + y`, `\"text\"`, `--flag`, `https://a.b/c.py`, `*.py`, `JSON`, `3`"), []);
    }

    #[test]
    fn of_prose_only_a_programs_words_are_names() {
        assert_eq!(
            looks("The secret_key goes to makeSigner and sign(), see signer.py or src/a.rs. It reads and/or writes."),
            [
                ("secret_key", Look::Name),
                ("makeSigner", Look::Name),
                ("sign", Look::Name),
                ("signer.py", Look::Path),
                ("src/a.rs", Look::Path)
            ]
        );
        assert_eq!(
            looks("Signers sign. The Signer's work, e.g. of itsdangerous.signer, in JavaScript (HTTP/1.1)."),
            [("Signer", Look::Word), ("itsdangerous.signer", Look::Word)]
        );
    }
}
