//! What a Python file sees on `sys.path`.
//!
//! Entries are the repository root, `src`, every directory with a `pyproject.toml`, `setup.py` or
//! `setup.cfg`, its `src`, and what the manifests configure ([`projects`]); those of the file's
//! own project come first. What the file itself, the `__init__` of a package around it or a
//! `conftest.py` above it puts on the path goes before or after them, as it says.
//!
//! Invariant: names of files are compared in normal form KC, as the names in programs are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use unicode_normalization::UnicodeNormalization as _;

use super::super::family::Context;
use super::facts::{Facts, Searched};
use super::places::Base;
use super::projects::{Project, projects};
use crate::paths;
use crate::repository::Repository;

/// The Python files of a repository.
pub(super) struct Files<'r> {
    repository: &'r Repository,
    /// Directories with Python files somewhere below.
    directories: HashSet<&'r str>,
    /// Paths that are not ASCII by their normal form; directories with Python files included.
    composed: HashMap<String, &'r str>,
}

impl<'r> Files<'r> {
    pub(super) fn of(repository: &'r Repository) -> Self {
        let python = |path: &&str| matches!(paths::extension(path), "py" | "pyi" | "pyw");
        let (mut directories, mut composed) = (HashSet::new(), HashMap::new());
        let mut note = |path: &'r str| {
            if !path.is_ascii() {
                composed.entry(path.nfkc().collect()).or_insert(path);
            }
        };
        for path in repository.paths().filter(python) {
            note(path);
            for directory in paths::ancestors(path) {
                // What stands above a directory seen before was seen with it.
                if !directories.insert(directory) {
                    break;
                }
                note(directory);
            }
        }
        Self { repository, directories, composed }
    }

    /// A path as the repository spells it.
    fn spelled<'p>(&self, path: &'p str) -> &'p str
    where
        'r: 'p,
    {
        if path.is_ascii() || self.contains(path) || self.directories.contains(path) {
            return path;
        }
        self.composed.get(&path.nfkc().collect::<String>()).copied().unwrap_or(path)
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.repository.contains(path)
    }

    /// Whether Python files stand somewhere below.
    pub(super) fn is_directory(&self, path: &str) -> bool {
        self.directories.contains(self.spelled(path))
    }

    /// The file of a module given without extension; the implementation goes before its stub.
    pub(super) fn module(&self, base: &str) -> Option<String> {
        let named = ["py", "pyi", "pyw"].into_iter().map(|extension| format!("{base}.{extension}"));
        named.map(|path| self.spelled(&path).to_owned()).find(|path| self.contains(path))
    }

    fn is_package(&self, directory: &str) -> bool {
        self.module(&below(directory, "__init__")).is_some()
    }
}

/// A directory that is on `sys.path`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SourceRoot {
    directory: String,
    /// The directory of the manifest that makes it one.
    project: String,
}

/// What is on the path of the files of a repository.
pub(super) struct SearchPaths {
    roots: Vec<SourceRoot>,
    /// Directories outside packages that hold a package and are no root.
    assumed: Vec<String>,
    /// Packages that lie elsewhere than their names say: project, name, directory.
    packages: Vec<(String, Vec<String>, String)>,
    /// Directories that files put on the path for those below their own directory.
    set_above: BTreeMap<String, Vec<Entry>>,
    /// Directories that any file puts on the path, by its own directory.
    set_beside: BTreeMap<String, BTreeSet<String>>,
}

/// A directory that a file puts on the path.
#[derive(Debug, Clone)]
struct Entry {
    directory: String,
    first: bool,
}

/// What one file sees.
pub(super) struct View<'a> {
    pub(super) from: &'a str,
    /// The path, first to last.
    pub(super) entries: Vec<String>,
    packages: Vec<(&'a [String], &'a str)>,
    /// Places relative to where a run starts.
    working: Vec<String>,
}

impl SearchPaths {
    pub(super) fn of(context: Context<'_, Facts>, files: &Files<'_>) -> Self {
        let projects = projects(context.repository);
        let mut search = Self {
            roots: source_roots(&projects, files),
            assumed: Vec::new(),
            packages: Vec::new(),
            set_above: BTreeMap::new(),
            set_beside: BTreeMap::new(),
        };
        search.assumed = search.assumed_roots(files);
        for (project, said) in projects {
            let owned = |(name, directory)| (project.to_owned(), name, directory);
            search.packages.extend(said.packages.into_iter().map(owned));
        }
        for (path, file) in context.parsed {
            let here = paths::parent(path);
            let entries = set_by(path, &file.facts);
            if entries.is_empty() {
                continue;
            }
            let directories = entries.iter().map(|entry| entry.directory.clone());
            search.set_beside.entry(here.to_owned()).or_default().extend(directories);
            if matches!(paths::stem(path), "conftest" | "__init__") {
                search.set_above.entry(here.to_owned()).or_default().extend(entries);
            }
        }
        search
    }

