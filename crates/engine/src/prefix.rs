//! The first tokens of a document, whose keys and values lie in pages: what a branch is made of.
//!
//! Forking clones the list of pages. Extending writes behind the last token; if another prefix
//! has written there first, the one page concerned is copied and nothing else.
//!
//! Invariants: `pages` covers exactly `tokens` slots rounded up to a page, plus what was reserved
//! and not yet advanced over; `last` is the final hidden state of the last token, so the token
//! after a branch is scored or drawn without computing anything again.
//!
//! Legend: `D` model width.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;

use crate::pool::{OutOfPages, Page, PagePool};

/// A document up to some token, in pages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prefix {
    pages: Vec<Arc<Page>>,
    tokens: usize,
    last: Option<Tensor>,
}

/// A page to be copied before anything is written; `from` is held until then.
#[derive(Debug)]
pub(crate) struct PageCopy {
    pub(crate) from: Arc<Page>,
    pub(crate) to: u32,
}

impl Prefix {
    /// Tokens computed.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Hidden state `[1, D]` of the last token after the final norm; none in an empty prefix.
    pub(crate) fn last(&self) -> Option<&Tensor> {
        self.last.as_ref()
    }

    /// Indices of its pages, in order of positions.
    pub(crate) fn page_indices(&self) -> Vec<u32> {
        self.pages.iter().map(|page| page.index()).collect()
    }

    /// Whether some page of it goes back to the pool when it is dropped.
    pub(crate) fn is_last_holder_of_a_page(&self) -> bool {
        self.pages.iter().any(|page| Arc::strong_count(page) == 1)
    }

    /// Pages that [`Prefix::reserve`] would take for `fresh` more tokens.
    pub(crate) fn pages_needed(&self, pool: &PagePool, fresh: usize) -> usize {
        let covering = (self.tokens + fresh).div_ceil(pool.page_tokens());
        covering.saturating_sub(self.pages.len()) + usize::from(fresh > 0 && self.closed_page(pool).is_some())
    }

    /// Pages that `fresh` more tokens take at most, whoever else goes on from the same place.
    pub(crate) fn pages_at_most(&self, pool: &PagePool, fresh: usize) -> usize {
        let covering = (self.tokens + fresh).div_ceil(pool.page_tokens()).saturating_sub(self.pages.len());
        covering + usize::from(fresh > 0 && !self.tokens.is_multiple_of(pool.page_tokens()))
    }

    /// The last page, if it is filled in part and another prefix has written behind our tokens.
    fn closed_page(&self, pool: &PagePool) -> Option<&Arc<Page>> {
        let slots = self.tokens % pool.page_tokens();
        self.pages.last().filter(|page| slots != 0 && !page.is_open_at(slots))
    }

    /// Makes room for `fresh` more tokens, all or nothing. Must be followed by the copy it asks
    /// for, the writing, and [`Prefix::advance`], or by dropping the prefix.
    pub(crate) fn reserve(&mut self, pool: &PagePool, fresh: usize) -> Result<Option<PageCopy>, OutOfPages> {
        if fresh == 0 {
            return Ok(None);
        }
        debug_assert_eq!(self.pages.len(), self.tokens.div_ceil(pool.page_tokens()), "one reservation at a time");
        let mut taken = pool.take(self.pages_needed(pool, fresh))?.into_iter();
        let copy = if self.closed_page(pool).is_some() {
            let to = taken.next().expect("a page was counted for the copy");
            let from = self.pages.pop().expect("a closed page is the last page");
            let copy = PageCopy { from, to: to.index() };
            self.pages.push(to);
            Some(copy)
        } else {
            None
        };
        self.pages.extend(taken);
        let first = self.tokens / pool.page_tokens();
        for (page, start) in self.pages[first..].iter().zip((first * pool.page_tokens()..).step_by(pool.page_tokens()))
        {
            page.claim((self.tokens + fresh - start).min(pool.page_tokens()));
        }
        Ok(copy)
    }

    /// Takes `fresh` reserved tokens for written; `last` is the last one's hidden state `[1, D]`.
    pub(crate) fn advance(&mut self, fresh: usize, last: Tensor) {
        self.tokens += fresh;
        self.last = Some(last);
    }

    /// The place after the first `tokens` tokens, whose last one has the hidden state `last`.
    pub(crate) fn up_to(&self, pool: &PagePool, tokens: usize, last: Tensor) -> Self {
        debug_assert!((1..=self.tokens).contains(&tokens), "a prefix has tokens and is no longer than the whole");
        let pages = self.pages[..tokens.div_ceil(pool.page_tokens())].to_vec();
        Self { pages, tokens, last: Some(last) }
    }

