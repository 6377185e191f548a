//! Whether another round is worth its tokens, learnt from the rounds that the same document has seen.
//!
//! Rounds of a kind (their number, and whether the round before accepted anything) are held together.
//! A round is spared where rounds of its kind gained fewer nats a scored token than a set share of
//! what all rounds of the document have gained so far; every so often one is played all the same, so
//! that what was learnt can be corrected.
//!
//! Cost counts every target token behind every candidate that is scored, whether or not it was
//! refused early, so that a decision does not depend on early refusal. Nothing is learnt beyond
//! a document: what becomes of a repository does not depend on which others there are.

use std::collections::BTreeMap;

use recon_schema::trajectory::{Outcome, Round, Spared};
use serde::{Deserialize, Serialize};

/// When rounds are spared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetOptions {
    /// A round must promise this share of the mean gain a scored token.
    pub least_share: f64,
    /// Rounds of a kind that are played before any of them is spared.
    pub learn_rounds: u32,
    /// Of the rounds that would be spared, every so many-th is played.
    pub probe_every: u32,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self { least_share: 0.25, learn_rounds: 8, probe_every: 8 }
    }
}

/// Number of a round (from 1), and whether the one before it accepted a candidate.
type Kind = (u32, bool);

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    rounds: u32,
    gained_nats: f64,
    /// Target tokens behind scored candidates.
    scored_tokens: u64,
    /// Target tokens of the places where they were played.
    target_tokens: u64,
    /// Decisions to spare one, those overruled included.
    spared: u32,
}

impl Sums {
    fn add(&mut self, gained_nats: f64, scored_tokens: u64, target_tokens: u64) {
        self.rounds += 1;
        self.gained_nats += gained_nats;
        self.scored_tokens += scored_tokens;
        self.target_tokens += target_tokens;
    }

    fn nats_a_token(&self) -> f64 {
        self.gained_nats / self.scored_tokens.max(1) as f64
    }
}

/// What the rounds of one document have gained and cost.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    kinds: BTreeMap<Kind, Sums>,
    all: Sums,
}

impl Learnt {
    /// Adds a round that was played.
    pub(crate) fn add(&mut self, kind: Kind, round: &Round, before_nats: f64, target_tokens: u64) {
        let is_scored = |outcome: &Outcome| matches!(outcome, Outcome::Scored { .. } | Outcome::Refused { .. });
        let scored = round.candidates.iter().filter(|candidate| is_scored(&candidate.outcome)).count() as u64;
        let gained = before_nats - round.incumbent_nats;
        for sums in [self.kinds.entry(kind).or_default(), &mut self.all] {
            sums.add(gained, scored * target_tokens, target_tokens);
        }
    }

    /// What is spared where a round of this kind, and the `rounds` - 1 after it, are not played; none where it is worth it.
    pub(crate) fn spares(
        &mut self,
        kind: Kind,
        rounds: u32,
        target_tokens: u64,
        options: &BudgetOptions,
    ) -> Option<Spared> {
        let least = options.least_share * self.all.nats_a_token();
        let sums = self.kinds.get_mut(&kind).filter(|sums| sums.rounds >= options.learn_rounds)?;
        if sums.nats_a_token() >= least {
            return None;
        }
        sums.spared += 1;
        if sums.spared.is_multiple_of(options.probe_every) {
            return None;
        }
        let here = target_tokens as f64 / sums.target_tokens.max(1) as f64;
        let (scored_tokens, gained_nats) = (sums.scored_tokens as f64 * here, sums.gained_nats * here);
        Some(Spared { rounds, scored_tokens: scored_tokens * f64::from(rounds), gained_nats })
    }
}

#[cfg(test)]
mod tests {
    use recon_schema::trajectory::{Author, Candidate};

    use super::*;

    const OPTIONS: BudgetOptions = BudgetOptions { least_share: 0.5, learn_rounds: 3, probe_every: 4 };

    fn round(incumbent_nats: f64, outcomes: &[Outcome]) -> Round {
        let candidate =
            |outcome: &Outcome| Candidate { author: Author::Model, text: String::new(), outcome: outcome.clone() };
        Round { candidates: outcomes.iter().map(candidate).collect(), incumbent_nats }
    }

    fn learnt(gains: &[(Kind, f64)]) -> Learnt {
        let mut learnt = Learnt::default();
        let refused = Outcome::Refused { nats_at_least: 9.0, tokens_seen: 3 };
        for (kind, gain) in gains {
            let played =
                round(100.0 - gain, &[Outcome::Scored { nats: 100.0, accepted: *gain > 0.0 }, refused.clone()]);
            learnt.add(*kind, &played, 100.0, 50);
        }
        learnt
    }

    #[test]
    fn a_kind_of_round_that_gains_little_is_spared_once_it_is_known() {
        let good = ((1, false), 10.0);
        let mut learnt = learnt(&[good, good, good, ((2, false), 1.0), ((2, false), 1.0), ((2, false), 1.0)]);
        // 33 nats over 6 · 100 tokens; a half of that is 0.0275 a token.
        assert_eq!(learnt.spares((1, false), 3, 50, &OPTIONS), None);
        let spared = learnt.spares((2, false), 2, 100, &OPTIONS).expect("0.01 nats a token are too few");
        // A place of 100 tokens, twice as long as each before: 2 candidates, 2 rounds.
        assert_eq!((spared.rounds, spared.scored_tokens, spared.gained_nats), (2, 400.0, 2.0));
        assert_eq!(learnt.spares((2, true), 2, 50, &OPTIONS), None, "nothing is known of it");
        assert_eq!(learnt.spares((2, false), 2, 50, &BudgetOptions { least_share: 0.1, ..OPTIONS }), None);
    }

    #[test]
    fn little_is_not_judged_and_every_so_often_one_is_played_all_the_same() {
        let mut young = learnt(&[((1, false), 10.0), ((2, false), 0.0), ((2, false), 0.0)]);
        assert_eq!(young.spares((2, false), 1, 50, &OPTIONS), None);
        let mut old = learnt(&[((1, false), 10.0), ((2, false), 0.0), ((2, false), 0.0), ((2, false), 0.0)]);
        let spared: Vec<bool> = (0..8).map(|_| old.spares((2, false), 1, 50, &OPTIONS).is_some()).collect();
        assert_eq!(spared, [true, true, true, false, true, true, true, false]);
    }

    #[test]
    fn early_refusal_changes_no_decision_and_what_is_not_scored_costs_nothing() {
        let early = Outcome::Refused { nats_at_least: 101.0, tokens_seen: 1 };
        let full = Outcome::Scored { nats: 300.0, accepted: false };
        let invalid = Outcome::Invalid { fault: recon_schema::trajectory::Fault::Empty, reason: String::new() };
        let tokens = |outcomes: &[Outcome]| {
            let mut learnt = Learnt::default();
            learnt.add((1, false), &round(100.0, outcomes), 100.0, 50);
            learnt.all.scored_tokens
        };
        assert_eq!(tokens(&[early]), tokens(&[full]));
        assert_eq!(tokens(&[invalid]), 0);
    }
}
