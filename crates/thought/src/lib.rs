//! What a thought is about, who writes it and how, and which thoughts hand their target over.

mod automaton;
pub mod leak;
pub mod outline;
mod prompts;
pub mod subject;
pub mod usable;

pub use prompts::{BETTER_FILE, BETTER_PLAN, BETTER_REQUIREMENTS, prompts_sha256};
