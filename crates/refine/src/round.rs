//! One round: thoughts are proposed, scored where they may win, and the best becomes the incumbent.
//!
//! Acceptance is strict: a candidate becomes the incumbent only if its likelihood beats the
//! incumbent's by more than the margin; of several, the best, and of equals the first. A
//! candidate refused early had already lost: no term of the sum is negative.

use recon_schema::trajectory::{Author, Candidate, Fault, Outcome, Round};
use recon_thought::{Proposals, Thought, Unusable};

use crate::Proposer;
use crate::cursor::Ahead;
use crate::place::{Incumbent, Place};
use crate::score::{Attempt, Total, score};

/// A thought on trial, with its outcome if it lost before it was scored.
struct Entrant {
    thought: Thought,
    lost: Option<Outcome>,
}

/// Plays round `number` (from 1) against `incumbent`.
pub(crate) fn round(
    place: &Place<'_>,
    proposals: &mut Proposals<'_>,
    incumbent: Incumbent,
    number: u32,
) -> (Round, Incumbent) {
    let proposed = propose(place, proposals, &incumbent.thought.text, number);
    let (candidates, winner) = contest(place, proposed, &incumbent);
    let incumbent = winner.unwrap_or(incumbent);
    (Round { candidates, incumbent_nats: incumbent.nats }, incumbent)
}

/// The candidates of a round. All the model's are generated in one call.
fn propose(place: &Place<'_>, proposals: &mut Proposals<'_>, incumbent: &str, number: u32) -> Vec<Entrant> {
    let authors = &place.options.authors;
    let proposer = |candidate: u32| authors[candidate as usize % authors.len()];
    let candidates = 0..place.options.candidates;
    let asked: Vec<u32> = candidates.clone().filter(|&it| proposer(it) == Proposer::Model).collect();
    let answers = match place.models.generator {
        Some(generator) => proposals.ask(generator, place.document, incumbent, number, &asked),
        None => Vec::new(),
    };
    let mut answers = answers.into_iter();
    let mut propose = |candidate| match proposer(candidate) {
        Proposer::Model => {
            let answer = answers.next().expect("the options were refused where there is no generator");
            (Author::Model, answer.and_then(|thought| proposals.admit(thought)))
        }
        Proposer::Outline => (Author::Outline, proposals.next_outline()),
    };
    candidates.map(|candidate| entrant(propose(candidate))).collect()
}

fn entrant((author, proposed): (Author, Result<Thought, Unusable>)) -> Entrant {
    match proposed {
        Ok(thought) => Entrant { thought, lost: None },
        Err(Unusable::Leaked { text, leak }) => {
            Entrant { thought: Thought { text, author }, lost: Some(Outcome::Leaked { leak }) }
        }
        Err(unusable) => {
            let (fault, text) = (unusable.fault().expect("a leak is told above"), unusable.text().to_owned());
            let lost = Some(Outcome::Invalid { fault, reason: unusable.to_string() });
            Entrant { thought: Thought { text, author }, lost }
        }
    }
}

/// Scores what may win, and names the new incumbent, if there is one.
fn contest(
    place: &Place<'_>,
    mut entrants: Vec<Entrant>,
    incumbent: &Incumbent,
) -> (Vec<Candidate>, Option<Incumbent>) {
    let mut turns: Vec<(usize, Vec<u32>)> = Vec::new();
    for (at, entrant) in entrants.iter_mut().enumerate().filter(|(_, entrant)| entrant.lost.is_none()) {
        let turn = entrant.thought.turn(place.models.renderer);
        if turn.len() <= place.room_tokens {
            turns.push((at, turn));
        } else {
            let reason = format!("{} tokens, the document has room for {}", turn.len(), place.room_tokens);
            entrant.lost = Some(Outcome::Invalid { fault: Fault::TooLong, reason });
        }
    }
    let bound = incumbent.nats - place.options.margin * place.target_tokens() as f64;
    let attempt = |turn| Attempt { at: place.header, thought: Some(turn) };
    let attempts: Vec<Attempt<'_>> = turns.iter().map(|(_, turn)| attempt(turn.as_slice())).collect();
    let refuse_above = place.options.refuse_early.then_some(bound);
    let totals = score(place.models.scorer, &attempts, place.targets, refuse_above);
    settle(entrants, turns.iter().map(|(at, _)| *at).zip(totals), bound)
}

/// Writes the outcomes down and picks the winner: the least likelihood below `bound`, of equals
/// the first.
fn settle(
    entrants: Vec<Entrant>,
    totals: impl Iterator<Item = (usize, recon_lm::Result<Total>)>,
    bound: f64,
) -> (Vec<Candidate>, Option<Incumbent>) {
    let both = entrants.into_iter().map(|entrant| (entrant.thought, entrant.lost));
    let (thoughts, mut outcomes): (Vec<Thought>, Vec<Option<Outcome>>) = both.unzip();
    let mut best: Option<(usize, f64, Ahead)> = None;
    for (at, total) in totals {
        outcomes[at] = Some(match total {
            Err(error) => Outcome::Invalid { fault: Fault::Failed, reason: error.to_string() },
            Ok(Total::Refused { nats_at_least, tokens_seen }) => Outcome::Refused { nats_at_least, tokens_seen },
            Ok(Total::Full { nats, ahead }) => {
                if nats < best.as_ref().map_or(bound, |(_, least, _)| *least) {
                    best = Some((at, nats, ahead.expect("a scored thought has a place behind it")));
                }
                Outcome::Scored { nats, accepted: false }
            }
        });
    }
    let winner = best.map(|(at, nats, ahead)| {
        outcomes[at] = Some(Outcome::Scored { nats, accepted: true });
        Incumbent { thought: thoughts[at].clone(), nats, ahead }
    });
    let candidate = |(Thought { text, author }, outcome): (Thought, Option<Outcome>)| {
        let outcome = outcome.expect("what was not lost at once was scored");
        Candidate { author, text, outcome }
    };
    (thoughts.into_iter().zip(outcomes).map(candidate).collect(), winner)
}
