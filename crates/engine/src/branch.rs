//! What stands behind a branch: the document's ids, always, and its pages, while there is room.
//!
//! Where pages run short the place used longest ago gives up its pages. What is asked of it later
//! is computed again from its ids, to the same bits: a row of a forward does not depend on the
//! chunks it came in.
//!
//! Invariant: a place knows every id before it, and its pages, where it has any, hold exactly those.

use std::any::Any;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use recon_lm::{Branch, BranchState};

use crate::prefix::Prefix;

/// A document's ids up to some place: those of a shorter document, and some more.
#[derive(Debug)]
pub(crate) struct Lineage {
    before: Option<Arc<Lineage>>,
    ids: Vec<u32>,
    tokens: usize,
}

impl Lineage {
    /// `ids` after `before`.
    pub(crate) fn new(before: Option<Arc<Self>>, ids: &[u32]) -> Arc<Self> {
        let tokens = before.as_ref().map_or(0, |before| before.tokens) + ids.len();
        Arc::new(Self { before, ids: ids.to_vec(), tokens })
    }

    /// This document and those it goes on from, longest first.
    fn and_before(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(Some(self), |it| it.before.as_ref())
    }

    /// Every id from the document's start.
    pub(crate) fn all_ids(self: &Arc<Self>) -> Vec<u32> {
        let pieces: Vec<&[u32]> = self.and_before().map(|it| it.ids.as_slice()).collect();
        pieces.into_iter().rev().flatten().copied().collect()
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        // One after another: a document of thousands of steps would be as many calls deep.
        let mut before = self.before.take();
        while let Some(mut it) = before.and_then(Arc::into_inner) {
            before = it.before.take();
        }
    }
}

/// A place in a document that callers may go on from.
#[derive(Debug)]
pub(crate) struct Place {
    engine: u64,
    lineage: Arc<Lineage>,
    held: Mutex<Option<Prefix>>,
    /// Tick of the last use.
    used: AtomicU64,
}

impl Place {
    /// Tokens before it.
    pub(crate) fn tokens(&self) -> usize {
        self.lineage.tokens
    }

    /// The document up to here.
    pub(crate) fn lineage(&self) -> &Arc<Lineage> {
        &self.lineage
    }

    /// Its keys and values, if it has not given them up.
    pub(crate) fn prefix(&self) -> Option<Prefix> {
        self.held().clone()
    }

    /// Whether a document that goes on from here finds keys and values.
    pub(crate) fn is_resident(&self) -> bool {
        self.held().is_some()
    }

    /// Takes back what was computed again.
    pub(crate) fn restore(&self, prefix: Prefix) {
        debug_assert_eq!(prefix.tokens(), self.tokens());
        *self.held() = Some(prefix);
    }

    fn held(&self) -> MutexGuard<'_, Option<Prefix>> {
        // A prefix is replaced as a whole; a panic elsewhere cannot leave half of one.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's hold on a place.
pub(crate) struct EngineBranch(Arc<Place>);

impl BranchState for EngineBranch {
    fn tokens(&self) -> usize {
        self.0.tokens()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The place of a branch, if the engine `engine` made it.
pub(crate) fn place(branch: &Branch, engine: u64) -> recon_lm::Result<Arc<Place>> {
    let ours = branch.state::<EngineBranch>().filter(|state| state.0.engine == engine);
    ours.map(|state| Arc::clone(&state.0)).ok_or(recon_lm::Error::ForeignBranch)
}

/// Another hold on a place.
pub(crate) fn branch_at(place: &Arc<Place>) -> Branch {
    Branch::new(EngineBranch(Arc::clone(place)))
}

/// Every place that a caller still holds.
#[derive(Debug, Default)]
pub(crate) struct Places {
    known: Vec<Weak<Place>>,
    tick: u64,
    /// Length at which places let go are swept out.
    sweep_at: usize,
}

impl Places {
    /// A new place of the engine `engine`.
    pub(crate) fn add(&mut self, engine: u64, lineage: Arc<Lineage>, prefix: Prefix) -> Arc<Place> {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|place| place.strong_count() > 0);
            self.sweep_at = 2 * self.known.len() + 64;
        }
        let place = Place { engine, lineage, held: Mutex::new(Some(prefix)), used: AtomicU64::default() };
        let place = Arc::new(place);
        self.touch(&place);
        self.known.push(Arc::downgrade(&place));
        place
    }

    /// Notes that a place is used now.
    pub(crate) fn touch(&mut self, place: &Place) {
        self.tick += 1;
        place.used.store(self.tick, Ordering::Relaxed);
    }

    /// Keys and values of the longest document that `lineage` goes on from, itself included.
    pub(crate) fn nearest(&self, lineage: &Arc<Lineage>) -> Prefix {
        let ours: HashSet<*const Lineage> = lineage.and_before().map(Arc::as_ptr).collect();
        let known = self.known.iter().filter_map(Weak::upgrade);
        let before = known.filter(|place| ours.contains(&Arc::as_ptr(&place.lineage)));
        before.filter_map(|place| place.prefix()).max_by_key(Prefix::tokens).unwrap_or_default()
    }

    /// Takes the pages of the place used longest ago: of those that free a page, if there are any, and of the others
    /// only where `any` is to go. False where there is none.
    pub(crate) fn evict(&mut self, any: bool) -> bool {
        let resident = self.known.iter().filter_map(Weak::upgrade).filter(|place| place.is_resident());
        let frees = |place: &Place| place.held().as_ref().is_some_and(Prefix::is_last_holder_of_a_page);
        let ranked = resident.map(|place| (!frees(&place), place.used.load(Ordering::Relaxed), place));
        let least = ranked.min_by_key(|(keeps, used, _)| (*keeps, *used));
        least.filter(|(keeps, ..)| any || !keeps).map(|(.., place)| drop(place.held().take())).is_some()
    }
}
