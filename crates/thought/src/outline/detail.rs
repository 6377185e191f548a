//! How much a thought tells, and how long it may be for that.

use serde::{Deserialize, Serialize};

/// How much a thought tells; each level tells more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// The purpose, the files built on, the names defined at the top level.
    Brief,
    /// Also every member with its kind, in order, and what may fail or give nothing; the names taken from other files; who
    /// imports it.
    Names,
    /// Also the signatures.
    Signatures,
    /// Also sizes, documentation, and the signatures it finds in the files it builds on.
    Full,
}

impl Detail {
    /// All levels, least first.
    pub const ALL: [Self; 4] = [Self::Brief, Self::Names, Self::Signatures, Self::Full];

    /// The bound on a thought of this level where the caller gives none, in characters.
    pub const fn max_chars(self) -> usize {
        match self {
            Self::Brief => 800,
            Self::Names => 2_400,
            Self::Signatures => 6_000,
            Self::Full => 10_000,
        }
    }
}
