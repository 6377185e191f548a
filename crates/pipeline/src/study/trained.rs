//! The record of one training of a study.

use recon_schema::Sha256;
use recon_schema::trajectory::Arm;
use serde::{Deserialize, Serialize};

use super::measured::Measured;

/// One training, measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trained {
    /// Digest over everything that decides it.
    pub(super) key: Sha256,
    /// The arm.
    pub arm: Arm,
    /// The seed of the order of rows.
    pub seed: u64,
    /// Tokens that carried loss, over all steps.
    pub trained_tokens: u64,
    /// Tokens that went through the model in training.
    pub tokens: u64,
    /// Seconds of all stages of this arm, thoughts included, as they took when they ran.
    pub seconds: f64,
    /// The model before training.
    pub before: Measured,
    /// The model after training.
    pub after: Measured,
}
