//! One job's document: the ids it consists of, how far they are computed, and the places in it that are asked for.
//!
//! Positions count from the document's start, whether a token was computed for this job or stood
//! there before.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use recon_lm::{Branch, Error, Result};

use crate::branch::{Lineage, Place, Places, branch_at};
use crate::core::Core;
use crate::pool::PagePool;
use crate::prefix::Prefix;

/// Names a job for as long as the engine runs; later jobs have greater ones.
pub(crate) type JobId = u64;

/// One job's tokens and how far they are computed.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// Where the caller's branch stands; none begins a document.
    at: Option<Arc<Place>>,
    ids: Vec<u32>,
    /// Most tokens the document may come to.
    most_tokens: usize,
    /// Most tokens of it in one forward.
    chunk_tokens: usize,
    prefix: Prefix,
    /// Places whose branch is asked for, ascending.
    borders: Vec<usize>,
    /// Keys and values up to each place that is asked for, as soon as they are there.
    places: BTreeMap<usize, Option<Prefix>>,
    pub(crate) state: State,
}

/// How far a job has come.
#[derive(Debug)]
pub(crate) enum State {
    /// Takes over the first `tokens` tokens of `leader` as soon as they are computed.
    Waiting { leader: JobId, tokens: usize },
    /// Waits for room, with what it took over.
    Queued { taken: Option<Prefix> },
    /// Computes.
    Live,
    /// Has computed and been told all.
    Closed,
    /// Has failed.
    Failed(Error),
}

impl Sequence {
    /// A document that goes on from `at` with `fresh`, whose `borders` count from `at`, in chunks of at most
    /// `chunk_tokens`; it may grow by `room` more tokens.
    pub(crate) fn new(
        at: Option<Arc<Place>>,
        fresh: &[u32],
        borders: &[usize],
        room: usize,
        chunk_tokens: usize,
    ) -> Self {
        debug_assert!(borders.is_sorted() && borders.last().is_none_or(|&last| last <= fresh.len()));
        let mut ids = at.as_ref().map(|at| at.lineage().all_ids()).unwrap_or_default();
        let start = ids.len();
        ids.extend_from_slice(fresh);
        let borders: Vec<usize> = borders.iter().map(|border| start + border).collect();
        // A place at the branch is the branch.
        let places = borders.iter().filter(|&&border| border > start).map(|&border| (border, None)).collect();
        let (most_tokens, state) = (ids.len() + room, State::Queued { taken: None });
        Self { at, ids, most_tokens, chunk_tokens, prefix: Prefix::default(), borders, places, state }
    }

    /// The whole document's ids, as far as they are known.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Tokens of the caller's branch.
    pub(crate) fn start(&self) -> usize {
        self.at.as_ref().map_or(0, |at| at.tokens())
    }

    /// The place of the caller's branch.
    pub(crate) fn at(&self) -> Option<&Arc<Place>> {
        self.at.as_ref()
    }

    /// Keys and values of what is computed.
    pub(crate) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(crate) fn prefix_mut(&mut self) -> &mut Prefix {
        &mut self.prefix
    }

    /// Asks for one more token.
    pub(crate) fn push(&mut self, id: u32) {
        self.ids.push(id);
    }

