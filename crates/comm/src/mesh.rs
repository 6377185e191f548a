//! Ranks that are linked each to each: exchanges, whatever the links are.
//!
//! Input: for every other rank a way to send it a [`Frame`], and one inbox into which everything that the others send is
//! put. Invariants: an exchange has a number among those of the same members, so a rank at another place of the run is found
//! out; exchanges are collected in the order in which they began, as each link delivers them; what a rank sent before it
//! ended counts, so ranks that all see a fault by themselves all tell it in their own words; a failure is told to the
//! others before it is returned, so that they name the rank that failed and not the one that noticed.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::exchanges::{Exchange, Exchanges};
use crate::{Communicator, Error, Pending, Result};

/// What goes from one rank to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message of the exchange with that mark.
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
    /// Exchanges so far among the same members.
    among: RefCell<BTreeMap<Vec<usize>, u64>>,
    /// Each with its mark.
    exchanges: Exchanges<u64>,
    waiting: RefCell<Vec<VecDeque<Frame>>>,
    /// Threads that end when they have sent [`Frame::Gone`].
    senders: Vec<JoinHandle<()>>,
}

impl Mesh {
    pub(crate) fn new(rank: usize, links: Vec<Option<Link>>, inbox: Receiver<Received>, limit: Duration) -> Self {
        let waiting = RefCell::new(vec![VecDeque::new(); links.len()]);
        let (among, exchanges) = (RefCell::default(), Exchanges::default());
        Self { rank, links, inbox, limit, among, exchanges, waiting, senders: Vec::new() }
    }

    /// The same, waiting for `senders` before it is gone.
    pub(crate) fn with_senders(self, senders: Vec<JoinHandle<()>>) -> Self {
        let mut mesh = self;
        mesh.senders = senders;
        mesh
    }

    /// What all members of a group write on the next exchange among them: which one it is, and which members.
    fn mark(&self, members: &[usize]) -> u64 {
        let mut among = self.among.borrow_mut();
        let count = among.entry(members.to_vec()).or_default();
        *count += 1;
        let who =
            members.iter().fold(0_u64, |mark, member| mark.wrapping_mul(0x0100_0193).wrapping_add(*member as u64));
        *count ^ (who << 40)
    }

    /// Waits for the messages of all members.
    fn collect(&self, exchange: &mut Exchange<u64>) -> Result<()> {
        let (world, mark) = (self.world(), exchange.tag);
        let mut waiting = self.waiting.borrow_mut();
        let mut last = Instant::now();
        loop {
            let missing = exchange.members.iter().copied().zip(&mut exchange.received);
            for (rank, message) in missing.filter(|(_, message)| message.is_none()) {
                match waiting[rank].pop_front() {
                    Some(Frame::Message { exchange, bytes }) if exchange == mark => *message = Some(bytes),
                    Some(Frame::Message { .. }) => return Err(Error::OutOfStep { rank, world }),
                    Some(Frame::GaveUp { reason }) => return Err(Error::GaveUp { rank, world, reason }),
                    Some(Frame::Told { line }) => return Err(Error::Told(line)),
                    Some(Frame::Gone) => return Err(Error::Lost { rank, world }),
                    None => {}
                }
            }
            if exchange.received.iter().all(Option::is_some) {
                return Ok(());
            }
            let left = self.limit.saturating_sub(last.elapsed());
            match self.inbox.recv_timeout(left) {
                Ok((from, frame)) => waiting[from].push_back(frame),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Error::Silent { silent: exchange.silent(), world, limit: self.limit });
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

    fn start(&self, members: &[usize], messages: Vec<Vec<u8>>) -> Pending {
        assert_eq!(messages.len(), members.len(), "one message for each member");
        assert!(members.contains(&self.rank), "this rank is a member");
        let mark = self.mark(members);
        let mut received: Vec<Option<Vec<u8>>> = vec![None; members.len()];
        for ((to, bytes), received) in members.iter().zip(messages).zip(&mut received) {
            match &self.links[*to] {
                // One that cannot be reached is named when what it should have sent is missing.
                Some(link) => {
                    link(Frame::Message { exchange: mark, bytes });
                }
                None => *received = Some(bytes),
            }
        }
        self.exchanges.begin(Exchange { tag: mark, members: members.to_vec(), received })
    }

    fn finish(&self, pending: Pending) -> Result<Vec<Vec<u8>>> {
        self.exchanges.finish(&pending, |exchange| self.collect(exchange)).inspect_err(|error| {
            if !matches!(error, Error::GaveUp { .. } | Error::Told(_)) {
                self.tell(&Frame::Told { line: error.to_string() });
            }
        })
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
