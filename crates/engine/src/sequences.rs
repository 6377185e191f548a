//! Schedules the jobs of one call: who computes which tokens in the next forward.
//!
//! A job is a [`Sequence`]: the prefix it stands on and the ids still to be computed after it. A
//! [`Batch`] is one forward over chunks of many sequences. Sequences share rows evenly; those that
//! begin at the same place with the same ids compute them once. When pages run short, sequences
//! wait; when nobody can move, the last one is set back to its start and runs again when the others
//! are done; one that cannot move alone fails with `OutOfPages`.
//!
//! Invariants: a sequence's numbers do not depend on the other sequences, on the chunks or on a
//! setback, because every row of a forward is computed independently of its neighbours; a sequence
//! that has failed or closed holds no pages.
//!
//! Legend: `N` rows of a forward, `D` model width.

use std::ops::Range;

use candle_core::Tensor;
use recon_lm::{Error, Result};

use crate::core::{Core, Work};
use crate::options::Stats;
use crate::pool::OutOfPages;
use crate::prefix::Prefix;

/// One job's tokens and how far they are computed.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// Where a setback returns to.
    start: Prefix,
    start_done: usize,
    prefix: Prefix,
    ids: Vec<u32>,
    done: usize,
    /// Places in `ids` whose branch is asked for, ascending, and the branches so far.
    borders: Vec<usize>,
    ends: Vec<Prefix>,
    /// How many leading borders may be taken over from another sequence.
    shareable: usize,
    chunk_tokens: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Live,
    /// Set back; runs when the others are done.
    Parked,
    /// Takes over `leader`'s first `ends` branches as soon as they exist.
    Waiting {
        leader: usize,
        ends: usize,
    },
    Closed,
    Failed(Error),
}

impl Sequence {
    /// A sequence that computes `ids` after `start`, at most `chunk_tokens` in one forward, and keeps
    /// the branch at each of `borders`; the first `shareable` of them depend on ids alone.
    pub(crate) fn new(
        start: Prefix,
        ids: Vec<u32>,
        borders: Vec<usize>,
        shareable: usize,
        chunk_tokens: usize,
    ) -> Self {
        debug_assert!(borders.is_sorted() && borders.last().is_none_or(|&last| last <= ids.len()));
        let empty_runs = borders.iter().take_while(|&&border| border == 0).count();
        let ends = vec![start.clone(); empty_runs];
        let prefix = start.clone();
        Self { start, start_done: 0, prefix, ids, done: 0, borders, ends, shareable, chunk_tokens, state: State::Live }
    }

    /// A sequence that never runs.
    pub(crate) fn failed(error: Error) -> Self {
        let mut sequence = Self::new(Prefix::default(), Vec::new(), Vec::new(), 0, 1);
        sequence.state = State::Failed(error);
        sequence
    }

    /// The ids computed and to be computed.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Asks for one more token.
    pub(crate) fn push(&mut self, id: u32) {
        self.ids.push(id);
    }

    /// The place reached, if the sequence has computed all it was asked for and goes on.
    pub(crate) fn ready(&self) -> Option<&Prefix> {
        (matches!(self.state, State::Live) && self.done == self.ids.len()).then_some(&self.prefix)
    }

    /// Gives up its pages; the sequence is finished.
    pub(crate) fn close(&mut self) {
        self.release(State::Closed);
    }

    /// Ends the sequence with an error.
    pub(crate) fn fail(&mut self, error: Error) {
        self.release(State::Failed(error));
    }

    fn release(&mut self, state: State) {
        self.start = Prefix::default();
        self.prefix = Prefix::default();
        self.ends.clear();
        self.state = state;
    }

    /// The branches at its borders and at its end, or its error.
    pub(crate) fn finish(self) -> Result<(Vec<Prefix>, Prefix)> {
        match self.state {
            State::Failed(error) => Err(error),
            _ => Ok((self.ends, self.prefix)),
        }
    }

    fn pending(&self) -> usize {
        match self.state {
            State::Live => self.ids.len() - self.done,
            _ => 0,
        }
    }

    fn set_back(&mut self) {
        self.prefix = self.start.clone();
        self.done = self.start_done;
        let kept = self.borders.iter().take_while(|&&border| border <= self.start_done).count();
        self.ends.truncate(kept);
        self.state = State::Parked;
    }

    /// Takes over what `leader` has computed up to its border number `ends`.
    fn take_over(&mut self, ends: &[Prefix]) {
        self.ends = ends.to_vec();
        self.start = ends.last().expect("a shared border is one at least").clone();
        self.start_done = self.borders[ends.len() - 1];
        self.prefix = self.start.clone();
        self.done = self.start_done;
        self.state = State::Live;
    }

