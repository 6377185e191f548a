//! Macros by the order of the text: what each defines, and where one is used without a path.
//!
//! A macro is known from its definition on, in its module and those declared below it there;
//! after a module with `#[macro_use]` its macros go on being known. [`used`] walks the modules of
//! a crate in that order and tells for each file which macros of other files it uses so.
//!
//! Invariant: every file is walked once a crate, whatever declares it.
//! Source: the Rust reference, "Macros by example", "Scoping, exporting, and importing".

use std::collections::{BTreeMap, HashMap, HashSet};

use tree_sitter::Node;

use super::facts::{Event, Facts, Macro, What};
use super::uses;
use crate::syntax::{self, Visit};

impl Macro {
    /// What a definition says.
    pub(super) fn of(node: Node<'_>, source: &str, name: String, exported: bool) -> Self {
        let mut made = Self { name, exported, ..Self::default() };
        if !syntax::text(node, source).contains("mod ") {
            return made;
        }
        let mut before = ["", ""];
        syntax::walk(node, |node, _| {
            if node.child_count() > 0 && node.kind() != "metavariable" {
                return Visit::Into;
            }
            let text = syntax::text(node, source);
            match (before, text) {
                (["mod", name], ";") if name.starts_with('$') => made.declares_arguments = true,
                (["mod", name], ";") => made.declares.push(uses::plain(name)),
                (["path", "="], value) if value.starts_with('$') => made.places_arguments = true,
                _ => {}
            }
            before = [before[1], text];
            Visit::Over
        });
        made
    }
}

/// Macros of the standard library, which nobody looks for in a repository.
const STANDARD: [&str; 38] = [
    "assert",
    "assert_eq",
    "assert_matches",
    "assert_ne",
    "cfg",
    "column",
    "compile_error",
    "concat",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "env",
    "eprint",
    "eprintln",
    "file",
    "format",
    "format_args",
    "include",
    "include_bytes",
    "include_str",
    "line",
    "macro_rules",
    "matches",
    "module_path",
    "option_env",
    "panic",
    "print",
    "println",
    "stringify",
    "thread_local",
    "todo",
    "try",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Every `name!` of a text without a path before it, outside of comments and strings.
pub(super) fn uses(source: &str) -> Vec<Event> {
    let bytes = source.as_bytes();
    let candidate = |at: usize| name_before(bytes, at).is_some_and(|start| !is_standard(&source[start..at]));
    if !memchr::memchr_iter(b'!', bytes).any(candidate) {
        return Vec::new();
    }
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1_u32);
    while at < bytes.len() {
        let end = match bytes[at] {
            b'!' if candidate(at) => {
                let start = name_before(bytes, at).unwrap_or(at);
                let name = uses::plain(&source[start..at]);
                found.push(Event { at: start, what: What::Use { name, line } });
                at + 1
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n)
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => after_comment(bytes, at),
            b'"' => after_text(bytes, at),
            b'\'' => after_character(source, at),
            _ => at + 1,
        };
        line += u32::try_from(memchr::memchr_iter(b'\n', &bytes[at..end]).count()).unwrap_or(u32::MAX);
        at = end;
    }
    found
}

fn is_standard(name: &str) -> bool {
    STANDARD.binary_search(&name).is_ok()
}

/// Where the name before a `!` starts that calls a macro, if there is one without a path.
fn name_before(bytes: &[u8], at: usize) -> Option<usize> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    let length = bytes[..at].iter().rev().take_while(|byte| word(byte)).count();
    let start = at - length;
    let opens =
        bytes[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"([{".contains(byte));
    let named = length > 0 && !bytes[start].is_ascii_digit() && !bytes[..start].ends_with(b":");
    (opens && named && !bytes[..start].ends_with(b"$")).then_some(start)
}

/// The byte after a block comment, which may hold others.
fn after_comment(bytes: &[u8], at: usize) -> usize {
    let (mut end, mut open) = (at, 0_usize);
    while end + 1 < bytes.len() {
        match &bytes[end..end + 2] {
            b"/*" => (open, end) = (open + 1, end + 2),
            b"*/" => {
                (open, end) = (open - 1, end + 2);
                if open == 0 {
                    return end;
                }
            }
            _ => end += 1,
        }
    }
    bytes.len()
}

