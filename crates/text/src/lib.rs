//! Tokenizer, rendering, and the one way a trajectory becomes tokens, masks and spans.
//!
//! Scoring, packing and training all go through [`Renderer`], so a scored token is a trained
//! token. Two invariants are held here and tested here:
//!
//! 1. *One tokenisation.* A document is a list of segments; each segment is encoded alone and
//!    the ids are concatenated. Taking a document apart at segment borders and putting it
//!    together again never changes an id.
//! 2. *Content never speaks control.* [`Tokenizer::encode`] runs an encoder from which every
//!    added token has been removed, so no text can produce a special token.

pub mod fake;
pub mod llama3;

mod bytes;
mod render;
mod show;
mod tokenizer;
#[cfg(feature = "train")]
pub mod train;

pub use render::{Document, RenderedStep, Renderer, Rendering, Role, StepSpan, action_line, continuation_text};
pub use show::show;
pub use tokenizer::{Specials, Tokenizer};

/// What went wrong while reading or checking a tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tokenizer file could not be read or written.
    #[error(transparent)]
    File(#[from] recon_schema::Error),
    /// `tokenizer.json` or `tokenizer_config.json` is not JSON of the expected form.
    #[error("{file} is malformed: {reason}")]
    Malformed {
        /// Which of the tokenizer's files.
        file: &'static str,
        /// What was found.
        reason: String,
    },
    /// `tokenizer.json` is well-formed, and the tokenizer library refuses it.
    #[error("failed to build the tokenizer that tokenizer.json describes")]
    Build {
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A form of tokenizer under which a file's text could not be restored from its tokens.
    #[error("tokenizer.json is not a byte-level BPE without normalizer ({found}); content could not be restored")]
    Lossy {
        /// What stands in the way.
        found: String,
    },
    /// A special token that the rendering needs is missing.
    #[error("the tokenizer has no special token `{name}`; a tokenizer in Llama-3 form is needed")]
    MissingSpecial {
        /// The token's name.
        name: &'static str,
    },
    /// Two tokens claim one id, or two files disagree about it.
    #[error("id {id} is `{first}` and also `{second}`")]
    Conflict {
        /// The id.
        id: u32,
        /// One token.
        first: String,
        /// The other token.
        second: String,
    },
    /// The tokenizer can produce ids the model has no embedding for.
    #[error("the tokenizer's ids reach {}, the model's vocabulary ends at {}", vocabulary - 1, model - 1)]
    ExceedsModel {
        /// Highest id of the tokenizer, plus one.
        vocabulary: usize,
        /// Rows of the model's embedding.
        model: usize,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
