//! One step over all units: clipping, and one update for each range of a unit that the rank keeps the state of.
//!
//! A unit's parameters, gradient and slots are flat buffers of one layout, matrices first (see
//! [`recon_llama::UnitLayout`]), so decay is one narrow.
//! Invariant: units are visited in the order of the forward pass.

use candle_core::Tensor;
use recon_kernels::norm;
use recon_llama::{Config, FlatParams, Unit};

use super::{Optimizer, Part, Slots, StepAt};
use crate::Result;
use crate::ranks::Ranks;

/// Scales the gradient by `clip`, where there is such a factor, and updates parameters and slots.
pub(crate) fn update(
    optimizer: &dyn Optimizer,
    params: &FlatParams,
    slots: &Slots,
    config: &Config,
    ranks: &Ranks<'_>,
    clip: Option<f64>,
    at: &StepAt,
) -> Result<()> {
    let mut place = 0;
    for (unit, slots) in slots.units() {
        let (parameters, gradient) = (params.unit(*unit), gradient(params, *unit));
        let layout = config.layout(*unit);
        let own = ranks.own(layout.elements);
        for (range, decays) in [(0..layout.decayed_elements, true), (layout.decayed_elements..layout.elements, false)] {
            let range = range.start.max(own.start)..range.end.min(own.end);
            let part = |flat: &Tensor| ranks.part(flat, layout.elements, range.clone());
            if let (Some(parameters), Some(gradient)) = (part(parameters)?, part(gradient)?) {
                let kept = |slot: &Tensor| slot.narrow(0, range.start - own.start, range.len());
                if let Some(factor) = clip {
                    norm::scale(&gradient, factor)?;
                }
                optimizer.update(
                    &Part {
                        parameters: &parameters,
                        gradient: &gradient,
                        slots: &slots.iter().map(kept).collect::<Result<Vec<_>, _>>()?,
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