/// The byte after a string that opens at `at`, raw or not.
fn after_text(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[..at].iter().rev().take_while(|byte| **byte == b'#').count();
    let prefix = &bytes[..at - hashes];
    if prefix.ends_with(b"r") && !prefix.ends_with(b"rr") {
        let mut end = at + 1;
        while let Some(quote) = memchr::memchr(b'"', &bytes[end.min(bytes.len())..]) {
            end += quote + 1;
            if bytes[end..].iter().take(hashes).filter(|byte| **byte == b'#').count() == hashes {
                return end + hashes;
            }
        }
        return bytes.len();
    }
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// The byte after a character; a lifetime is its mark alone.
fn after_character(source: &str, at: usize) -> usize {
    let Some(rest) = source.get(at + 1..) else { return at + 1 };
    let mut characters = rest.char_indices();
    match characters.next() {
        Some((_, '\\')) => {
            rest[1..].find('\'').map_or(at + 1, |end| at + 2 + end + usize::from(rest[1..].starts_with('\'')) + 1)
        }
        Some(_) if characters.next().is_some_and(|(_, c)| c == '\'') => {
            at + 1 + characters.next().map_or(rest.len(), |(end, _)| end)
        }
        _ => at + 1,
    }
}

/// What a crate's walk asks of the module tree.
pub(super) trait Modules<'r> {
    /// What a file says.
    fn facts(&self, file: &str) -> Option<&'r Facts>;
    /// The files of the module that an import of a file declares.
    fn files(&self, file: &str, import: usize) -> Vec<String>;
    /// The macros another crate of the repository exports, each with its file.
    fn exported(&self, name: &str) -> Vec<(&'r str, String)>;
}

/// The macros of other files that a file uses without a path: name and file, with the first line.
pub(super) type Used = BTreeMap<(String, String), u32>;

/// A walk over the files of a crate in the order of the text.
struct Walk<'r> {
    /// Definitions of a macro known here, the last one meant, each with the files that make it under one condition
    /// or another.
    known: HashMap<&'r str, Vec<Vec<String>>>,
    /// Names in the order they became known.
    order: Vec<&'r str>,
    used: HashMap<String, Used>,
}

/// What is left to do of one file.
struct Left<'r> {
    file: String,
    facts: &'r Facts,
    next: usize,
    /// How many macros were known where each open module began.
    open: Vec<usize>,
    /// The same for the file, if what it defines ends with it.
    ends_at: Option<usize>,
}

/// What the files of a crate use of each other's macros without a path.
pub(super) fn used<'r>(modules: &impl Modules<'r>, root: &str) -> HashMap<String, Used> {
    let mut walk = Walk { known: HashMap::new(), order: Vec::new(), used: HashMap::new() };
    let mut met = HashSet::from([root.to_owned()]);
    let left = |file: String, ends_at| {
        let facts = modules.facts(&file)?;
        Some(Left { file, facts, next: 0, open: Vec::new(), ends_at })
    };
    let mut files: Vec<Left<'r>> = left(root.to_owned(), None).into_iter().collect();
    while let Some(file) = files.last_mut() {
        let Some(event) = file.facts.events.get(file.next) else {
            let ends_at = file.ends_at;
            files.pop();
            ends_at.into_iter().for_each(|length| walk.forget(length));
            continue;
        };
        file.next += 1;
        match &event.what {
            What::Define(name) => walk.learn(name, vec![file.file.clone()]),
            What::Open => file.open.push(walk.order.len()),
            What::Close { macro_use } => {
                if let Some(length) = file.open.pop().filter(|_| !*macro_use) {
                    walk.forget(length);
                }
            }
            What::Extern(name) => {
                let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
                for (name, file) in modules.exported(name) {
                    by_name.entry(name).or_default().push(file);
                }
                by_name.into_iter().for_each(|(name, files)| walk.learn(name, files));
            }
            What::Use { name, line } => walk.note(&file.file, name, *line),
            What::Declare { import, macro_use } => {
                let ends_at = (!*macro_use).then_some(walk.order.len());
                let declared = modules.files(&file.file, *import);
                files.extend(
                    declared.into_iter().filter(|file| met.insert(file.clone())).filter_map(|file| left(file, ends_at)),
                );
            }
        }
    }
    walk.used
}

impl<'r> Walk<'r> {
    fn learn(&mut self, name: &'r str, files: Vec<String>) {
        self.known.entry(name).or_default().push(files);
        self.order.push(name);
    }

    fn forget(&mut self, length: usize) {
        for name in self.order.drain(length.min(self.order.len())..) {
            if let Some(files) = self.known.get_mut(name) {
                files.pop();
            }
        }
    }

    fn note(&mut self, from: &str, name: &str, line: u32) {
        let meant = self.known.get(name).and_then(|known| known.last());
        for file in meant.into_iter().flatten().filter(|file| *file != from) {
            let used = self.used.entry(from.to_owned()).or_default();
            used.entry((name.to_owned(), file.clone())).or_insert(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_outside_of_comments_and_strings() {
        let source = "a!(1); // b!()\n/* c!{} /* d!() */ e!() */ f ! {}\nlet s = \"g!()\"; r#\"h!(\" i!()\"#; '\"'; '\\''; fn x<'l>() { j![] }\nk::l!(); m != (n); o! { p!() }\nprintln!(\"\");\n";
        let found: Vec<(String, u32)> = uses(source)
            .into_iter()
            .filter_map(|event| match event.what {
                What::Use { name, line } => Some((name, line)),
                _ => None,
            })
            .collect();
        let expected = [("a", 1), ("j", 3), ("o", 4), ("p", 4)].map(|(name, line)| (name.to_owned(), line));
        assert_eq!(found, expected);
        assert!(STANDARD.is_sorted(), "binary search needs order");
    }
}
