//! The thought search: a thought stays only if it makes the repository's real code more likely.
//!
//! In document order, each thought of an unrefined trajectory is held against candidates: a
//! round asks [`recon_thought`] for several, which refuses those that hand the target over; one scoring
//! call gives −log p of the target behind each, and the best becomes the incumbent if it is
//! strictly better. What is accepted is the context of everything after it.
//!
//! Input: a trajectory of the `agent` arm, its graph, a model behind [`recon_lm`]. Output: the
//! trajectory of the `search` arm with a [`Search`](recon_schema::trajectory::Search) record for
//! each thought searched for, and a [`Report`].
//!
//! Invariants: likelihoods of one search share one context; a decision never depends on early
//! refusal or on what else was in a batch; a search that ends early is the beginning of the whole one; no proposer sees its target's text; a failure of the
//! model leaves a thought as it was and is recorded.
//!
//! Source: *Understanding by Reconstruction* (arXiv 2603.11103); PAPER.md, definitions 2 to 11.

mod budget;
mod cursor;
mod options;
mod parts;
mod place;
mod report;
mod round;
mod score;
mod search;
mod session;
mod target;

pub use budget::BudgetOptions;
pub use options::{Proposer, RefineOptions};
pub use parts::carry_forward;
pub use place::Models;
pub use report::{AuthorCounts, ControlTotals, Failure, Likelihood, Report};
pub use session::{Progress, Refined, refine};

/// Why a trajectory could not be refined, or a refinement does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option has no meaning.
    #[error("`{option}` {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A trajectory without thoughts, or one that was refined already.
    #[error("trajectory {id} is of the `{arm}` arm; only the `agent` arm can be refined")]
    Arm {
        /// Its id.
        id: String,
        /// Its arm.
        arm: recon_schema::trajectory::Arm,
    },
    /// A likelihood record contradicts the rule of acceptance.
    #[error("refinement of {id} does not hold: {reason}")]
    Broken {
        /// The trajectory, or what was summed over.
        id: String,
        /// What contradicts what.
        reason: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