    /// What `from` sees: its own project's roots before those of others, the innermost project
    /// before all.
    pub(super) fn view<'a>(&'a self, from: &'a str, facts: &Facts) -> View<'a> {
        let own = |directory: &str| if paths::is_below(from, directory) { directory.len() + 1 } else { 0 };
        let mut roots: Vec<&SourceRoot> = self.roots.iter().collect();
        roots.sort_by_key(|root| std::cmp::Reverse((own(&root.project), own(&root.directory))));
        let mut set = set_by(from, facts);
        set.extend(paths::ancestors(from).filter_map(|above| self.set_above.get(above)).flatten().cloned());
        let set = |first| set.iter().filter(move |entry| entry.first == first).map(|entry| &entry.directory);
        let all = set(true).chain(roots.into_iter().map(|root| &root.directory)).chain(set(false));
        let mut entries: Vec<String> = Vec::new();
        for entry in all {
            if !entries.contains(entry) {
                entries.push(entry.clone());
            }
        }
        let mut packages: Vec<&(String, Vec<String>, String)> = self.packages.iter().collect();
        packages.sort_by_key(|(project, ..)| std::cmp::Reverse(own(project)));
        let packages = packages.into_iter().map(|(_, name, directory)| (name.as_slice(), directory.as_str())).collect();
        let at_start = facts.searched.iter().filter(|searched| searched.place.base == Base::Working);
        let starts = [paths::parent(from), ""];
        let working = at_start.flat_map(|searched| starts.iter().filter_map(|start| searched.place.directory(start)));
        View { from, entries, packages, working: working.collect() }
    }

    fn assumed_roots(&self, files: &Files<'_>) -> Vec<String> {
        let mut assumed = BTreeSet::new();
        for directory in &files.directories {
            let above = paths::parent(directory);
            if !directory.is_empty() && files.is_package(directory) && !files.is_package(above) {
                assumed.insert(above.to_owned());
            }
        }
        assumed.retain(|directory| self.roots.iter().all(|root| root.directory != *directory));
        // What was copied in from elsewhere, or only plays a package in a test, serves nobody outside.
        let foreign = |part: &str| {
            let vendored = ["vendor", "vendored", "_vendor", "third_party", "site-packages", "node_modules"];
            vendored.contains(&part) || matches!(part, "typeshed" | "fixtures" | "testdata" | "test_data")
        };
        assumed.retain(|directory| !directory.split('/').any(foreign));
        assumed.into_iter().collect()
    }

    /// Directories that a run of a file may have on its path without any manifest saying so.
    pub(super) fn likely(&self, view: &View<'_>, files: &Files<'_>, first: &str) -> Vec<String> {
        // A script's own directory, or the directory above the outermost package (as pytest does).
        let outside = paths::ancestors(view.from).find(|directory| !files.is_package(directory));
        let mut likely: Vec<String> = outside.map(str::to_owned).into_iter().collect();
        likely.extend(view.working.iter().cloned());
        // A neighbour that sets the path is often imported for nothing else.
        likely.extend(self.set_beside.get(paths::parent(view.from)).into_iter().flatten().cloned());
        let mut holders = self.assumed.iter().filter(|directory| files.is_package(&below(directory, first)));
        if let (Some(only), None) = (holders.next(), holders.next()) {
            likely.push(only.clone());
        }
        likely
    }
}

impl<'a> View<'a> {
    /// The directories that manifests name for the package of this full name, the own project's
    /// first.
    pub(super) fn packages_named(&self, name: &[String]) -> impl Iterator<Item = String> {
        self.packages.iter().filter(move |(package, _)| *package == name).map(|(_, directory)| (*directory).to_owned())
    }

    /// Whether a manifest maps a package below this name.
    pub(super) fn holds_below(&self, name: &[String]) -> bool {
        self.packages.iter().any(|(package, _)| package.len() > name.len() && package.starts_with(name))
    }

    /// The full name of the package `level` dots above the file, where that lies outside of a
    /// directory that a manifest gives a package.
    pub(super) fn above(&self, level: usize) -> Option<Vec<String>> {
        let here = paths::parent(self.from);
        let around =
            self.packages.iter().filter(|(_, directory)| !directory.is_empty() && paths::is_below(here, directory));
        let (name, directory) = around.max_by_key(|(_, directory)| directory.len())?;
        let inside = here[directory.len()..].split('/').filter(|part| !part.is_empty()).count();
        let climbed = (level - 1).checked_sub(inside).filter(|climbed| *climbed > 0)?;
        Some(name[..name.len().checked_sub(climbed)?].to_vec())
    }
}

fn source_roots(projects: &BTreeMap<&str, Project>, files: &Files<'_>) -> Vec<SourceRoot> {
    let mut roots = BTreeSet::new();
    for (project, said) in projects {
        let usual = ["", "src"].iter().filter(|_| said.packaged).filter_map(|relative| paths::join(project, relative));
        for directory in said.roots.iter().cloned().chain(usual) {
            // A package cannot be an entry of the path, unless a manifest stands in it.
            if files.is_directory(&directory) && (!files.is_package(&directory) || directory == **project) {
                roots.insert(SourceRoot { directory, project: (*project).to_owned() });
            }
        }
        let tested = said.test_roots.iter().filter(|directory| files.is_directory(directory));
        roots.extend(tested.map(|it| SourceRoot { directory: it.clone(), project: (*project).to_owned() }));
    }
    roots.into_iter().collect()
}

/// What a file puts on the path, seen from itself.
fn set_by(path: &str, facts: &Facts) -> Vec<Entry> {
    let here = facts.searched.iter().filter(|searched| searched.place.base == Base::Here);
    let entry = |Searched { place, first }: &Searched| {
        Some(Entry { directory: place.directory(paths::parent(path))?, first: *first })
    };
    here.filter_map(entry).collect()
}

pub(super) fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
