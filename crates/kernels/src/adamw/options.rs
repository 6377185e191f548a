//! The coefficients of a step, and what stands behind the parameters it updates.

use candle_core::Tensor;

use crate::element::Element;

/// The coefficients of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay λ; the parameter shrinks by `lr * weight_decay`.
    pub weight_decay: f64,
    /// The number of this step, from 1.
    pub step: u64,
}

/// The scalars of the formula, computed in f64 and rounded once to the type that a step computes in.
pub(super) struct Coefficients<T> {
    pub(super) beta1: T,
    pub(super) one_minus_beta1: T,
    pub(super) beta2: T,
    pub(super) one_minus_beta2: T,
    pub(super) decay: T,
    pub(super) step_size: T,
    pub(super) root_correction: T,
    pub(super) eps: T,
}

impl<T: Element> Coefficients<T> {
    pub(super) fn new(options: &AdamW) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(options.step as f64);
        Self {
            beta1: T::rounded(options.beta1),
            one_minus_beta1: T::rounded(1.0 - options.beta1),
            beta2: T::rounded(options.beta2),
            one_minus_beta2: T::rounded(1.0 - options.beta2),
            decay: T::rounded(options.lr * options.weight_decay),
            step_size: T::rounded(options.lr / correction(options.beta1)),
            root_correction: T::rounded(1.0 / correction(options.beta2).sqrt()),
            eps: T::rounded(options.eps),
        }
    }
}

/// What stands behind the parameters of a step.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'t> {
    /// f32 parameters, moments f32.
    Float,
    /// bf16 parameters are the rounded copy of these f32 ones; moments f32.
    Master(&'t Tensor),
    /// bf16 parameters and moments, each rounded up or down at random, right on average.
    Stochastic {
        /// Key of the random bits.
        seed: u64,
        /// Place of the first element in the whole model: its random bits depend on the place, not on the call.
        first: u64,
    },
}
