//! The conditions of CMake's `if`: yes, no, or not known.
//!
//! Words → what they come to on the machine that most readers of a repository have, Linux with GNU's
//! compiler, with options as they are declared. What depends on anything else (packages that are
//! looked for, what a caller sets, the file system) is not known.
//!
//! Source: cmake-commands(7), `if`. `AND` binds closer than `OR`. Invariant: each word is looked at
//! once, whatever parentheses stand around it.

use super::commands::Argument;
use super::text::UNKNOWN;

/// What CMake says of the platform.
pub(super) const PLATFORM: &[(&str, &str)] = &[
    ("ANDROID", "OFF"),
    ("APPLE", "OFF"),
    ("BORLAND", "OFF"),
    ("CMAKE_COMPILER_IS_GNUCC", "1"),
    ("CMAKE_COMPILER_IS_GNUCXX", "1"),
    ("CMAKE_CXX_COMPILER_ID", "GNU"),
    ("CMAKE_C_COMPILER_ID", "GNU"),
    ("CMAKE_HOST_APPLE", "OFF"),
    ("CMAKE_HOST_UNIX", "ON"),
    ("CMAKE_HOST_WIN32", "OFF"),
    ("CMAKE_SYSTEM_NAME", "Linux"),
    ("CYGWIN", "OFF"),
    ("EMSCRIPTEN", "OFF"),
    ("IOS", "OFF"),
    ("LINUX", "ON"),
    ("MINGW", "OFF"),
    ("MSVC", "OFF"),
    ("MSYS", "OFF"),
    ("UNIX", "ON"),
    ("WIN32", "OFF"),
    ("WINCE", "OFF"),
    ("WINDOWS_STORE", "OFF"),
    ("XCODE", "OFF"),
];

/// Words inside of one condition; a longer one is not known.
const MAX_WORDS: usize = 256;
/// Parentheses and negations inside of each other.
const MAX_DEPTH: usize = 32;

/// Whether the condition holds. `arguments` have their references replaced; `value` knows variables.
pub(super) fn holds(arguments: &[Argument], value: &dyn Fn(&str) -> Option<String>) -> Option<bool> {
    if arguments.len() > MAX_WORDS {
        return None;
    }
    let mut reader = Reader { words: arguments, at: 0, value };
    let found = reader.any(0);
    if reader.at == arguments.len() { found } else { None }
}

