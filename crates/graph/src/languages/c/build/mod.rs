//! Include directories as the build files of a repository name them; no build tool is run.
//!
//! CMake, make (automake too) and Meson files → [`SearchPaths`]: for each source file the directories of the targets it is
//! listed in, then those of each build file above it, the nearest first. What cannot be read off a
//! build file (a condition, a package that is looked for) is passed over: every branch counts.
//!
//! Invariants: reading never fails and takes bounded work, whatever the files say; only folders
//! inside the repository count.

mod cmake;
mod commands;
mod globs;
mod make;
mod meson;
mod targets;

use std::collections::{BTreeSet, HashMap};

use crate::paths;
use crate::repository::Repository;

/// Include directories kept over all build files.
const MAX_DIRECTORIES: usize = 200_000;
/// Directories of one list that are tried one by one, for paths that climb.
const MAX_TRIED: usize = 256;

/// One list of include directories, in the order they are searched.
#[derive(Debug, Default)]
struct Directories {
    list: Vec<String>,
    rank: HashMap<String, usize>,
}

/// Which directories are searched for a file.
#[derive(Debug, Default)]
pub(super) struct SearchPaths {
    lists: Vec<Directories>,
    /// Lists of the targets that name a file.
    of_file: HashMap<String, Vec<usize>>,
    /// Lists that serve a directory and what stands below.
    of_directory: HashMap<String, Vec<usize>>,
    /// Every directory named anywhere.
    all: BTreeSet<String>,
    kept: usize,
}

impl SearchPaths {
    pub(super) fn new(repository: &Repository) -> Self {
        let mut paths = Self::default();
        cmake::read(repository, &mut paths);
        make::read(repository, &mut paths);
        meson::read(repository, &mut paths);
        paths
    }

    /// Adds a list, which may name a directory twice.
    fn list(&mut self, directories: impl IntoIterator<Item = String>) -> Option<usize> {
        let mut list = Directories::default();
        for directory in directories {
            if self.kept >= MAX_DIRECTORIES {
                break;
            }
            if !list.rank.contains_key(&directory) {
                self.kept += 1;
                self.all.insert(directory.clone());
                list.rank.insert(directory.clone(), list.list.len());
                list.list.push(directory);
            }
        }
        if list.list.is_empty() {
            return None;
        }
        self.lists.push(list);
        Some(self.lists.len() - 1)
    }

    /// The list serves these files.
    fn serve_files(&mut self, files: impl IntoIterator<Item = String>, list: usize) {
        for file in files {
            self.of_file.entry(file).or_default().push(list);
        }
    }

    /// The list serves a directory and what stands below.
    fn serve_directory(&mut self, directory: &str, list: usize) {
        self.of_directory.entry(directory.to_owned()).or_default().push(list);
    }

    /// The file that `path` names for `from`: `ends` are the files that end like it, `at` asks for one; after the
    /// directory `after`, where one is given.
    pub(super) fn find<'p>(
        &self,
        from: &str,
        path: &str,
        after: Option<&str>,
        ends: &[(&'p str, &'p str)],
        at: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        if self.lists.is_empty() {
            return None;
        }
        let above = paths::ancestors(from).filter_map(|directory| self.of_directory.get(directory)).flatten();
        let mut lists = self.of_file.get(from).into_iter().flatten().chain(above).map(|list| &self.lists[*list]);
        if path.starts_with("../") || path.starts_with("./") || path.contains("/../") {
            return lists.find_map(|list| list.list.iter().take(MAX_TRIED).find_map(|directory| at(directory)));
        }
        lists.find_map(|list| {
            let ranked = ends.iter().filter_map(|(file, directory)| Some((list.rank.get(*directory)?, *file)));
            let least = after.and_then(|after| list.rank.get(after));
            ranked.filter(|(rank, _)| least.is_none_or(|least| *rank > least)).min().map(|(_, file)| file.to_owned())
        })
    }

    /// Whether any build file names this include directory.
    pub(super) fn names(&self, directory: &str) -> bool {
        self.all.contains(directory)
    }
}

/// Marks a path that is seen from the repository's root.
const ROOT: char = '\u{1}';
/// Stands for what is not known, and spoils every path it is part of.
const UNKNOWN: char = '\u{2}';

/// A path of the repository as the text of a build file.
fn absolute(path: &str) -> String {
    format!("{ROOT}{path}")
}

/// The path that the text of a build file in `directory` means; none outside of the repository.
fn place(directory: &str, text: &str) -> Option<String> {
    if text.contains(UNKNOWN) || text.is_empty() {
        return None;
    }
    match text.rsplit_once(ROOT) {
        // Whatever stands before an absolute path is a mistake of the text or of the reading.
        Some(("", path)) => paths::join("", path.trim_start_matches('/')),
        Some(_) => None,
        None => paths::join(directory, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_the_repository_are_places() {
        assert_eq!(place("a", "../b").as_deref(), Some("b"));
        assert_eq!(place("a", &format!("{}/../c", absolute("x"))).as_deref(), Some("c"));
        assert_eq!(place("a", &format!("{}/b", absolute(""))).as_deref(), Some("b"));
        assert_eq!(place("a", "/usr/include"), None);
        assert_eq!(place("a", "../../b"), None);
        assert_eq!(place("a", "b\u{2}/c"), None);
    }
}
