//! Puts a repository's files together into its graph: parse all, resolve all, order.
//!
//! Invariant: files are worked on in parallel and their results are collected in path order, so
//! neither the thread count nor the order of work shows in the record.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use recon_schema::Sha256;
use recon_schema::graph::{Confidence, Diagnostic, Edge, FileNode, RepoGraph, SCHEMA, Unresolved};

use crate::languages::{self, Link, ReadFile, Resolution};
use crate::order;
use crate::repository::Repository;

/// The graph of a repository. Never fails: what is not understood is in the diagnostics.
pub fn build(repository: &Repository) -> RepoGraph {
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
    let (order, cycles) = development_order(&files, &edges);
    let repository = repository.reference.clone();
    RepoGraph { schema: SCHEMA.into(), repository, files, edges, unresolved, order, cycles, diagnostics }
}

/// Every file of a known language, read by its family.
fn read_all<'s>(repository: &Repository, sources: &[(&'s str, &'s str)]) -> BTreeMap<&'s str, ReadFile> {
    let mut own: Vec<Vec<(&str, &str)>> = vec![Vec::new(); languages::ALL.len()];
    let fragments = languages::fragments(sources);
    for &(path, text) in sources {
        let by_path = || languages::ALL.iter().position(|family| family.language_of(path).is_some());
        if let Some(family) = fragments.get(path).copied().or_else(by_path) {
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
    let digests: Vec<(u64, Sha256)> = sources
        .par_iter()
        .map(|(path, text)| match repository.redacted.get(*path) {
            Some(original) => (original.bytes, original.sha256),
            None => (text.len() as u64, Sha256::of(text.as_bytes())),
        })
        .collect();
    let kept = sources.iter().zip(digests).map(|(&(path, text), (bytes, sha256))| {
        let node = FileNode {
            path: path.to_owned(),
            bytes,
            lines: text.lines().count() as u64,
            sha256: Some(sha256),
            ..FileNode::default()
        };
        match parsed.remove(path) {
            None => node,
            Some(file) => {
                FileNode { language: file.language.map(str::to_owned), doc: file.doc, symbols: file.symbols, ..node }
            }
        }
    });
    let skipped = repository.skipped.iter().map(|(path, file)| FileNode {
        path: path.clone(),
        language: languages::of_path(path).map(str::to_owned),
        bytes: file.bytes,
        lines: file.lines,
        sha256: file.sha256,
        skipped: Some(file.reason),
        ..FileNode::default()
    });
    let mut files: Vec<FileNode> = kept.chain(skipped).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The order of the files that are not skipped, and their cycles.
fn development_order(files: &[FileNode], edges: &[Edge]) -> (Vec<String>, Vec<Vec<String>>) {
    let paths: Vec<&str> = files.iter().filter(|file| file.skipped.is_none()).map(|file| file.path.as_str()).collect();
    let index = |path: &str| paths.binary_search(&path).ok();
    let pairs = edges.iter().filter_map(|edge| Some((index(&edge.from)?, index(&edge.to)?))).collect();
    let order = order::order(paths.len(), &pairs);
    let name = |node: usize| paths[node].to_owned();
    let cycles = order.cycles.into_iter().map(|cycle| cycle.into_iter().map(name).collect()).collect();
    (order.nodes.into_iter().map(name).collect(), cycles)
}
