//! What agents and refinement know of a model: branches, scoring, generation.
//!
//! Calls take many jobs and block until all are done, so that an engine can batch them. A
//! [`Branch`] is a place in a tree of token prefixes: cloning it is a fork, dropping it lets go.
//! Random choices are keyed, never drawn from shared state, so a result does not depend on what
//! else was in the batch.
//!
//! Source of the scoring objective: *Understanding by Reconstruction* (arXiv 2603.11103), the
//! search over thoughts that raises log p(code | thoughts).

mod error;
pub mod fake;
mod generate;
mod key;
mod score;

pub use error::{Error, Result};
pub use generate::{Finish, GenJob, Generation, Generator, Message, Prompt, Role, Sampling};
pub use key::{RandomKey, RandomStream};
pub use score::{Branch, BranchState, Limits, Run, ScoreJob, Scored, Scorer};
