//! Why there is no thought.

use recon_schema::trajectory::{Fault, Leak};

/// Why there is no thought.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// The model failed.
    #[error(transparent)]
    Failed(#[from] recon_lm::Error),
    /// An answer that is no thought.
    #[error("{fault}: {reason}")]
    Refused {
        /// As it was judged.
        text: String,
        /// What is wrong.
        fault: Fault,
        /// One clear line about it.
        reason: String,
    },
    /// The text was proposed before at the same place.
    #[error("it was proposed before")]
    Repeated {
        /// The text.
        text: String,
    },
    /// Every level of detail was proposed.
    #[error("the outline has nothing more to say")]
    Exhausted,
    /// The text hands its target over.
    #[error("the leak gate refuses it: {leak:?}")]
    Leaked {
        /// The text refused.
        text: String,
        /// Which rule it breaks, and by how much.
        leak: Leak,
    },
}

impl Unusable {
    /// What is wrong; none for a leak, which has a record of its own.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Failed(_) => Some(Fault::Failed),
            Self::Refused { fault, .. } => Some(*fault),
            Self::Repeated { .. } => Some(Fault::Repeated),
            Self::Exhausted => Some(Fault::Exhausted),
            Self::Leaked { .. } => None,
        }
    }

    /// The text refused, where there was one.
    pub fn text(&self) -> &str {
        match self {
            Self::Refused { text, .. } | Self::Repeated { text } | Self::Leaked { text, .. } => text,
            Self::Failed(_) | Self::Exhausted => "",
        }
    }
}
