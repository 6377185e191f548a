//! `graph`: the graphs of a shard's repositories, and the files of them that are held out.

use std::path::Path;

use rayon::prelude::*;
use recon_corpus::{CorpusOptions, Entry, Store};
use recon_eval::HeldOutFile;
use recon_graph::link;
use recon_schema::Sha256;
use recon_schema::file::JsonLines;
use recon_schema::graph::RepoGraph;
use serde::{Deserialize, Serialize};

use super::{SetAside, guarded};
use crate::failure::Outcome;
use crate::holdout::{HoldoutOptions, divide};
use crate::observe::Observe;
use crate::stage::{Finished, Key, Stage};

/// Name of the stage and of its directory.
pub(crate) const NAME: &str = "graph";
/// File of the graphs, one a line.
pub(crate) const GRAPHS: &str = "graphs.jsonl.zst";
/// File of the held-out files, one a line.
pub(crate) const HELD_OUT: &str = "held_out.jsonl.zst";

#[derive(Serialize)]
struct Plan<'a> {
    holdout: &'a HoldoutOptions,
    set_of_one: bool,
}

/// The repositories of a set as graphs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GraphFacts {
    /// Repositories with a graph.
    pub repositories: u64,
    /// Files that are developed.
    pub files: u64,
    /// Files that are in a graph and are not developed.
    pub skipped: u64,
    /// Resolved imports.
    pub edges: u64,
    /// Imports that name nothing in their repository.
    pub unresolved: u64,
    /// Import cycles.
    pub cycles: u64,
    /// Held-out files.
    pub held_out: u64,
    /// Repositories of which nothing is developed, because all of it is held out.
    pub held_out_repositories: u64,
    /// Repositories whose graph could not be made.
    pub set_aside: Vec<SetAside>,
}

impl GraphFacts {
    fn count(&mut self, graph: &RepoGraph, held_out: usize) {
        self.repositories += 1;
        self.files += graph.order.len() as u64;
        self.skipped += graph.files.iter().filter(|node| node.skipped.is_some()).count() as u64;
        self.edges += graph.edges.len() as u64;
        self.unresolved += graph.unresolved.len() as u64;
        self.cycles += graph.cycles.len() as u64;
        self.held_out += held_out as u64;
        self.held_out_repositories += u64::from(graph.order.is_empty());
    }

    /// Adds the facts of another shard.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { repositories, files, skipped, edges, unresolved, cycles, held_out, held_out_repositories, .. } =
            other;
        self.repositories += repositories;
        self.files += files;
        self.skipped += skipped;
        self.edges += edges;
        self.unresolved += unresolved;
        self.cycles += cycles;
        self.held_out += held_out;
        self.held_out_repositories += held_out_repositories;
        self.set_aside.extend(other.set_aside.iter().cloned());
    }
}

/// One repository on its way to the files of the stage.
struct Made {
    graph: RepoGraph,
    line: Vec<u8>,
    held_out: Vec<HeldOutFile>,
}

/// Makes the graphs of one shard in `root`.
pub(crate) fn run(
    root: &Path,
    store: &Store,
    (shard, sha256): (u32, Sha256),
    holdout: &HoldoutOptions,
    corpus: &CorpusOptions,
    set_of_one: bool,
    observe: &dyn Observe,
) -> Outcome<Finished<GraphFacts>> {
    let key = Key::new(NAME, &["graph", "corpus", "lm"], &Plan { holdout, set_of_one }).input("repositories", sha256);
    Stage::new(root, key).run(|directory| {
        let entries = store.entries(shard)?;
        observe.begin(NAME, entries.len() as u64);
        let make = |entry: &Entry| {
            guarded(&entry.name, || {
                let mut repository = store.repository(shard, entry)?;
                let mut graph = link(&repository);
                let held_out = divide(&mut repository, &mut graph, holdout, set_of_one);
                let line = serde_json::to_vec(&graph).expect("graphs have string keys and finite numbers");
                observe.advance(&entry.name);
                Ok(Made { graph, line, held_out })
            })
        };
        let (mut facts, mut graphs) = (GraphFacts::default(), JsonLines::create(&directory.join(GRAPHS))?);
        let mut held_out = JsonLines::create(&directory.join(HELD_OUT))?;
        for batch in batches(&entries, corpus.batch_bytes) {
            let made: Vec<Outcome<Result<Made, SetAside>>> = batch.par_iter().map(make).collect();
            for made in made {
                match made? {
                    Err(reason) => facts.set_aside.push(reason),
                    Ok(made) => {
                        facts.count(&made.graph, made.held_out.len());
                        graphs.push_line(made.line)?;
                        made.held_out.iter().try_for_each(|file| held_out.push(&record(file)))?;
                    }
                }
            }
        }
        graphs.finish()?;
        held_out.finish()?;
        Ok(facts)
    })
}

/// A held-out file on disk.
#[derive(Serialize, Deserialize)]
pub(crate) struct HeldOutRecord {
    repository: String,
    path: String,
    text: String,
}

fn record(file: &HeldOutFile) -> HeldOutRecord {
    let HeldOutFile { repository, path, text } = file.clone();
    HeldOutRecord { repository, path, text }
}

impl From<HeldOutRecord> for HeldOutFile {
    fn from(HeldOutRecord { repository, path, text }: HeldOutRecord) -> Self {
        Self { repository, path, text }
    }
}

/// Entries worked on at once: as many as have `max_bytes` of text, one at least.
fn batches(entries: &[Entry], max_bytes: u64) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let within = |entry: &&Entry| {
            let fits = bytes < max_bytes;
            bytes += entry.text_bytes;
            fits
        };
        let length = rest.iter().take_while(within).count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(length);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}
