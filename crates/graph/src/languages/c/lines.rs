//! Takes comments and the inside of raw strings out of the lines of C and C++.
//!
//! What one line leaves open (a comment, a raw string, a string or a line comment that a backslash
//! continues) is closed by a later one. Invariant: one pass over the bytes.

/// Where the reader stands between lines.
#[derive(Debug, Default)]
enum State {
    #[default]
    Plain,
    Block,
    /// In a comment to the end of the line, which a backslash moved on.
    Rest,
    /// In a string that a backslash continues.
    Text(u8),
    /// In a raw string that ends with this.
    Raw(String),
}

/// The code of a file, line by line.
#[derive(Debug, Default)]
pub(super) struct Code {
    state: State,
}

impl Code {
    /// Whether the next line starts as code.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.state, State::Plain)
    }

    /// The line without its comments.
    pub(super) fn strip(&mut self, line: &str) -> String {
        let mut kept = String::with_capacity(line.len());
        let mut at = 0;
        if matches!(self.state, State::Rest) {
            if !line.ends_with('\\') {
                self.state = State::Plain;
            }
            return kept;
        }
        if let State::Text(quote) = self.state {
            let (end, open) = after_text(line.as_bytes(), 0, quote);
            at = end.min(line.len());
            if !open {
                self.state = State::Plain;
            }
        }
        while at < line.len() {
            let end = match &self.state {
                State::Block => "*/",
                State::Raw(end) => end.as_str(),
                State::Plain | State::Rest | State::Text(_) => {
                    let (stop, next) = self.open(line, at);
                    kept.push_str(&line[at..stop]);
                    kept.push(' ');
                    at = next;
                    continue;
                }
            };
            let Some(found) = line[at..].find(end) else { return kept };
            at += found + end.len();
            self.state = State::Plain;
        }
        kept.truncate(kept.trim_end().len());
        kept
    }

    /// From `at`, where code ends and where what follows it is to be read on.
    fn open(&mut self, line: &str, at: usize) -> (usize, usize) {
        let bytes = line.as_bytes();
        let mut at = at;
        while at < bytes.len() {
            match (bytes[at], bytes.get(at + 1)) {
                (b'/', Some(b'/')) => {
                    if line.ends_with('\\') {
                        self.state = State::Rest;
                    }
                    return (at, line.len());
                }
                (b'/', Some(b'*')) => {
                    self.state = State::Block;
                    return (at, at + 2);
                }
                (b'R', Some(b'"')) if opens_raw(&bytes[..at]) => {
                    let delimiter = line[at + 2..].split('(').next().filter(|it| it.len() <= 16).unwrap_or_default();
                    self.state = State::Raw(format!("){delimiter}\""));
                    return (at, (at + 3 + delimiter.len()).min(line.len()));
                }
                (quote @ (b'"' | b'\''), _) => {
                    if quote == b'\'' && at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_hexdigit()) {
                        // A separator of digits.
                        at += 1;
                        continue;
                    }
                    let (end, open) = after_text(bytes, at + 1, quote);
                    if open {
                        self.state = State::Text(quote);
                        return (line.len(), line.len());
                    }
                    at = end;
                }
                _ => at += 1,
            }
        }
        (line.len(), line.len())
    }
}

/// Whether the `R` after these bytes starts a raw string: alone, or with the prefix of an encoding.
fn opens_raw(before: &[u8]) -> bool {
    let word = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    matches!(&before[before.len() - word..], b"" | b"L" | b"u" | b"U" | b"u8")
}

/// The byte after the string that `at` stands in, and whether it goes on in the next line.
fn after_text(bytes: &[u8], at: usize, quote: u8) -> (usize, bool) {
    let mut end = at;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' if end + 1 == bytes.len() => return (bytes.len(), true),
            b'\\' => end += 2,
            byte if byte == quote => return (end + 1, false),
            _ => end += 1,
        }
    }
    (bytes.len(), false)
}

#[cfg(test)]
mod tests {
    use super::Code;

    fn stripped(source: &str) -> Vec<String> {
        let mut code = Code::default();
        source.lines().map(|line| code.strip(line).trim().to_owned()).collect()
    }

    #[test]
    fn what_a_line_leaves_open_is_no_code() {
        assert_eq!(stripped("a // b \\\n#include \"no.h\"\nc"), ["a", "", "c"]);
        assert_eq!(stripped("s = \"x\\\n#include \\\"no.h\\\"\\\n\"; d"), ["s = \"x\\", "", "; d"]);
        assert_eq!(stripped("x = u8R\"(\n#include \"no.h\"\n)\"; y"), ["x = u8", "", "; y"]);
        assert_eq!(stripped("FOR\"(\" /* z\n*/ e"), ["FOR\"(\"", "e"], "a word that ends in R is no prefix");
    }
}
