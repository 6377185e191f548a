//! What the outline author says: thoughts composed from the syntax trees and the graph, no model.
//!
//! graph and subject → text. Every statement is read off the whole [`RepoGraph`]: names, kinds,
//! signatures, documentation sentences, import edges, order. Nothing else of a file is ever quoted,
//! and a documentation sentence is cut before a run of [`DOC_RUN_BYTES`] bytes, so that only
//! [`Project::signatures`] repeat longer runs of the target (PAPER.md, definition 8).
//!
//! Thoughts come in four [`Detail`]s, each telling all that the one before tells and more: a search
//! takes them one after the other as candidates. [`Project::grounding`] is shown to a model that
//! will write the thought and is no part of a document.
//!
//! Invariants: every sentence is true of the whole graph. A file that exists and is not developed
//! (dropped, skipped, held out, beyond the limit of files) is named where a sentence needs it, by
//! its path alone and with a word that says so. That something is *not* there is said only where
//! all of the project's source was read and understood ([`sight`]). No text is longer than its
//! bound, whatever the files hold; lists are cut between items and say how many are left out.

mod file;
mod grounding;
mod plan;
mod purpose;
mod requirements;
mod sight;
mod tree;
mod words;

use std::collections::{BTreeSet, HashMap};

use recon_repository::line::visible;
use recon_schema::graph::{Edge, FileNode, RepoGraph, SkipReason, Symbol, UnresolvedClass};
use recon_schema::trajectory::Subject;
use serde::{Deserialize, Serialize};

use sight::Sight;
pub(crate) use words::listed;
use words::{code, list};

/// Longest run of a documentation sentence in a thought, in bytes.
pub const DOC_RUN_BYTES: usize = 44;

/// Names shown in one list.
const LIST: usize = 8;

/// How much a thought tells; each level tells more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// The purpose, the files built on, the names defined at the top level.
    Brief,
    /// Also every member with its kind, in order; the names taken from other files; who imports it.
    Names,
    /// Also the signatures.
    Signatures,
    /// Also sizes, documentation, and the signatures it finds in the files it builds on.
    Full,
}

impl Detail {
    /// All levels, least first.
    pub const ALL: [Self; 4] = [Self::Brief, Self::Names, Self::Signatures, Self::Full];

    /// The bound on a thought of this level where the caller gives none, in characters.
    pub const fn max_chars(self) -> usize {
        match self {
            Self::Brief => 800,
            Self::Names => 2_400,
            Self::Signatures => 6_000,
            Self::Full => 10_000,
        }
    }
}

/// A repository's graph with what statements ask of it.
pub struct Project<'g> {
    graph: &'g RepoGraph,
    /// Place in the order of development.
    places: HashMap<&'g str, usize>,
    /// Edges by imported file, by importing one.
    importers: HashMap<&'g str, Vec<&'g Edge>>,
    sight: Sight<'g>,
}

/// A file that another one builds on, or that builds on it, and the names taken.
struct Neighbour<'g> {
    file: &'g FileNode,
    names: BTreeSet<&'g str>,
}

impl<'g> Project<'g> {
    /// The graph's `order` says which files are developed; statements see all of it.
    pub fn new(graph: &'g RepoGraph) -> Self {
        let mut importers: HashMap<&str, Vec<&Edge>> = HashMap::new();
        for edge in graph.edges.iter().filter(|edge| edge.from != edge.to) {
            importers.entry(&edge.to).or_default().push(edge);
        }
        let places = graph.order.iter().enumerate().map(|(at, path)| (path.as_str(), at)).collect();
        Self { graph, places, importers, sight: Sight::new(graph) }
    }

