//! Makefiles: the directories after `-I`, variables and the functions of paths evaluated.
//!
//! `Makefile`, `Makefile.am`, `Makefile.in` and what they include → one list of [`SearchPaths`] each, for the
//! folder it stands in and those below. Recipes count as text. Of a condition that asks for another
//! system than Linux the other branch counts, of every other condition both: those of make, and automake's, which
//! stand before a line of `Makefile.in`.
//!
//! Invariant: what one file expands to has a limit, and so have all together.
//! Source: the GNU make manual; the automake manual for `srcdir` and its like.

use std::collections::{BTreeSet, HashMap};

use super::linux;
use super::search::SearchPaths;
use super::text::{ROOT, UNKNOWN, absolute, place};
use crate::paths;
use crate::repository::Repository;

/// Bytes expanded over all files.
const MAX_BYTES: usize = 32 << 20;
/// Bytes one text may expand to.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// Variables and files inside of each other.
const MAX_NESTING: usize = 16;

pub(super) fn read(repository: &Repository, paths: &mut SearchPaths) {
    let is_root = |path: &str| {
        let name = paths::file_name(path);
        let variant = name.strip_prefix("Makefile.").is_some_and(|system| !linux::is_other(system));
        matches!(name, "makefile" | "GNUmakefile" | "Makefile") || variant
    };
    let tops: BTreeSet<&str> = repository
        .files
        .keys()
        .filter(|path| matches!(paths::file_name(path), "configure.ac" | "configure.in" | "configure"))
        .map(|path| paths::parent(path))
        .collect();
    let mut budget = MAX_BYTES;
    for (path, text) in repository.files.iter().filter(|(path, _)| is_root(path)) {
        let directory = paths::parent(path);
        let top = paths::ancestors(path).find(|above| tops.contains(above)).unwrap_or(directory);
        let here = absolute(directory);
        let mut variables: HashMap<String, String> =
            ["CURDIR", "PWD", "srcdir", "abs_srcdir", "builddir", "abs_builddir"]
                .into_iter()
                .map(|name| (name.to_owned(), here.clone()))
                .collect();
        for name in ["top_srcdir", "abs_top_srcdir", "top_builddir", "abs_top_builddir"] {
            variables.insert(name.to_owned(), absolute(top));
        }
        let mut makefile = Makefile { repository, directory, variables, flags: Vec::new(), budget };
        makefile.read(path, text, 0);
        let flags = std::mem::take(&mut makefile.flags);
        let directories: Vec<String> = flags.iter().flat_map(|line| makefile.directories(line)).collect();
        budget = makefile.budget;
        if let Some(list) = paths.list(directories) {
            paths.serve_directory(directory, list);
        }
    }
}

/// One Makefile with what it includes.
struct Makefile<'r> {
    repository: &'r Repository,
    directory: &'r str,
    variables: HashMap<String, String>,
    /// Lines that hold `-I`.
    flags: Vec<String>,
    budget: usize,
}

