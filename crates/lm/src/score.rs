//! Scoring: the likelihood of fixed token runs after a branch.

use std::any::Any;
use std::sync::Arc;

use crate::Result;

/// What an implementation keeps for a branch.
pub trait BranchState: Any + Send + Sync {
    /// Tokens from the start of the document to this place.
    fn tokens(&self) -> usize;
    /// For the implementation to find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// A place in the prefix tree. Clone is a fork, drop lets go.
#[derive(Clone)]
pub struct Branch(Arc<dyn BranchState>);

impl Branch {
    /// Wraps an implementation's state.
    pub fn new(state: impl BranchState) -> Self {
        Self(Arc::new(state))
    }

    /// Tokens from the start of the document to this place; the next position.
    pub fn tokens(&self) -> usize {
        self.0.tokens()
    }

    /// The implementation's state, if it is of type `T`.
    pub fn state<T: 'static>(&self) -> Option<&T> {
        self.0.as_any().downcast_ref()
    }
}

impl std::fmt::Debug for Branch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Branch({} tokens)", self.tokens())
    }
}

/// One run of tokens after a branch: a thought, what stands between, a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The tokens.
    pub ids: &'a [u32],
    /// Whether their likelihood counts.
    pub scored: bool,
}

/// Runs to be computed one after another, after `at`.
#[derive(Debug, Clone, Copy)]
pub struct ScoreJob<'a> {
    /// Where the runs begin.
    pub at: &'a Branch,
    /// The runs, in order.
    pub runs: &'a [Run<'a>],
    /// Stop as soon as the scored sum exceeds this: exact, since no term is negative.
    pub refuse_above_nats: Option<f64>,
}

/// What scoring one job gave.
#[derive(Debug, Clone)]
pub enum Scored {
    /// Every scored token was computed.
    Full {
        /// Sum of −log p over the scored tokens, nats.
        nats: f64,
        /// log p of each scored token, in order, nats.
        logprobs: Vec<f32>,
        /// The place after each run, in order: an accepted candidate goes on from here.
        ends: Vec<Branch>,
    },
    /// The sum exceeded `refuse_above_nats`.
    Refused {
        /// The sum over the tokens seen.
        nats_at_least: f64,
        /// Scored tokens seen.
        tokens_seen: usize,
    },
}

/// What an implementation can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest document, tokens.
    pub context_tokens: usize,
    /// Size of the vocabulary.
    pub vocabulary: usize,
}

/// Computes likelihoods.
pub trait Scorer {
    /// What it can take.
    fn limits(&self) -> Limits;

    /// The branch `ids` after `at`, or a new document beginning with `ids`.
    fn extend(&self, at: Option<&Branch>, ids: &[u32]) -> Result<Branch>;

    /// Scores every job; one result each, in order.
    fn score(&self, jobs: &[ScoreJob<'_>]) -> Vec<Result<Scored>>;
}
