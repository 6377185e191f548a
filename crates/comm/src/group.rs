//! Some of the ranks of a run, as a communicator of their own.
//!
//! Input: a communicator of all ranks, and the members in an order that all of them name alike. A member's rank in the
//! group is its place in that order, and so is its place in sums. Messages name ranks by their number in the run.

use crate::{Communicator, Pending, Result};

/// Some ranks of `comm`, seen from one of them.
pub struct Group<'a> {
    comm: &'a dyn Communicator,
    members: Vec<usize>,
    at: usize,
}

impl<'a> Group<'a> {
    /// # Panics
    /// Where this rank is not among the members.
    pub fn new(comm: &'a dyn Communicator, members: Vec<usize>) -> Self {
        let at = members.iter().position(|member| *member == comm.rank()).expect("this rank is a member");
        Self { comm, members, at }
    }
}

impl Communicator for Group<'_> {
    fn rank(&self) -> usize {
        self.at
    }

    fn world(&self) -> usize {
        self.members.len()
    }

    fn start(&self, members: &[usize], messages: Vec<Vec<u8>>) -> Pending {
        let members: Vec<usize> = members.iter().map(|member| self.members[*member]).collect();
        self.comm.start(&members, messages)
    }

    fn finish(&self, pending: Pending) -> Result<Vec<Vec<u8>>> {
        self.comm.finish(pending)
    }

    fn number(&self, rank: usize) -> usize {
        self.comm.number(self.members[rank])
    }

    fn give_up(&self, reason: &str) {
        self.comm.give_up(reason);
    }
}
