//! Simulation options.

use recon_schema::trajectory::Arm;
use recon_thought::Budget;
use serde::{Deserialize, Serialize};

/// Who writes the first thoughts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstAuthor {
    /// Composed from syntax tree and dependency graph, without a model.
    #[default]
    Outline,
    /// The local model; where its answer is no thought, the outline.
    Model,
}

/// Who decides what a sub-agent reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// The dependency graph: what the file imports, known before anything is thought.
    #[default]
    Graph,
    /// The local model, behind a thought about the file's design: one read after another, among the
    /// files that exist, until it reads no more. It may read what it does not need.
    Model,
}

/// Drafts that tools answer before a file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DebugOptions {
    /// Longest draft in tokens; a longer one is cut at the end of a line.
    pub draft_tokens: usize,
}

impl Default for DebugOptions {
    fn default() -> Self {
        Self { draft_tokens: 512 }
    }
}

/// How a repository becomes a trajectory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentOptions {
    /// `raw` writes the files and nothing else; `thought` puts one thought before each; `agent`
    /// simulates the agents; `search` does the same and keeps room for every thought to be refined to its limit (the search itself is a
    /// later stage, which then names the arm).
    pub arm: Arm,
    /// Who writes the first thoughts.
    pub first_author: FirstAuthor,
    /// Who decides what is read.
    pub reads: Reads,
    /// Debugging steps: the model drafts each file that a tool can answer for; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<DebugOptions>,
    /// Seed of every random choice.
    pub seed: u64,
    /// At most this many files, the first in development order; all of them if absent.
    pub max_files: Option<usize>,
    /// Longest document in tokens; a longer repository is cut into parts.
    pub context_tokens: usize,
    /// At most this many files are read before one is written.
    pub max_reads: usize,
    /// At most this many tokens are read before one file is written; only whole files are read.
    pub max_read_tokens: usize,
    /// Longest thought in tokens. Never more than an eighth of the context.
    pub max_thought_tokens: usize,
    /// Longest plan in tokens. Never more than a quarter of the context.
    pub max_plan_tokens: usize,
    /// Longest outline shown to the model that writes a thought, in tokens.
    pub max_outline_tokens: usize,
    /// Temperature of the model's thoughts and decisions; 0 takes what is most likely.
    pub temperature: f64,
    /// Nucleus of the model's thoughts.
    pub top_p: f64,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            arm: Arm::Agent,
            first_author: FirstAuthor::Outline,
            reads: Reads::Graph,
            debug: None,
            seed: 0,
            max_files: None,
            context_tokens: 65_536,
            max_reads: 4,
            max_read_tokens: 4096,
            max_thought_tokens: 512,
            max_plan_tokens: 2048,
            max_outline_tokens: 2048,
            temperature: 0.8,
            top_p: 0.95,
        }
    }
}

impl AgentOptions {
    /// Whether there are a main agent and sub-agents.
    pub(crate) fn has_agents(&self) -> bool {
        matches!(self.arm, Arm::Agent | Arm::Search)
    }

    pub(crate) fn model_thinks(&self) -> bool {
        self.first_author == FirstAuthor::Model && self.arm != Arm::Raw
    }

    pub(crate) fn model_reads(&self) -> bool {
        self.reads == Reads::Model && self.has_agents()
    }

    pub(crate) fn debugs(&self) -> Option<&DebugOptions> {
        self.debug.as_ref().filter(|_| self.has_agents())
    }

    /// Whether the simulation needs a model.
    pub fn asks_model(&self) -> bool {
        self.model_thinks() || self.model_reads() || self.debugs().is_some()
    }

    /// The bounds of thoughts in a document.
    pub(crate) fn budget(&self) -> Budget {
        Budget {
            thought_tokens: self.max_thought_tokens.min(self.context_tokens / 8),
            plan_tokens: self.max_plan_tokens.min(self.context_tokens / 4),
            outline_tokens: self.max_outline_tokens,
        }
    }
}
