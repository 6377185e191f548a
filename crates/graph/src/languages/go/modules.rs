//! Which directory an import path names: `go.mod`, `go.work`, `replace` with a local path,
//! `vendor/`, and for trees without a module the path they would be fetched by.
//!
//! Manifests are read line by line; what is not understood in them is passed over.

use std::collections::{BTreeMap, BTreeSet};

use recon_schema::graph::{Confidence, UnresolvedClass};

use crate::paths;
use crate::repository::Repository;

/// A module: its path, where it stands, and what it replaces.
#[derive(Debug)]
struct Module {
    path: String,
    directory: String,
    /// Module paths replaced by a directory of the repository.
    replaced: Vec<(String, String)>,
}

/// The import paths of a repository.
#[derive(Debug)]
pub(super) struct Modules {
    /// By directory, the longest first.
    modules: Vec<Module>,
    /// Directories that a `go.work` uses.
    workspace: BTreeSet<String>,
    /// Directories that hold Go files.
    directories: BTreeSet<String>,
    /// What an import path of a tree without a module starts with.
    assumed: Option<String>,
}

impl Modules {
    /// `imports` are all import paths written anywhere.
    pub(super) fn new<'i>(
        repository: &Repository,
        directories: BTreeSet<String>,
        imports: impl Iterator<Item = &'i str>,
    ) -> Self {
        let named =
            |name: &'static str| repository.files.iter().filter(move |(path, _)| paths::file_name(path) == name);
        let mut modules: Vec<Module> =
            named("go.mod").filter_map(|(path, text)| module(paths::parent(path), text)).collect();
        modules.sort_by(|a, b| (b.directory.len(), &a.directory).cmp(&(a.directory.len(), &b.directory)));
        let used = |(path, text): (&String, &String)| {
            let directory = paths::parent(path).to_owned();
            let of = move |words: Vec<String>| words.first().and_then(|used| paths::join(&directory, used));
            directives(text, "use").into_iter().filter_map(of).collect::<Vec<_>>()
        };
        let workspace = named("go.work").flat_map(used).collect();
        let assumed = if modules.is_empty() { assume(repository, &directories, imports) } else { None };
        Self { modules, workspace, directories, assumed }
    }

    /// The directory that `import` names in a file of the repository, or what it most likely is.
    pub(super) fn find(&self, from: &str, import: &str) -> Result<(String, Confidence), UnresolvedClass> {
        if let Some(relative) = import.strip_prefix('.') {
            let relative = paths::join(paths::parent(from), &format!(".{relative}"));
            let found = relative.filter(|directory| self.directories.contains(directory));
            return found.map(|directory| (directory, Confidence::Exact)).ok_or(UnresolvedClass::Missing);
        }
        let own = self.modules.iter().find(|module| paths::is_below(from, &module.directory));
        if let Some(found) = own.and_then(|own| self.in_module(own, import)) {
            return Ok((found, Confidence::Exact));
        }
        let standard = is_standard(import);
        // A module's own path decides before the library only where it is longer than one element.
        if let Some((module, directory)) = self.by_path(import) {
            let together = own.is_some_and(|own| {
                own.path == module.path
                    || (self.workspace.contains(&own.directory) && self.workspace.contains(&module.directory))
            });
            return match (self.directories.contains(&directory), together) {
                (true, true) => Ok((directory, Confidence::Exact)),
                (true, false) => Ok((directory, Confidence::Likely)),
                (false, _) if standard => Err(UnresolvedClass::StandardLibrary),
                (false, true) => Err(UnresolvedClass::Missing),
                (false, false) => Err(UnresolvedClass::External),
            };
        }
        if standard {
            return Err(UnresolvedClass::StandardLibrary);
        }
        let found = self.without_module(from, import).map(|directory| (directory, Confidence::Likely));
        // Nothing can be fetched by a path whose first element is no host.
        let host = import.split('/').next().is_some_and(|first| first.contains('.'));
        found.ok_or(if host { UnresolvedClass::External } else { UnresolvedClass::Missing })
    }

    /// By the rules of one module: what it replaces, and its vendored copies.
    fn in_module(&self, module: &Module, import: &str) -> Option<String> {
        let replaced =
            module.replaced.iter().filter_map(|(path, to)| Some((path.len(), join(to, rest(import, path)?)?)));
        let replaced = replaced.max_by_key(|(length, _)| *length).map(|(_, directory)| directory);
        let vendored = || join(&below(&module.directory, "vendor"), import);
        replaced.or_else(vendored).filter(|directory| self.directories.contains(directory))
    }

    /// The module whose path is the longest prefix of `import`, and the directory in it.
    fn by_path(&self, import: &str) -> Option<(&Module, String)> {
        let candidates = self.modules.iter().filter_map(|module| Some((module, rest(import, &module.path)?)));
        let (module, rest) = candidates.max_by_key(|(module, _)| module.path.len())?;
        Some((module, join(&module.directory, rest)?))
    }

    /// Trees older than modules: a vendored copy, a workspace's `src`, or the path they are fetched by.
    fn without_module(&self, from: &str, import: &str) -> Option<String> {
        let vendored = paths::ancestors(from).flat_map(|above| {
            ["vendor", "Godeps/_workspace/src", "src"].map(|copies| below(&below(above, copies), import))
        });
        let assumed = self.assumed.as_deref().and_then(|prefix| rest(import, prefix)).map(str::to_owned);
        vendored.chain(assumed).find(|directory| self.directories.contains(directory))
    }
}

