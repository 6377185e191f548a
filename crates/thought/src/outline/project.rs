//! A repository's graph as statements ask it: what is developed, who builds on whom, how a file is named.
//!
//! [`RepoGraph`] → look-ups by path, names as sentences give them. Invariants: imports and importers are
//! other files, each told once, by path; a file that is not developed is named with a word that says so.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use recon_repository::line::visible;
use recon_schema::graph::{Edge, FileNode, RepoGraph, SkipReason, Symbol, UnresolvedClass};
use recon_schema::trajectory::Subject;

use super::names::{Known, Names};
use super::sight::Sight;
use super::words::{LIST, code, list};

/// A repository's graph with what statements ask of it.
pub struct Project<'g> {
    pub(super) graph: &'g RepoGraph,
    /// Place in the order of development.
    pub(super) places: HashMap<&'g str, usize>,
    /// Edges by imported file, by importing one.
    importers: HashMap<&'g str, Vec<&'g Edge>>,
    pub(super) sight: Sight<'g>,
    /// Made where a thought of a model is judged.
    known: OnceLock<Known>,
}

/// A file that another one builds on, or that builds on it, and the names taken.
pub(super) struct Neighbour<'g> {
    pub(super) file: &'g FileNode,
    pub(super) names: BTreeSet<&'g str>,
}

impl<'g> Project<'g> {
    /// The graph's `order` says which files are developed; statements see all of it.
    pub fn new(graph: &'g RepoGraph) -> Self {
        let mut importers: HashMap<&str, Vec<&Edge>> = HashMap::new();
        for edge in graph.edges.iter().filter(|edge| edge.from != edge.to) {
            importers.entry(&edge.to).or_default().push(edge);
        }
        let places = graph.order.iter().enumerate().map(|(at, path)| (path.as_str(), at)).collect();
        Self { graph, places, importers, sight: Sight::new(graph), known: OnceLock::new() }
    }

