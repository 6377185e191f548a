//! What can be wrong with a trajectory, in words.

use recon_schema::trajectory::Author;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// Index of the step; none where the whole record is concerned.
    pub step: Option<usize>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step}: {}", self.fault),
            None => write!(f, "{}", self.fault),
        }
    }
}

/// Kinds of violation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Another record, or another version.
    #[error("the record is `{found}`, expected `{expected}`")]
    Schema {
        /// As recorded.
        found: String,
        /// What this checker knows.
        expected: &'static str,
    },
    /// The id does not agree with the record.
    #[error("the id is `{id}`, expected `{expected}`")]
    Identity {
        /// As recorded.
        id: String,
        /// What the record's fields make of it.
        expected: String,
    },
    /// The summary does not agree with the steps.
    #[error("the summary does not agree with the steps: {reason}")]
    Summary {
        /// What differs.
        reason: String,
    },
    /// A file that the repository does not have.
    #[error("{path} is not in the repository")]
    UnknownFile {
        /// The file.
        path: String,
    },
    /// The repository's file is not the one recorded.
    #[error("{path}: the repository's file has digest {found}, the record says {recorded}")]
    Digest {
        /// The file.
        path: String,
        /// Of the repository's bytes.
        found: recon_schema::Sha256,
        /// As recorded.
        recorded: recon_schema::Sha256,
    },
    /// Redactions that cannot be replayed.
    #[error("{path}: redaction {index} {reason}")]
    Redaction {
        /// The file.
        path: String,
        /// Which redaction.
        index: usize,
        /// Why it cannot be replayed.
        reason: &'static str,
    },
    /// The text is not the repository's.
    #[error("{path}: the text differs from the repository's at byte {byte}")]
    Content {
        /// The file.
        path: String,
        /// The first byte that differs, after redaction.
        byte: usize,
    },
    /// A file is written a second time.
    #[error("{path} is written twice")]
    WrittenTwice {
        /// The file.
        path: String,
    },
    /// A file is read before it exists.
    #[error("{path} is read before it is written")]
    ReadTooEarly {
        /// The file.
        path: String,
    },
    /// A step that may not stand here.
    #[error("{reason}")]
    Order {
        /// Which rule it breaks.
        reason: String,
    },
    /// An answer that the tool does not give.
    #[error("the answer to the draft of {path} does not hold: {reason}")]
    Answer {
        /// The file.
        path: String,
        /// What differs.
        reason: String,
    },
    /// A later part that says something else than the parts before it.
    #[error("the continuation does not hold: {reason}")]
    Continuation {
        /// What differs.
        reason: String,
    },
    /// A step by an author who does not compose such steps.
    #[error("a {what} cannot be composed by the {author}")]
    Author {
        /// What the step is.
        what: &'static str,
        /// As recorded.
        author: Author,
    },
    /// A step that is trained and must not be, or the reverse.
    #[error("a {what} is recorded as {}", if *trained { "trained" } else { "untrained" })]
    Trained {
        /// What the step is.
        what: &'static str,
        /// As recorded.
        trained: bool,
    },
    /// A search record that contradicts itself.
    #[error("the search record does not hold: {reason}")]
    Likelihood {
        /// What contradicts what.
        reason: String,
    },
}
