//! What is mixed with the run's own rows, and in which proportions; and what is only measured.
//!
//! A weight is a number, or a list of steps from which others hold. From weights by step follow weights by position
//! ([`phases`]): a step takes `G` rows, so step `s` begins at position `(s − 1) · G`.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use recon_pack::Phase;
use serde::{Deserialize, Serialize};

/// Rows to mix with the run's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceOptions {
    /// A folder of packed rows, ours or anybody's MDS.
    pub directory: PathBuf,
    /// What metrics call it; the folder's own name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Share of the rows, in proportion to the other weights.
    #[serde(default)]
    pub weight: Weight,
}

impl SourceOptions {
    /// What metrics call it.
    pub fn name(&self) -> String {
        let last = || self.directory.file_name().unwrap_or(self.directory.as_os_str()).to_string_lossy().into_owned();
        self.name.clone().unwrap_or_else(last)
    }
}

/// A share, constant or by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or a list of { from_step, weight }")]
pub enum Weight {
    /// The same in every step.
    Constant(f64),
    /// Each holds from its step on, until the next.
    BySteps(Vec<FromStep>),
}

/// A weight that holds from a step on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromStep {
    /// The first step, counted from 1.
    pub from_step: u64,
    /// The weight.
    pub weight: f64,
}

impl Default for Weight {
    fn default() -> Self {
        Self::Constant(1.0)
    }
}

impl Weight {
    #[must_use]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The weight in `step`.
    fn at(&self, step: u64) -> f64 {
        match self {
            Self::Constant(weight) => *weight,
            Self::BySteps(list) => {
                list.iter().rev().find(|from| from.from_step <= step).map_or(0.0, |from| from.weight)
            }
        }
    }

    fn steps(&self) -> impl Iterator<Item = u64> {
        let list = match self {
            Self::Constant(_) => &[][..],
            Self::BySteps(list) => list,
        };
        list.iter().map(|from| from.from_step)
    }

    /// Says what is wrong with it.
    pub(crate) fn problem(&self) -> Option<String> {
        let wrong = |weight: f64| {
            let is_wrong = !(weight.is_finite() && weight >= 0.0);
            is_wrong.then(|| format!("has the weight {weight}, expected 0 or a positive number"))
        };
        match self {
            Self::Constant(0.0) => Some("has the weight 0, so it is never drawn from; leave it out".into()),
            Self::Constant(weight) => wrong(*weight),
            Self::BySteps(list) if list.first().is_none_or(|first| first.from_step != 1) => {
                Some("has weights by step that do not begin at `from_step = 1`".into())
            }
            Self::BySteps(list) if !list.is_sorted_by(|one, next| one.from_step < next.from_step) => {
                Some("has weights by step whose `from_step` do not ascend".into())
            }
            Self::BySteps(list) if list.iter().all(|from| from.weight == 0.0) => {
                Some("has only weights 0, so it is never drawn from; leave it out".into())
            }
            Self::BySteps(list) => list.iter().find_map(|from| wrong(from.weight)),
        }
    }
}

/// The weights by position where a step takes `step_rows` rows.
pub(crate) fn phases(weights: &[&Weight], step_rows: u64) -> Vec<Phase> {
    let changes: BTreeSet<u64> = weights.iter().flat_map(|weight| weight.steps()).chain([1]).collect();
    let phase = |step: u64| Phase {
        from: (step - 1).saturating_mul(step_rows),
        weights: weights.iter().map(|weight| weight.at(step)).collect(),
    };
    changes.into_iter().map(phase).collect()
}

/// The first step in which nothing has a weight.
pub(crate) fn first_without_weight(weights: &[&Weight]) -> Option<u64> {
    let changes: BTreeSet<u64> = weights.iter().flat_map(|weight| weight.steps()).chain([1]).collect();
    changes.into_iter().find(|step| weights.iter().all(|weight| weight.at(*step) == 0.0))
}

/// What is measured on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationOptions {
    /// After every so many steps, and after the last.
    pub every_steps: NonZeroU64,
    /// Rows of each source at most.
    #[serde(default = "some_rows")]
    pub rows: NonZeroUsize,
    /// Where they are from.
    pub sources: Vec<ValidationSource>,
}

/// Rows to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationSource {
    /// A folder of packed rows, ours or anybody's MDS.
    pub directory: PathBuf,
    /// What metrics call it.
    pub name: String,
}

fn some_rows() -> NonZeroUsize {
    NonZeroUsize::new(16).expect("16 is not 0")
}

impl ValidationOptions {
    /// Says what is wrong with it.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.sources.is_empty() {
            return Some("has no sources; leave it out to measure nothing".into());
        }
        let twice =
            (1..self.sources.len()).find(|&at| self.sources[..at].iter().any(|it| it.name == self.sources[at].name));
        twice.map(|at| format!("has two sources called `{}`", self.sources[at].name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_steps(list: &[(u64, f64)]) -> Weight {
        Weight::BySteps(list.iter().map(|&(from_step, weight)| FromStep { from_step, weight }).collect())
    }

    #[test]
    fn weights_by_step_become_weights_by_position() {
        let (own, books) = (Weight::Constant(1.0), by_steps(&[(1, 0.0), (11, 3.0)]));
        let found = phases(&[&own, &books], 64);
        let expected = [(0, [1.0, 0.0]), (640, [1.0, 3.0])];
        assert_eq!(found, expected.map(|(from, weights)| Phase { from, weights: weights.to_vec() }));
        assert_eq!(first_without_weight(&[&own, &books]), None);
        assert_eq!(
            first_without_weight(&[&by_steps(&[(1, 1.0), (5, 0.0)]), &by_steps(&[(1, 1.0), (3, 0.0)])]),
            Some(5)
        );
    }

    #[test]
    fn a_weight_is_a_number_or_a_list_and_comes_back_as_it_was_written() {
        let list = r#"[{"from_step": 1, "weight": 0.5}, {"from_step": 9, "weight": 0}]"#;
        for (text, weight) in
            [("0.12", Weight::Constant(0.12)), ("3", Weight::Constant(3.0)), (list, by_steps(&[(1, 0.5), (9, 0.0)]))]
        {
            let read: Weight = serde_json::from_str(text).unwrap();
            assert_eq!((&read, read.problem()), (&weight, None), "{text}");
            assert_eq!(serde_json::from_value::<Weight>(serde_json::to_value(&weight).unwrap()).unwrap(), weight);
        }
        let error = serde_json::from_str::<Weight>("\"much\"").unwrap_err().to_string();
        assert!(error.contains("a number, or a list of { from_step, weight }"), "{error}");
    }

    #[test]
    fn weights_that_cannot_be_meant_are_told() {
        for weight in [
            Weight::Constant(0.0),
            Weight::Constant(-1.0),
            Weight::Constant(f64::NAN),
            Weight::Constant(f64::INFINITY),
            by_steps(&[]),
            by_steps(&[(2, 1.0)]),
            by_steps(&[(1, 1.0), (1, 2.0)]),
            by_steps(&[(1, 0.0), (3, 0.0)]),
            by_steps(&[(1, 1.0), (3, f64::NAN)]),
        ] {
            assert!(weight.problem().is_some(), "{weight:?}");
        }
    }
}