    /// The repository's name.
    pub fn name(&self) -> &'g str {
        &self.graph.repository.name
    }

    /// The signatures that thoughts and groundings about `path` may quote, as they are quoted.
    pub fn signatures(&self, path: &str) -> Vec<String> {
        let symbols = self.graph.file(path).map_or(&[][..], |file| &file.symbols);
        symbols.iter().filter(|symbol| !symbol.signature.is_empty()).map(signature).collect()
    }

    /// Every name in the graph.
    pub(crate) fn known(&self) -> &Known {
        self.known.get_or_init(|| Known::of(self.graph))
    }

    /// The names of a subject's file and of the files it builds on; none where it is the whole project.
    pub(crate) fn names_of(&self, subject: &Subject) -> Option<Names> {
        let path = subject.path()?;
        let own = self.graph.file(path).into_iter();
        Some(Names::of(own.chain(self.uses(path).into_iter().map(|used| used.file))))
    }

    /// What a thought about `subject` should speak of, as code: the file's definitions at the top
    /// level and the files it builds on; of the whole project, the files developed.
    pub(crate) fn face(&self, subject: &Subject) -> Vec<String> {
        let Some(path) = subject.path() else { return self.developed().map(|file| code(&file.path)).collect() };
        let own = self.graph.file(path).map(top_names).unwrap_or_default();
        own.into_iter().chain(self.uses(path).iter().map(|used| code(&used.file.path))).collect()
    }

    pub(super) fn is_developed(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// The files developed, in their order.
    pub(super) fn developed(&self) -> impl Iterator<Item = &'g FileNode> {
        self.graph.order.iter().filter_map(|path| self.graph.file(path))
    }

    /// Imports of `path` that lead to other files, by target.
    pub(super) fn imports(&self, path: &str) -> impl Iterator<Item = &'g Edge> {
        let start = self.graph.edges.partition_point(|edge| edge.from.as_str() < path);
        self.graph.edges[start..].iter().take_while(move |edge| edge.from == path).filter(|edge| edge.from != edge.to)
    }

    /// The files built on, each once, by path.
    pub(super) fn uses(&self, path: &str) -> Vec<Neighbour<'g>> {
        self.neighbours(self.imports(path).map(|edge| (edge.to.as_str(), edge)))
    }

    /// The files that import `path`, each once, by path.
    pub(super) fn users(&self, path: &str) -> Vec<Neighbour<'g>> {
        let edges = self.importers.get(path).into_iter().flatten();
        self.neighbours(edges.map(|edge| (edge.from.as_str(), *edge)))
    }

    /// `edges`, each with the file at its other end, grouped by that file.
    fn neighbours(&self, edges: impl Iterator<Item = (&'g str, &'g Edge)>) -> Vec<Neighbour<'g>> {
        let mut neighbours: Vec<Neighbour<'g>> = Vec::new();
        for (path, edge) in edges {
            let names = edge.names.iter().map(String::as_str).filter(|name| *name != "*");
            match neighbours.last_mut().filter(|known| known.file.path == path) {
                Some(known) => known.names.extend(names),
                None => neighbours.extend(self.graph.file(path).map(|file| Neighbour { file, names: names.collect() })),
            }
        }
        neighbours
    }

    /// Packages and standard modules the file names, each once, sorted.
    pub(super) fn outside(&self, path: &str) -> BTreeSet<&'g str> {
        let start = self.graph.unresolved.partition_point(|name| name.from.as_str() < path);
        let own = self.graph.unresolved[start..].iter().take_while(|name| name.from == path);
        own.filter(|name| name.class != UnresolvedClass::Missing).map(|name| package_of(&name.name)).collect()
    }

    /// A file as a sentence names it: one that is not developed by its path alone, and said to be so.
    pub(super) fn named(&self, file: &FileNode) -> String {
        match self.standing(file) {
            None => code(&file.path),
            Some(standing) => format!("{} ({standing})", code(&file.path)),
        }
    }

    /// A file as [`named`](Self::named), with the names taken, where it is developed.
    pub(super) fn named_with(&self, neighbour: &Neighbour<'_>, word: &str) -> String {
        let taken: Vec<String> = neighbour.names.iter().map(|name| code(name)).collect();
        if taken.is_empty() || !self.is_developed(&neighbour.file.path) {
            return self.named(neighbour.file);
        }
        format!("{} ({word} {})", code(&neighbour.file.path), list(&taken, LIST))
    }

    /// Why a file that exists is not written here; none if it is.
    pub(super) fn standing(&self, file: &FileNode) -> Option<&'static str> {
        match file.skipped {
            _ if self.is_developed(&file.path) => None,
            Some(SkipReason::Empty) => Some("empty"),
            _ => Some("not developed here"),
        }
    }

    pub(super) fn all_named(&self, neighbours: &[Neighbour<'_>]) -> Vec<String> {
        neighbours.iter().map(|neighbour| self.named(neighbour.file)).collect()
    }
}

/// A symbol's signature as it is quoted.
pub(super) fn signature(symbol: &Symbol) -> String {
    visible(&symbol.signature).into_owned()
}

/// The part of an outside name that names its package: `a` of `a.b`, `a` of `a::b`, `@s/a` of `@s/a/b`.
pub(super) fn package_of(name: &str) -> &str {
    if let Some(scoped) = name.strip_prefix('@') {
        let end = scoped.match_indices('/').nth(1).map_or(name.len(), |(at, _)| at + 1);
        return &name[..end];
    }
    // `node:fs` names one module.
    let end = name.find(['.', '/']).into_iter().chain(name.find("::")).min().unwrap_or(name.len());
    if end == 0 { name } else { &name[..end] }
}

/// The definitions at the top level of a file that a reader would name: no inner parts, no `impl`.
pub(super) fn top_level(file: &FileNode) -> impl Iterator<Item = &Symbol> {
    file.symbols.iter().filter(|symbol| symbol.parent.is_none() && symbol.kind != "impl")
}

/// The names defined at the top level, each once.
pub(super) fn top_names(file: &FileNode) -> Vec<String> {
    let mut seen = BTreeSet::new();
    top_level(file).filter(|symbol| seen.insert(symbol.name.as_str())).map(|symbol| code(&symbol.name)).collect()
}

/// The signatures at the top level, modules left out.
pub(super) fn top_signatures(file: &FileNode) -> Vec<String> {
    top_level(file)
        .filter(|symbol| symbol.kind != "module" && !symbol.signature.is_empty())
        .map(|symbol| code(&signature(symbol)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outside_name_is_told_by_its_package() {
        let told = ["a.b", "a::b", "@s/a/b", "node:fs", "./x"].map(package_of);
        assert_eq!(told, ["a", "a", "@s/a", "node:fs", "./x"]);
    }
}
