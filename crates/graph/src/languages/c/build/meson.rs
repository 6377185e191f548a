//! Meson: the directories of `include_directories`, and those of the targets themselves.
//!
//! `meson.build` files → one list of [`SearchPaths`] each, for the folder it stands in and those below. Variables are
//! followed through `subdir` as Meson does, where they hold include directories or dependencies
//! declared with them; conditions are passed over.
//!
//! Invariant: each file is read once.
//! Source: the Meson reference manual, `include_directories`, `declare_dependency` and
//! `implicit_include_directories`.

use std::collections::{BTreeSet, HashMap};

use super::search::SearchPaths;
use super::text::place;
use crate::paths;
use crate::repository::Repository;

/// Directories a variable may stand for.
const MAX_VALUES: usize = 1_024;
/// Folders inside of each other.
const MAX_NESTING: usize = 32;

/// Functions that make a target, whose own folder is searched.
const TARGETS: [&str; 7] =
    ["library", "static_library", "shared_library", "both_libraries", "shared_module", "executable", "build_target"];

pub(super) fn read(repository: &Repository, paths: &mut SearchPaths) {
    let mut roots: Vec<&str> = repository
        .files
        .keys()
        .filter(|path| paths::file_name(path) == "meson.build")
        .map(|path| paths::parent(path))
        .collect();
    roots.sort_by_key(|directory| (directory.matches('/').count() + usize::from(!directory.is_empty()), *directory));
    let mut met = BTreeSet::new();
    for root in roots {
        let mut project = Project { repository, paths, variables: HashMap::new(), met: &mut met };
        project.read(root, 0);
    }
}

/// A tree of `meson.build` files that share their variables.
struct Project<'r, 'p> {
    repository: &'r Repository,
    paths: &'p mut SearchPaths,
    /// Include directories that a variable stands for.
    variables: HashMap<String, Vec<String>>,
    met: &'p mut BTreeSet<String>,
}

impl Project<'_, '_> {
    fn read(&mut self, directory: &str, nesting: usize) {
        let file = if directory.is_empty() { "meson.build".to_owned() } else { format!("{directory}/meson.build") };
        let Some(text) = self.repository.files.get(&file) else { return };
        if nesting > MAX_NESTING || !self.met.insert(directory.to_owned()) {
            return;
        }
        let mut searched: Vec<String> = Vec::new();
        for tokens in statements(text) {
            let assigned = match tokens.as_slice() {
                [Token::Name(name), Token::Mark('='), ..] => Some(name.clone()),
                [Token::Name(name), Token::Mark('+'), Token::Mark('='), ..] => Some(name.clone()),
                _ => None,
            };
            let named = self.named(directory, &tokens);
            let target = tokens
                .windows(2)
                .any(|pair| matches!(pair, [Token::Name(name), Token::Mark('(')] if TARGETS.contains(&name.as_str())));
            if target {
                searched.push(directory.to_owned());
            }
            searched.extend(named.iter().take(MAX_VALUES).cloned());
            if let Some(name) = assigned.filter(|_| !named.is_empty()) {
                let values = self.variables.entry(name).or_default();
                values.extend(named);
                values.truncate(MAX_VALUES);
            }
            if let [Token::Name(name), Token::Mark('('), Token::Text(folder), ..] = tokens.as_slice()
                && name == "subdir"
                && let Some(folder) = place(directory, folder)
            {
                self.read(&folder, nesting + 1);
            }
        }
        if let Some(list) = self.paths.list(searched) {
            self.paths.serve_directory(directory, list);
        }
    }

    /// The directories that a statement names, itself or by a variable.
    fn named(&self, directory: &str, tokens: &[Token]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        // How many parentheses deep the arguments of `include_directories` stand.
        let (mut depth, mut inside) = (0_usize, None);
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Mark('(') => depth += 1,
                Token::Mark(')') => {
                    depth = depth.saturating_sub(1);
                    inside = inside.filter(|start| depth > *start);
                }
                Token::Name(name) if name == "include_directories" => {
                    let called = tokens.get(at + 1) == Some(&Token::Mark('('));
                    // As a keyword it takes texts as well.
                    let keyword = tokens.get(at + 1) == Some(&Token::Mark(':'));
                    inside = if called { Some(depth) } else { inside.or(keyword.then_some(depth.saturating_sub(1))) };
                }
                Token::Name(name) => {
                    if tokens.get(at + 1) == Some(&Token::Mark(':')) {
                        // Another keyword's value is no directory.
                        inside = None;
                    }
                    found.extend(self.variables.get(name).into_iter().flatten().cloned());
                }
                Token::Text(text) if inside.is_some() => found.extend(place(directory, text)),
                Token::Text(_) | Token::Mark(_) => {}
            }
            if found.len() > MAX_VALUES {
                break;
            }
        }
        found
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Mark(char),
}

/// The statements of a file: a line, or several that brackets hold together.
fn statements(text: &str) -> Vec<Vec<Token>> {
    let mut found = Vec::new();
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        match first {
            '#' => taken = rest.find('\n').unwrap_or(rest.len()),
            '\'' => {
                let mark = if rest.starts_with("'''") { "'''" } else { "'" };
                let inside = &rest[mark.len()..];
                let end = inside.find(mark).unwrap_or(inside.len());
                tokens.push(Token::Text(inside[..end].to_owned()));
                taken = (end + 2 * mark.len()).min(rest.len());
            }
            '\n' if depth == 0 => found.push(std::mem::take(&mut tokens)),
            c if c.is_whitespace() => {}
            c if c.is_alphanumeric() || c == '_' => {
                taken = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                tokens.push(Token::Name(rest[..taken].to_owned()));
            }
            c => {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                tokens.push(Token::Mark(c));
            }
        }
        rest = &rest[taken..];
    }
    found.push(tokens);
    found
}