/// What follows `prefix` in an import path, if it starts with that.
fn rest<'i>(import: &'i str, prefix: &str) -> Option<&'i str> {
    let rest = import.strip_prefix(prefix)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

fn join(directory: &str, rest: &str) -> Option<String> {
    paths::join(directory, rest)
}

fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// What the import paths of a tree without `go.mod` start with: the repository's address, or the
/// prefix under which most of its own directories are imported.
fn assume<'i>(
    repository: &Repository,
    directories: &BTreeSet<String>,
    imports: impl Iterator<Item = &'i str>,
) -> Option<String> {
    let address = repository.reference.source.split_once("://").map(|(_, rest)| rest.trim_end_matches(".git"));
    let mut met: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports.filter(|import| import.split('/').next().is_some_and(|host| host.contains('.'))) {
        if directories.contains("") {
            met.entry(import).or_default().insert("");
        }
        for (at, _) in import.match_indices('/') {
            let (prefix, inside) = (&import[..at], &import[at + 1..]);
            if directories.contains(inside) {
                met.entry(prefix).or_default().insert(inside);
            }
        }
    }
    if let Some(address) = address.filter(|address| met.contains_key(address)) {
        return Some(address.to_owned());
    }
    let likely = |prefix: &str, inside: &BTreeSet<&str>| {
        inside.len() > 1 || prefix.rsplit('/').next() == Some(repository.reference.name.as_str())
    };
    let candidates = met.into_iter().filter(|(prefix, inside)| prefix.contains('/') && likely(prefix, inside));
    // Most directories first; of equals the shorter prefix, which is the whole repository.
    let best = candidates.max_by_key(|(prefix, inside)| (inside.len(), std::cmp::Reverse(prefix.len())));
    best.map(|(prefix, _)| prefix.to_owned())
}

fn module(directory: &str, text: &str) -> Option<Module> {
    let path = directives(text, "module").into_iter().next()?.into_iter().next()?;
    let replace = |words: Vec<String>| {
        let arrow = words.iter().position(|word| word == "=>")?;
        let (old, new) = (words.first()?, words.get(arrow + 1)?);
        let local = new.starts_with("./") || new.starts_with("../");
        Some((old.clone(), paths::join(directory, new).filter(|_| local)?))
    };
    let replaced = directives(text, "replace").into_iter().filter_map(replace).collect();
    Some(Module { path, directory: directory.to_owned(), replaced })
}

/// The words after each `keyword`, alone on a line or in a block.
fn directives(text: &str, keyword: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let mut words = line.split_whitespace().map(|word| word.trim_matches(['"', '`'])).peekable();
        match words.peek().copied() {
            Some(")") => inside = false,
            Some(first) if first == keyword => {
                words.next();
                match words.peek() {
                    Some(&"(") => inside = true,
                    _ => found.push(words.map(str::to_owned).collect()),
                }
            }
            Some(first) if first.strip_suffix('(') == Some(keyword) => inside = true,
            Some(_) if inside => found.push(words.map(str::to_owned).collect()),
            _ => {}
        }
    }
    found
}

/// Whether a path belongs to the standard library, by its first element. Source: `go list std`.
fn is_standard(import: &str) -> bool {
    const FIRST: [&str; 46] = [
        "C",
        "archive",
        "arena",
        "bufio",
        "builtin",
        "bytes",
        "cmd",
        "cmp",
        "compress",
        "container",
        "context",
        "crypto",
        "database",
        "debug",
        "embed",
        "encoding",
        "errors",
        "expvar",
        "flag",
        "fmt",
        "go",
        "hash",
        "html",
        "image",
        "index",
        "internal",
        "io",
        "iter",
        "log",
        "maps",
        "math",
        "mime",
        "net",
        "os",
        "path",
        "plugin",
        "reflect",
        "regexp",
        "runtime",
        "slices",
        "sort",
        "strconv",
        "strings",
        "structs",
        "sync",
        "syscall",
    ];
    let first = import.split('/').next().unwrap_or_default();
    FIRST.binary_search(&first).is_ok()
        || matches!(first, "testing" | "text" | "time" | "unicode" | "unique" | "unsafe" | "weak")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_in_both_forms() {
        let text =
            "module \"a.b/c\" // ours\n\nreplace d.e/f v1.0.0 => ./f\nreplace (\n\tg.h/i => ../i\n\tj => k v1\n)\n";
        let module = module("x/y", text).unwrap();
        assert_eq!((module.path.as_str(), module.directory.as_str()), ("a.b/c", "x/y"));
        assert_eq!(module.replaced, [("d.e/f".to_owned(), "x/y/f".to_owned()), ("g.h/i".to_owned(), "x/i".to_owned())]);
        assert!(is_standard("net/http") && is_standard("time") && !is_standard("example.com/net"));
    }
}
