//! The search at one place: first thought, rounds of candidates, an incumbent.
//!
//! Acceptance is strict: a candidate becomes the incumbent only if its likelihood beats the
//! incumbent's by more than the margin; of several, the best, and of equals the first. A
//! candidate refused early had already lost: no term of the sum is negative.
//!
//! Source: PAPER.md, definitions 4, 6, 7, 9.

use std::collections::BTreeMap;

use recon_lm::Branch;
use recon_schema::trajectory::{Agent, Author, Body, Candidate, InitialThought, Leak, Outcome, Round, Search, Step};
use recon_text::{Renderer, Tokenizer};
use recon_thought::outline::Detail;

use crate::authors::{Proposal, Proposals};
use crate::cursor::Ahead;
use crate::score::{Attempt, Total, in_full, score};
use crate::target::Target;
use recon_thought::leak::{Context, Guarded, Verdict};

/// The leak gate before one thought: all of its targets, in the context before it.
pub(crate) struct Gate<'a> {
    tokenizer: &'a Tokenizer,
    context: &'a Context,
    guarded: Vec<Guarded>,
}

impl<'a> Gate<'a> {
    /// `signatures(path)`: what the outline gave of a target.
    pub(crate) fn new(
        tokenizer: &'a Tokenizer,
        context: &'a Context,
        targets: &[Target],
        signatures: impl Fn(&str) -> Vec<String>,
    ) -> Self {
        let guard = |target: &Target| {
            let given = signatures(&target.path);
            Guarded::new(tokenizer, context, &target.text, given.iter().map(String::as_str))
        };
        Self { tokenizer, context, guarded: targets.iter().map(guard).collect() }
    }

    fn judge(&self, thought: &str) -> Verdict {
        let mut all = Verdict { leak: None, exempted: false };
        for guarded in &self.guarded {
            let verdict = guarded.judge(self.tokenizer, self.context, thought);
            all.exempted |= verdict.exempted;
            all.leak = all.leak.or(verdict.leak);
        }
        all
    }
}

/// A thought and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thought {
    pub(crate) text: String,
    pub(crate) author: Author,
}

impl Thought {
    /// What follows the header: the body and the end of the turn.
    pub(crate) fn turn(&self, renderer: &Renderer<'_>) -> Vec<u32> {
        let body = Body::Think { text: self.text.clone(), search: None };
        let step = renderer.step(&Step { agent: Agent::Main, body, author: self.author, trained: true });
        step.ids[step.body.start..].to_vec()
    }
}

/// Where a thought is searched for.
pub(crate) struct Place<'a> {
    /// The document up to the thought.
    pub(crate) document: &'a Branch,
    /// The same, with the thought's header.
    pub(crate) header: &'a Branch,
    pub(crate) targets: &'a [Target],
    pub(crate) gate: &'a Gate<'a>,
    /// Longest turn after the header that the document has room for, tokens.
    pub(crate) room_tokens: usize,
}

/// What a search arrived at.
pub(crate) struct Found {
    pub(crate) search: Search,
    pub(crate) thought: Thought,
    /// The places behind the thought.
    pub(crate) ahead: Ahead,
    /// Thoughts that passed the gate only because signatures are exempt, by author.
    pub(crate) exempted: BTreeMap<Author, u64>,
}

struct Incumbent {
    thought: Thought,
    nats: f64,
    ahead: Ahead,
}

/// The first thought, or what stands in its place if the gate refuses it.
pub(crate) fn admit(gate: &Gate<'_>, first: Thought, proposals: &Proposals<'_>) -> (Thought, Verdict) {
    let verdict = gate.judge(&first.text);
    if verdict.leak.is_none() {
        return (first, verdict);
    }
    let (subject, graph) = (proposals.subject, proposals.graph);
    let brief = subject.outline(graph, Detail::Brief);
    let text = if brief.is_empty() || gate.judge(&brief).leak.is_some() { subject.least(graph) } else { brief };
    (Thought { text, author: Author::Outline }, verdict)
}

/// Searches at `place`, beginning with `first`.
pub(crate) fn search(place: &Place<'_>, first: Thought, mut proposals: Proposals<'_>) -> recon_lm::Result<Found> {
    let (first, verdict) = admit(place.gate, first, &proposals);
    proposals.tried.insert(first.text.clone());
    let mut exempted = BTreeMap::new();
    if verdict.exempted && verdict.leak.is_none() {
        exempted.insert(first.author, 1);
    }
    let (mut record, mut incumbent) = begin(place, first, verdict.leak, &proposals)?;
    for round in 1..=proposals.options.rounds {
        let proposed = proposals.round(place.document, &incumbent.thought.text, round);
        let (candidates, winner) = contest(place, proposed, &incumbent, &proposals, &mut exempted);
        incumbent = winner.unwrap_or(incumbent);
        record.rounds.push(Round { candidates, incumbent_nats: incumbent.nats });
    }
    record.final_nats = incumbent.nats;
    Ok(Found { search: record, thought: incumbent.thought, ahead: incumbent.ahead, exempted })
}

