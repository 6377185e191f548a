//! What a thought is about, who writes it and how, and which thoughts hand their target over.
//!
//! A thought has a [`Subject`](recon_schema::trajectory::Subject). The outline author
//! ([`outline`]) composes it from the graph; a model writes it in answer to a hint that no document
//! contains. First thoughts and every proposal to better one go through one [`Writer`]: it knows the
//! prompts, the sampling, the random key, the ids that end an answer, and what counts as a thought.
//! [`Proposals`] adds what holds at one place of a search: nothing is proposed twice, and nothing
//! that the leak gate ([`leak`]) refuses. What a model answers counts as a thought only where it is
//! natural language about its subject.
//!
//! Input: a graph, a place in a document, a budget. Output: a [`Thought`], or why there is none.
//!
//! Invariants: no proposer sees its target's text; a thought is never longer than its budget; the
//! outline author says only what the whole graph bears out; the same key gives the same thought.
//!
//! Source: *Understanding by Reconstruction* (arXiv 2603.11103); PAPER.md, definitions 2, 8, 11.

mod automaton;
mod gate;
pub mod leak;
pub mod outline;
mod prompts;
mod proposals;
mod shorten;
mod unusable;
mod validity;
mod writer;

pub use gate::Gate;
pub use prompts::prompts_sha256;
pub use proposals::Proposals;
pub use shorten::shorten;
pub use unusable::Unusable;
pub use writer::{Ask, Budget, Thought, Writer};