struct Reader<'a> {
    words: &'a [Argument],
    at: usize,
    value: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Reader<'a> {
    fn is(&self, ahead: usize, word: &str) -> bool {
        self.words.get(self.at + ahead).is_some_and(|it| !it.quoted && it.text == word)
    }

    fn next(&mut self) -> Option<&'a Argument> {
        let word = self.words.get(self.at);
        self.at += usize::from(word.is_some());
        word
    }

    fn any(&mut self, depth: usize) -> Option<bool> {
        let mut found = self.all(depth);
        while self.is(0, "OR") {
            self.at += 1;
            found = match (found, self.all(depth)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        found
    }

    fn all(&mut self, depth: usize) -> Option<bool> {
        let mut found = self.one(depth);
        while self.is(0, "AND") {
            self.at += 1;
            found = match (found, self.one(depth)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
        }
        found
    }

    fn one(&mut self, depth: usize) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        if self.is(0, "NOT") {
            self.at += 1;
            return self.one(depth + 1).map(|found| !found);
        }
        if self.is(0, "(") {
            self.at += 1;
            let found = self.any(depth + 1);
            self.at += usize::from(self.is(0, ")"));
            return found;
        }
        let first = self.next()?;
        match first.text.as_str() {
            "DEFINED" if !first.quoted => {
                let name = &self.next()?.text;
                // What nobody here sets may be set from outside.
                return (self.value)(name).map(|_| true);
            }
            "TARGET" | "EXISTS" | "COMMAND" | "POLICY" | "TEST" | "IS_DIRECTORY" | "IS_ABSOLUTE" | "IS_SYMLINK"
                if !first.quoted =>
            {
                self.next();
                return None;
            }
            _ => {}
        }
        let operator = self.words.get(self.at).filter(|word| !word.quoted).map(|word| word.text.as_str());
        match operator {
            Some(operator) if COMPARISONS.contains(&operator) => {
                self.at += 1;
                let second = self.next()?;
                let (left, right) = (self.operand(first)?, self.operand(second)?);
                compare(operator, &left, &right)
            }
            _ => self.truth(first),
        }
    }

    /// What a word stands for in a comparison: the value of a variable of that name, else itself.
    fn operand(&self, word: &Argument) -> Option<String> {
        if word.text.contains(UNKNOWN) {
            return None;
        }
        let value = Some(&word.text).filter(|_| !word.quoted).and_then(|name| (self.value)(name));
        Some(value.unwrap_or_else(|| word.text.clone())).filter(|value| !value.contains(UNKNOWN))
    }

    fn truth(&self, word: &Argument) -> Option<bool> {
        if word.text.contains(UNKNOWN) {
            return None;
        }
        if let Some(constant) = constant(&word.text) {
            return Some(constant);
        }
        if word.quoted {
            return Some(false);
        }
        let value = (self.value)(&word.text).filter(|value| !value.contains(UNKNOWN))?;
        Some(constant(&value).unwrap_or(true))
    }
}

const COMPARISONS: [&str; 10] = [
    "STREQUAL",
    "EQUAL",
    "LESS",
    "GREATER",
    "LESS_EQUAL",
    "GREATER_EQUAL",
    "STRLESS",
    "STRGREATER",
    "MATCHES",
    "VERSION_LESS",
];

fn compare(operator: &str, left: &str, right: &str) -> Option<bool> {
    let numbers = || Some((left.parse::<f64>().ok()?, right.parse::<f64>().ok()?));
    match operator {
        "STREQUAL" => Some(left == right),
        "STRLESS" => Some(left < right),
        "STRGREATER" => Some(left > right),
        "EQUAL" => numbers().map(|(left, right)| left == right),
        "LESS" => numbers().map(|(left, right)| left < right),
        "GREATER" => numbers().map(|(left, right)| left > right),
        "LESS_EQUAL" => numbers().map(|(left, right)| left <= right),
        "GREATER_EQUAL" => numbers().map(|(left, right)| left >= right),
        // A pattern of letters alone is looked for; what more a pattern may say is not read.
        "MATCHES" if right.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => Some(left.contains(right)),
        _ => None,
    }
}

/// The words that are true or false by themselves.
fn constant(word: &str) -> Option<bool> {
    match word.to_ascii_uppercase().as_str() {
        "1" | "ON" | "YES" | "TRUE" | "Y" => Some(true),
        "" | "0" | "OFF" | "NO" | "FALSE" | "N" | "IGNORE" | "NOTFOUND" => Some(false),
        other if other.ends_with("-NOTFOUND") => Some(false),
        other => other.parse::<f64>().ok().map(|number| number != 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_decided_where_their_words_are_known() {
        let value = |name: &str| match name {
            "YES_OPTION" => Some("ON".to_owned()),
            "NO_OPTION" => Some("OFF".to_owned()),
            "KIND" => Some("ssl".to_owned()),
            "ODD" => Some(UNKNOWN.to_string()),
            _ => PLATFORM.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()),
        };
        for (condition, expected) in [
            ("YES_OPTION", Some(true)),
            ("NO_OPTION", Some(false)),
            ("NOT NO_OPTION", Some(true)),
            ("ON", Some(true)),
            ("0", Some(false)),
            ("WIN32", Some(false)),
            ("UNIX AND NOT APPLE", Some(true)),
            ("WIN32 OR ( UNIX AND YES_OPTION )", Some(true)),
            ("KIND STREQUAL ssl", Some(true)),
            ("KIND STREQUAL tls", Some(false)),
            ("CMAKE_SYSTEM_NAME MATCHES Darwin", Some(false)),
            ("2 GREATER 1", Some(true)),
            ("Found_FOUND", None),
            ("ODD", None),
            ("Found_FOUND AND NO_OPTION", Some(false)),
            ("Found_FOUND OR YES_OPTION", Some(true)),
            ("NOT Found_FOUND", None),
            ("DEFINED KIND", Some(true)),
            ("DEFINED ELSEWHERE", None),
            ("TARGET x", None),
            ("EXISTS x OR YES_OPTION", Some(true)),
            ("CMAKE_VERSION VERSION_LESS 3.5", None),
            ("", None),
            ("YES_OPTION )", None),
            ("NOT", None),
        ] {
            let words = condition.split_whitespace();
            let words: Vec<Argument> =
                words.map(|text| Argument { text: text.to_owned(), quoted: false, bracket: false }).collect();
            assert_eq!(holds(&words, &value), expected, "{condition}");
        }
        let quoted = |text: &str| [Argument { text: text.to_owned(), quoted: true, bracket: false }];
        assert_eq!(holds(&quoted("YES_OPTION"), &value), Some(false), "a text is no variable");
        assert_eq!(holds(&quoted("ON"), &value), Some(true));
        let many: Vec<Argument> =
            (0..200).map(|_| Argument { text: "(".into(), quoted: false, bracket: false }).collect();
        assert_eq!(holds(&many, &value), None, "a depth has an end");
    }
}
