//! AdamW over flat units: gradient norm, clipping, one update a unit.
//!
//! A unit's parameters, gradient and moments are four flat buffers of one layout, matrices first
//! (see [`recon_llama::UnitLayout`]), so decay is one narrow and sharding would be another.
//! Invariants: units are visited in the order of the forward pass, norms are summed in f64 in
//! that order; nothing is written unless every gradient is finite.

use candle_core::{DType, Tensor};
use recon_kernels::adamw::{self, AdamW, Weights};
use recon_kernels::device::zeros;
use recon_kernels::norm;
use recon_llama::{Config, FlatParams, Unit};

use crate::{Error, Result, TrainOptions};

/// What the optimizer keeps: first and second moments, one flat buffer each for every unit, and
/// f32 masters where the parameters are their rounded copy.
pub(crate) struct Moments {
    pub(crate) units: Vec<(Unit, [Tensor; 2])>,
    pub(crate) masters: Option<FlatParams>,
}

impl Moments {
    /// All zeros, shaped like `params`.
    pub(crate) fn zeros(config: &Config, params: &FlatParams) -> Result<Self> {
        let zeros = |unit| -> Result<_> {
            let like = params.unit(unit);
            let moment = || zeros("moments", like.shape(), like.dtype(), like.device());
            Ok((unit, [moment()?, moment()?]))
        };
        Ok(Self { units: config.units().into_iter().map(zeros).collect::<Result<_>>()?, masters: None })
    }

    /// All zeros beside `masters`.
    pub(crate) fn beside(config: &Config, masters: FlatParams) -> Result<Self> {
        let Self { units, .. } = Self::zeros(config, &masters)?;
        Ok(Self { units, masters: Some(masters) })
    }

    /// The masters of `unit`.
    pub(crate) fn master(&self, unit: Unit) -> Option<&Tensor> {
        self.masters.as_ref().map(|masters| masters.unit(unit))
    }
}

/// The norm of the whole gradient.
///
/// # Errors
/// [`Error::Gradient`] names the first unit whose gradient is not finite.
pub(crate) fn gradient_norm(params: &FlatParams, units: &[Unit], step: u64) -> Result<f64> {
    let gradients: Vec<&Tensor> = units.iter().map(|unit| gradient(params, *unit)).collect();
    let mut sum = 0.0;
    for (&unit, squares) in units.iter().zip(norm::sums_of_squares(&gradients)?) {
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
    let mut place = 0;
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
                let master = moments.master(*unit).map(part).transpose()?;
                let weights = match &master {
                    Some(master) => Weights::Master(master),
                    None if parameters.dtype() == DType::BF16 => {
                        Weights::Stochastic { seed: options.seed, first: place + start as u64 }
                    }
                    None => Weights::Float,
                };
                let [p, g, m, v] = [parameters, gradient, m, v].map(part);
                adamw::step_narrow(&p?, weights, &g?, &m?, &v?, &coefficients)?;
            }
        }
        place += layout.elements as u64;
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