    /// How many leading borders `self` can take over from `leader`.
    fn shared_borders(&self, leader: &Sequence) -> usize {
        if matches!(leader.state, State::Failed(_)) || !self.start.is_same_place(&leader.start) {
            return 0;
        }
        let most = self.shareable.min(leader.shareable);
        let same_ids = self.ids.iter().zip(&leader.ids).take_while(|(a, b)| a == b).count();
        let borders = self.borders.iter().zip(&leader.borders).take(most);
        let shared = borders.take_while(|(a, b)| a == b && **a <= same_ids).count();
        if shared > 0 && self.borders[shared - 1] > 0 { shared } else { 0 }
    }
}

/// Which tokens of which job's sequence stand in which rows.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) job: usize,
    /// Indices into the sequence's ids.
    pub(crate) ids: Range<usize>,
    /// The first one's row.
    pub(crate) first_row: usize,
    /// Hidden state `[1, D]` of the token before the chunk.
    pub(crate) before: Option<Tensor>,
}

/// One forward and whose rows it holds.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) chunks: Vec<Chunk>,
    /// `[N, D]`, after the final norm.
    pub(crate) hidden: Tensor,
}

/// All sequences of one call, in the order of its jobs.
#[derive(Debug)]
pub(crate) struct Sequences(Vec<Sequence>);

impl Sequences {
    /// Sequences ready to run.
    pub(crate) fn new(mut sequences: Vec<Sequence>) -> Self {
        for follower in 1..sequences.len() {
            let (before, sequence) = (&sequences[..follower], &sequences[follower]);
            if !matches!(sequence.state, State::Live) {
                continue;
            }
            let shared = before.iter().map(|leader| sequence.shared_borders(leader)).enumerate();
            // Of equals the first: it will have computed its tokens soonest.
            if let Some((leader, ends)) = shared.rev().max_by_key(|(_, ends)| *ends).filter(|(_, ends)| *ends > 0) {
                sequences[follower].state = State::Waiting { leader, ends };
            }
        }
        Self(sequences)
    }

    /// One for each job.
    pub(crate) fn all(&self) -> &[Sequence] {
        &self.0
    }

    /// The sequence of one job.
    pub(crate) fn job(&mut self, index: usize) -> &mut Sequence {
        &mut self.0[index]
    }

    /// Gives the sequences back.
    pub(crate) fn into_all(self) -> Vec<Sequence> {
        self.0
    }

    /// Computes the next chunks; none when no sequence has anything left to compute.
    pub(crate) fn next_batch(&mut self, core: &mut Core) -> Option<Batch> {
        loop {
            let chunks = self.next_chunks(core)?;
            let computed = self.forward(core, &chunks).and_then(|hidden| {
                self.absorb(core, &chunks, &hidden)?;
                Ok(hidden)
            });
            match computed {
                Ok(hidden) => {
                    self.hand_over(&mut core.stats);
                    return Some(Batch { chunks, hidden });
                }
                Err(error) => self.fail_all(core, &chunks, &error),
            }
        }
    }

    /// The cache may be half-written for these sequences: none of them can go on.
    fn fail_all(&mut self, core: &mut Core, chunks: &[Chunk], error: &Error) {
        for chunk in chunks {
            self.0[chunk.job].fail(error.clone());
        }
        self.hand_over(&mut core.stats);
    }

    /// Chooses and reserves chunks until at least one sequence can move.
    fn next_chunks(&mut self, core: &mut Core) -> Option<Vec<Chunk>> {
        loop {
            let wanting: Vec<usize> = (0..self.0.len()).filter(|&index| self.0[index].pending() > 0).collect();
            if wanting.is_empty() {
                let parked = self.0.iter_mut().find(|sequence| matches!(sequence.state, State::Parked))?;
                parked.state = State::Live;
                continue;
            }
            let (chunks, shortage) = self.reserve(core, &wanting);
            if !chunks.is_empty() {
                return Some(chunks);
            }
            let last = *wanting.last().expect("a sequence wants to move");
            match shortage {
                Some(_) if wanting.len() > 1 => {
                    self.0[last].set_back();
                    core.stats.rewound_jobs += 1;
                }
                Some(shortage) => {
                    self.0[last].fail(shortage.into());
                    self.hand_over(&mut core.stats);
                }
                // Every sequence that wanted to move has failed for another reason.
                None => self.hand_over(&mut core.stats),
            }
        }
    }

