//! The graph for Graphviz: a node for each source file, numbered in the order of development, an
//! edge for each import.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use recon_schema::graph::{Confidence, RepoGraph};

use recon_repository::line::visible;

/// The graph in Graphviz' DOT language. Edges run from the importing file to the imported one;
/// guesses are dashed; files that stand in a cycle are outlined twice.
///
/// Other text is left out: it has no edges and would hide those that are there.
pub fn dot(graph: &RepoGraph) -> String {
    let place: BTreeMap<&str, usize> =
        graph.order.iter().enumerate().map(|(at, path)| (path.as_str(), at + 1)).collect();
    let joined: BTreeSet<&str> = graph.edges.iter().flat_map(|edge| [edge.from.as_str(), edge.to.as_str()]).collect();
    let cyclic: BTreeSet<&str> = graph.cycles.iter().flatten().map(String::as_str).collect();
    let mut dot = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&graph.repository.name));
    for file in &graph.files {
        let path = file.path.as_str();
        if file.language.is_none() && !joined.contains(path) {
            continue;
        }
        let label = place.get(path).map_or_else(|| path.to_owned(), |at| format!("{at}. {path}"));
        let style = if file.skipped.is_some() { ", style=dotted" } else { "" };
        let rings = if cyclic.contains(path) { ", peripheries=2" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(dot, "  {} [label={}{style}{rings}];", quoted(path), quoted(&label));
    }
    let mut edges: BTreeMap<(&str, &str), (Confidence, BTreeSet<&str>)> = BTreeMap::new();
    for edge in &graph.edges {
        let (confidence, kinds) = edges.entry((&edge.from, &edge.to)).or_insert((edge.confidence, BTreeSet::new()));
        *confidence = edge.confidence.min(*confidence);
        kinds.insert(&edge.kind);
    }
    for ((from, to), (confidence, kinds)) in edges {
        let style = if confidence == Confidence::Likely { ", style=dashed" } else { "" };
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let _ = writeln!(dot, "  {} -> {} [tooltip={}{style}];", quoted(from), quoted(to), quoted(&kinds.join(", ")));
    }
    dot.push_str("}\n");
    dot
}

/// A DOT string: quotes and backslashes escaped, nothing that would end the line.
fn quoted(text: &str) -> String {
    let shown = visible(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{shown}\"")
}
