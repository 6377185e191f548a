//! Ranks that `mpirun` or `srun` started, linked by the MPI library (feature `mpi`).
//!
//! One thread makes every call of the library: it starts all sends of an exchange, then takes in what has come, from
//! whoever it is. The caller waits for that thread, no longer than its limit: a call inside the library could not be given
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

use crate::{Communicator, Error, Result};

const CHUNK_BYTES: usize = 1 << 28;
const MESSAGE: mpi::Tag = 1;
const GAVE_UP: mpi::Tag = 2;
/// Waiting ranks leave the processor to those that compute.
const PAUSE: Duration = Duration::from_micros(20);

enum Work {
    Exchange(Vec<Vec<u8>>),
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
            Ok(Box::new(Mpi { rank, world, limit, work, events, thread, failed }))
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

fn exchange(world: &SimpleCommunicator, messages: &[Vec<u8>], happened: &Sender<Event>) {
    let others = || (0..world.size()).filter(|other| *other != world.rank());
    mpi::request::scope(|scope| {
        let mut sends = Vec::new();
        for other in others() {
            let to = world.process_at_rank(other);
            sends.extend(
                chunks(&messages[other as usize]).map(|chunk| to.immediate_send_with_tag(scope, chunk, MESSAGE)),
            );
        }
        let mut waiting: Vec<(mpi::Rank, Vec<u8>)> = others().map(|other| (other, Vec::new())).collect();
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

    fn collect(&self, received: &mut [Option<Vec<u8>>]) -> Result<()> {
        let world = self.world;
        loop {
            match self.events.recv_timeout(self.limit) {
                Ok(Event::Came { from, message }) => received[from] = Some(message),
                Ok(Event::GaveUp { rank, reason }) => return Err(Error::GaveUp { rank, world, reason }),
                Ok(Event::Sent) => return Ok(()),
                Err(_) => {
                    let silent = (0..world).filter(|rank| received[*rank].is_none()).collect();
                    return Err(Error::Silent { silent, world, limit: self.limit });
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

    fn exchange(&self, mut messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        assert_eq!(messages.len(), self.world, "one message for each rank");
        let mut received: Vec<Option<Vec<u8>>> = vec![None; self.world];
        received[self.rank] = Some(std::mem::take(&mut messages[self.rank]));
        self.ask(Work::Exchange(messages));
        self.collect(&mut received).inspect_err(|_| self.failed.set(true))?;
        Ok(received.into_iter().map(|message| message.expect("a finished exchange has all")).collect())
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
