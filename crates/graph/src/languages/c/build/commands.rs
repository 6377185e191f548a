//! The commands of a CMake file: names and arguments, nothing evaluated.
//!
//! Source: cmake-language(7). Invariant: one pass; text that is no command is passed over.

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) text: String,
    /// Whether quotes hold it together; in brackets, variables are not replaced either.
    pub(super) quoted: bool,
    pub(super) bracket: bool,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// In lower case: CMake does not tell them apart.
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
}

/// The commands of a text, at most `most`.
pub(super) fn read(text: &str, most: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut rest = text;
    while commands.len() < most {
        rest = after_blank(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            let Some(first) = rest.chars().next() else { break };
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start_matches([' ', '\t']);
        if let Some(inside) = rest.strip_prefix('(') {
            // Parentheses inside of others mean something in a condition alone.
            let (arguments, after) = arguments(inside, matches!(name.as_str(), "if" | "elseif"));
            commands.push(Command { name, arguments });
            rest = after;
        }
    }
    commands
}

/// The text after white space and comments.
fn after_blank(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix('#') {
        rest = match bracket(comment) {
            Some((_, after)) => after,
            None => comment.split_once('\n').map_or("", |(_, after)| after),
        }
        .trim_start();
    }
    rest
}

/// The arguments up to the closing parenthesis, and what follows it.
fn arguments(text: &str, grouped: bool) -> (Vec<Argument>, &str) {
    let mut found = Vec::new();
    let group = |mark: char| grouped.then(|| Argument { text: mark.to_string(), quoted: false, bracket: false });
    let mut nested = 0_usize;
    let mut rest = text;
    loop {
        rest = after_blank(rest);
        let Some(first) = rest.chars().next() else { return (found, "") };
        match first {
            '(' => {
                nested += 1;
                found.extend(group(first));
                rest = &rest[1..];
            }
            ')' if nested == 0 => return (found, &rest[1..]),
            ')' => {
                nested -= 1;
                found.extend(group(first));
                rest = &rest[1..];
            }
            '"' => {
                let (text, after) = quoted(&rest[1..]);
                found.push(Argument { text, quoted: true, bracket: false });
                rest = after;
            }
            _ => {
                if let Some((text, after)) = bracket(rest) {
                    found.push(Argument { text: text.to_owned(), quoted: true, bracket: true });
                    rest = after;
                    continue;
                }
                let end = rest.find(|c: char| c.is_whitespace() || "()#\"".contains(c)).unwrap_or(rest.len());
                // A quote inside of a word belongs to it.
                let end = end.max(first.len_utf8());
                found.push(Argument { text: rest[..end].to_owned(), quoted: false, bracket: false });
                rest = &rest[end..];
            }
        }
    }
}

/// The text in double quotes, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let mut inside = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (inside, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, '\n')) | None => {}
                Some((_, escaped)) => inside.push(escaped),
            },
            c => inside.push(c),
        }
    }
    (inside, "")
}

/// What stands in `[==[ … ]==]`, and what follows it.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?;
    let marks = inner.len() - inner.trim_start_matches('=').len();
    let body = inner[marks..].strip_prefix('[')?;
    body.split_once(&format!("]{}]", "=".repeat(marks))).or(Some((body, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_quotes_and_brackets_are_told_apart() {
        let text =
            "# set(no 1)\nSet(A \"b c\" d;e [[ ${f} ]]) #[[ set(no 2)\n]] if((x) AND y)\nadd(\"a\\\"b)\" # )\n c)\n";
        let read: Vec<(String, Vec<String>)> = read(text, 10)
            .into_iter()
            .map(|it| (it.name, it.arguments.into_iter().map(|it| it.text).collect()))
            .collect();
        let row = |name: &str, arguments: &[&str]| {
            (name.to_owned(), arguments.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        };
        let expected = [
            row("set", &["A", "b c", "d;e", " ${f} "]),
            row("if", &["(", "x", ")", "AND", "y"]),
            row("add", &["a\"b)", "c"]),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn torn_text_ends() {
        for text in ["set(a \"b", "set(a [[b", "set(", "((((", "#[[", "é(ü"] {
            assert!(read(text, 10).len() <= 1, "{text}");
        }
    }
}
