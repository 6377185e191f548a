//! Search options.

use recon_thought::Budget;
use serde::{Deserialize, Serialize};

use crate::budget::BudgetOptions;
use crate::{Error, Result};

/// Who proposes a thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposer {
    /// The local model, shown the incumbent and the outline, never the target.
    Model,
    /// The outline at its next level of detail, without a model.
    Outline,
}

/// How thoughts are searched for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefineOptions {
    /// Thoughts proposed in a round.
    pub candidates: u32,
    /// Rounds for each thought.
    pub rounds: u32,
    /// Candidate `i` of a round is proposed by `authors[i mod len]`.
    pub authors: Vec<Proposer>,
    /// Nats a target token by which a candidate must beat the incumbent; 0 where scoring is
    /// reproducible to the bit, else more than its measured noise.
    pub margin: f64,
    /// Requirements and plan are scored on at most this many of the planned files.
    pub plan_files: usize,
    /// Whether the thought before the first read is searched for too, or only gated.
    pub early_thoughts: bool,
    /// At most this many thoughts are searched for, the first in document order; all if absent.
    pub max_steps: Option<usize>,
    /// The control search is made for at most this many thoughts.
    pub control_steps: usize,
    /// Longest document in tokens; the model's own limit holds too.
    pub context_tokens: usize,
    /// Longest thought proposed, tokens.
    pub max_thought_tokens: usize,
    /// Longest plan proposed, tokens.
    pub max_plan_tokens: usize,
    /// Longest outline shown to the model, tokens.
    pub max_outline_tokens: usize,
    /// Temperature of the model's proposals.
    pub temperature: f64,
    /// Nucleus of the model's proposals.
    pub top_p: f64,
    /// Where the search at one place ends before its last round; it never does if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetOptions>,
    /// Whether the documents before and after are scored once from end to end.
    pub rescore: bool,
    /// Whether a candidate that can no longer win is dropped while it is scored. Never changes
    /// a decision; off only to measure what it saves.
    pub refuse_early: bool,
}

impl Default for RefineOptions {
    fn default() -> Self {
        Self {
            candidates: 2,
            rounds: 3,
            authors: vec![Proposer::Model, Proposer::Outline],
            margin: 0.0,
            plan_files: 4,
            early_thoughts: true,
            max_steps: None,
            control_steps: 0,
            context_tokens: 65_536,
            max_thought_tokens: 512,
            max_plan_tokens: 2048,
            max_outline_tokens: 2048,
            temperature: 0.8,
            top_p: 0.95,
            budget: None,
            rescore: true,
            refuse_early: true,
        }
    }
}

impl RefineOptions {
    /// The bounds of proposals.
    pub(crate) fn budget(&self) -> Budget {
        Budget {
            thought_tokens: self.max_thought_tokens,
            plan_tokens: self.max_plan_tokens,
            outline_tokens: self.max_outline_tokens,
        }
    }

    /// Refuses what has no meaning.
    pub(crate) fn check(&self, has_generator: bool) -> Result<()> {
        let refuse = |option, reason| Err(Error::Option { option, reason });
        match self {
            _ if self.authors.is_empty() => refuse("authors", "names nobody"),
            _ if self.authors.contains(&Proposer::Model) && !has_generator => {
                refuse("authors", "names the model, and there is no generator")
            }
            _ if !(self.margin.is_finite() && self.margin >= 0.0) => {
                refuse("margin", "must be finite and not negative")
            }
            Self { budget: Some(budget), .. } if !(budget.least_share.is_finite() && budget.least_share >= 0.0) => {
                refuse("budget.least_share", "must be finite and not negative")
            }
            Self {
                budget: Some(BudgetOptions { learn_rounds: 0, .. } | BudgetOptions { probe_every: 0, .. }), ..
            } => refuse("budget", "learns from at least 1 round of a kind, and plays at least every last one"),
            _ if self.plan_files == 0 => refuse("plan_files", "must be at least 1"),
            _ => Ok(()),
        }
    }
}
