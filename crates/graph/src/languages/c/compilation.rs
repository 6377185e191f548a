//! Include directories out of a `compile_commands.json`: the compiler's own search path.
//!
//! The database holds absolute paths of the machine that wrote it; an entry's source file, found
//! in the repository by its longest suffix, tells what stands before the repository's own paths.
//! Source: Clang, "JSON Compilation Database Format Specification".

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::paths;
use crate::repository::Repository;

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    directory: String,
    file: String,
    #[serde(default)]
    command: String,
    #[serde(default)]
    arguments: Vec<String>,
}

/// Search paths, as directories of the repository.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compilation {
    /// By source file, in the order of the command line.
    pub(super) of_file: BTreeMap<String, Vec<String>>,
    /// Those of all source files, for headers.
    pub(super) all: Vec<String>,
}

pub(super) fn read(repository: &Repository) -> Compilation {
    let mut compilation = Compilation::default();
    let mut met = BTreeSet::new();
    let databases = repository.files.iter().filter(|(path, _)| paths::file_name(path) == "compile_commands.json");
    for (at, text) in databases {
        for entry in serde_json::from_str::<Vec<Entry>>(text).unwrap_or_default() {
            let Some((file, root)) = place(repository, paths::parent(at), &entry) else { continue };
            let arguments = if entry.arguments.is_empty() { split(&entry.command) } else { entry.arguments };
            let mut directories: Vec<String> = Vec::new();
            for directory in searched(&arguments) {
                let absolute = absolute(&entry.directory, &directory);
                let inside = absolute.strip_prefix(&root).map(|inside| inside.trim_start_matches('/').to_owned());
                directories.extend(inside.filter(|_| paths::is_below(&absolute, root.trim_end_matches('/'))));
            }
            compilation.all.extend(directories.iter().filter(|directory| met.insert((*directory).clone())).cloned());
            compilation.of_file.entry(file).or_default().extend(directories);
        }
    }
    compilation
}

/// The entry's file in the repository, and the absolute path of the repository's root.
fn place(repository: &Repository, database: &str, entry: &Entry) -> Option<(String, String)> {
    let file = absolute(&entry.directory, &entry.file);
    let mut suffix = file.trim_start_matches('/');
    loop {
        if repository.contains(suffix) {
            let root = file.strip_suffix(suffix)?.to_owned();
            return Some((suffix.to_owned(), root));
        }
        match suffix.split_once('/') {
            Some((_, rest)) => suffix = rest,
            // Relative throughout: then it is relative to the database.
            None => {
                let file = paths::join(database, &entry.file).filter(|file| repository.contains(file))?;
                return Some((file, String::new()));
            }
        }
    }
}

/// `path` seen from `directory`, both as text; `.` and `..` resolved where that is possible.
fn absolute(directory: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let joined = paths::join("", whole.trim_start_matches('/')).unwrap_or_default();
    if whole.starts_with('/') { format!("/{joined}") } else { joined }
}

/// The directories named by `-I`, `-iquote`, `-isystem` and `-idirafter`.
fn searched(arguments: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let flag =
            ["-I", "-iquote", "-isystem", "-idirafter", "/I"].iter().find_map(|flag| argument.strip_prefix(flag));
        match flag {
            Some("") => found.extend(arguments.next().cloned()),
            Some(directory) => found.push(directory.trim_start_matches('=').to_owned()),
            None => {}
        }
    }
    found
}

/// The words of a command line; quotes hold words together.
fn split(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().expect("the list starts with one word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
