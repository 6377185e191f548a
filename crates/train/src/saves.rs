//! When a checkpoint is written on the way, and what happens where it cannot be.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// When a checkpoint is written; every run also writes one at its end, and where it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavePolicy {
    /// Only at the end, and where the run is stopped.
    AtEnd,
    /// After every so many steps.
    EverySteps(NonZeroU64),
    /// After the first step that ends so many minutes after the last checkpoint.
    EveryMinutes(f64),
}

impl SavePolicy {
    /// Says what is wrong with it.
    pub(crate) fn problem(self) -> Option<String> {
        match self {
            Self::EveryMinutes(minutes) if Duration::try_from_secs_f64(60.0 * minutes).is_err() || minutes == 0.0 => {
                Some(format!("is every {minutes} minutes, expected a positive number"))
            }
            _ => None,
        }
    }
}

/// What happens where a checkpoint on the way cannot be written. One at the end, or where a run is stopped, must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedSave {
    /// The run ends with the error; the checkpoint before stays.
    #[default]
    Stop,
    /// The run goes on and says so; the next one is tried when it is due.
    GoOn,
}

impl FailedSave {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Says after which steps a checkpoint is due.
pub(crate) struct Saves {
    policy: SavePolicy,
    last: Instant,
}

impl Saves {
    pub(crate) fn new(policy: SavePolicy) -> Self {
        Self { policy, last: Instant::now() }
    }

    /// Whether one is due after `step`.
    pub(crate) fn due(&self, step: u64) -> bool {
        match self.policy {
            SavePolicy::AtEnd => false,
            SavePolicy::EverySteps(every) => step.is_multiple_of(every.get()),
            SavePolicy::EveryMinutes(minutes) => self.last.elapsed().as_secs_f64() >= 60.0 * minutes,
        }
    }

    /// One was written.
    pub(crate) fn saved(&mut self) {
        self.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_count_from_the_last_checkpoint() {
        let mut saves = Saves::new(SavePolicy::EveryMinutes(30.0));
        assert!(!saves.due(1));
        saves.last = Instant::now().checked_sub(Duration::from_mins(31)).expect("the clock has run for half an hour");
        assert!(saves.due(2) && saves.due(3), "due until it is written");
        saves.saved();
        assert!(!saves.due(4));
    }

    #[test]
    fn minutes_are_a_positive_number() {
        assert_eq!(SavePolicy::EveryMinutes(0.5).problem(), None);
        for minutes in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(SavePolicy::EveryMinutes(minutes).problem().is_some(), "{minutes}");
        }
    }
}