    /// Whether all that was asked for is computed, and the job goes on.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Live) && self.prefix.tokens() == self.ids.len()
    }

    /// Tokens of the next forward, if there is room for them.
    pub(crate) fn pending(&self) -> usize {
        match self.state {
            State::Live => (self.ids.len() - self.prefix.tokens()).min(self.chunk_tokens),
            _ => 0,
        }
    }

    /// Pages that it may still take behind `prefix`: at most, or, `alone`, to the page.
    pub(crate) fn pages_to_come(&self, prefix: &Prefix, pool: &PagePool, alone: bool) -> usize {
        let fresh = self.most_tokens - prefix.tokens();
        if alone { prefix.pages_needed(pool, fresh) } else { prefix.pages_at_most(pool, fresh) }
    }

    /// Keys and values to begin behind: what was taken over, or the branch's, or the longest that is left of them.
    pub(crate) fn stand(&self, places: &Places) -> Prefix {
        match (&self.state, &self.at) {
            (State::Queued { taken: Some(taken) }, _) => taken.clone(),
            (_, Some(at)) => at.prefix().unwrap_or_else(|| places.nearest(at.lineage())),
            (_, None) => Prefix::default(),
        }
    }

    /// Asks for the keys and values up to a place, for a job that goes on from there.
    pub(crate) fn ask_for(&mut self, place: usize) {
        self.places.entry(place).or_default();
    }

    /// The places up to `tokens` that a job which takes over so many tokens needs.
    pub(crate) fn borders_to(&self, tokens: usize) -> impl Iterator<Item = usize> {
        self.places.range(..=tokens).map(|(place, _)| *place)
    }

    /// Keys and values up to a place that was asked for.
    pub(crate) fn reached(&self, place: usize) -> Option<&Prefix> {
        self.places.get(&place).and_then(Option::as_ref)
    }

    /// Whether `leader` has reached `tokens` tokens and every place before that is asked for here.
    pub(crate) fn finds_all(&self, leader: &Self, tokens: usize) -> bool {
        self.borders_to(tokens).chain([tokens]).all(|place| leader.reached(place).is_some())
    }

    /// Takes over the first `tokens` tokens of `leader`, where it [finds all](Self::finds_all).
    pub(crate) fn take_over(&mut self, leader: &Self, tokens: usize) {
        for (place, prefix) in self.places.range_mut(..=tokens) {
            *prefix = leader.reached(*place).cloned();
        }
        self.state = State::Queued { taken: leader.reached(tokens).cloned() };
    }

    /// Begins to compute behind `start`.
    pub(crate) fn begin(&mut self, start: Prefix) {
        // The branch gave up its pages: they are made again on the way.
        if let Some(at) = self.at.as_ref().filter(|at| at.tokens() > start.tokens()) {
            self.places.insert(at.tokens(), None);
        }
        self.prefix = start;
        self.state = State::Live;
    }

    /// Back to where the job was before it had computed anything.
    pub(crate) fn set_back(&mut self) {
        self.prefix = Prefix::default();
        self.places.values_mut().for_each(|place| *place = None);
        self.state = State::Queued { taken: None };
    }

    /// Notes that `fresh` tokens have been computed; `row` gives the hidden state of the id at a position.
    pub(crate) fn advance(&mut self, fresh: usize, core: &Core, row: impl Fn(usize) -> Result<Tensor>) -> Result<()> {
        let before = self.prefix.tokens();
        self.prefix.advance(fresh, row(before + fresh - 1)?);
        for (&place, kept) in self.places.range_mut(before + 1..=before + fresh) {
            let prefix = self.prefix.up_to(&core.pool, place, row(place - 1)?);
            if let Some(at) = self.at.as_ref().filter(|at| at.tokens() == place && !at.is_resident()) {
                at.restore(prefix.clone());
            }
            *kept = Some(prefix);
        }
        Ok(())
    }

    /// Whether it makes the pages of `place` again and is not there yet.
    pub(crate) fn is_rebuilding(&self, place: &Arc<Place>) -> bool {
        let ours = self.at.as_ref().is_some_and(|at| Arc::ptr_eq(at, place));
        ours && matches!(self.state, State::Live) && self.prefix.tokens() < place.tokens()
    }

    /// Branches at the borders, in order.
    pub(crate) fn ends(&self, core: &mut Core) -> Vec<Branch> {
        let mut lineage = self.at.as_ref().map(|at| Arc::clone(at.lineage()));
        let (mut ends, mut before): (Vec<Branch>, usize) = (Vec::new(), self.start());
        for &border in &self.borders {
            let same = (border == before).then(|| ends.last().cloned().or(self.at.as_ref().map(branch_at))).flatten();
            ends.push(same.unwrap_or_else(|| {
                let longer = Lineage::new(lineage.clone(), &self.ids[before..border]);
                let prefix = self.reached(border).expect("a finished job has reached all its places").clone();
                lineage = Some(Arc::clone(&longer));
                branch_at(&core.places.add(core.id, longer, prefix))
            }));
            before = border;
        }
        ends
    }
}