/// Scores the targets without any thought and with the first one.
fn begin(
    place: &Place<'_>,
    first: Thought,
    replaced: Option<Leak>,
    proposals: &Proposals<'_>,
) -> recon_lm::Result<(Search, Incumbent)> {
    let turn = first.turn(proposals.models.renderer);
    let attempts =
        [Attempt { at: place.document, thought: None }, Attempt { at: place.header, thought: Some(turn.as_slice()) }];
    let mut totals = score(proposals.models.scorer, &attempts, place.targets, None).into_iter();
    let mut next = || totals.next().expect("one result an attempt").map(in_full);
    let (baseline_nats, _) = next()?;
    let (initial_nats, ahead) = next()?;
    let ahead = ahead.expect("a scored thought has a place behind it");
    let record = Search {
        targets: place.targets.iter().map(|target| target.path.clone()).collect(),
        baseline_nats,
        initial_nats,
        final_nats: initial_nats,
        target_tokens: target_tokens(place.targets),
        target_bytes: place.targets.iter().map(|target| target.text.len() as u64).sum(),
        initial: InitialThought { author: first.author, text: first.text.clone(), replaced },
        rounds: Vec::new(),
        control: None,
    };
    Ok((record, Incumbent { thought: first, nats: initial_nats, ahead }))
}

fn target_tokens(targets: &[Target]) -> u64 {
    targets.iter().map(|target| target.content.len() as u64).sum()
}

/// One round: gates and scores the proposals, and names the new incumbent, if there is one.
fn contest(
    place: &Place<'_>,
    proposed: Vec<Proposal>,
    incumbent: &Incumbent,
    proposals: &Proposals<'_>,
    exempted: &mut BTreeMap<Author, u64>,
) -> (Vec<Candidate>, Option<Incumbent>) {
    let (models, options) = (proposals.models, proposals.options);
    let mut candidates: Vec<(Thought, Option<Outcome>)> =
        proposed.into_iter().map(|proposal| sift(place, proposal, exempted)).collect();
    let standing = candidates.iter().enumerate().filter(|(_, (_, lost))| lost.is_none());
    let turns: Vec<(usize, Vec<u32>)> =
        standing.map(|(at, (thought, _))| (at, thought.turn(models.renderer))).collect();
    let (fitting, too_long): (Vec<_>, Vec<_>) =
        turns.into_iter().partition(|(_, turn)| turn.len() <= place.room_tokens);
    for (at, turn) in too_long {
        let reason = format!("{} tokens, the document has room for {}", turn.len(), place.room_tokens);
        candidates[at].1 = Some(Outcome::Invalid { reason });
    }
    let bound = incumbent.nats - options.margin * target_tokens(place.targets) as f64;
    let attempt = |turn| Attempt { at: place.header, thought: Some(turn) };
    let attempts: Vec<Attempt<'_>> = fitting.iter().map(|(_, turn)| attempt(turn.as_slice())).collect();
    let totals = score(models.scorer, &attempts, place.targets, options.refuse_early.then_some(bound));
    settle(candidates, fitting.iter().map(|(at, _)| *at).zip(totals), bound)
}

/// A proposal as a candidate, with its outcome if it lost before it was scored.
fn sift(
    place: &Place<'_>,
    (author, proposal): Proposal,
    exempted: &mut BTreeMap<Author, u64>,
) -> (Thought, Option<Outcome>) {
    let text = match proposal {
        Ok(text) => text,
        Err(reason) => return (Thought { text: String::new(), author }, Some(Outcome::Invalid { reason })),
    };
    let verdict = place.gate.judge(&text);
    if verdict.exempted && verdict.leak.is_none() {
        *exempted.entry(author).or_default() += 1;
    }
    (Thought { text, author }, verdict.leak.map(|leak| Outcome::Leaked { leak }))
}

/// Writes the outcomes down and picks the winner: the least likelihood below `bound`, of equals
/// the first.
fn settle(
    candidates: Vec<(Thought, Option<Outcome>)>,
    totals: impl Iterator<Item = (usize, recon_lm::Result<Total>)>,
    bound: f64,
) -> (Vec<Candidate>, Option<Incumbent>) {
    let (thoughts, mut outcomes): (Vec<Thought>, Vec<Option<Outcome>>) = candidates.into_iter().unzip();
    let mut best: Option<(usize, f64, Ahead)> = None;
    for (at, total) in totals {
        outcomes[at] = Some(match total {
            Err(error) => Outcome::Invalid { reason: error.to_string() },
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
