//! What the outline author says: thoughts composed from the syntax trees and the graph, no model.
//!
//! graph (+ path) → text. Every statement is read off the [`RepoGraph`]: names, kinds, signatures,
//! documentation sentences, import edges, order. Nothing else of a file is ever quoted, and a
//! documentation sentence is cut before a run of [`DOC_RUN_BYTES`] bytes, so that only
//! [`signatures`] repeat longer runs of the target (PAPER.md, definition 8).
//!
//! The thoughts come in four [`Detail`]s, each telling all that the one before tells and more:
//! a search takes them one after the other as candidates. Hints ([`hint_file`], [`hint_plan`])
//! are shown to a model that will write the thought and are no part of a document.
//!
//! Invariant: no text is longer than its bound, whatever the file holds; lists are cut between
//! items and say how many are left out.

mod hint;
mod project;
mod purpose;
mod thought;
mod tree;
mod words;

use std::collections::BTreeSet;

use recon_schema::graph::{Edge, FileNode, RepoGraph, Symbol};
use serde::{Deserialize, Serialize};

pub use hint::{hint_file, hint_plan};
pub use project::{plan, plan_within, requirements, requirements_within};
pub use thought::{file_thought, file_thought_within};
pub use tree::{tree, tree_within};

/// Longest run of a documentation sentence in a thought, in bytes.
pub const DOC_RUN_BYTES: usize = 44;

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
    /// Also sizes, documentation, and the signatures it will call in the files it builds on.
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

/// The signatures that thoughts and hints about `path` may quote, as they are quoted.
pub fn signatures(graph: &RepoGraph, path: &str) -> Vec<String> {
    let symbols = graph.file(path).map_or(&[][..], |file| &file.symbols);
    symbols.iter().filter(|symbol| !symbol.signature.is_empty()).map(signature).collect()
}

/// A symbol's signature as it is quoted.
fn signature(symbol: &Symbol) -> String {
    recon_repository::line::visible(&symbol.signature).into_owned()
}

/// One file of a graph with its neighbours.
struct Place<'g> {
    graph: &'g RepoGraph,
    file: &'g FileNode,
    /// Edges to files that take part, in order of target.
    imports: Vec<&'g Edge>,
}

/// A file another one builds on, and the names it takes from it.
struct Used<'g> {
    file: &'g FileNode,
    names: BTreeSet<&'g str>,
}

impl<'g> Place<'g> {
    fn new(graph: &'g RepoGraph, path: &str) -> Option<Self> {
        let file = graph.file(path)?;
        let start = graph.edges.partition_point(|edge| edge.from.as_str() < path);
        let imports = graph.edges[start..].iter().take_while(|edge| edge.from == path);
        let takes_part = |edge: &&Edge| graph.file(&edge.to).is_some_and(|file| file.skipped.is_none());
        Some(Self { graph, file, imports: imports.filter(takes_part).collect() })
    }

    /// The files built on, each once, by path.
    fn uses(&self) -> Vec<Used<'g>> {
        let mut uses: Vec<Used<'g>> = Vec::new();
        for edge in &self.imports {
            let names = edge.names.iter().map(String::as_str).filter(|name| *name != "*");
            match uses.last_mut().filter(|used| used.file.path == edge.to) {
                Some(used) => used.names.extend(names),
                None => {
                    let file = self.graph.file(&edge.to).expect("edges to absent files were left out");
                    uses.push(Used { file, names: names.collect() });
                }
            }
        }
        uses
    }

    /// The files that import this one, with the names they take, by path.
    fn users(&self) -> Vec<Used<'g>> {
        let mut users: Vec<Used<'g>> = Vec::new();
        for edge in self.graph.edges.iter().filter(|edge| edge.to == self.file.path) {
            let Some(file) = self.graph.file(&edge.from).filter(|file| file.skipped.is_none()) else { continue };
            let names = edge.names.iter().map(String::as_str).filter(|name| *name != "*");
            match users.last_mut().filter(|user| user.file.path == edge.from) {
                Some(user) => user.names.extend(names),
                None => users.push(Used { file, names: names.collect() }),
            }
        }
        users
    }

    /// Packages and standard modules the file names, each once, sorted; missing ones left out.
    fn outside(&self) -> BTreeSet<&'g str> {
        use recon_schema::graph::UnresolvedClass::Missing;
        let start = self.graph.unresolved.partition_point(|name| name.from < self.file.path);
        let own = self.graph.unresolved[start..].iter().take_while(|name| name.from == self.file.path);
        own.filter(|name| name.class != Missing).map(|name| package_of(&name.name)).collect()
    }
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