    /// Positions of the next `fresh` tokens.
    pub(crate) fn next_positions(&self, fresh: usize) -> Range<usize> {
        self.tokens..self.tokens + fresh
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    /// A cache whose "keys" are the token ids themselves.
    struct Slots {
        pool: PagePool,
        slots: Vec<Option<u32>>,
    }

    impl Slots {
        fn new(pages: u32, page_tokens: usize) -> Self {
            Self { pool: PagePool::new(pages, page_tokens), slots: vec![None; pages as usize * page_tokens] }
        }

        fn slot(&self, prefix: &Prefix, position: usize) -> usize {
            let page = self.pool.page_tokens();
            prefix.pages[position / page].index() as usize * page + position % page
        }

        fn extend(&mut self, prefix: &mut Prefix, ids: &[u32]) -> Result<(), OutOfPages> {
            let page = self.pool.page_tokens();
            if let Some(copy) = prefix.reserve(&self.pool, ids.len())? {
                let from = copy.from.index() as usize * page;
                self.slots.copy_within(from..from + page, copy.to as usize * page);
            }
            for (position, &id) in prefix.next_positions(ids.len()).zip(ids) {
                let slot = self.slot(prefix, position);
                self.slots[slot] = Some(id);
            }
            prefix.advance(ids.len(), hidden());
            Ok(())
        }

        fn read(&self, prefix: &Prefix) -> Vec<u32> {
            (0..prefix.tokens).map(|at| self.slots[self.slot(prefix, at)].expect("written")).collect()
        }
    }

    fn hidden() -> Tensor {
        Tensor::zeros((1, 1), candle_core::DType::F32, &Device::Cpu).unwrap()
    }

    #[derive(Debug, Clone)]
    enum Op {
        Extend { branch: usize, fresh: usize },
        Fork { branch: usize },
        Prefix { branch: usize, tokens: usize },
        Drop { branch: usize },
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            4 => (0..8_usize, 0..11_usize).prop_map(|(branch, fresh)| Op::Extend { branch, fresh }),
            2 => (0..8_usize).prop_map(|branch| Op::Fork { branch }),
            1 => (0..8_usize, 0..40_usize).prop_map(|(branch, tokens)| Op::Prefix { branch, tokens }),
            2 => (0..8_usize).prop_map(|branch| Op::Drop { branch }),
        ];
        prop::collection::vec(op, 1..60)
    }

    proptest! {
        #[test]
        fn branches_never_see_each_other(ops in ops(), page_tokens in 1..6_usize) {
            let mut cache = Slots::new(16, page_tokens);
            let mut branches: Vec<(Prefix, Vec<u32>)> = vec![(Prefix::default(), vec![])];
            let mut next_id = 0..;
            for op in ops {
                let count = branches.len();
                match op {
                    Op::Extend { branch, fresh } if count > 0 => {
                        let (prefix, model) = &mut branches[branch % count];
                        let ids: Vec<u32> = next_id.by_ref().take(fresh).collect();
                        let free = cache.pool.free();
                        match cache.extend(prefix, &ids) {
                            Ok(()) => model.extend(&ids),
                            Err(short) => {
                                prop_assert!(short.asked > short.free && short.free == free);
                                prop_assert_eq!(cache.pool.free(), free, "a refused extension took pages");
                            }
                        }
                    }
                    Op::Fork { branch } if count > 0 => branches.push(branches[branch % count].clone()),
                    Op::Prefix { branch, tokens } if count > 0 => {
                        let (prefix, model) = &branches[branch % count];
                        if let Some(tokens) = tokens.checked_rem(model.len()).map(|tokens| tokens + 1) {
                            let shorter = prefix.up_to(&cache.pool, tokens, hidden());
                            branches.push((shorter, model[..tokens].to_vec()));
                        }
                    }
                    Op::Drop { branch } if count > 0 => drop(branches.swap_remove(branch % count)),
                    _ => branches.push((Prefix::default(), vec![])),
                }
                for (prefix, model) in &branches {
                    prop_assert_eq!(&cache.read(prefix), model);
                }
                let mut held: Vec<u32> = branches.iter().flat_map(|(prefix, _)| prefix.page_indices()).collect();
                held.sort_unstable();
                held.dedup();
                prop_assert_eq!(held.len() + cache.pool.free(), cache.pool.total());
            }
            drop(branches);
            prop_assert_eq!(cache.pool.free(), cache.pool.total());
        }
    }

    #[test]
    fn only_a_contested_partial_page_is_copied() {
        let mut cache = Slots::new(8, 4);
        let mut base = Prefix::default();
        cache.extend(&mut base, &[1, 2, 3, 4, 5]).unwrap();
        let (mut first, mut second) = (base.clone(), base.clone());
        assert_eq!((first.pages_needed(&cache.pool, 1), cache.pool.free()), (0, 6));
        cache.extend(&mut first, &[6]).unwrap();
        assert_eq!(cache.pool.free(), 6, "the first to extend writes in place");
        assert_eq!(second.pages_needed(&cache.pool, 1), 1);
        cache.extend(&mut second, &[7]).unwrap();
        assert_eq!(cache.pool.free(), 5, "the second copies the one partial page");
        assert_eq!(first.page_indices()[0], second.page_indices()[0]);
        assert_eq!((cache.read(&first), cache.read(&second)), (vec![1, 2, 3, 4, 5, 6], vec![1, 2, 3, 4, 5, 7]));
    }
}
