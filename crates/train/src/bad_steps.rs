//! Steps whose loss or gradient is not finite, or whose gradient is a spike: leave the step out and count it, go back to
//! the last checkpoint and pass over the rows since then, or stop.
//!
//! A step left out updates nothing; its rows are not seen again, and the schedule goes on. Where a run goes back, the
//! steps are made again from the checkpoint's state on the rows after the bad step's. A spike is told from the median of
//! the norms of the last steps that were taken. What is remembered goes into checkpoints; what was not saved yet when a run
//! was killed happens again in the same way, since it follows from the checkpoint and the rows.
//!
//! Source: Chowdhery et al. 2022 (PaLM), section 5.1, for going back and passing over rows.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Norms that a spike is told from, and how many there must be at least.
const REMEMBERED: usize = 64;
const NEEDED: usize = 16;

/// What a bad step does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BadSteps {
    /// Bad steps that a run leaves out at most; at the next one it goes back, or stops. 0: at the first one.
    pub skip: u64,
    /// How often a run goes back to its newest checkpoint at most and passes over the rows between it and the bad step,
    /// which are not seen in this epoch.
    #[serde(skip_serializing_if = "is_zero")]
    pub rewind: u64,
    /// A gradient whose norm is more than so many times the median of the last 64 is a spike; absent: none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike_factor: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl BadSteps {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Says what is wrong with it.
    pub(crate) fn problem(&self) -> Option<String> {
        let wrong = self.spike_factor.filter(|factor| !(factor.is_finite() && *factor > 1.0));
        wrong.map(|factor| {
            format!("have a spike_factor of {factor}, expected a number above 1; leave it out to have none")
        })
    }
}

/// Why a step was bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// Its loss was not finite.
    Loss,
    /// A gradient was not finite.
    Gradient,
    /// The norm of its gradient was a spike.
    Spike,
}

impl Skipped {
    /// What kind of bad step `error` tells of, and the norm of its gradient where it has one; `None` for another error.
    pub(crate) fn of(error: &Error) -> Option<(Self, f64)> {
        match error {
            Error::Loss { .. } => Some((Self::Loss, f64::NAN)),
            Error::Gradient { .. } => Some((Self::Gradient, f64::NAN)),
            Error::Spike { grad_norm, .. } => Some((Self::Spike, *grad_norm)),
            _ => None,
        }
    }
}

/// One time that a run went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewound {
    /// The bad step.
    pub from_step: u64,
    /// Why it was bad.
    pub reason: Skipped,
    /// The checkpoint's step.
    pub to_step: u64,
    /// Rows passed over, the bad step's included.
    pub rows: u64,
}

/// What a run remembers of its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Steadiness {
    /// Norms of the last steps that were taken, the newest last.
    norms: Vec<f64>,
    /// Steps left out so far.
    pub(crate) skipped: u64,
    /// Every time that the run went back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rewound: Vec<Rewound>,
}

impl Steadiness {
    pub(crate) fn is_new(&self) -> bool {
        *self == Self::default()
    }

    /// The median of the norms that `grad_norm` exceeds by more than the factor.
    pub(crate) fn spike(&self, grad_norm: f64, options: &BadSteps) -> Option<f64> {
        let factor = options.spike_factor.filter(|_| self.norms.len() >= NEEDED)?;
        let mut sorted = self.norms.clone();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        (grad_norm > factor * median).then_some(median)
    }

    /// A step was taken.
    pub(crate) fn taken(&mut self, grad_norm: f64, options: &BadSteps) {
        if options.spike_factor.is_some() {
            self.norms.push(grad_norm);
            let old = self.norms.len().saturating_sub(REMEMBERED);
            self.norms.drain(..old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_is_told_from_the_median_of_the_last_norms() {
        let options = BadSteps { skip: 1, spike_factor: Some(4.0), ..BadSteps::default() };
        let mut seen = Steadiness::default();
        for step in 0..15 {
            seen.taken(1.0 + f64::from(step) / 100.0, &options);
            assert_eq!(seen.spike(1e9, &options), None, "too few to tell");
        }
        seen.taken(1.0, &options);
        assert!(seen.spike(4.4, &options).is_some() && seen.spike(4.0, &options).is_none());
        (0..64).for_each(|_| seen.taken(10.0, &options));
        assert_eq!((seen.norms.len(), seen.spike(39.0, &options)), (64, None), "what is older is forgotten");
        assert_eq!(seen.spike(41.0, &BadSteps::default()), None);
        assert!(BadSteps { spike_factor: Some(1.0), ..BadSteps::default() }.problem().is_some());
    }
}
