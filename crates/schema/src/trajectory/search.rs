//! How the thoughts of a trajectory were searched for: rounds, candidates, what became of each.

use serde::{Deserialize, Serialize};

use super::Author;

/// How a thought was searched for. Likelihoods are sums of −log p in nats over the target's
/// content tokens, all in the same context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The files scored: one for a sub-agent's thought, several for requirements and plan.
    pub targets: Vec<String>,
    /// Without any thought.
    pub baseline_nats: f64,
    /// With the first thought.
    pub initial_nats: f64,
    /// With the thought that stands now.
    pub final_nats: f64,
    /// Tokens summed over.
    pub target_tokens: u64,
    /// Bytes those tokens stand for.
    pub target_bytes: u64,
    /// The thought the search began with.
    pub initial: InitialThought,
    /// Each round, in order.
    pub rounds: Vec<Round>,
    /// What was not searched for, where the search ended before its last round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spared: Option<Spared>,
    /// The same search against another file, where it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

/// Rounds that a search did not play, since too little was to be expected of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spared {
    /// How many.
    pub rounds: u32,
    /// Target tokens that their candidates would have been scored on, by the rounds before; early
    /// refusal not counted.
    pub scored_tokens: f64,
    /// What the first of them would have gained, by the rounds before, nats.
    pub gained_nats: f64,
}

impl Spared {
    /// Adds what another search spared.
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.scored_tokens += other.scored_tokens;
        self.gained_nats += other.gained_nats;
    }
}

/// The thought a search began with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitialThought {
    /// Who wrote it.
    pub author: Author,
    /// Its text.
    pub text: String,
    /// Set when the leak gate refused what stood there before: its text was replaced by this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Leak>,
}

/// One round of candidates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The candidates, in order.
    pub candidates: Vec<Candidate>,
    /// The incumbent's likelihood after the round.
    pub incumbent_nats: f64,
}

/// One proposed thought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who wrote it.
    pub author: Author,
    /// Its text.
    pub text: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Scored in full; `accepted` if it became the incumbent.
    Scored {
        /// Likelihood of the target.
        nats: f64,
        /// Whether it became the incumbent.
        accepted: bool,
    },
    /// Dropped as soon as it could no longer win.
    Refused {
        /// Its likelihood is at least this.
        nats_at_least: f64,
        /// Target tokens seen before it was dropped.
        tokens_seen: u64,
    },
    /// Refused by the leak gate.
    Leaked {
        /// Which rule, and how much.
        leak: Leak,
    },
    /// No thought at all, or one that could not be scored.
    Invalid {
        /// What is wrong with it.
        fault: Fault,
        /// One clear line.
        reason: String,
    },
}

/// What makes a text no thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The model failed.
    Failed,
    /// Nothing but white space.
    Empty,
    /// No letter, or no valid Unicode.
    Unreadable,
    /// Control tokens or headers of turns, written out.
    Control,
    /// A tool call or another action in JSON.
    Action,
    /// A fenced block, or lines of code.
    Code,
    /// No sentences of natural language.
    NotProse,
    /// The same words over and over.
    Repetitive,
    /// No sentence comes to its end within the budget.
    Unfinished,
    /// It names no path or definition of its subject or of what that uses.
    OffSubject,
    /// It names a path or definition that does not exist.
    Invented,
    /// It was proposed before at the same place.
    Repeated,
    /// Its author has nothing more to say.
    Exhausted,
    /// The document has no room for it.
    TooLong,
}

impl Fault {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::Control => "control",
            Self::Action => "action",
            Self::Code => "code",
            Self::NotProse => "not_prose",
            Self::Repetitive => "repetitive",
            Self::Unfinished => "unfinished",
            Self::OffSubject => "off_subject",
            Self::Invented => "invented",
            Self::Repeated => "repeated",
            Self::Exhausted => "exhausted",
            Self::TooLong => "too_long",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What the leak gate found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Leak {
    /// A long run of the target's bytes that is not in the context.
    Run {
        /// Its length, white space collapsed.
        bytes: u64,
    },
    /// Many short runs of the target's tokens that are not in the context.
    Coverage {
        /// Share of the target they cover.
        fraction: f64,
    },
}

/// The control: a thought found by the same search against another file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// The other file.
    pub path: String,
    /// Likelihood of *this* step's target with that thought.
    pub nats: f64,
}
