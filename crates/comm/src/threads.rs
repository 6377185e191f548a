//! Ranks that are threads of one process, linked by channels.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::Communicator;
use crate::mesh::{Link, Mesh, Received};

/// `world` ranks, each to be moved into a thread of its own. No call waits longer than `limit` for a rank that says
/// nothing.
pub fn threads(world: usize, limit: Duration) -> Vec<Box<dyn Communicator + Send>> {
    let (senders, inboxes): (Vec<Sender<Received>>, Vec<_>) = (0..world).map(|_| channel()).unzip();
    let link = |from: usize, to: usize| -> Option<Link> {
        let sender = senders[to].clone();
        (from != to).then(|| -> Link { Box::new(move |frame| sender.send((from, frame)).is_ok()) })
    };
    let rank = |(rank, inbox)| -> Box<dyn Communicator + Send> {
        Box::new(Mesh::new(rank, (0..world).map(|to| link(rank, to)).collect(), inbox, limit))
    };
    inboxes.into_iter().enumerate().map(rank).collect()
}