impl Makefile<'_> {
    fn read(&mut self, path: &str, text: &str, nesting: usize) {
        if nesting > MAX_NESTING {
            return;
        }
        self.variables.insert("MAKEFILE_LIST".into(), absolute(path));
        // Of each open condition, whether it holds, where that is known.
        let mut open: Vec<Option<bool>> = Vec::new();
        for line in joined(text) {
            if self.budget == 0 {
                return;
            }
            self.budget = self.budget.saturating_sub(line.len() + 1);
            let words = line.trim();
            match words.split([' ', '\t']).next().unwrap_or_default() {
                "if" | "ifeq" | "ifneq" | "ifdef" | "ifndef" if !line.starts_with('\t') => {
                    open.push(linux::holds(words));
                    continue;
                }
                "else" => {
                    // `else ifeq …` asks again.
                    let again = words.strip_prefix("else").map(str::trim).filter(|rest| rest.starts_with("if"));
                    if let Some(last) = open.last_mut() {
                        *last = match (*last, again) {
                            (Some(true), _) => Some(false),
                            (_, Some(asked)) => linux::holds(asked),
                            (last, None) => last.map(|held| !held),
                        };
                    }
                    continue;
                }
                "endif" => {
                    open.pop();
                    continue;
                }
                _ if open.contains(&Some(false)) => continue,
                _ => {}
            }
            let line = line.replace("@srcdir@", "$(srcdir)").replace("@top_srcdir@", "$(top_srcdir)");
            if line.contains("-I")
                || line.contains("-isystem")
                || line.contains("-iquote")
                || line.contains("addprefix")
            {
                self.flags.push(line.clone());
            }
            let words = line.trim_start();
            if line.starts_with('\t') || words.starts_with('#') {
                continue;
            }
            let included = ["include ", "-include ", "sinclude "].iter().find_map(|word| words.strip_prefix(word));
            if let Some(files) = included {
                let files = self.expand(files, 0);
                for file in files.split_whitespace() {
                    let found = place(self.directory, file).and_then(|file| self.repository.files.get_key_value(&file));
                    if let Some((file, text)) = found {
                        self.read(file, text, nesting + 1);
                        self.variables.insert("MAKEFILE_LIST".into(), absolute(path));
                    }
                }
                continue;
            }
            self.assign(words);
        }
    }

    fn assign(&mut self, line: &str) {
        let Some((left, value)) = line.split_once('=') else { return };
        let name = left.trim_end_matches([':', '+', '?', '!']).trim();
        let name = name.rsplit(' ').next().unwrap_or_default();
        if name.is_empty() || name.contains(['(', ':', '$', '"']) || name.len() > 128 {
            return;
        }
        let value = value.split(" #").next().unwrap_or_default().trim();
        let kind = left.as_bytes()[left.len() - 1];
        // What `:=` says holds for the place it stands in.
        let value = if kind == b':' { self.expand(value, 0) } else { value.to_owned() };
        let before = self.variables.get(name);
        let value = match kind {
            b'?' if before.is_some() => return,
            b'+' => format!("{} {value}", before.map_or("", String::as_str)),
            _ => value,
        };
        if value.len() <= MAX_TEXT_BYTES {
            self.variables.insert(name.to_owned(), value);
        }
    }

    /// The directories that a line puts on the search path.
    fn directories(&mut self, line: &str) -> Vec<String> {
        let text = self.expand(line, 0).replace(['"', '\''], " ").replace("-I ", "-I");
        let mut found = Vec::new();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let word = word.rsplit_once("=-I").map_or(word, |(_, directory)| directory);
            let flag = ["-isystem", "-iquote", "-idirafter", "-I"].iter().find_map(|flag| word.strip_prefix(flag));
            let directory = match flag {
                Some("") => words.next(),
                directory => directory,
            };
            found.extend(directory.and_then(|directory| place(self.directory, directory)));
        }
        found
    }

    /// The text with variables and functions replaced.
    fn expand(&mut self, text: &str, nesting: usize) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let close = match after.chars().next() {
                Some('(') => ')',
                Some('{') => '}',
                Some(c) => {
                    // `$$` belongs to the shell, `$@` and its like to a rule.
                    expanded.push(UNKNOWN);
                    rest = &after[c.len_utf8()..];
                    continue;
                }
                None => return expanded,
            };
            let (inside, after) = enclosed(&after[1..], close);
            rest = after;
            let spent = nesting >= MAX_NESTING || self.budget == 0 || expanded.len() > MAX_TEXT_BYTES;
            let value = if spent { UNKNOWN.to_string() } else { self.value(inside, nesting + 1) };
            self.budget = self.budget.saturating_sub(value.len() + 16);
            expanded.push_str(&value);
        }
        expanded.push_str(rest);
        expanded
    }

    /// What `$(inside)` stands for.
    fn value(&mut self, inside: &str, nesting: usize) -> String {
        if let Some((name, arguments)) = inside.split_once([' ', '\t'])
            && !name.contains(['$', ':'])
        {
            return self.function(name, arguments.trim(), nesting);
        }
        let inside = self.expand(inside, nesting);
        // `$(NAME:%=-I%)` and `$(NAME:a=b)`.
        if let Some((name, (from, to))) =
            inside.split_once(':').and_then(|(name, it)| Some((name, it.split_once('=')?)))
        {
            let value = self.variables.get(name).cloned().unwrap_or_default();
            let value = self.expand(&value, nesting);
            let (from, to) =
                if from.contains('%') { (from.into(), to.into()) } else { (format!("%{from}"), format!("%{to}")) };
            return each(&value, |word| substituted(word, &from, &to));
        }
        let value = self.variables.get(&inside).cloned().unwrap_or_default();
        self.expand(&value, nesting)
    }

    fn function(&mut self, name: &str, arguments: &str, nesting: usize) -> String {
        if name == "foreach" {
            let mut parts = arguments.splitn(3, ',');
            let (Some(variable), Some(list), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
                return String::new();
            };
            let list = self.expand(list, nesting);
            let mut made = String::new();
            for word in list.split_whitespace() {
                self.variables.insert(variable.trim().to_owned(), word.to_owned());
                made.push_str(&self.expand(body, nesting));
                made.push(' ');
                if made.len() > MAX_TEXT_BYTES {
                    break;
                }
            }
            return made;
        }
        let arguments = self.expand(arguments, nesting);
        let directory = self.directory;
        match name {
            "abspath" | "realpath" | "wildcard" => {
                each(&arguments, |word| place(directory, word).map_or(UNKNOWN.to_string(), |at| absolute(&at)))
            }
            "dir" => each(&arguments, |word| match word.rsplit_once('/') {
                Some((above, _)) => format!("{above}/"),
                None if word.starts_with(ROOT) => absolute(""),
                None => "./".to_owned(),
            }),
            "notdir" => each(&arguments, |word| paths::file_name(word).to_owned()),
            "strip" | "sort" => arguments,
            "firstword" => arguments.split_whitespace().next().unwrap_or_default().to_owned(),
            "lastword" => arguments.split_whitespace().next_back().unwrap_or_default().to_owned(),
            "addprefix" => match arguments.split_once(',') {
                Some((prefix, words)) => each(words, |word| format!("{}{word}", prefix.trim())),
                None => String::new(),
            },
            "addsuffix" => match arguments.split_once(',') {
                Some((suffix, words)) => each(words, |word| format!("{word}{}", suffix.trim())),
                None => String::new(),
            },
            "patsubst" => match arguments.splitn(3, ',').collect::<Vec<_>>().as_slice() {
                [from, to, words] => each(words, |word| substituted(word, from.trim(), to.trim())),
                _ => String::new(),
            },
            // What a shell or a condition would say is not known.
            _ => UNKNOWN.to_string(),
        }
    }
}

fn each(words: &str, change: impl Fn(&str) -> String) -> String {
    words.split_whitespace().map(change).collect::<Vec<_>>().join(" ")
}

/// A word with the pattern `from`, in which `%` stands for anything, turned into `to`.
fn substituted(word: &str, from: &str, to: &str) -> String {
    let (start, end) = from.split_once('%').unwrap_or((from, ""));
    let stem = word.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    stem.map_or(word.to_owned(), |stem| to.replacen('%', stem, 1))
}

/// What stands before the parenthesis that closes, and what follows it.
fn enclosed(text: &str, close: char) -> (&str, &str) {
    let open = if close == ')' { '(' } else { '{' };
    let mut nested = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            nested += 1;
        } else if c == close {
            if nested == 0 {
                return (&text[..at], &text[at + c.len_utf8()..]);
            }
            nested -= 1;
        }
    }
    (text, "")
}

/// The lines of a text that count on Linux, those that a backslash continues joined.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    // Of what automake continues, each line has the conditions before it.
    for line in text.lines().filter_map(linux::unconditional) {
        let (part, goes_on) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(part.trim_start());
            }
            None => lines.push(part.to_owned()),
        }
        open = goes_on;
    }
    lines
}
