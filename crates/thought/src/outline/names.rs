//! The names that a graph holds: paths and definitions, of some files or of a whole project.

use std::collections::HashSet;

use recon_repository::paths;
use recon_schema::graph::{FileNode, RepoGraph};

/// Paths and definitions of some files.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Every path, every directory, and each with leading directories left out.
    paths: HashSet<String>,
    /// Names of definitions, and what files are called without their extension.
    defined: HashSet<String>,
}

impl Names {
    pub(super) fn of<'f>(files: impl IntoIterator<Item = &'f FileNode>) -> Self {
        let mut names = Self::default();
        for file in files {
            names.add_path(&file.path);
            paths::ancestors(&file.path).filter(|directory| !directory.is_empty()).for_each(|it| names.add_path(it));
            names.defined.insert(paths::stem(&file.path).to_owned());
            names.defined.extend(file.symbols.iter().map(|symbol| symbol.name.clone()));
        }
        names
    }

    fn add_path(&mut self, path: &str) {
        self.paths.insert(path.to_owned());
        self.paths.extend(path.match_indices('/').map(|(at, _)| path[at + 1..].to_owned()));
    }

    /// Whether a path, whole or without its first directories, is there.
    pub(crate) fn has_path(&self, path: &str) -> bool {
        let path = path.trim_start_matches("./").trim_matches('/');
        self.paths.contains(path)
    }

    /// Whether something of that name is defined.
    pub(crate) fn defines(&self, name: &str) -> bool {
        self.defined.contains(name)
    }
}

/// All words that a graph knows: names and their parts, what signatures and documentation speak of,
/// what is imported from outside.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) names: Names,
    words: HashSet<String>,
    outside: HashSet<String>,
}

impl Known {
    pub(super) fn of(graph: &RepoGraph) -> Self {
        let names = Names::of(&graph.files);
        let mut words: HashSet<String> = HashSet::new();
        let mut add = |text: &str| words.extend(identifiers(text).map(String::from));
        add(&graph.repository.name);
        for file in &graph.files {
            add(&file.path);
            add(&file.doc);
            for symbol in &file.symbols {
                [&symbol.name, &symbol.signature, &symbol.doc].into_iter().for_each(|text| add(text));
            }
        }
        graph.edges.iter().flat_map(|edge| &edge.names).for_each(|name| add(name));
        let unresolved = graph.unresolved.iter().flat_map(|name| identifiers(&name.name));
        let outside = unresolved.map(String::from).collect();
        Self { names, words, outside }
    }

    /// Whether a name occurs anywhere in the graph.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.words.contains(word) || self.names.defines(word) || self.outside.contains(word)
    }

    /// Whether a name comes from outside, so that what it holds cannot be judged.
    pub(crate) fn is_outside(&self, word: &str) -> bool {
        self.outside.contains(word)
    }
}

/// The identifiers in a text.
pub(crate) fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.filter(|word| word.contains(|c: char| c.is_alphabetic() || c == '_'))
}
