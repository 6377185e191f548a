//! The repository as a file system for the module resolver, in memory.
//!
//! Files stand below [`ROOT`]. What an installation would add and a checkout lacks is made up:
//! `node_modules` links to the workspace's own packages, and a `jsconfig.json` serves as the
//! `tsconfig.json` it stands for. Configurations lose what they take from packages that are not
//! installed here, so that the rest of them still counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use oxc_resolver::{FileMetadata, FileSystem, ResolveError};
use serde_json::Value;

use crate::paths;
use crate::repository::Repository;

/// Where the repository stands in the made-up file system.
pub(super) const ROOT: &str = "/repository";

/// Files, directories and links, by absolute path.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The text of manifests and configurations; none for what only needs to exist.
    files: BTreeMap<PathBuf, Option<String>>,
    directories: BTreeSet<PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Files {
    /// The file system of `repository`, `packages` being the directories of named packages.
    pub(super) fn of(repository: &Repository, packages: &BTreeMap<String, String>) -> Self {
        let mut files = Self::default();
        files.directories.insert(PathBuf::from(ROOT));
        for path in repository.paths() {
            for directory in paths::ancestors(path) {
                files.directories.insert(absolute(directory));
            }
            files.files.insert(absolute(path), None);
        }
        for (path, text) in &repository.files {
            let name = paths::file_name(path);
            if name == "package.json" {
                // A damaged manifest must not hide the files around it.
                let whole = serde_json::from_str::<Value>(text).is_ok_and(|manifest| manifest.is_object());
                files.files.insert(absolute(path), Some(if whole { text.clone() } else { "{}".to_owned() }));
            } else if name == "jsconfig.json" {
                let served = paths::join(paths::parent(path), "tsconfig.json").unwrap_or_default();
                if !repository.contains(&served) {
                    files.files.insert(absolute(&served), Some(configuration(repository, packages, path, text)));
                }
            } else if paths::extension(path) == "json" && is_configuration(name, text) {
                files.files.insert(absolute(path), Some(configuration(repository, packages, path, text)));
            }
        }
        for (name, directory) in packages {
            let link = absolute("node_modules").join(name);
            for directory in link.ancestors().skip(1).take_while(|directory| directory.starts_with(ROOT)) {
                files.directories.insert(directory.to_owned());
            }
            files.links.insert(link, absolute(directory));
        }
        files
    }

    /// The path with the first link in it followed, until there is none.
    fn real(&self, path: &Path) -> PathBuf {
        let mut real = path.to_owned();
        // Links lead to directories of the repository, where there are no links.
        for ancestor in path.ancestors() {
            if let (Some(target), Ok(rest)) = (self.links.get(ancestor), path.strip_prefix(ancestor)) {
                real = if rest.as_os_str().is_empty() { target.clone() } else { target.join(rest) };
                break;
            }
        }
        real
    }
}

/// The place of a repository path in the made-up file system.
pub(super) fn absolute(path: &str) -> PathBuf {
    if path.is_empty() { PathBuf::from(ROOT) } else { PathBuf::from(format!("{ROOT}/{path}")) }
}

/// The repository path of a place in the made-up file system.
pub(super) fn relative(path: &Path) -> Option<&str> {
    path.strip_prefix(ROOT).ok()?.to_str()
}

impl FileSystem for Files {
    fn new() -> Self {
        Self::default()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_to_string(path).map(String::into_bytes)
    }

    fn read_to_string(&self, path: &Path) -> io::Result<String> {
        self.files.get(&self.real(path)).cloned().flatten().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        let real = self.real(path);
        if self.files.contains_key(&real) {
            Ok(FileMetadata::new(true, false, false))
        } else if self.directories.contains(&real) {
            Ok(FileMetadata::new(false, true, false))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        if self.links.contains_key(path) { Ok(FileMetadata::new(false, false, true)) } else { self.metadata(path) }
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf, ResolveError> {
        self.links.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.metadata(path).map(|_| self.real(path))
    }
}

/// Whether a JSON file may be a configuration that others extend or refer to.
fn is_configuration(name: &str, text: &str) -> bool {
    name.starts_with("tsconfig") || ["\"compilerOptions\"", "\"extends\""].iter().any(|key| text.contains(key))
}

/// A TypeScript configuration without what it takes from files that are not here.
fn configuration(repository: &Repository, packages: &BTreeMap<String, String>, path: &str, text: &str) -> String {
    let Ok(Value::Object(mut config)) = serde_json::from_str(&plain_json(text)) else { return "{}".to_owned() };
    let directory = paths::parent(path);
    let exists = |target: &str| {
        ["", ".json", "/tsconfig.json"]
            .iter()
            .any(|end| paths::join(directory, &format!("{target}{end}")).is_some_and(|path| repository.contains(&path)))
    };
    let installed = |target: &str| packages.keys().any(|name| paths::is_below(target, name));
    let here = |target: &Value| {
        target.as_str().is_some_and(|target| if target.starts_with('.') { exists(target) } else { installed(target) })
    };
    match config.get_mut("extends") {
        Some(Value::Array(all)) => all.retain(here),
        Some(one) if !here(one) => drop(config.remove("extends")),
        _ => {}
    }
    if let Some(Value::Array(references)) = config.get_mut("references") {
        references.retain(|reference| reference.get("path").and_then(Value::as_str).is_some_and(exists));
    }
    if paths::file_name(path) == "jsconfig.json" {
        let options = config.entry("compilerOptions").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Value::Object(options) = options {
            options.entry("allowJs").or_insert(Value::Bool(true));
        }
    }
    Value::Object(config).to_string()
}

/// JSON with comments and trailing commas as plain JSON.
pub(super) fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' => string_end(rest),
            '/' if rest.starts_with("//") => {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = rest[2..].find("*/").map_or("", |end| &rest[end + 4..]);
                continue;
            }
            '}' | ']' => {
                let kept = plain.trim_end();
                if kept.ends_with(',') {
                    plain.truncate(kept.len() - 1);
                }
                1
            }
            c => c.len_utf8(),
        };
        plain.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    plain
}

/// The byte after the string literal that `text` starts with.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_go_and_strings_stay() {
        let text = "\u{feff}{ // \"no\n \"a\": \"//x,}\\\"/*\", /* , } */ \"b\": [1, 2, ],\n}";
        let value: Value = serde_json::from_str(&plain_json(text)).unwrap();
        assert_eq!(value, serde_json::json!({"a": "//x,}\"/*", "b": [1, 2]}));
        for torn in ["/*", "\"", "/", "{ // x"] {
            plain_json(torn);
        }
    }
}
