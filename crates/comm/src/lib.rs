//! Ranks: who they are, how they find each other, and what they compute together.
//!
//! A run of `W` ranks is `W` processes (or threads, in tests) that execute the same collective calls in the same order.
//! Everything rests on one of them, an exchange: each rank hands over one message for every rank and gets one from every
//! rank. It may be among some ranks only ([`Group`]), and it may be started before what comes is needed. Gathers,
//! broadcasts and sums follow from it here, once, whatever carries the messages:
//!
//! | implementation | carries messages | for |
//! |---|---|---|
//! | [`Solo`] | nothing | one rank, at no cost |
//! | [`threads`] | channels | ranks in one process: tests |
//! | [`join`] | sockets; ranks meet at `MASTER_ADDR:MASTER_PORT` | torchrun, Slurm, Kubernetes, mpirun |
//! | `mpi::Mpi`, feature `mpi` | the MPI library | mpirun, srun on a fast fabric |
//!
//! Invariants: a sum over ranks is added as the tree of [`tree_sum`], rank 0 first, so its bits depend on the values and
//! on the number of ranks alone; no call waits longer than its limit for a rank that says nothing; a rank that is lost,
//! silent, gives up or disagrees is named on every other rank.

mod error;
mod exchanges;
mod group;
mod launch;
mod mesh;
#[cfg(feature = "mpi")]
pub mod mpi;
mod rendezvous;
mod solo;
mod sums;
mod threads;
mod wire;

use std::ops::Range;

pub use error::{Error, Result};
pub use group::Group;
pub use launch::{Launch, Master};
pub use rendezvous::join;
pub use solo::Solo;
pub use sums::{TreeSum, even, tree_sum};
pub use threads::threads;

/// One rank's connection to all ranks.
///
/// Every method that is not `rank` or `world` is collective: all ranks call it, with the same shapes.
pub trait Communicator {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn world(&self) -> usize;

    /// Begins an exchange among `members`, of which this rank is one: `messages[i]` goes to `members[i]`. Does not wait for
    /// the others; what they send is asked for by [`Communicator::finish`]. All members name the same ones in the same
    /// order.
    ///
    /// # Panics
    /// Where there is not one message for each member, or this rank is none.
    fn start(&self, members: &[usize], messages: Vec<Vec<u8>>) -> Pending;

    /// What each member sent to this rank, in the order of the members. Exchanges may be finished in any order.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Silent`] and [`Error::GaveUp`] name the rank.
    fn finish(&self, pending: Pending) -> Result<Vec<Vec<u8>>>;

    /// Tells the others, as far as they can be told, that this rank will not go on.
    fn give_up(&self, reason: &str);

    /// Sends `messages[r]` to rank `r`, and returns what each rank sent to this one, by rank.
    ///
    /// # Errors
    /// As [`Communicator::finish`].
    ///
    /// # Panics
    /// Where there is not one message for each rank.
    fn exchange(&self, messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let all: Vec<usize> = (0..self.world()).collect();
        self.finish(self.start(&all, messages))
    }

    /// The number of rank `rank` among all ranks of the run, for messages.
    fn number(&self, rank: usize) -> usize {
        rank
    }

