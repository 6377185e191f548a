//! The `#include` directives of a file, line by line, and whether the text is C++.
//!
//! A directive counts under any condition, for a repository is built in many ways; only `#if 0`
//! is never built. Comments, strings and raw strings hold no directives. Lines joined by a
//! backslash are one.
//!
//! Invariant: one pass over the bytes.

/// One directive that names its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Include {
    /// 1-based line.
    pub(super) line: u32,
    /// What stands between the marks.
    pub(super) path: String,
    /// `"x"`, not `<x>`.
    pub(super) quoted: bool,
}

/// What the lines of a file tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) includes: Vec<Include>,
    /// Whether some line outside of `__cplusplus` conditions can only be C++.
    pub(super) cpp: bool,
}

/// A condition around a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// `#if 0`.
    Never,
    /// One that names `__cplusplus`.
    Cpp,
    Other,
}

pub(super) fn scan(source: &str) -> Scan {
    let mut found = Scan::default();
    let mut conditions: Vec<Condition> = Vec::new();
    // How many of them are `Never`, and `Cpp`.
    let (mut never, mut cpp) = (0_usize, 0_usize);
    let mut code = Code::default();
    let mut lines = source.lines().zip(1_u32..);
    while let Some((first, line)) = lines.next() {
        let mut text = code.strip(first);
        while code.is_plain() && text.trim_start().starts_with('#') && text.ends_with('\\') {
            let Some((next, _)) = lines.next() else { break };
            text.pop();
            text.push_str(&code.strip(next));
        }
        let Some(directive) = text.trim_start().strip_prefix('#').map(str::trim_start) else {
            found.cpp |= never + cpp == 0 && is_cpp(text.trim());
            continue;
        };
        let (word, rest) = directive
            .split_at(directive.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(directive.len()));
        let mut count = |condition: Condition, by: isize| match condition {
            Condition::Never => never = never.saturating_add_signed(by),
            Condition::Cpp => cpp = cpp.saturating_add_signed(by),
            Condition::Other => {}
        };
        match word {
            "if" | "ifdef" | "ifndef" => {
                let condition = condition(rest.trim());
                count(condition, 1);
                conditions.push(condition);
            }
            "elif" | "elifdef" | "elifndef" | "else" => {
                if let Some(last) = conditions.last_mut() {
                    count(*last, -1);
                    *last = Condition::Other;
                }
            }
            "endif" => {
                if let Some(last) = conditions.pop() {
                    count(last, -1);
                }
            }
            "include" | "include_next" | "import" if never == 0 => {
                found.includes.extend(target(rest.trim()).map(|(path, quoted)| Include { line, path, quoted }));
            }
            _ => {}
        }
    }
    found
}

fn condition(text: &str) -> Condition {
    if text == "0" {
        Condition::Never
    } else if text.contains("__cplusplus") {
        Condition::Cpp
    } else {
        Condition::Other
    }
}

/// The file named by `"x"` or `<x>`; none for a macro.
fn target(text: &str) -> Option<(String, bool)> {
    let quoted = text.starts_with('"');
    let close = match text.chars().next()? {
        '"' => '"',
        '<' => '>',
        _ => return None,
    };
    let path = text[1..].split_once(close)?.0.trim();
    (!path.is_empty()).then(|| (path.to_owned(), quoted))
}

/// Whether a line can only be C++.
fn is_cpp(line: &str) -> bool {
    let starts = |words: &[&str]| {
        words.iter().any(|word| {
            let rest = line.strip_prefix(word);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '<' | '{' | ':')))
        })
    };
    let access = ["public:", "private:", "protected:"].iter().any(|word| line.starts_with(word));
    access || line.contains("std::") || starts(&["namespace", "template", "class", "using"])
}

/// Where the scanner stands between lines.
#[derive(Debug, Default)]
enum State {
    #[default]
    Plain,
    Block,
    /// In a raw string that ends with this.
    Raw(String),
}

/// Takes comments and the inside of raw strings out of lines.
#[derive(Debug, Default)]
struct Code {
    state: State,
}

impl Code {
    fn is_plain(&self) -> bool {
        matches!(self.state, State::Plain)
    }

    /// The line without its comments.
    fn strip(&mut self, line: &str) -> String {
        let mut kept = String::with_capacity(line.len());
        let mut at = 0;
        while at < line.len() {
            let end = match &self.state {
                State::Block => "*/",
                State::Raw(end) => end.as_str(),
                State::Plain => {
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
                (b'/', Some(b'/')) => return (at, line.len()),
                (b'/', Some(b'*')) => {
                    self.state = State::Block;
                    return (at, at + 2);
                }
                (b'R', Some(b'"')) if !at.checked_sub(1).is_some_and(|before| is_word(bytes[before])) => {
                    let delimiter = line[at + 2..].split('(').next().filter(|it| it.len() <= 16).unwrap_or_default();
                    self.state = State::Raw(format!("){delimiter}\""));
                    return (at, (at + 3 + delimiter.len()).min(line.len()));
                }
                (quote @ (b'"' | b'\''), _) => at = after_string(bytes, at, quote),
                _ => at += 1,
            }
        }
        (line.len(), line.len())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte after a string or character that opens at `at`; a digit separator opens none.
fn after_string(bytes: &[u8], at: usize, quote: u8) -> usize {
    if quote == b'\'' && at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_hexdigit()) {
        return at + 1;
    }
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end += 2,
            byte if byte == quote => return end + 1,
            _ => end += 1,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(u32, String, bool)> {
        scan(source).includes.into_iter().map(|it| (it.line, it.path, it.quoted)).collect()
    }

    #[test]
    fn directives_count_under_conditions_and_not_in_text() {
        let source = "\
#include \"a.h\" // why
  #  include <sys/b.h>
/* #include \"no.h\"
#include \"no.h\" */ #include \"c.h\"
#if defined(X) /* always */
# include \\
   \"d.h\"
#elif 0
#include \"e.h\"
#endif
#if 0
#include \"never.h\"
#if 1
#include \"never.h\"
#endif
#else
#include \"f.h\"
#endif
#include MACRO
const char *s = \"/*\"; char q = '\"';
auto r = R\"x(
#include \"raw.h\"
)x\";
#include_next <g.h>
";
        let row = |line, path: &str, quoted| (line, path.to_owned(), quoted);
        let expected = [
            row(1, "a.h", true),
            row(2, "sys/b.h", false),
            row(4, "c.h", true),
            row(6, "d.h", true),
            row(9, "e.h", true),
            row(17, "f.h", true),
            row(24, "g.h", false),
        ];
        assert_eq!(found(source), expected);
    }

    #[test]
    fn a_header_is_cpp_by_what_it_says_outside_of_conditions() {
        assert!(scan("namespace a {\n}\n").cpp && scan("  public:\n").cpp && scan("template<class T>\n").cpp);
        let guarded = "#ifdef __cplusplus\nnamespace a {\n#else\nint class_of;\n#endif\nstruct s { int using_it; };\n";
        assert!(!scan(guarded).cpp);
        assert!(!scan("// std::vector\n/* class X { */\nint classes;\n").cpp);
    }

    #[test]
    fn many_comments_on_one_line_are_one_pass() {
        let line = "/**/ ".repeat(100_000) + "#include \"a.h\"\n";
        assert_eq!(found(&line), [(1, "a.h".to_owned(), true)]);
        assert!(found(&"R\"(".repeat(50_000)).is_empty());
    }
}
