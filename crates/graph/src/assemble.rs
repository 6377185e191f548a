//! Puts a repository's files together into its graph: parse all, resolve all, order.
//!
//! Invariant: files are worked on in parallel and their results are collected in path order, so
//! neither the thread count nor the order of work shows in the record.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use recon_schema::Sha256;
use recon_schema::graph::{Confidence, Diagnostic, Edge, FileNode, RepoGraph, SCHEMA, Unresolved};

use crate::languages::{self, Context, Import, Language, ParsedFile, Resolution, Resolve, Target};
use crate::order;
use crate::repository::Repository;

/// The graph of a repository. Never fails: what is not understood is in the diagnostics.
pub fn build(repository: &Repository) -> RepoGraph {
    let sources: Vec<(&str, &str)> =
        repository.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let parsed: BTreeMap<&str, ParsedFile> = sources
        .par_iter()
        .filter_map(|&(path, text)| Some((path, languages::of_path(path)?.parse(path, text))))
        .collect();
    let context = Context { repository, parsed: &parsed };
    let resolvers: Vec<Box<dyn Resolve + '_>> =
        languages::ALL.iter().map(|language| language.resolver(context)).collect();
    let links: Vec<Links> = parsed
        .par_iter()
        .map(|(path, file)| {
            let language = languages::ALL.iter().position(|language| language.owns(path));
            let resolver = &resolvers[language.expect("only files of a known language are parsed")];
            links(path, file, resolver.as_ref())
        })
        .collect();
    drop(resolvers);

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

/// What the imports of one file lead to.
#[derive(Default)]
struct Links {
    edges: Vec<Edge>,
    unresolved: Vec<Unresolved>,
}

fn links(from: &str, file: &ParsedFile, resolver: &dyn Resolve) -> Links {
    // One edge for each target, kind and line; statements that bind several names share it.
    let mut edges: BTreeMap<(String, &'static str, u32), (Confidence, Vec<String>)> = BTreeMap::new();
    let mut unresolved = Vec::new();
    let mut met = BTreeSet::new();
    let (declared, passing): (Vec<&Import>, Vec<&Import>) = file.imports.iter().partition(|import| !is_passing(import));
    for import in declared.into_iter().chain(passing) {
        for resolution in resolver.resolve(from, import) {
            match resolution {
                Resolution::File { to, .. } if to == from => {}
                // A path in an expression says something new only about a file not imported yet.
                Resolution::File { to, .. } if is_passing(import) && met.contains(&to) => {}
                Resolution::File { to, kind, confidence, names } => {
                    met.insert(to.clone());
                    let edge = edges.entry((to, kind, import.line)).or_insert((confidence, Vec::new()));
                    edge.0 = edge.0.min(confidence);
                    edge.1.extend(names);
                }
                Resolution::Unresolved { name, class } => {
                    unresolved.push(Unresolved { from: from.into(), name, line: import.line, class });
                }
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

/// Whether the import is a path in an expression or a type, not a declaration.
fn is_passing(import: &Import) -> bool {
    matches!(import.target, Target::RustPath { declared: false, .. })
}

fn nodes(repository: &Repository, sources: &[(&str, &str)], mut parsed: BTreeMap<&str, ParsedFile>) -> Vec<FileNode> {
    let language = |path: &str| languages::of_path(path).map(|language| Language::name(language).to_owned());
    let digests: Vec<Sha256> = sources.par_iter().map(|(_, text)| Sha256::of(text.as_bytes())).collect();
    let kept = sources.iter().zip(digests).map(|(&(path, text), sha256)| {
        let file = parsed.remove(path).unwrap_or_default();
        FileNode {
            path: path.to_owned(),
            language: language(path),
            bytes: text.len() as u64,
            lines: text.lines().count() as u64,
            sha256: Some(sha256),
            doc: file.doc,
            symbols: file.symbols,
            skipped: None,
        }
    });
    let skipped = repository.skipped.iter().map(|(path, file)| FileNode {
        path: path.clone(),
        language: language(path),
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
