//! Ranks that are linked each to each: one exchange, whatever the links are.
//!
//! Input: for every other rank a way to send it a [`Frame`], and one inbox into which everything that the others send is
//! put. Invariants: exchanges are numbered, so a rank at another place of the run is found out; what a rank sent before it
//! ended counts, so ranks that all see a fault by themselves all tell it in their own words; a failure is told to the
//! others before it is returned, so that they name the rank that failed and not the one that noticed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Communicator, Error, Result};

/// What goes from one rank to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message of the exchange of that number.
    Message { exchange: u64, bytes: Vec<u8> },
    /// The sender will not go on, for a reason of its own.
    GaveUp { reason: String },
    /// The sender will not go on, because of what it says of another rank.
    Told { line: String },
    /// Nothing more will come.
    Gone,
}

/// A frame and who sent it.
pub(crate) type Received = (usize, Frame);

/// The way to one other rank. False: it cannot be reached any more.
pub(crate) type Link = Box<dyn Fn(Frame) -> bool + Send>;

pub(crate) struct Mesh {
    rank: usize,
    /// By rank; `None` for the own one.
    links: Vec<Option<Link>>,
    inbox: Receiver<Received>,
    limit: Duration,
    next: Cell<u64>,
    waiting: RefCell<Vec<VecDeque<Frame>>>,
    /// Threads that end when they have sent [`Frame::Gone`].
    senders: Vec<JoinHandle<()>>,
}

impl Mesh {
    pub(crate) fn new(rank: usize, links: Vec<Option<Link>>, inbox: Receiver<Received>, limit: Duration) -> Self {
        let waiting = RefCell::new(vec![VecDeque::new(); links.len()]);
        Self { rank, links, inbox, limit, next: Cell::new(0), waiting, senders: Vec::new() }
    }

    /// The same, waiting for `senders` before it is gone.
    pub(crate) fn with_senders(self, senders: Vec<JoinHandle<()>>) -> Self {
        let mut mesh = self;
        mesh.senders = senders;
        mesh
    }

    /// The messages of exchange `number` from all other ranks, put into `messages`.
    fn collect(&self, number: u64, messages: &mut [Option<Vec<u8>>]) -> Result<()> {
        let world = self.world();
        let mut waiting = self.waiting.borrow_mut();
        let mut last = Instant::now();
        loop {
            for (rank, message) in messages.iter_mut().enumerate().filter(|(_, message)| message.is_none()) {
                match waiting[rank].pop_front() {
                    Some(Frame::Message { exchange, bytes }) if exchange == number => *message = Some(bytes),
                    Some(Frame::Message { .. }) => return Err(Error::OutOfStep { rank, world }),
                    Some(Frame::GaveUp { reason }) => return Err(Error::GaveUp { rank, world, reason }),
                    Some(Frame::Told { line }) => return Err(Error::Told(line)),
                    Some(Frame::Gone) => return Err(Error::Lost { rank, world }),
                    None => {}
                }
            }
            if messages.iter().all(Option::is_some) {
                return Ok(());
            }
            let left = self.limit.saturating_sub(last.elapsed());
            match self.inbox.recv_timeout(left) {
                Ok((from, frame)) => waiting[from].push_back(frame),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let silent = (0..world).filter(|rank| messages[*rank].is_none()).collect();
                    return Err(Error::Silent { silent, world, limit: self.limit });
                }
            }
            last = Instant::now();
        }
    }

    /// Sends `frame` to whoever can be reached.
    fn tell(&self, frame: &Frame) {
        for link in self.links.iter().flatten() {
            link(frame.clone());
        }
    }
}

impl Communicator for Mesh {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.links.len()
    }

    fn exchange(&self, messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        assert_eq!(messages.len(), self.world(), "one message for each rank");
        let number = self.next.replace(self.next.get() + 1);
        let mut received: Vec<Option<Vec<u8>>> = vec![None; self.world()];
        for (to, bytes) in messages.into_iter().enumerate() {
            match &self.links[to] {
                // One that cannot be reached is named when what it should have sent is missing.
                Some(link) => {
                    link(Frame::Message { exchange: number, bytes });
                }
                None => received[to] = Some(bytes),
            }
        }
        if let Err(error) = self.collect(number, &mut received) {
            if !matches!(error, Error::GaveUp { .. } | Error::Told(_)) {
                self.tell(&Frame::Told { line: error.to_string() });
            }
            return Err(error);
        }
        Ok(received.into_iter().map(|message| message.expect("each was waited for")).collect())
    }

    fn give_up(&self, reason: &str) {
        self.tell(&Frame::GaveUp { reason: reason.into() });
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.tell(&Frame::Gone);
        self.senders.drain(..).for_each(|sender| drop(sender.join()));
    }
}
