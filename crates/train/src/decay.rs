//! How the learning rate falls after the warm-up: what a configuration says; `schedule` has the formulas.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// To `min_lr`, by half a cosine.
    #[default]
    Cosine,
    /// Not at all.
    Constant,
    /// To `min_lr`, linearly over this last share of all steps (warm-up, stable, decay).
    Last(f64),
}

impl Decay {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Says what is wrong with it.
    pub(crate) fn problem(self) -> Option<String> {
        match self {
            Self::Last(fraction) if !(fraction > 0.0 && fraction <= 1.0) => {
                Some(format!("is over the last {fraction} of the steps, expected a number above 0, up to 1"))
            }
            _ => None,
        }
    }
}
