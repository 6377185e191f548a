//! Exchanges that are under way: collected in the order in which they began, asked for in any.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use crate::{Pending, Result};

/// An exchange that is not collected yet.
pub(crate) struct Exchange<T> {
    pub(crate) tag: T,
    pub(crate) members: Vec<usize>,
    /// In the order of the members; the own one is there.
    pub(crate) received: Vec<Option<Vec<u8>>>,
}

impl<T> Exchange<T> {
    /// The members whose message has not come.
    pub(crate) fn silent(&self) -> Vec<usize> {
        let missing = self.members.iter().zip(&self.received).filter(|(_, message)| message.is_none());
        missing.map(|(rank, _)| *rank).collect()
    }
}

/// What was begun, and what was collected before it was asked for.
pub(crate) struct Exchanges<T> {
    next: Cell<u64>,
    begun: RefCell<VecDeque<(u64, Exchange<T>)>>,
    collected: RefCell<BTreeMap<u64, Vec<Vec<u8>>>>,
}

impl<T> Default for Exchanges<T> {
    fn default() -> Self {
        Self { next: Cell::new(0), begun: RefCell::default(), collected: RefCell::default() }
    }
}

impl<T> Exchanges<T> {
    pub(crate) fn begin(&self, exchange: Exchange<T>) -> Pending {
        let number = self.next.replace(self.next.get() + 1);
        self.begun.borrow_mut().push_back((number, exchange));
        Pending { number, ready: None }
    }

    /// What the members of `pending` sent; `collect` waits for all messages of one exchange, and is given those that began
    /// before first.
    pub(crate) fn finish(
        &self,
        pending: &Pending,
        collect: impl Fn(&mut Exchange<T>) -> Result<()>,
    ) -> Result<Vec<Vec<u8>>> {
        loop {
            if let Some(received) = self.collected.borrow_mut().remove(&pending.number) {
                return Ok(received);
            }
            let begun = self.begun.borrow_mut().pop_front();
            let (number, mut exchange) = begun.expect("a begun exchange is finished once");
            collect(&mut exchange)?;
            let received = exchange.received.into_iter().map(|message| message.expect("each was waited for"));
            self.collected.borrow_mut().insert(number, received.collect());
        }
    }
}