    fn reserve(&mut self, core: &mut Core, wanting: &[usize]) -> (Vec<Chunk>, Option<OutOfPages>) {
        let pending: Vec<usize> =
            wanting.iter().map(|&index| self.0[index].pending().min(self.0[index].chunk_tokens)).collect();
        let (mut chunks, mut shortage, mut first_row) = (Vec::new(), None, 0);
        for (&index, fresh) in wanting.iter().zip(shares(&pending, core.prefill_tokens)) {
            let sequence = &mut self.0[index];
            if fresh == 0 {
                continue;
            }
            let copied = match sequence.prefix.reserve(&core.pool, fresh) {
                Ok(None) => Ok(()),
                Ok(Some(copy)) => core.copy_page(&copy),
                Err(short) => {
                    shortage = Some(short);
                    continue;
                }
            };
            if let Err(error) = copied {
                sequence.fail(error);
                continue;
            }
            let before = sequence.prefix.last().cloned();
            chunks.push(Chunk { job: index, ids: sequence.done..sequence.done + fresh, first_row, before });
            first_row += fresh;
        }
        (chunks, shortage)
    }

    fn forward(&self, core: &mut Core, chunks: &[Chunk]) -> Result<Tensor> {
        let work = chunks.iter().map(|chunk| {
            let sequence = &self.0[chunk.job];
            Work { ids: &sequence.ids[chunk.ids.clone()], prefix: &sequence.prefix }
        });
        core.forward(&work.collect::<Vec<_>>())
    }

    /// Moves the sequences over what was computed and keeps the branches at their borders.
    fn absorb(&mut self, core: &Core, chunks: &[Chunk], hidden: &Tensor) -> Result<()> {
        for chunk in chunks {
            let row = |id: usize| core.row(hidden, chunk.first_row + id - chunk.ids.start);
            let sequence = &mut self.0[chunk.job];
            sequence.prefix.advance(chunk.ids.len(), row(chunk.ids.end - 1)?);
            sequence.done = chunk.ids.end;
            let base = sequence.prefix.tokens() - sequence.done;
            while let Some(&border) =
                sequence.borders.get(sequence.ends.len()).filter(|&&border| border <= sequence.done)
            {
                sequence.ends.push(sequence.prefix.up_to(&core.pool, base + border, row(border - 1)?));
            }
        }
        Ok(())
    }

    /// Lets waiting sequences take over what their leaders have reached; frees them from a leader that failed.
    fn hand_over(&mut self, stats: &mut Stats) {
        for index in 0..self.0.len() {
            let State::Waiting { leader, ends } = self.0[index].state else { continue };
            let (before, rest) = self.0.split_at_mut(index);
            match &before[leader].state {
                State::Failed(_) | State::Closed => rest[0].state = State::Live,
                _ if before[leader].ends.len() >= ends => {
                    rest[0].take_over(&before[leader].ends[..ends]);
                    stats.reused_tokens += rest[0].start_done as u64;
                }
                _ => {}
            }
        }
    }
}

/// Divides `rows` among sequences that want `pending` tokens each: even shares, what one does not
/// need goes to the others, the remainder to the first.
fn shares(pending: &[usize], rows: usize) -> Vec<usize> {
    let mut shares = vec![0; pending.len()];
    let mut left = rows;
    loop {
        let hungry: Vec<usize> = (0..pending.len()).filter(|&sequence| shares[sequence] < pending[sequence]).collect();
        if hungry.is_empty() || left == 0 {
            return shares;
        }
        let even = left.div_ceil(hungry.len());
        for sequence in hungry {
            let more = even.min(pending[sequence] - shares[sequence]).min(left);
            shares[sequence] += more;
            left -= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_even_and_nothing_is_wasted() {
        assert_eq!(shares(&[100, 3, 100], 32), [15, 3, 14]);
        assert_eq!(shares(&[1, 1, 1], 512), [1, 1, 1]);
        assert_eq!(shares(&[5, 5, 5], 2), [1, 1, 0]);
        assert!(shares(&[], 8).is_empty());
    }

    proptest! {
        #[test]
        fn shares_fill_the_forward(pending in prop::collection::vec(0..50_usize, 0..12), rows in 1..200_usize) {
            let shares = shares(&pending, rows);
            prop_assert!(shares.iter().zip(&pending).all(|(share, pending)| share <= pending));
            prop_assert_eq!(shares.iter().sum::<usize>(), rows.min(pending.iter().sum()));
        }
    }
}
