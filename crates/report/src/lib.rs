//! One page that shows what a run made: what was planned, what was read and why, which thought
//! helped, by how much, and at what cost.
//!
//! Input: the records of a run ([`Run`]). Output: one HTML document that needs nothing beside
//! itself: no script, no network, its charts drawn into it.
//!
//! Invariant: text from a repository or a model is shown and never interpreted. Every value goes
//! through the template's escaping, and the page's own policy forbids scripts and loading.

mod charts;
mod page;
mod repository;
mod search;
mod thought;

use std::collections::BTreeMap;

use recon_corpus::CorpusReport;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::Trajectory;

pub use page::page;

/// What a run left.
#[derive(Debug, Default)]
pub struct Run {
    /// What the page is called.
    pub title: String,
    /// The set as it was read; none where that is not known.
    pub corpus: Option<CorpusReport>,
    /// The stages that are complete, in order.
    pub stages: Vec<Stage>,
    /// Training, step by step; empty where there was none.
    pub training: Vec<TrainingStep>,
    /// Held-out likelihood before and after training, nats a token.
    pub held_out: Option<[f64; 2]>,
    /// The repositories that are shown.
    pub repositories: Vec<Repository>,
    /// Repositories in all.
    pub repository_count: usize,
    /// Sums over every repository, shown or not.
    pub search: Search,
}

/// A stage with what it cost over all shards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
    /// Tokens that the model computed, where it was asked.
    pub fresh_tokens: Option<u64>,
    /// Tokens that the model drew, where it was asked.
    pub generated_tokens: Option<u64>,
}

/// One step of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingStep {
    /// From 1.
    pub step: u64,
    /// Mean −log p of its trained tokens, nats.
    pub loss_nats: f64,
    /// Trained tokens so far.
    pub trained_tokens: u64,
}

/// One repository and what became of it.
#[derive(Debug)]
pub struct Repository {
    /// Its files and imports.
    pub graph: RepoGraph,
    /// Its documents, in order of their parts.
    pub trajectories: Vec<Trajectory>,
}

/// Sums over the searches for thoughts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// Thoughts searched for.
    pub searches: u64,
    /// Target tokens.
    pub tokens: u64,
    /// Likelihood of the targets without the thoughts, nats.
    pub baseline_nats: f64,
    /// With the first thoughts, then with those that stood after each round, nats.
    pub nats: Vec<f64>,
    /// Bytes of those thoughts.
    pub thought_bytes: Vec<u64>,
    /// Searches with a control: target tokens, and nats without a thought, with the own, with another file's.
    pub control: (u64, [f64; 3]),
    /// What became of the candidates, by author.
    pub authors: BTreeMap<String, Fates>,
}

/// What became of candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// Became the thought that stands.
    pub accepted: u64,
    /// Scored in full, and not better.
    pub beaten: u64,
    /// Dropped early.
    pub refused: u64,
    /// Refused by the leak gate.
    pub leaked: u64,
    /// Empty, repeated, too long, or failed.
    pub invalid: u64,
}
