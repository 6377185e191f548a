//! Likelihood of fixed token runs: which rows the head is asked for, and the sums.
//!
//! The head is applied only to rows whose next token is scored. Sums are taken in f64 in token
//! order, so a sum is a function of the tokens and not of how they were batched. A job that may
//! be refused is judged token by token: what it reports is the exact sum at the first token
//! border above the bound, however many tokens were computed with it.
//!
//! Legend: `N` rows of a forward, `D` model width.

use std::ops::Range;

use candle_core::Tensor;
use recon_lm::{Branch, Error, Result, Scored};

use crate::core::Core;
use crate::sequence::Sequence;

/// What one job asks for and has scored so far.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The scored ids, by position in the document, ascending.
    scored: Vec<Range<usize>>,
    /// These, and those that jobs score which take this one's beginning over.
    wanted: Vec<Range<usize>>,
    refuse_above_nats: Option<f64>,
    nats: f64,
    /// Of the wanted ids seen, by position; those behind a refusal included.
    known: Vec<(usize, f32)>,
    /// The sum and the scored tokens at the border where it exceeded the bound.
    refused: Option<(f64, usize)>,
}

impl Tally {
    /// Scores the ids at these positions.
    pub(crate) fn new(scored: Vec<Range<usize>>, refuse_above_nats: Option<f64>) -> Self {
        let wanted = scored.clone();
        Self { scored, wanted, refuse_above_nats, nats: 0.0, known: Vec::new(), refused: None }
    }

    /// Whether the bound is exceeded.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Scored tokens whose likelihood is known.
    pub(crate) fn seen(&self) -> usize {
        self.logprobs().count()
    }

    /// The likelihoods of the scored ids, in order.
    fn logprobs(&self) -> impl Iterator<Item = f32> {
        self.known.iter().filter(|(id, _)| self.scores(*id)).map(|(_, logprob)| *logprob)
    }

    fn scores(&self, id: usize) -> bool {
        self.scored.iter().any(|range| range.contains(&id))
    }

    /// The wanted positions among `ids`, in order.
    fn within(&self, ids: Range<usize>) -> impl Iterator<Item = usize> {
        self.wanted.iter().flat_map(move |range| range.start.max(ids.start)..range.end.min(ids.end))
    }

    fn add(&mut self, id: usize, logprob: f32) {
        self.known.push((id, logprob));
        if self.refused.is_none() && self.scores(id) {
            self.nats -= f64::from(logprob);
            if self.refuse_above_nats.is_some_and(|bound| self.nats > bound) {
                self.refused = Some((self.nats, self.seen()));
            }
        }
    }

    /// Scores for `follower` too what that wants of the first `tokens` ids.
    pub(crate) fn score_for(&mut self, follower: &Self, tokens: usize) {
        self.wanted.extend(follower.wanted.iter().map(|range| range.start..range.end.min(tokens)));
        self.wanted.sort_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in self.wanted.drain(..).filter(|range| !range.is_empty()) {
            match merged.last_mut().filter(|last| range.start <= last.end) {
                Some(last) => last.end = last.end.max(range.end),
                None => merged.push(range),
            }
        }
        self.wanted = merged;
    }

    /// What `leader` knows of that which is wanted of the first `tokens` ids, if it knows all of it.
    fn found(&self, leader: &Self, tokens: usize) -> Option<Vec<(usize, f32)>> {
        let known = |id| leader.known.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| leader.known[at]);
        self.within(0..tokens).map(known).collect()
    }

    /// Whether `leader` knows all that is wanted of the first `tokens` ids.
    pub(crate) fn finds_all(&self, leader: &Self, tokens: usize) -> bool {
        self.found(leader, tokens).is_some()
    }

    /// Takes over what `leader` has scored of the first `tokens` ids.
    pub(crate) fn take_over(&mut self, leader: &Self, tokens: usize) {
        let found = self.found(leader, tokens).expect("a job takes over from a leader that knows all");
        found.into_iter().for_each(|(id, logprob)| self.add(id, logprob));
    }

    /// Forgets what was scored: the job begins again.
    pub(crate) fn reset(&mut self) {
        self.nats = 0.0;
        self.known.clear();
        self.refused = None;
    }

    /// What was found, with the branches of a job that was scored in full.
    pub(crate) fn report(self, ends: impl FnOnce() -> Vec<Branch>) -> Scored {
        match self.refused {
            Some((nats_at_least, tokens_seen)) => Scored::Refused { nats_at_least, tokens_seen },
            None => Scored::Full { nats: self.nats, logprobs: self.logprobs().collect(), ends: ends() },
        }
    }
}

/// The rows of one forward that belong to one job.
pub(crate) struct Rows<'a> {
    pub(crate) sequence: &'a Sequence,
    pub(crate) tally: &'a mut Tally,
    /// Positions in the document.
    pub(crate) ids: Range<usize>,
    /// The first one's row.
    pub(crate) first_row: usize,
    /// Hidden state `[1, D]` of the token before them.
    pub(crate) before: Option<&'a Tensor>,
}

/// Adds the log-probabilities of a forward's rows, `hidden` `[N, D]`, to the tallies.
pub(crate) fn judge(core: &mut Core, hidden: &Tensor, all: &mut [Rows<'_>]) -> Result<()> {
    let (mut rows, mut targets, mut parts) = (Vec::new(), Vec::new(), vec![hidden.clone()]);
    let mut extra_row = hidden.dims()[0];
    for Rows { sequence, tally, ids, first_row, before } in all.iter() {
        for id in tally.within(ids.clone()) {
            targets.push(sequence.ids()[id]);
            if id > ids.start {
                rows.push((first_row + id - ids.start - 1) as u32);
                continue;
            }
            // The first token is predicted by the token before it.
            parts.push(before.cloned().ok_or(Error::EmptyContext)?);
            rows.push(extra_row as u32);
            extra_row += 1;
        }
    }
    let mut logprobs = core.log_probs(&parts, rows, &targets)?.into_iter();
    for Rows { tally, ids, .. } in all {
        let wanted: Vec<usize> = tally.within(ids.clone()).collect();
        wanted.into_iter().zip(logprobs.by_ref()).for_each(|(id, logprob)| tally.add(id, logprob));
    }
    Ok(())
}
