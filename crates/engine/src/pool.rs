//! Accounts for the cache's pages: which are free, and which place of a page may still be written.
//!
//! A page is a fixed number of token slots, the same slots in every layer. A [`Page`] is held
//! through `Arc` by every branch that reads it and returns to the pool when the last one lets go.
//!
//! Invariants: a page index is either in the free list or in exactly one live [`Page`]; slots
//! below `written` never change, so a page can be shared without looking; slots above it belong
//! to the one prefix that ends exactly there, whoever extends first. All claims are made under
//! the engine's lock; pages may come back at any time from any thread.
//!
//! Source of the idea: PagedAttention (Kwon et al. 2023, arXiv 2309.06180).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The free pages, shared with every page in use.
type FreeList = Mutex<Vec<u32>>;

/// Hands out pages. A clone counts the same pages.
#[derive(Debug, Clone)]
pub(crate) struct PagePool {
    free: Arc<FreeList>,
    pages: usize,
    page_tokens: usize,
}

/// Fewer pages are free than were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfPages {
    pub(crate) asked: usize,
    pub(crate) free: usize,
    pub(crate) total: usize,
}

impl From<OutOfPages> for recon_lm::Error {
    fn from(OutOfPages { asked, free, total }: OutOfPages) -> Self {
        Self::OutOfPages { asked, free, total }
    }
}

/// One page in use.
#[derive(Debug)]
pub(crate) struct Page {
    index: u32,
    written: AtomicUsize,
    free: Arc<FreeList>,
}

fn lock(free: &FreeList) -> MutexGuard<'_, Vec<u32>> {
    // A list of integers cannot be left half-changed by a panic elsewhere.
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PagePool {
    /// A pool of `pages` pages, all free; low indices are handed out first.
    pub(crate) fn new(pages: u32, page_tokens: usize) -> Self {
        Self { free: Arc::new(Mutex::new((0..pages).rev().collect())), pages: pages as usize, page_tokens }
    }

    /// Token slots of one page.
    pub(crate) fn page_tokens(&self) -> usize {
        self.page_tokens
    }

    /// Pages that nobody holds.
    pub(crate) fn free(&self) -> usize {
        lock(&self.free).len()
    }

    /// All pages.
    pub(crate) fn total(&self) -> usize {
        self.pages
    }

    /// `count` pages, or none at all.
    pub(crate) fn take(&self, count: usize) -> Result<Vec<Arc<Page>>, OutOfPages> {
        let mut free = lock(&self.free);
        if free.len() < count {
            return Err(OutOfPages { asked: count, free: free.len(), total: self.pages });
        }
        let page = |index| Arc::new(Page { index, written: AtomicUsize::new(0), free: Arc::clone(&self.free) });
        Ok((0..count).filter_map(|_| free.pop()).map(page).collect())
    }
}

impl Page {
    /// Its place in the cache tensors.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Whether a prefix that fills `slots` of it may write behind them.
    pub(crate) fn is_open_at(&self, slots: usize) -> bool {
        self.written.load(Ordering::Relaxed) == slots
    }

    /// Takes the slots below `slots` for the prefix that asked [`Page::is_open_at`].
    pub(crate) fn claim(&self, slots: usize) {
        let before = self.written.swap(slots, Ordering::Relaxed);
        debug_assert!(before <= slots, "slots {before}.. are written already");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        lock(&self.free).push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_when_the_last_holder_lets_go() {
        let pool = PagePool::new(3, 4);
        let pages = pool.take(2).unwrap();
        let other = Arc::clone(&pages[1]);
        assert_eq!((pages[0].index(), pages[1].index(), pool.free()), (0, 1, 1));
        drop(pages);
        assert_eq!(pool.free(), 2);
        drop(other);
        assert_eq!((pool.free(), pool.total()), (3, 3));
    }

    #[test]
    fn a_shortage_takes_nothing() {
        let pool = PagePool::new(3, 4);
        let _held = pool.take(2).unwrap();
        assert_eq!(pool.take(2).unwrap_err(), OutOfPages { asked: 2, free: 1, total: 3 });
        assert_eq!(pool.free(), 1);
    }
}
