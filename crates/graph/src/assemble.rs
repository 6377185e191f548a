//! Puts a repository's files together into its graph: parse all, resolve all, order.
//!
//! Invariant: files are worked on in parallel and their results are collected in path order, so
//! neither the thread count nor the order of work shows in the record.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rayon::prelude::*;
use recon_repository::language;
use recon_schema::Sha256;
use recon_schema::graph::{Confidence, Diagnostic, Edge, FileNode, RepoGraph, SCHEMA, SkipReason, Unresolved};

use crate::languages::{self, Link, ReadFile, Resolution};
use crate::order;
use crate::paths;
use crate::repository::Repository;
use crate::role::{Role, role};

/// The graph of a repository. Never fails: what is not understood is in the diagnostics.
pub fn build(repository: &Repository) -> RepoGraph {
    let mut graph = link(repository);
    arrange(&mut graph);
    graph
}

/// As [`build`], with `order` and `cycles` empty, for those who mark more files before [`withhold`] makes them.
pub fn link(repository: &Repository) -> RepoGraph {
    let sources: Vec<(&str, &str)> =
        repository.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut parsed = read_all(repository, &sources);
    let links: Vec<Links> =
        parsed.par_iter_mut().map(|(path, file)| links(path, std::mem::take(&mut file.links))).collect();

    let mut edges: Vec<Edge> = Vec::new();
    let mut unresolved: BTreeSet<Unresolved> = BTreeSet::new();
    for found in links {
        edges.extend(found.edges);
        unresolved.extend(found.unresolved);
    }
    edges.sort();
    let mut unresolved: Vec<Unresolved> = unresolved.into_iter().collect();
    unresolved.sort_by(|a, b| (&a.from, a.line, &a.name).cmp(&(&b.from, b.line, &b.name)));
    let mut diagnostics = repository.diagnostics.clone();
    for (path, file) in &parsed {
        diagnostics.extend(file.diagnostics.iter().map(|(rule, message)| Diagnostic {
            path: (*path).into(),
            rule: (*rule).into(),
            message: message.clone(),
        }));
    }
    diagnostics.sort();
    let files = nodes(repository, &sources, parsed);
    let repository = repository.reference.clone();
    let (order, cycles) = (Vec::new(), Vec::new());
    RepoGraph { schema: SCHEMA.into(), repository, files, edges, unresolved, order, cycles, diagnostics }
}

/// Every file of a known language, read by its family.
fn read_all<'s>(repository: &Repository, sources: &[(&'s str, &'s str)]) -> BTreeMap<&'s str, ReadFile> {
    let mut own: Vec<Vec<(&str, &str)>> = vec![Vec::new(); languages::ALL.len()];
    let fragments = languages::fragments(sources);
    for &(path, text) in sources {
        let by_name = || languages::ALL.iter().position(|family| family.language(path, text).is_some());
        if let Some(family) = fragments.get(path).copied().or_else(by_name) {
            own[family].push((path, text));
        }
    }
    let read = languages::ALL.par_iter().zip(own).map(|(family, sources)| family.read(repository, &sources));
    read.collect::<Vec<_>>().into_iter().flatten().collect()
}

/// What the imports of one file lead to.
#[derive(Default)]
struct Links {
    edges: Vec<Edge>,
    unresolved: Vec<Unresolved>,
}