    /// The repository's name.
    pub fn name(&self) -> &'g str {
        &self.graph.repository.name
    }

    /// The outline author's thought within the level's own bound; empty where the graph holds no such file.
    pub fn thought(&self, subject: &Subject, detail: Detail) -> String {
        let max_chars = match subject {
            Subject::Requirements | Subject::Plan => 2 * detail.max_chars(),
            Subject::Reading { .. } | Subject::Writing { .. } => detail.max_chars(),
        };
        self.thought_within(subject, detail, max_chars)
    }

    /// The outline author's thought in at most `max_chars` characters.
    pub fn thought_within(&self, subject: &Subject, detail: Detail, max_chars: usize) -> String {
        match subject {
            Subject::Requirements => requirements::requirements(self, detail, max_chars),
            Subject::Plan => plan::plan(self, detail, max_chars),
            Subject::Reading { path, .. } | Subject::Writing { path } => file::file(self, path, detail, max_chars),
        }
    }

    /// The outline author's first thought. It is brief: refinement starts from it and goes into
    /// detail where that pays.
    pub fn first(&self, subject: &Subject) -> String {
        match subject {
            Subject::Reading { path, reads } => reading(path, reads),
            _ => self.thought(subject, Detail::Brief),
        }
    }

    /// A thought that says next to nothing, where even the briefest outline leaks.
    pub fn least(&self, subject: &Subject) -> String {
        match subject {
            Subject::Requirements => format!("The project is {}.", self.name()),
            Subject::Plan => "The order of the files follows their dependencies.".into(),
            Subject::Reading { .. } | Subject::Writing { .. } => "This file is next.".into(),
        }
    }

    /// What a model that writes a thought is shown of the project, compact.
    pub fn grounding(&self, subject: &Subject) -> String {
        match subject.path() {
            None => grounding::project(self),
            Some(path) => grounding::file(self, path),
        }
    }

    /// The tree of the files developed, in at most `max_chars` characters.
    ///
    /// Where it would be longer, the deepest directories are folded to the number of their files;
    /// where even one level is too long, its end is cut.
    pub fn tree(&self, max_chars: usize) -> String {
        tree::tree(&self.graph.order, max_chars)
    }

    /// The signatures that thoughts and groundings about `path` may quote, as they are quoted.
    pub fn signatures(&self, path: &str) -> Vec<String> {
        let symbols = self.graph.file(path).map_or(&[][..], |file| &file.symbols);
        symbols.iter().filter(|symbol| !symbol.signature.is_empty()).map(signature).collect()
    }

    fn is_developed(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// The files developed, in their order.
    fn developed(&self) -> impl Iterator<Item = &'g FileNode> {
        self.graph.order.iter().filter_map(|path| self.graph.file(path))
    }

    /// Imports of `path` that lead to other files, by target.
    fn imports(&self, path: &str) -> impl Iterator<Item = &'g Edge> {
        let start = self.graph.edges.partition_point(|edge| edge.from.as_str() < path);
        self.graph.edges[start..].iter().take_while(move |edge| edge.from == path).filter(|edge| edge.from != edge.to)
    }

    /// The files built on, each once, by path.
    fn uses(&self, path: &str) -> Vec<Neighbour<'g>> {
        self.neighbours(self.imports(path).map(|edge| (edge.to.as_str(), edge)))
    }

    /// The files that import `path`, each once, by path.
    fn users(&self, path: &str) -> Vec<Neighbour<'g>> {
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
    fn outside(&self, path: &str) -> BTreeSet<&'g str> {
        let start = self.graph.unresolved.partition_point(|name| name.from.as_str() < path);
        let own = self.graph.unresolved[start..].iter().take_while(|name| name.from == path);
        own.filter(|name| name.class != UnresolvedClass::Missing).map(|name| package_of(&name.name)).collect()
    }

    /// A file as a sentence names it: one that is not developed by its path alone, and said to be so.
    fn named(&self, file: &FileNode) -> String {
        match self.standing(file) {
            None => code(&file.path),
            Some(standing) => format!("{} ({standing})", code(&file.path)),
        }
    }

    /// A file as [`named`](Self::named), with the names taken, where it is developed.
    fn named_with(&self, neighbour: &Neighbour<'_>, word: &str) -> String {
        let taken: Vec<String> = neighbour.names.iter().map(|name| code(name)).collect();
        if taken.is_empty() || !self.is_developed(&neighbour.file.path) {
            return self.named(neighbour.file);
        }
        format!("{} ({word} {})", code(&neighbour.file.path), list(&taken, LIST))
    }

    /// Why a file that exists is not written here; none if it is.
    fn standing(&self, file: &FileNode) -> Option<&'static str> {
        match file.skipped {
            _ if self.is_developed(&file.path) => None,
            Some(SkipReason::Empty) => Some("empty"),
            _ => Some("not developed here"),
        }
    }

    fn all_named(&self, neighbours: &[Neighbour<'_>]) -> Vec<String> {
        neighbours.iter().map(|neighbour| self.named(neighbour.file)).collect()
    }
}

/// The first thought about files to be read.
fn reading(path: &str, reads: &[String]) -> String {
    let before = if reads.len() == 1 { "it" } else { "them" };
    format!("{} builds on {}. I read {before} before I write it.", code(path), listed(reads))
}

/// A symbol's signature as it is quoted.
fn signature(symbol: &Symbol) -> String {
    visible(&symbol.signature).into_owned()
}

/// The part of an outside name that names its package: `a` of `a.b`, `a` of `a::b`, `@s/a` of `@s/a/b`.
fn package_of(name: &str) -> &str {
    if let Some(scoped) = name.strip_prefix('@') {
        let end = scoped.match_indices('/').nth(1).map_or(name.len(), |(at, _)| at + 1);
        return &name[..end];
    }
    // `node:fs` names one module.
    let end = name.find(['.', '/']).into_iter().chain(name.find("::")).min().unwrap_or(name.len());
    if end == 0 { name } else { &name[..end] }
}

/// The definitions at the top level of a file that a reader would name: no inner parts, no `impl`.
fn top_level(file: &FileNode) -> impl Iterator<Item = &Symbol> {
    file.symbols.iter().filter(|symbol| symbol.parent.is_none() && symbol.kind != "impl")
}

/// The names defined at the top level, each once.
fn top_names(file: &FileNode) -> Vec<String> {
    let mut seen = BTreeSet::new();
    top_level(file).filter(|symbol| seen.insert(symbol.name.as_str())).map(|symbol| code(&symbol.name)).collect()
}

/// The signatures at the top level, modules left out.
fn top_signatures(file: &FileNode) -> Vec<String> {
    top_level(file)
        .filter(|symbol| symbol.kind != "module" && !symbol.signature.is_empty())
        .map(|symbol| code(&signature(symbol)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_first_reads_as_prose() {
        assert_eq!(reading("x", &["a".into()]), "`x` builds on `a`. I read it before I write it.");
        let three = ["a", "b", "c"].map(String::from);
        assert_eq!(reading("x", &three), "`x` builds on `a`, `b` and `c`. I read them before I write it.");
    }

    #[test]
    fn an_outside_name_is_told_by_its_package() {
        let told = ["a.b", "a::b", "@s/a/b", "node:fs", "./x"].map(package_of);
        assert_eq!(told, ["a", "a", "@s/a", "node:fs", "./x"]);
    }
}
