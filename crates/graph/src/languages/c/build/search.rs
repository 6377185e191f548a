//! Lists of include directories, and the file that a path means by them.
//!
//! A list serves the files of a target or what stands below a directory. Invariant: what is kept, over all lists, has a
//! limit.

use std::collections::{BTreeSet, HashMap};

use crate::paths;

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
pub(in super::super) struct SearchPaths {
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
    /// Adds a list, which may name a directory twice.
    pub(super) fn list(&mut self, directories: impl IntoIterator<Item = String>) -> Option<usize> {
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
    pub(super) fn serve_files(&mut self, files: impl IntoIterator<Item = String>, list: usize) {
        for file in files {
            self.of_file.entry(file).or_default().push(list);
        }
    }

    /// The list serves a directory and what stands below.
    pub(super) fn serve_directory(&mut self, directory: &str, list: usize) {
        self.of_directory.entry(directory.to_owned()).or_default().push(list);
    }

    /// The file that `path` names for `from`: `ends` are the files that end like it, `at` asks for one; after the
    /// directory `after`, where one is given.
    pub(in super::super) fn find<'p>(
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
    pub(in super::super) fn names(&self, directory: &str) -> bool {
        self.all.contains(directory)
    }
}
