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
mod template;
mod tokenizer;
#[cfg(feature = "train")]
pub mod train;
mod vocabulary;

pub use render::{Document, RenderedStep, Renderer, StepSpan, action_line, continuation_text};
pub use show::show;
pub use template::{ChatTemplate, Form, Rendering, Role, Template, check_fits};
pub use tokenizer::Tokenizer;

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
    /// A tokenizer that writes blanks as `▁`: what it restores is not always what was written.
    #[error(
        "tokenizer.json is of SentencePiece's kind (blanks as `▁`), which does not restore every file; \
         take a model with a byte-level BPE tokenizer, such as Llama 3 or SmolLM2"
    )]
    SentencePiece,
    /// A special token that the rendering needs is missing.
    #[error("the tokenizer has no special token `{name}`, which `rendering = \"{rendering}\"` needs")]
    MissingSpecial {
        /// The token's name, or its use where any name would do.
        name: &'static str,
        /// The rendering asked for.
        rendering: &'static str,
    },
    /// Control tokens of two templates, and nothing says which is the model's.
    #[error(
        "the tokenizer has the control tokens of Llama 3 and of ChatML, and no chat template that says which \
         to use; set `rendering` to \"llama3\" or \"chatml\""
    )]
    TwoTemplates,
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
    /// A document would need an id that the model has no embedding for.
    #[error("{what} has the id {id}, the model's vocabulary ends at {}", *model as i64 - 1)]
    ExceedsModel {
        /// The token.
        what: String,
        /// Its id.
        id: u32,
        /// Rows of the model's embedding.
        model: usize,
    },
    /// The model's own chat template failed.
    #[error("the model's chat template cannot be rendered: {reason}")]
    ChatTemplate {
        /// What the template engine said, on one line.
        reason: String,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
