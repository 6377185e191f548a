//! The targets of CMake, the files they are made of and the directories they are compiled with.
//!
//! Commands with their variables replaced → targets and folders → lists of [`SearchPaths`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::search::SearchPaths;
use super::text::{UNKNOWN, place};
use crate::repository::Repository;

/// Targets whose exports one target takes.
const MAX_LINKED: usize = 256;
/// Directories it takes from them.
const MAX_EXPORTED: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Target {
    pub(super) directory: String,
    pub(super) files: Vec<String>,
    /// Directories it is compiled with.
    own: Vec<String>,
    /// Directories that those who link it are compiled with.
    exported: Vec<String>,
    pub(super) links: Vec<String>,
}

/// What one `CMakeLists.txt` says of its directory.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// For every target here and below.
    pub(super) shared: Vec<String>,
    /// For a target whose name is not known.
    pub(super) loose: Vec<String>,
}

/// The targets of one tree of `CMakeLists.txt` files, as far as they are known.
pub(super) struct Targets<'r> {
    pub(super) repository: &'r Repository,
    /// The source directory that the commands stand in.
    pub(super) directory: String,
    pub(super) folders: BTreeMap<String, Folder>,
    by_name: BTreeMap<String, Target>,
}

impl<'r> Targets<'r> {
    /// None, at the root of a repository.
    pub(super) fn new(repository: &'r Repository) -> Self {
        Self { repository, directory: String::new(), folders: BTreeMap::new(), by_name: BTreeMap::new() }
    }

    pub(super) fn define(&mut self, name: &str, words: &[String]) {
        if let [alias, of, ..] = words
            && alias == "ALIAS"
        {
            self.by_name.entry(name.to_owned()).or_default().links.push(of.clone());
            return;
        }
        let files = self.files(words);
        self.target(name).files.extend(files);
    }

    pub(super) fn target(&mut self, name: &str) -> &mut Target {
        let directory = self.directory.clone();
        self.by_name.entry(name.to_owned()).or_insert_with(|| Target { directory, ..Target::default() })
    }

    pub(super) fn target_directories(&mut self, name: &str, words: &[String]) {
        if name.contains(UNKNOWN) {
            let found = self.directories(words);
            if let Some(folder) = self.folders.get_mut(&self.directory) {
                folder.loose.extend(found);
            }
            return;
        }
        let mut keyword = "PRIVATE";
        for word in words {
            if let "PRIVATE" | "PUBLIC" | "INTERFACE" = word.as_str() {
                keyword = word;
                continue;
            }
            let found = self.directories(std::slice::from_ref(word));
            let target = self.target(name);
            if keyword != "INTERFACE" {
                target.own.extend(found.iter().cloned());
            }
            if keyword != "PRIVATE" {
                target.exported.extend(found);
            }
        }
    }

    /// `INCLUDE_DIRECTORIES` set as a property of targets or of the directory.
    pub(super) fn properties(&mut self, words: &[String]) {
        let Some(at) = words.iter().position(|word| word.ends_with("INCLUDE_DIRECTORIES")) else { return };
        let found = self.directories(&words[at + 1..]);
        let names = words[..at].iter().skip_while(|word| *word == "TARGET");
        let names: Vec<&String> = names.take_while(|word| *word != "PROPERTIES" && *word != "PROPERTY").collect();
        for name in names {
            if let Some(target) = self.by_name.get_mut(name) {
                target.own.extend(found.iter().cloned());
                target.exported.extend(found.iter().filter(|_| words[at].starts_with("INTERFACE")).cloned());
            } else if name == "DIRECTORY"
                && let Some(folder) = self.folders.get_mut(&self.directory)
            {
                folder.shared.extend(found.iter().cloned());
            }
        }
    }

    pub(super) fn files(&self, words: &[String]) -> Vec<String> {
        let named = words.iter().filter_map(|word| place(&self.directory, word));
        named.filter(|path| self.repository.contains(path)).collect()
    }

    /// The directories that words name, generator expressions opened.
    pub(super) fn directories(&self, words: &[String]) -> Vec<String> {
        let named = words.iter().filter_map(|word| {
            let word = word.strip_prefix("$<BUILD_INTERFACE:").unwrap_or(word).trim_end_matches('>');
            let keyword = matches!(word, "SYSTEM" | "BEFORE" | "AFTER" | "PRIVATE" | "PUBLIC" | "INTERFACE");
            if keyword || word.contains("$<") { None } else { place(&self.directory, word) }
        });
        named.collect()
    }

    /// Tells what was found.
    pub(super) fn tell(&self, paths: &mut SearchPaths) {
        for target in self.by_name.values() {
            let shared = self.folders.get(&target.directory).map_or(&[][..], |folder| &folder.shared);
            let own = shared.iter().chain(&target.own).chain(self.linked(target)).cloned();
            if let Some(list) = paths.list(own).filter(|_| !target.files.is_empty()) {
                paths.serve_files(target.files.iter().cloned(), list);
            }
        }
        let mut by_folder: HashMap<&str, Vec<&Target>> = HashMap::new();
        for target in self.by_name.values() {
            by_folder.entry(&target.directory).or_default().push(target);
        }
        for (directory, folder) in &self.folders {
            let here = by_folder.get(directory.as_str()).into_iter().flatten();
            let own = here.flat_map(|target| target.own.iter().chain(&target.exported).chain(self.linked(target)));
            let all = folder.shared.iter().chain(&folder.loose).chain(own).cloned();
            if let Some(list) = paths.list(all) {
                paths.serve_directory(directory, list);
            }
        }
    }

    /// What the targets that one links export, and those that they link.
    fn linked<'t>(&'t self, target: &'t Target) -> Vec<&'t String> {
        let mut met: BTreeSet<&str> = BTreeSet::new();
        let mut found = Vec::new();
        let mut open: Vec<&Target> = vec![target];
        while let Some(target) = open.pop() {
            for name in &target.links {
                if met.len() < MAX_LINKED
                    && met.insert(name)
                    && let Some(linked) = self.by_name.get(name)
                {
                    found.extend(linked.exported.iter().take(MAX_EXPORTED.saturating_sub(found.len())));
                    open.push(linked);
                }
            }
        }
        found
    }
}
