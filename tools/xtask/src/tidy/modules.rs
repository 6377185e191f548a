//! The modules of one crate, and which file a path leads to.
//!
//! Input: a crate's files. Output: uses, from file to file, each with a name that is used. A name that a module hands on
//! (`pub use`) leads to the file that defines it; handing on a submodule's name is no use of it. What cannot be followed
//! (another crate, the standard library, what a macro defines) is no use.

use std::collections::{BTreeMap, BTreeSet};

use super::Tree;
use super::scopes::{self, Import, Scope};
use super::tree::Member;

/// Names that are used, by the file that uses them and the file that defines them.
pub(super) type Uses = BTreeMap<(String, String), BTreeSet<String>>;

/// Imports followed from one path at most: more stand for a circle of them, or for another crate that has a name of ours.
const HOPS_MAX: usize = 16;

pub(super) struct Modules {
    /// By module path from the crate's root.
    modules: BTreeMap<Vec<String>, Module>,
    /// Files that are no Rust, with the parser's words.
    pub(super) unreadable: Vec<(String, String)>,
}

struct Module {
    file: String,
    scope: Scope,
}

/// Where a path leads.
enum Found {
    Module(Vec<String>),
    /// A name, defined in this module.
    Item(Vec<String>, String),
}

impl Modules {
    /// The crate's library, or its program where it has no library. Further programs (`src/bin`) use it from outside.
    pub(super) fn read(tree: &Tree, member: &Member<'_>) -> Self {
        let source = member.source();
        let root = if tree.files.contains_key(&format!("{source}lib.rs")) { "lib" } else { "main" };
        let mut read = Self { modules: BTreeMap::new(), unreadable: Vec::new() };
        let mut test_modules: Vec<Vec<String>> = Vec::new();
        for (path, file) in tree.files.range(source.clone()..).take_while(|(path, _)| path.starts_with(&source)) {
            let Some(module) = path[source.len()..].strip_suffix(".rs") else { continue };
            let at = match module {
                "lib" | "main" if module != root => continue,
                _ if module.starts_with("bin/") => continue,
                "lib" | "main" => Vec::new(),
                _ => module.strip_suffix("/mod").unwrap_or(module).split('/').map(str::to_owned).collect::<Vec<_>>(),
            };
            match scopes::read(&file.text) {
                Err(error) => read.unreadable.push((path.clone(), error.to_string())),
                Ok(scopes) => {
                    for scope in scopes {
                        let at = [at.as_slice(), &scope.inside].concat();
                        test_modules.extend(scope.test_modules.iter().map(|name| below(&at, name)));
                        read.modules.insert(at, Module { file: path.clone(), scope });
                    }
                }
            }
        }
        read.modules.retain(|at, _| !test_modules.iter().any(|tests| at.starts_with(tests)));
        read
    }

    /// Every use of one file by another.
    pub(super) fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (at, Module { file, scope }) in &self.modules {
            let mut add = |module: &[String], name: &str| {
                let to = &self.modules[module].file;
                if to != file {
                    uses.entry((file.clone(), to.clone())).or_default().insert(name.to_owned());
                }
            };
            for import in &scope.imports {
                match self.follow(at, &import.path, 0) {
                    Some(Found::Item(module, _) | Found::Module(module))
                        if import.is_public && module.starts_with(at) => {}
                    Some(Found::Item(module, name)) => add(&module, &name),
                    // A module that is imported by name is used where a path begins with it.
                    Some(Found::Module(module)) if import.name.is_none() => add(&module, "*"),
                    _ => {}
                }
            }
            for path in &scope.paths {
                if let Some(Found::Item(module, name)) = self.follow(at, path, 0) {
                    add(&module, &name);
                }
            }
        }
        uses
    }

    /// Where a path leads that stands in the module `at`.
    fn follow(&self, at: &[String], path: &[String], hops: usize) -> Option<Found> {
        let (first, mut rest) = path.split_first()?;
        let mut start = at.to_vec();
        match first.as_str() {
            "crate" => start.clear(),
            "self" => {}
            "super" => {
                start.pop()?;
                while let Some(("super", more)) = rest.split_first().map(|(first, more)| (first.as_str(), more)) {
                    start.pop()?;
                    rest = more;
                }
            }
            // A path from nowhere begins with a name of its module, or leads to another crate.
            _ => return self.descend(at, path, hops),
        }
        match rest {
            [] => self.modules.contains_key(&start).then_some(Found::Module(start)),
            _ => self.descend(&start, rest, hops),
        }
    }

    /// The same, for a path whose first name is one of the module `start`.
    fn descend(&self, start: &[String], path: &[String], hops: usize) -> Option<Found> {
        let mut at = start.to_vec();
        for (depth, name) in path.iter().enumerate() {
            let (scope, rest) = (&self.modules.get(&at)?.scope, &path[depth + 1..]);
            let child = below(&at, name);
            // A module and a function may have one name; what nothing follows is the function.
            if self.modules.contains_key(&child) && !(rest.is_empty() && scope.has(name)) {
                at = child;
                continue;
            }
            if scope.items.contains(name) {
                return Some(Found::Item(at, name.clone()));
            }
            return self.hop(&at, scope, name, rest, hops);
        }
        Some(Found::Module(at))
    }

    /// Through the imports of a module.
    fn hop(&self, at: &[String], scope: &Scope, name: &String, rest: &[String], hops: usize) -> Option<Found> {
        if hops == HOPS_MAX {
            return None;
        }
        if let Some(import) = scope.imports.iter().find(|import| import.name.as_ref() == Some(name)) {
            return self.follow(at, &[import.path.as_slice(), rest].concat(), hops + 1);
        }
        let through = |import: &Import| match self.follow(at, &import.path, hops + 1)? {
            Found::Module(module) if module != at => {
                let path = [std::slice::from_ref(name), rest].concat();
                self.descend(&module, &path, hops + 1)
            }
            _ => None,
        };
        scope.imports.iter().filter(|import| import.name.is_none()).find_map(through)
    }

    /// Whether one file is a module and the other lies below it.
    pub(super) fn is_along_the_tree(&self, one: &str, other: &str) -> bool {
        let of = |file: &str| self.modules.iter().find(|(_, module)| module.file == file).map(|(at, _)| at);
        of(one).zip(of(other)).is_some_and(|(one, other)| one.starts_with(other) || other.starts_with(one))
    }
}

fn below(at: &[String], name: &str) -> Vec<String> {
    [at, &[name.to_owned()]].concat()
}

impl Scope {
    /// Whether an item or an import has this name.
    fn has(&self, name: &str) -> bool {
        self.items.contains(name) || self.imports.iter().any(|import| import.name.as_deref() == Some(name))
    }
}
