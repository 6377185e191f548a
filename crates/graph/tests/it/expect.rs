//! Expected edges, each with the rule that demands it.

use std::collections::BTreeMap;

use recon_graph::Repository;
use recon_schema::graph::{RepoGraph, UnresolvedClass};

/// From, to, kind, and the rule of the language that makes it an edge.
pub(crate) type Expected<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Checks that the graph holds exactly the expected edges; a failure names the rules that broke.
pub(crate) fn edges(graph: &RepoGraph, expected: &[Expected<'_>]) {
    let mut wanted: BTreeMap<(&str, &str, &str), &str> =
        expected.iter().map(|&(from, to, kind, rule)| ((from, to, kind), rule)).collect();
    let mut wrong: Vec<String> = Vec::new();
    let mut found: Vec<(&str, &str, &str)> =
        graph.edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str(), edge.kind.as_str())).collect();
    found.dedup();
    for edge in found {
        if wanted.remove(&edge).is_none() && !expected.iter().any(|&(from, to, kind, _)| (from, to, kind) == edge) {
            wrong.push(format!("no rule makes {} -> {} ({})", edge.0, edge.1, edge.2));
        }
    }
    wrong.extend(wanted.iter().map(|((from, to, kind), rule)| format!("missing {from} -> {to} ({kind}): {rule}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks the unresolved names, each with its class.
pub(crate) fn unresolved(graph: &RepoGraph, expected: &[(&str, &str, UnresolvedClass)]) {
    let found: Vec<(&str, &str, UnresolvedClass)> =
        graph.unresolved.iter().map(|name| (name.from.as_str(), name.name.as_str(), name.class)).collect();
    assert_eq!(found, expected);
}

/// Every edge that joins no cycle points to a file that stands earlier.
pub(crate) fn dependencies_first(graph: &RepoGraph) {
    let place: BTreeMap<&str, usize> = graph.order.iter().enumerate().map(|(at, path)| (path.as_str(), at)).collect();
    let kept = graph.files.iter().filter(|file| file.skipped.is_none()).count();
    assert_eq!((place.len(), graph.order.len()), (kept, kept), "every file that takes part is ordered once");
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (place.get(edge.from.as_str()), place.get(edge.to.as_str())) else { continue };
        let ring = |cycle: &Vec<String>| cycle.contains(&edge.from) && cycle.contains(&edge.to);
        assert!(to < from || graph.cycles.iter().any(ring), "{} stands before its import {}", edge.from, edge.to);
    }
}

/// The graph of files given inline; common to all tests, it is checked for its order at once.
pub(crate) fn graph(files: &[(&str, &str)]) -> RepoGraph {
    let graph = recon_graph::build(&Repository::from_files("fixture", files.iter().copied()));
    dependencies_first(&graph);
    graph
}
