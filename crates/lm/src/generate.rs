//! Generation: text sampled after a branch or in answer to messages.

use crate::{Branch, RandomKey, Result};

/// How to draw tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token.
    pub temperature: f64,
    /// Smallest set of most likely tokens whose mass reaches this; 1 keeps all.
    pub top_p: f64,
    /// At most this many tokens.
    pub max_new_tokens: usize,
}

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The request.
    User,
    /// The model.
    Assistant,
}

/// One chat message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// What the model answers to.
#[derive(Debug, Clone, Copy)]
pub enum Prompt<'a> {
    /// A place in the document, and tokens shown to the writer only.
    Branch {
        /// The place.
        at: &'a Branch,
        /// Shown after it; never part of the document.
        hint: &'a [u32],
    },
    /// A conversation, for generators without branches.
    Messages(&'a [Message]),
}

/// One text to generate.
#[derive(Debug, Clone)]
pub struct GenJob<'a> {
    /// What to answer to.
    pub prompt: Prompt<'a>,
    /// How to draw.
    pub sampling: Sampling,
    /// Names the random numbers.
    pub key: RandomKey,
    /// Ids that end the text; they are not part of it.
    pub stop_ids: &'a [u32],
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A stop id was drawn.
    Stop,
    /// `max_new_tokens` or the context was reached.
    Length,
}

/// A generated text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The ids drawn, without the stop id. Scoring re-encodes the text, never these.
    pub ids: Vec<u32>,
    /// The text they stand for; control tokens and broken UTF-8 removed.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

/// Writes text.
pub trait Generator {
    /// Generates every job; one result each, in order.
    fn generate(&self, jobs: &[GenJob<'_>]) -> Vec<Result<Generation>>;
}
