//! AdamW over flat units: gradient norm, clipping, one update a unit.
//!
//! A unit's parameters, gradient and moments are four flat buffers of one layout, matrices first
//! (see [`recon_llama::UnitLayout`]), so decay is one narrow and sharding would be another.
//! Invariants: units are visited in the order of the forward pass, norms are summed in f64 in
//! that order; nothing is written unless every gradient is finite.

use candle_core::Tensor;
use recon_kernels::adamw::{self, AdamW};
use recon_kernels::norm;
use recon_llama::{Config, FlatParams, Unit};

use crate::{Error, Result, TrainOptions};

/// First and second moments, one flat f32 buffer each for every unit.
pub(crate) struct Moments {
    pub(crate) units: Vec<(Unit, [Tensor; 2])>,
}

impl Moments {
    /// All zeros, shaped like `params`.
    pub(crate) fn zeros(config: &Config, params: &FlatParams) -> Result<Self> {
        let zeros = |unit| -> Result<_> {
            let like = params.unit(unit);
            Ok((unit, [like.zeros_like()?, like.zeros_like()?]))
        };
        Ok(Self { units: config.units().into_iter().map(zeros).collect::<Result<_>>()? })
    }
}

/// The norm of the whole gradient.
///
/// # Errors
/// [`Error::Gradient`] names the first unit whose gradient is not finite.
pub(crate) fn gradient_norm(params: &FlatParams, units: &[Unit], step: u64) -> Result<f64> {
    let mut sum = 0.0;
    for &unit in units {
        let squares = norm::sum_of_squares(gradient(params, unit))?;
        if !squares.is_finite() {
            return Err(Error::Gradient { step, unit });
        }
        sum += squares;
    }
    Ok(sum.sqrt())
}

/// Clips the gradient to `options.clip_norm` and updates parameters and moments.
pub(crate) fn update(
    params: &FlatParams,
    moments: &Moments,
    config: &Config,
    options: &TrainOptions,
    at: &StepAt,
) -> Result<()> {
    let clip = options.clip_norm.map(|limit| limit / at.grad_norm).filter(|factor| *factor < 1.0);
    for (unit, [m, v]) in &moments.units {
        let (parameters, gradient) = (params.unit(*unit), gradient(params, *unit));
        if let Some(factor) = clip {
            norm::scale(gradient, factor)?;
        }
        let layout = config.layout(*unit);
        let norms = layout.elements - layout.decayed_elements;
        let [beta1, beta2] = options.betas;
        for (start, elements, weight_decay) in
            [(0, layout.decayed_elements, options.weight_decay), (layout.decayed_elements, norms, 0.0)]
        {
            if elements > 0 {
                let part = |flat: &Tensor| flat.narrow(0, start, elements);
                let coefficients = AdamW { lr: at.lr, beta1, beta2, eps: options.eps, weight_decay, step: at.step };
                adamw::step(&part(parameters)?, &part(gradient)?, &part(m)?, &part(v)?, &coefficients)?;
            }
        }
    }
    Ok(())
}

/// What differs from step to step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepAt {
    /// The step, from 1.
    pub(crate) step: u64,
    pub(crate) lr: f64,
    pub(crate) grad_norm: f64,
}

fn gradient(params: &FlatParams, unit: Unit) -> &Tensor {
    params.grad(unit).expect("parameters in training have gradients")
}