fn links(from: &str, named: Vec<Link>) -> Links {
    // One edge for each target, kind and line; statements that bind several names share it.
    let mut edges: BTreeMap<(String, &'static str, u32), (Confidence, Vec<String>)> = BTreeMap::new();
    let mut unresolved = Vec::new();
    for Link { line, resolution } in named {
        match resolution {
            Resolution::File { to, .. } if to == from => {}
            Resolution::File { to, kind, confidence, names } => {
                let edge = edges.entry((to, kind, line)).or_insert((confidence, Vec::new()));
                edge.0 = edge.0.min(confidence);
                edge.1.extend(names);
            }
            Resolution::Unresolved { name, class } => {
                unresolved.push(Unresolved { from: from.into(), name, line, class });
            }
        }
    }
    let edges = edges
        .into_iter()
        .map(|((to, kind, line), (confidence, mut names))| {
            names.sort_unstable();
            names.dedup();
            Edge { from: from.into(), to, kind: kind.into(), line, confidence, names }
        })
        .collect();
    Links { edges, unresolved }
}

fn nodes(repository: &Repository, sources: &[(&str, &str)], mut parsed: BTreeMap<&str, ReadFile>) -> Vec<FileNode> {
    // Size and digest are the file's own, also where spans of its text were replaced.
    let originals: Vec<(u64, Sha256)> = sources
        .par_iter()
        .map(|(path, _)| repository.original(path).expect("the sources are the repository's files"))
        .collect();
    let read = sources.iter().zip(originals).map(|(&(path, text), (bytes, sha256))| {
        let node = FileNode {
            path: path.to_owned(),
            bytes,
            lines: text.lines().count() as u64,
            sha256: Some(sha256),
            skipped: repository.untrained.get(path).copied(),
            ..FileNode::default()
        };
        match parsed.remove(path) {
            None => node,
            Some(file) => {
                let node = FileNode { language: file.language.map(str::to_owned), ..node };
                // What is not trained on is named, and nothing of it is quoted.
                if node.skipped.is_some() { node } else { FileNode { doc: file.doc, symbols: file.symbols, ..node } }
            }
        }
    });
    let skipped = repository.skipped.iter().map(|(path, file)| FileNode {
        path: path.clone(),
        language: language::of_path(path).map(str::to_owned),
        bytes: file.bytes,
        lines: file.lines,
        sha256: file.sha256,
        skipped: Some(file.reason),
        ..FileNode::default()
    });
    let mut files: Vec<FileNode> = read.chain(skipped).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Marks more files of a graph as untrained: nothing of them is quoted, they are not in the order, and what imports mean
/// stays.
///
/// The result is the graph that [`build`] gives of the repository with these marks.
pub fn withhold(graph: &mut RepoGraph, untrained: &BTreeMap<String, SkipReason>) {
    for node in graph.files.iter_mut().filter(|node| node.skipped.is_none()) {
        if let Some(reason) = untrained.get(&node.path) {
            node.skipped = Some(*reason);
            (node.doc, node.symbols) = (String::new(), Vec::new());
        }
    }
    arrange(graph);
}

fn arrange(graph: &mut RepoGraph) {
    (graph.order, graph.cycles) = development_order(&graph.files, &graph.edges);
}

/// What decides between files that imports leave free: their roles, then how far below the nearest
/// manifest they stand.
fn ranks(paths: &[&str]) -> Vec<order::Rank> {
    let roles: Vec<Role> = paths.iter().map(|path| role(path)).collect();
    let manifests = paths.iter().zip(&roles).filter(|(_, role)| **role == Role::Manifest);
    let projects: HashSet<&str> = manifests.map(|(path, _)| paths::parent(path)).collect();
    let depth = |path: &str| {
        let nearest = paths::ancestors(path).position(|directory| projects.contains(directory));
        nearest.unwrap_or_else(|| paths::ancestors(path).count())
    };
    paths.iter().zip(roles).map(|(path, role)| (role, depth(path))).collect()
}

/// The order of the files that are not skipped, and their cycles.
fn development_order(files: &[FileNode], edges: &[Edge]) -> (Vec<String>, Vec<Vec<String>>) {
    let paths: Vec<&str> = files.iter().filter(|file| file.skipped.is_none()).map(|file| file.path.as_str()).collect();
    let index = |path: &str| paths.binary_search(&path).ok();
    let pairs = edges.iter().filter_map(|edge| Some((index(&edge.from)?, index(&edge.to)?))).collect();
    let order = order::order(&ranks(&paths), &pairs);
    let name = |node: usize| paths[node].to_owned();
    let cycles = order.cycles.into_iter().map(|cycle| cycle.into_iter().map(name).collect()).collect();
    (order.nodes.into_iter().map(name).collect(), cycles)
}
