//! What a search cost and gained, summed over thoughts, trajectories, runs.
//!
//! Likelihoods are sums of −log p in nats over target tokens; the thoughts' sums share their
//! tokens, so baseline, first, rounds, final and control compare as they stand.
//!
//! Source: PAPER.md, definitions 8 to 10.

use std::collections::BTreeMap;

use recon_schema::trajectory::{Author, Body, Candidate, Fault, Outcome, Search, Spared, Step};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A likelihood with what it was summed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// Sum of −log p, nats.
    pub nats: f64,
    /// Tokens.
    pub tokens: u64,
    /// Bytes those tokens stand for.
    pub bytes: u64,
}

impl Likelihood {
    fn add(&mut self, other: Self) {
        self.nats += other.nats;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
    }
}

/// What became of one author's proposals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorCounts {
    /// First thoughts held against the leak gate, searched for or not.
    pub first: u64,
    /// Candidates, invalid ones included.
    pub proposed: u64,
    /// Candidates that became the incumbent.
    pub accepted: u64,
    /// Candidates scored in full that did not.
    pub beaten: u64,
    /// Candidates dropped early.
    pub refused: u64,
    /// Candidates refused by the leak gate.
    pub leaked: u64,
    /// First thoughts refused by the leak gate.
    pub first_leaked: u64,
    /// Candidates that were no thoughts, by what was wrong.
    pub invalid: BTreeMap<Fault, u64>,
    /// Thoughts and candidates that passed the gate only because signatures are exempt.
    pub exempted: u64,
}

/// Searches with a control, side by side. All sums run over the same tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ControlTotals {
    /// Thoughts with a control.
    pub thoughts: u64,
    /// Target tokens.
    pub tokens: u64,
    /// Without the thought.
    pub baseline_nats: f64,
    /// With the thought found for this file.
    pub final_nats: f64,
    /// With the thought found by the same search for another file.
    pub control_nats: f64,
}

impl ControlTotals {
    /// By how much the own thought lowers the likelihood sum, nats.
    pub fn own_drop_nats(&self) -> f64 {
        self.baseline_nats - self.final_nats
    }

    /// By how much the other file's thought lowers it, nats.
    pub fn control_drop_nats(&self) -> f64 {
        self.baseline_nats - self.control_nats
    }
}

/// A thought that stayed as it was because the model failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The trajectory's id.
    pub trajectory: String,
    /// The step.
    pub step: u64,
    /// What was attempted and what was said.
    pub reason: String,
}

