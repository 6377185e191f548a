//! What can go wrong between ranks.

use std::time::Duration;

/// Ranks that cannot meet, or cannot go on together.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A variable of the launcher that is missing or makes no sense.
    #[error("{variable} {problem}")]
    Environment {
        /// Its name.
        variable: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Ranks that were waited for at the start.
    #[error("{} of {world} did not come to {address} within {} s", ranks(missing), limit.as_secs_f64())]
    Missing {
        /// Which.
        missing: Vec<usize>,
        /// The number of ranks.
        world: usize,
        /// Where they should have come.
        address: String,
        /// How long they were waited for.
        limit: Duration,
    },
    /// Ranks that have said nothing for too long.
    #[error("{} of {world} sent nothing for {} s", ranks(silent), limit.as_secs_f64())]
    Silent {
        /// Which.
        silent: Vec<usize>,
        /// The number of ranks.
        world: usize,
        /// How long they were waited for.
        limit: Duration,
    },
    /// A rank that ended while it was needed.
    #[error("rank {rank} of {world} was lost")]
    Lost {
        /// Which.
        rank: usize,
        /// The number of ranks.
        world: usize,
    },
    /// A rank that told the others that it will not go on.
    #[error("rank {rank} of {world} gave up: {reason}")]
    GaveUp {
        /// Which.
        rank: usize,
        /// The number of ranks.
        world: usize,
        /// What it said.
        reason: String,
    },
    /// What another rank found out first, in its words.
    #[error("{0}")]
    Told(String),
    /// A rank with another configuration, data or program.
    #[error("rank {rank} of {world} has another {what} than the others: {found}, not {expected}")]
    Disagree {
        /// What must be the same.
        what: String,
        /// The first rank that differs from most.
        rank: usize,
        /// The number of ranks.
        world: usize,
        /// What it has.
        found: String,
        /// What most have.
        expected: String,
    },
    /// A rank that brought another number of values to a sum.
    #[error("rank {rank} brought {found} values to a sum of {expected}")]
    Length {
        /// Which.
        rank: usize,
        /// How many it brought.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A rank that is in another collective call, or something that is no rank of this run.
    #[error("rank {rank} of {world} is at another place of the run")]
    OutOfStep {
        /// Which.
        rank: usize,
        /// The number of ranks.
        world: usize,
    },
    /// The network did not do what was asked of it.
    #[error("failed to {attempt}: {problem}")]
    Network {
        /// What was attempted.
        attempt: String,
        /// What the system said.
        problem: String,
    },
}

impl Error {
    /// Whether it is what the user gave that must change, not that the machine or the network failed.
    pub fn is_input(&self) -> bool {
        matches!(self, Self::Environment { .. } | Self::Disagree { .. })
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn ranks(list: &[usize]) -> String {
    let word = if list.len() == 1 { "rank" } else { "ranks" };
    let numbers: Vec<String> = list.iter().map(ToString::to_string).collect();
    format!("{word} {}", numbers.join(", "))
}
