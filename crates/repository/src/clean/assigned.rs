//! The value that stands behind a name: after `=`, `:` or `=>`, in quotes or, outside of source
//! code, without them; between the tags of an element; after an option of a command; within a text,
//! where it is a header or a part of a list (`"Host=db;Password=…"`); and where it stands in for a
//! variable that is not set.

use std::ops::Range;

/// Longest stretch between the marked word and the value: the rest of the name, a type, blanks.
const MAX_GAP: usize = 48;
/// Longest value looked at.
const MAX_VALUE: usize = 512;

/// Last words of names whose value is about a secret and not one.
const ABOUT: &[&str] = &[
    "name",
    "names",
    "id",
    "ids",
    "path",
    "file",
    "filename",
    "dir",
    "url",
    "uri",
    "arn",
    "ref",
    "type",
    "format",
    "algorithm",
    "alg",
    "method",
    "policy",
    "field",
    "header",
    "class",
    "label",
    "prefix",
    "regex",
    "pattern",
    "hint",
    "version",
    "hash",
    "checksum",
    "digest",
    "fingerprint",
    "endpoint",
    "host",
    "provider",
    "store",
    "manager",
    "title",
    "message",
    "error",
    "text",
    "placeholder",
    "length",
    "len",
    "size",
    "count",
    "public",
    "selector",
    "integrity",
    "expires",
    "expiry",
    "scope",
    "scopes",
    "ttl",
    "at",
    "parser",
    "pad",
];

/// A value and how it stands there.
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The value assigned to the name that holds `word`. Without quotes only where `bare` says so: in
/// source code what is bare is an expression.
pub(super) fn value(bytes: &[u8], word: Range<usize>, bare: bool) -> Option<Value> {
    let after_word = word.end;
    let rest = &bytes[after_word..bytes.len().min(after_word + MAX_GAP)];
    // The name may go on (`api_key_prod`), be quoted itself (`"password": `) or be typed (`: &str = `).
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name = rest.iter().take_while(|byte| in_name(byte)).count();
    if is_about(&rest[..name]) {
        return None;
    }
    let blanks = |at: usize| rest[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let mut at = name;
    at += rest[at..].iter().take_while(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b']' | b' ' | b'\t')).count();
    let operator = rest.get(at).copied().unwrap_or_default();
    if !matches!(operator, b'=' | b':') {
        if operator == b'>' && at == name {
            return element(bytes, after_word + at + 1);
        }
        if let Some(quote) = fallback(rest, name, at) {
            return quoted(bytes, after_word + quote + 1, rest[quote]);
        }
        let apart = bare && blanks(name) > 0 && at >= name + blanks(name);
        let separated = apart && (is_docker(bytes, after_word) || is_option(bytes, word.start));
        return separated.then(|| unquoted(bytes, after_word + at)).flatten();
    }
    if operator == b':'
        && let Some(equals) = rest[at..].iter().position(|byte| matches!(byte, b'=' | b'"' | b'\'' | b'`'))
        && rest[at + equals] == b'='
        && matches!(rest.get(at + equals + 1 + blanks(at + equals + 1)), Some(b'"' | b'\'' | b'`'))
    {
        at += equals;
    }
    // `:=`, `=>`, and `==` of a comparison; a bare value may itself begin with `=`.
    at += if matches!(rest.get(at..at + 2), Some(b":=" | b"=>")) { 2 } else { 1 };
    at += usize::from(matches!(rest.get(at..at + 3), Some([b'=', b' ', _] | [b'=', b'"' | b'\'', _])));
    at += blanks(at);
    // `b"…"`, `r'…'`, and the quote of a text within a text: `\"…\"`.
    let prefix = usize::from(matches!(rest.get(at..at + 2), Some([b'b' | b'r' | b'\\', b'"' | b'\''])));
    match rest.get(at + prefix) {
        Some(quote @ (b'"' | b'\'' | b'`')) => quoted(bytes, after_word + at + prefix + 1, *quote),
        Some(_) if bare => unquoted(bytes, after_word + at),
        Some(_) if is_in_text(bytes, word.start) => {
            unquoted(bytes, after_word + at).filter(|value| ends_in_text(bytes, value.end))
        }
        _ => None,
    }
}