/// Sums over searches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Trajectories.
    pub trajectories: u64,
    /// Thoughts, searched for or not.
    pub thoughts: u64,
    /// Thoughts searched for.
    pub searched: u64,
    /// Thoughts for which a candidate was accepted.
    pub improved: u64,
    /// Thoughts whose final likelihood is worse than the first; none, if all is well.
    pub worse: u64,
    /// Target tokens, summed over searches.
    pub tokens: u64,
    /// Target bytes, summed over searches.
    pub bytes: u64,
    /// Without the thought.
    pub baseline_nats: f64,
    /// With the first thought.
    pub initial_nats: f64,
    /// With the incumbent after each round; that of a search that ended before, with its last.
    pub rounds_nats: Vec<f64>,
    /// With the thought that stands.
    pub final_nats: f64,
    /// Bytes of first thoughts.
    pub initial_thought_bytes: u64,
    /// Bytes of the thoughts that stand.
    pub final_thought_bytes: u64,
    /// Searches with a control.
    pub control: ControlTotals,
    /// By author of the proposal.
    pub authors: BTreeMap<Author, AuthorCounts>,
    /// Candidates dropped early.
    pub refused: u64,
    /// Target tokens that early refusal did not have to score.
    pub tokens_saved: u64,
    /// Searches that ended before their last round.
    #[serde(default)]
    pub ended_early: u64,
    /// What those did not play, as far as could be told from what was played.
    #[serde(default)]
    pub spared: Spared,
    /// The files in the unrefined documents, scored once from end to end.
    pub documents_before: Likelihood,
    /// The files in the refined documents, scored once from end to end. Reported, not asserted:
    /// an accepted thought changes later contexts.
    pub documents_after: Likelihood,
    /// What the model failed at.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Adds one step of a refined trajectory.
    pub(crate) fn add_step(&mut self, step: &Step) {
        let Body::Think { text, search, .. } = &step.body else { return };
        self.thoughts += 1;
        let Some(search) = search else { return };
        self.add_search(search);
        self.final_thought_bytes += text.len() as u64;
    }

    fn add_search(&mut self, search: &Search) {
        self.searched += 1;
        self.improved += u64::from(search.final_nats < search.initial_nats);
        self.worse += u64::from(broken(search).is_some());
        self.tokens += search.target_tokens;
        self.bytes += search.target_bytes;
        self.baseline_nats += search.baseline_nats;
        self.initial_nats += search.initial_nats;
        let rounds: Vec<f64> = search.rounds.iter().map(|round| round.incumbent_nats).collect();
        self.add_rounds(&rounds, search.final_nats);
        if let Some(spared) = &search.spared {
            self.ended_early += 1;
            self.spared.add(spared);
        }
        self.final_nats += search.final_nats;
        self.initial_thought_bytes += search.initial.text.len() as u64;
        for candidate in search.rounds.iter().flat_map(|round| &round.candidates) {
            self.add_candidate(candidate, search.target_tokens);
        }
        if let Some(control) = &search.control {
            self.control.thoughts += 1;
            self.control.tokens += search.target_tokens;
            self.control.baseline_nats += search.baseline_nats;
            self.control.final_nats += search.final_nats;
            self.control.control_nats += control.nats;
        }
    }

    /// Adds sums by round, before `final_nats` is added to the end.
    fn add_rounds(&mut self, nats: &[f64], final_nats: f64) {
        // What has no such round has come to its end before.
        self.rounds_nats.resize(self.rounds_nats.len().max(nats.len()), self.final_nats);
        for (at, sum) in self.rounds_nats.iter_mut().enumerate() {
            *sum += nats.get(at).copied().unwrap_or(final_nats);
        }
    }

    fn add_candidate(&mut self, candidate: &Candidate, target_tokens: u64) {
        let counts = self.authors.entry(candidate.author).or_default();
        counts.proposed += 1;
        match candidate.outcome {
            Outcome::Scored { accepted: true, .. } => counts.accepted += 1,
            Outcome::Scored { accepted: false, .. } => counts.beaten += 1,
            Outcome::Leaked { .. } => counts.leaked += 1,
            Outcome::Invalid { fault, .. } => *counts.invalid.entry(fault).or_default() += 1,
            Outcome::Refused { tokens_seen, .. } => {
                counts.refused += 1;
                self.refused += 1;
                self.tokens_saved += target_tokens.saturating_sub(tokens_seen);
            }
        }
    }

    /// Adds the sums of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.trajectories += other.trajectories;
        self.thoughts += other.thoughts;
        self.searched += other.searched;
        self.improved += other.improved;
        self.worse += other.worse;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
        self.baseline_nats += other.baseline_nats;
        self.initial_nats += other.initial_nats;
        self.add_rounds(&other.rounds_nats, other.final_nats);
        self.final_nats += other.final_nats;
        self.initial_thought_bytes += other.initial_thought_bytes;
        self.final_thought_bytes += other.final_thought_bytes;
        self.control.thoughts += other.control.thoughts;
        self.control.tokens += other.control.tokens;
        self.control.baseline_nats += other.control.baseline_nats;
        self.control.final_nats += other.control.final_nats;
        self.control.control_nats += other.control.control_nats;
        for (author, counts) in &other.authors {
            self.authors.entry(*author).or_default().add(counts);
        }
        self.refused += other.refused;
        self.tokens_saved += other.tokens_saved;
        self.ended_early += other.ended_early;
        self.spared.add(&other.spared);
        self.documents_before.add(other.documents_before);
        self.documents_after.add(other.documents_after);
        self.failures.extend_from_slice(&other.failures);
    }

    /// What must hold (PAPER.md, definition 10): no thought ends worse than it began, and where
    /// a candidate was accepted the sum at the end is strictly below the sum at the beginning.
    pub fn verify(&self) -> Result<()> {
        let broken = |reason| Err(Error::Broken { id: format!("a run of {} thoughts", self.searched), reason });
        let accepted: u64 = self.authors.values().map(|counts| counts.accepted).sum();
        let lower = self.final_nats < self.initial_nats;
        match self {
            Self { worse: 1.., .. } => broken(format!("{} thoughts end worse than they began", self.worse)),
            _ if accepted > 0 && !lower => broken(format!(
                "{accepted} candidates were accepted and the sum went from {} to {} nats",
                self.initial_nats, self.final_nats
            )),
            _ => Ok(()),
        }
    }
}

impl AuthorCounts {
    fn add(&mut self, other: &Self) {
        self.first += other.first;
        self.proposed += other.proposed;
        self.accepted += other.accepted;
        self.beaten += other.beaten;
        self.refused += other.refused;
        self.leaked += other.leaked;
        self.first_leaked += other.first_leaked;
        for (fault, count) in &other.invalid {
            *self.invalid.entry(*fault).or_default() += count;
        }
        self.exempted += other.exempted;
    }

    /// Candidates that were no thoughts, repetitions and exhaustion left out.
    pub fn faulty(&self) -> u64 {
        let tried = |fault: &Fault| !matches!(fault, Fault::Repeated | Fault::Exhausted);
        self.invalid.iter().filter(|(fault, _)| tried(fault)).map(|(_, count)| count).sum()
    }

    /// Share of first thoughts and candidates that the leak gate refused; 0 where there were none.
    pub fn leak_rate(&self) -> f64 {
        let all = self.first + self.proposed;
        if all == 0 { 0.0 } else { (self.leaked + self.first_leaked) as f64 / all as f64 }
    }

    /// Share of candidates that were accepted; 0 where there were none.
    pub fn acceptance_rate(&self) -> f64 {
        if self.proposed == 0 { 0.0 } else { self.accepted as f64 / self.proposed as f64 }
    }
}

/// How a search contradicts the rule of acceptance, if it does.
fn broken(search: &Search) -> Option<String> {
    let mut incumbent = search.initial_nats;
    for (at, round) in search.rounds.iter().enumerate() {
        let accepted = round.candidates.iter().any(|it| matches!(it.outcome, Outcome::Scored { accepted: true, .. }));
        let holds = if accepted { round.incumbent_nats < incumbent } else { round.incumbent_nats == incumbent };
        if !holds {
            return Some(format!("round {} goes from {incumbent} to {} nats", at + 1, round.incumbent_nats));
        }
        incumbent = round.incumbent_nats;
    }
    (search.final_nats != incumbent).then(|| format!("the end is {}, not {incumbent} nats", search.final_nats))
}
