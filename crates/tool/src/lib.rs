//! The tools that answer a draft of a file: what a developer would be told on running them.
//!
//! A path and a text → an [`Answer`]. Simulation runs a tool once and writes its answer down; the
//! checker runs it again and holds the two together, so both use this crate.
//!
//! Invariant: the same draft gives the same answer, byte for byte, and none is longer than
//! [`ANSWER_BYTES`].

mod parser;

pub use parser::parser;

/// Longest answer, in bytes.
pub const ANSWER_BYTES: usize = 480;

/// What a tool says of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As it is shown.
    pub text: String,
    /// How many faults it found.
    pub faults: u64,
}
