//! Ranks that `mpirun` or `srun` started, linked by the MPI library (feature `mpi`).
//!
//! One thread makes every call of the library, exchange after exchange: it starts all sends, then takes in what has come,
//! from whichever member it is. The caller waits for that thread, no longer than its limit: a call inside the library could not be given
//! up. Sums are not the library's: its order of terms depends on the algorithm that it chooses by size and fabric.
//!
//! Messages go in chunks, because the library counts in 31 bits; one that is not full ends its message.

use std::cell::Cell;
use std::iter;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mpi::Threading;
use mpi::point_to_point::MatchedReceiveVec as _;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, Destination as _, Source as _};

use crate::exchanges::{Exchange, Exchanges};
use crate::{Communicator, Error, Pending, Result};

const CHUNK_BYTES: usize = 1 << 28;
const MESSAGE: mpi::Tag = 1;
const GAVE_UP: mpi::Tag = 2;
/// Waiting ranks leave the processor to those that compute.
const PAUSE: Duration = Duration::from_micros(20);

enum Work {
    /// Each other member, and the message for it.
    Exchange(Vec<(usize, Vec<u8>)>),
    GiveUp(String),
}

enum Event {
    Came { from: usize, message: Vec<u8> },
    GaveUp { rank: usize, reason: String },
    Sent,
}

/// One rank of an MPI job.
pub struct Mpi {
    rank: usize,
    world: usize,
    limit: Duration,
    work: Option<Sender<Work>>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
    /// The library can be left in order only by ranks that are in step.
    failed: Cell<bool>,
    exchanges: Exchanges<()>,
}

/// Starts the library, once in a process; no call waits longer than `limit` for a rank that says nothing.
///
/// # Errors
/// [`Error::Network`] where the library does not start.
pub fn join(limit: Duration) -> Result<Box<dyn Communicator + Send>> {
    let ((work, to_do), (happened, events), (told, ready)) = (channel(), channel(), channel());
    let thread = thread::spawn(move || serve(&to_do, &happened, &told));
    let failed = |problem: &str| Error::Network { attempt: "start MPI".into(), problem: problem.into() };
    match ready.recv_timeout(limit) {
        Ok((rank, world)) => {
            let (work, thread, failed) = (Some(work), Some(thread), Cell::new(false));
            Ok(Box::new(Mpi { rank, world, limit, work, events, thread, failed, exchanges: Exchanges::default() }))
        }
        Err(RecvTimeoutError::Timeout) => Err(failed("not all ranks came in time")),
        Err(RecvTimeoutError::Disconnected) => Err(failed("it was started before")),
    }
}

fn serve(to_do: &Receiver<Work>, happened: &Sender<Event>, told: &Sender<(usize, usize)>) {
    let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else { return };
    let world = universe.world();
    // Whoever does not wait any more needs no answer, here and below.
    let _ = told.send((world.rank() as usize, world.size() as usize));
    for work in to_do {
        match work {
            Work::Exchange(messages) => exchange(&world, &messages, happened),
            Work::GiveUp(reason) => {
                for other in (0..world.size()).filter(|other| *other != world.rank()) {
                    world.process_at_rank(other).send_with_tag(reason.as_bytes(), GAVE_UP);
                }
            }
        }
    }
}

fn exchange(world: &SimpleCommunicator, messages: &[(usize, Vec<u8>)], happened: &Sender<Event>) {
    mpi::request::scope(|scope| {
        let mut sends = Vec::new();
        for (other, message) in messages {
            let to = world.process_at_rank(*other as mpi::Rank);
            sends.extend(chunks(message).map(|chunk| to.immediate_send_with_tag(scope, chunk, MESSAGE)));
        }
        let mut waiting: Vec<(mpi::Rank, Vec<u8>)> =
            messages.iter().map(|(other, _)| (*other as mpi::Rank, Vec::new())).collect();
        while !waiting.is_empty() {
            let mut still = Vec::with_capacity(waiting.len());
            let before = waiting.len();
            for (other, mut message) in waiting {
                let from = world.process_at_rank(other);
                let chunk = from.immediate_matched_probe_with_tag(MESSAGE).map(|it| it.matched_receive_vec::<u8>().0);
                let ends = chunk.as_ref().is_some_and(|chunk| chunk.len() < CHUNK_BYTES);
                message.extend(chunk.into_iter().flatten());
                if ends {
                    drop(happened.send(Event::Came { from: other as usize, message }));
                    continue;
                }
                if let Some(reason) = from.immediate_matched_probe_with_tag(GAVE_UP) {
                    let reason = String::from_utf8_lossy(&reason.matched_receive_vec::<u8>().0).into_owned();
                    drop(happened.send(Event::GaveUp { rank: other as usize, reason }));
                }
                still.push((other, message));
            }
            waiting = still;
            if waiting.len() == before {
                thread::sleep(PAUSE);
            }
        }
        for send in sends {
            send.wait();
        }
    });
    drop(happened.send(Event::Sent));
}

/// `message` in full chunks and a last one that is not full.
fn chunks(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = message.len().is_multiple_of(CHUNK_BYTES).then_some(&message[message.len()..]);
    message.chunks(CHUNK_BYTES).chain(iter::once(ends).flatten())
}

impl Mpi {
    fn ask(&self, work: Work) {
        let ways = self.work.as_ref().expect("it is there until this is dropped");
        // A thread that is gone is found out by its silence.
        drop(ways.send(work));
    }

    fn collect(&self, exchange: &mut Exchange<()>) -> Result<()> {
        let world = self.world;
        loop {
            match self.events.recv_timeout(self.limit) {
                Ok(Event::Came { from, message }) => {
                    let at = exchange.members.iter().position(|member| *member == from);
                    exchange.received[at.expect("only members were asked")] = Some(message);
                }
                Ok(Event::GaveUp { rank, reason }) => return Err(Error::GaveUp { rank, world, reason }),
                Ok(Event::Sent) => return Ok(()),
                Err(_) => {
                    return Err(Error::Silent { silent: exchange.silent(), world, limit: self.limit });
                }
            }
        }
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn start(&self, members: &[usize], messages: Vec<Vec<u8>>) -> Pending {
        assert_eq!(messages.len(), members.len(), "one message for each member");
        let mut received: Vec<Option<Vec<u8>>> = vec![None; members.len()];
        let mut others = Vec::with_capacity(members.len());
        for ((member, message), received) in members.iter().zip(messages).zip(&mut received) {
            if *member == self.rank {
                *received = Some(message);
            } else {
                others.push((*member, message));
            }
        }
        assert!(others.len() < members.len(), "this rank is a member");
        self.ask(Work::Exchange(others));
        self.exchanges.begin(Exchange { tag: (), members: members.to_vec(), received })
    }

    fn finish(&self, pending: Pending) -> Result<Vec<Vec<u8>>> {
        self.exchanges.finish(&pending, |exchange| self.collect(exchange)).inspect_err(|_| self.failed.set(true))
    }

    fn give_up(&self, reason: &str) {
        self.failed.set(true);
        self.ask(Work::GiveUp(reason.into()));
        // Time for the message to leave: the process ends next, and mpirun then ends the others.
        thread::sleep(Duration::from_millis(200));
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take().filter(|_| !self.failed.get()) {
            // A panic there has been told already.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_a_chunk_that_is_not_full() {
        for (length, expected) in [(0, vec![0]), (5, vec![5]), (CHUNK_BYTES, vec![CHUNK_BYTES, 0])] {
            let message = vec![0; length];
            assert_eq!(chunks(&message).map(<[u8]>::len).collect::<Vec<_>>(), expected);
        }
    }
}
