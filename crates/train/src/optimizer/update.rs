//! One step over all units: the gradient's squares, clipping, and one update for each range of a unit.
//!
//! A unit's parameters, gradient and slots are flat buffers of one layout, matrices first (see
//! [`recon_llama::UnitLayout`]), so decay is one narrow.
//! Invariants: units are visited in the order of the forward pass, squares are summed in f64 in that order; nothing is
//! written unless every gradient is finite.

use candle_core::Tensor;
use recon_kernels::norm;
use recon_llama::{Config, FlatParams, Unit};

use super::{Optimizer, Part, Slots, StepAt};
use crate::{Error, Result};

/// Σ of the squares of the gradient of each of `units`; the norm is the root of the sum over all that is trained.
///
/// # Errors
/// [`Error::Gradient`] names the first unit whose gradient is not finite.
pub(crate) fn sums_of_squares(params: &FlatParams, units: &[Unit], step: u64) -> Result<Vec<f64>> {
    let gradients: Vec<&Tensor> = units.iter().map(|unit| gradient(params, *unit)).collect();
    let sums = norm::sums_of_squares(&gradients)?;
    match units.iter().zip(&sums).find(|(_, squares)| !squares.is_finite()) {
        Some((&unit, _)) => Err(Error::Gradient { step, unit }),
        None => Ok(sums),
    }
}

/// Scales the gradient by `clip`, where there is such a factor, and updates parameters and slots.
pub(crate) fn update(
    optimizer: &dyn Optimizer,
    params: &FlatParams,
    slots: &Slots,
    config: &Config,
    clip: Option<f64>,
    at: &StepAt,
) -> Result<()> {
    let mut place = 0;
    for (unit, slots) in slots.units() {
        let (parameters, gradient) = (params.unit(*unit), gradient(params, *unit));
        if let Some(factor) = clip {
            norm::scale(gradient, factor)?;
        }
        let layout = config.layout(*unit);
        for (range, decays) in [(0..layout.decayed_elements, true), (layout.decayed_elements..layout.elements, false)] {
            if !range.is_empty() {
                let part = |flat: &Tensor| flat.narrow(0, range.start, range.len());
                optimizer.update(
                    &Part {
                        parameters: &part(parameters)?,
                        gradient: &part(gradient)?,
                        slots: &slots.iter().map(part).collect::<Result<Vec<_>, _>>()?,
                        first: place + range.start as u64,
                        decays,
                    },
                    at,
                )?;
            }
        }
        place += layout.elements as u64;
    }
    Ok(())
}

fn gradient(params: &FlatParams, unit: Unit) -> &Tensor {
    params.grad(unit).expect("parameters in training have gradients")
}