/// Where the text opens that stands in for a name without a value: `NAME || '…'`, `NAME ?? '…'`,
/// `getenv('NAME', '…')`. The name ends at `name`, what closes it at `closed`.
fn fallback(rest: &[u8], name: usize, closed: usize) -> Option<usize> {
    let is_quoted = matches!(rest.get(name), Some(b'"' | b'\''));
    let operator = match rest.get(closed..)? {
        [b'|', b'|', ..] | [b'?', b'?', ..] => 2,
        [b',', ..] if is_quoted => 1,
        _ => return None,
    };
    let quote = closed + operator + rest[closed + operator..].iter().take_while(|byte| **byte == b' ').count();
    matches!(rest.get(quote), Some(b'"' | b'\'' | b'`')).then_some(quote)
}

/// The text of an element, up to a closing tag.
fn element(bytes: &[u8], start: usize) -> Option<Value> {
    let line = &bytes[start..bytes.len().min(start + MAX_VALUE)];
    let end = line.iter().position(|byte| matches!(byte, b'<' | b'\n'))?;
    line[end..].starts_with(b"</").then_some(Value { start, end: start + end })
}

fn quoted(bytes: &[u8], start: usize, quote: u8) -> Option<Value> {
    let line = &bytes[start..bytes.len().min(start + MAX_VALUE)];
    let mut end = line.iter().position(|byte| *byte == quote || *byte == b'\n')?;
    if line[end] != quote {
        return None;
    }
    // The backslash before the closing quote of a text within a text.
    end -= usize::from(end > 0 && line[end - 1] == b'\\');
    Some(Value { start, end: start + end })
}

/// Up to what ends a word in shells, YAML and ini files.
fn unquoted(bytes: &[u8], start: usize) -> Option<Value> {
    let line = &bytes[start..bytes.len().min(start + MAX_VALUE)];
    let ends = |byte: &u8| {
        byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'"' | b'\'' | b'`' | b';' | b',' | b'&' | b'|' | b'<' | b'>' | b'\\' | b')' | b']' | b'}'
            )
    };
    let end = line.iter().position(ends).unwrap_or(line.len());
    // A call or a template goes on behind what ended it.
    (end > 0 && !matches!(line.get(end), Some(b'<' | b')' | b']' | b'}'))).then_some(Value { start, end: start + end })
}

/// Whether the rest of a name says that the value is about a secret: `_path`, `Name`, `-arn`.
fn is_about(rest: &[u8]) -> bool {
    let last = rest.iter().rposition(|byte| matches!(byte, b'_' | b'-' | b'.')).map_or(rest, |at| &rest[at + 1..]);
    let capital =
        last.iter().rposition(u8::is_ascii_uppercase).filter(|at| *at > 0 && last[at - 1].is_ascii_lowercase());
    let last = capital.map_or(last, |at| &last[at..]);
    ABOUT.iter().any(|word| last.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the name is that of a command's option: `--api-token`.
fn is_option(bytes: &[u8], word_start: usize) -> bool {
    let before = &bytes[word_start.saturating_sub(MAX_GAP)..word_start];
    let name = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    let option = &before[before.len() - name..];
    option.starts_with(b"--") && before[..before.len() - name].last().is_none_or(u8::is_ascii_whitespace)
}

/// Whether the name begins a text, or a part of one that other parts stand before.
fn is_in_text(bytes: &[u8], word_start: usize) -> bool {
    let before = &bytes[word_start.saturating_sub(MAX_GAP)..word_start];
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ');
    let first = before.iter().rev().find(|byte| !in_name(byte));
    first.is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'`' | b';' | b'&' | b'?'))
}

/// Whether a value ends where its text or its part of the text does.
fn ends_in_text(bytes: &[u8], end: usize) -> bool {
    bytes.get(end).is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'`' | b';' | b'&'))
}

/// Whether the word stands in an `ENV` or `ARG` line of a Dockerfile, whose old form has a blank
/// between name and value.
fn is_docker(bytes: &[u8], word_end: usize) -> bool {
    let line = memchr::memrchr(b'\n', &bytes[..word_end]).map_or(0, |at| at + 1);
    let line = bytes[line..word_end].trim_ascii_start();
    line.starts_with(b"ENV ") || line.starts_with(b"ARG ")
}
