//! What a model can refuse, in terms its callers can act on.

/// Why a model did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More tokens than the model's context.
    #[error("{asked} tokens do not fit the model's context of {limit}")]
    ContextTooLong {
        /// Tokens asked for, the branch included.
        asked: usize,
        /// The limit.
        limit: usize,
    },
    /// No token to condition on.
    #[error("the context is empty")]
    EmptyContext,
    /// An id outside the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A branch made by another model.
    #[error("the branch belongs to another engine")]
    ForeignBranch,
    /// The prompt's form is not served here.
    #[error("this generator takes {expected} prompts only")]
    PromptForm {
        /// The form it takes.
        expected: &'static str,
    },
    /// No memory for keys and values.
    #[error("{asked} cache pages asked, {free} free of {total}; raise `engine.cache_tokens` or lower the batch")]
    OutOfPages {
        /// Pages asked for.
        asked: usize,
        /// Pages free.
        free: usize,
        /// Pages in all.
        total: usize,
    },
    /// The engine failed.
    #[error("the model failed: {0}")]
    Engine(String),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