    /// Returns when every rank has called it.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    fn barrier(&self) -> Result<()> {
        self.exchange(vec![Vec::new(); self.world()]).map(drop)
    }

    /// What each rank brought, by rank.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.exchange(vec![bytes.to_vec(); self.world()])
    }

    /// What each rank brought, by rank, on rank `root`; nothing elsewhere.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    fn gather(&self, root: usize, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let mut messages = vec![Vec::new(); self.world()];
        messages[root] = bytes;
        let gathered = self.exchange(messages)?;
        Ok(if self.rank() == root { gathered } else { Vec::new() })
    }

    /// What rank `root` brought.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let messages = if self.rank() == root { vec![bytes; self.world()] } else { vec![Vec::new(); self.world()] };
        Ok(self.exchange(messages)?.swap_remove(root))
    }

    /// The values of each rank, by rank.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    fn all_gather_f32(&self, values: &[f32]) -> Result<Vec<Vec<f32>>> {
        Ok(self.all_gather(bytemuck::cast_slice(values))?.iter().map(|bytes| numbers(bytes)).collect())
    }

    /// As [`Communicator::all_gather_f32`].
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    fn all_gather_f64(&self, values: &[f64]) -> Result<Vec<Vec<f64>>> {
        Ok(self.all_gather(bytemuck::cast_slice(values))?.iter().map(|bytes| numbers(bytes)).collect())
    }

    /// The sum over ranks of `values[ranges[rank]]`, in f32, by the tree of [`tree_sum`]: rank `r` gets the sum of its
    /// range, and sends each other rank the values of theirs.
    ///
    /// # Errors
    /// As [`Communicator::exchange`]; [`Error::Length`] where a rank brought another number of values.
    ///
    /// # Panics
    /// Where there is not one range for each rank, or one leaves `values`.
    fn reduce_scatter_f32(&self, values: &[f32], ranges: &[Range<usize>]) -> Result<Vec<f32>> {
        assert_eq!(ranges.len(), self.world(), "one range for each rank");
        let own = &ranges[self.rank()];
        if self.world() == 1 {
            return Ok(values[own.clone()].to_vec());
        }
        let messages = ranges.iter().map(|range| bytemuck::cast_slice(&values[range.clone()]).to_vec()).collect();
        let terms: Vec<Vec<f32>> = self.exchange(messages)?.iter().map(|bytes| numbers(bytes)).collect();
        match terms.iter().position(|term| term.len() != own.len()) {
            Some(at) => Err(Error::Length { rank: self.number(at), found: terms[at].len(), expected: own.len() }),
            None => Ok(tree_sum(terms)),
        }
    }

    /// Replaces `values` by their sum over ranks, in f32, by the tree of [`tree_sum`].
    ///
    /// # Errors
    /// As [`Communicator::reduce_scatter_f32`].
    fn all_reduce_f32(&self, values: &mut [f32]) -> Result<()> {
        if self.world() == 1 {
            return Ok(());
        }
        let ranges = even(values.len(), self.world());
        let own = self.reduce_scatter_f32(values, &ranges)?;
        for (range, part) in ranges.into_iter().zip(self.all_gather_f32(&own)?) {
            values[range].copy_from_slice(&part);
        }
        Ok(())
    }

    /// The sum over ranks of a few values, in f64, by the tree of [`tree_sum`].
    ///
    /// # Errors
    /// As [`Communicator::exchange`]; [`Error::Length`] where a rank brought another number of values.
    fn sum_f64(&self, values: &[f64]) -> Result<Vec<f64>> {
        let terms = self.all_gather_f64(values)?;
        match terms.iter().position(|term| term.len() != values.len()) {
            Some(at) => Err(Error::Length { rank: self.number(at), found: terms[at].len(), expected: values.len() }),
            None => Ok(tree_sum(terms)),
        }
    }

    /// Makes sure that every rank says the same of `what`.
    ///
    /// # Errors
    /// [`Error::Disagree`] names the first rank that differs from what most say; where two are said equally often, from
    /// what the lower rank says. Every rank gets the same error.
    fn agree(&self, what: &str, said: &str) -> Result<()> {
        let all: Vec<String> =
            self.all_gather(said.as_bytes())?.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        let votes = |said: &String| all.iter().filter(|other| *other == said).count();
        let expected = all.iter().rev().max_by_key(|said| votes(said)).expect("there is at least one rank");
        match all.iter().position(|said| said != expected) {
            Some(rank) => {
                let (found, expected, rank) = (all[rank].clone(), expected.clone(), self.number(rank));
                Err(Error::Disagree { what: what.into(), rank, world: self.world(), found, expected })
            }
            None => Ok(()),
        }
    }
}

/// An exchange that has begun.
#[must_use = "what the others send waits to be taken"]
#[derive(Debug)]
pub struct Pending {
    /// Counted by the rank that began it.
    number: u64,
    /// What needed no other rank.
    ready: Option<Vec<Vec<u8>>>,
}

/// Numbers from the bytes of a message, which lie wherever they came to lie. What is no whole number is left out.
fn numbers<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}
