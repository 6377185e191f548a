//! Several checkpoints of one model as one: their mean, or a moving average of them.
//!
//! Input: checkpoints, of one run or of several with one configuration. Output: a Hugging Face directory, as an export.
//! Sums are in f64, in the order of the steps, and rounded once; tensors pass in blocks.
//!
//! Source: Izmailov et al. 2018 for the mean; Polyak and Juditsky 1992 for averages along a run.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use recon_checkpoint::blocks;
use recon_checkpoint::state::SavedState;

use crate::checkpoint::{first_difference, places};
use crate::export::{config, write};
use crate::{Error, Result};

/// How much each checkpoint counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Averaging {
    /// All the same.
    Uniform,
    /// `d · average + (1 − d) · next`, from the first step on, with this `d`.
    Moving(f64),
}

impl Averaging {
    /// The weight of each of `count` checkpoints, the first step's first. They sum to 1.
    fn weights(self, count: usize) -> Vec<f64> {
        match self {
            Self::Uniform => vec![1.0 / count as f64; count],
            Self::Moving(decay) => {
                let mut weights = Vec::with_capacity(count);
                for _ in 0..count {
                    let next = if weights.is_empty() { 1.0 } else { 1.0 - decay };
                    weights.iter_mut().for_each(|weight| *weight *= decay);
                    weights.push(next);
                }
                weights
            }
        }
    }
}

/// Writes the average of `checkpoints` (`step-N` directories) to `out` as `dtype` (`BF16` or `F32`; the model's own if
/// absent), with the configuration and tokenizer of the last one's run. They count in the order of their steps.
///
/// # Errors
/// [`Error::Average`] where there is none, or the decay is no share; [`Error::Unlike`] where they are not of one model; a
/// checkpoint that is incomplete or damaged; an `out` that exists and is not empty.
pub fn average(checkpoints: &[PathBuf], averaging: Averaging, out: &Path, dtype: Option<DType>) -> Result<()> {
    if let Averaging::Moving(decay) = averaging
        && !(0.0..1.0).contains(&decay)
    {
        let problem = format!("has the decay {decay}, expected a number from 0 up to, not including, 1");
        return Err(Error::Average { problem });
    }
    let mut states = checkpoints.iter().map(|path| SavedState::open(path)).collect::<Result<Vec<_>, _>>()?;
    states.sort_by_key(|state| state.step);
    let Some(newest) = states.last() else {
        return Err(Error::Average { problem: "has no checkpoint to average".into() });
    };
    let model = config(newest)?;
    let expected = value(&model);
    for state in &states {
        if let Some((key, _, _)) = first_difference("", &value(&config(state)?), &expected) {
            let [path, other] = [state, newest].map(|state| state.path().to_path_buf());
            return Err(Error::Unlike { path, other, key });
        }
        places(state, &model)?;
    }
    let weights = averaging.weights(states.len());
    let places = places(newest, &model)?;
    let mut places = places.iter();
    write(newest.path(), &model, out, dtype, |_| {
        let place = places.next().expect("one place was listed for each tensor");
        let (states, weights) = (&states, &weights);
        Ok(blocks(place.spec.range()).map(move |range| -> Result<Tensor, recon_checkpoint::Error> {
            let mut sum = None;
            for (state, weight) in states.iter().zip(weights) {
                let term = (state.read(&place.stored, range.clone())?.to_dtype(DType::F64)? * *weight)?;
                sum = Some(match sum {
                    Some(sum) => (sum + term)?,
                    None => term,
                });
            }
            Ok(sum.expect("there is a checkpoint").to_dtype(DType::F32)?)
        }))
    })
}

fn value(config: &recon_llama::Config) -> serde_json::Value {
    serde_json::from_str(&config.to_json()).expect("a configuration is written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_a_moving_average_forgets() {
        assert_eq!(Averaging::Uniform.weights(4), [0.25; 4]);
        assert_eq!(Averaging::Moving(0.5).weights(3), [0.25, 0.25, 0.5]);
        assert_eq!(Averaging::Moving(0.0).weights(3), [0.0, 0.0, 1.0]);
        for averaging in [Averaging::Uniform, Averaging::Moving(0.9)] {
            assert!((averaging.weights(7).iter().sum::<f64>() - 1.0).abs() < 1e-15);
        }
    }
}
