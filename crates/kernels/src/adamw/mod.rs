//! One step of Adam with decoupled weight decay, over a flat buffer.
//!
//! Formula: m = β₁m + (1 − β₁)g; v = β₂v + (1 − β₂)g²;
//! p = p − lr·λ·p − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε), t counted from 1.
//! Shapes: param, grad, m, v of one shape; three are written, so the four live in four storages.
//! On a device also bf16 parameters, with f32 masters or rounded stochastically ([`step_narrow`]).
//! Accumulation: in the element type; the scalars (lr·λ, the bias corrections) are computed in f64 and rounded once.
//! Determinism: elementwise.
//! Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019 (PyTorch's `AdamW`).

use candle_core::Tensor;
use rayon::prelude::*;

#[cfg(recon_device)]
use crate::device::optimizer as device;
use crate::element::{Element, for_element, wide};
use crate::error::{Error, Result};
use crate::operand::{Destination, Operand, share_storage, write};

const BLOCK: usize = 1 << 14;

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

struct Coefficients<T> {
    beta1: T,
    one_minus_beta1: T,
    beta2: T,
    one_minus_beta2: T,
    decay: T,
    step_size: T,
    root_correction: T,
    eps: T,
}

impl<T: Element> Coefficients<T> {
    fn new(options: &AdamW) -> Self {
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

/// Updates param, m and v in place from grad.
///
/// # Errors
/// Tensors of different shapes or types, or that share a storage; step 0; an unsupported device, element type or
/// layout.
pub fn step(param: &Tensor, grad: &Tensor, m: &Tensor, v: &Tensor, options: &AdamW) -> Result<()> {
    const OP: &str = "adamw::step";
    if options.step == 0 {
        return Err(Error::Argument { op: OP, message: "steps are counted from 1, found step 0".to_owned() });
    }
    on_device!(OP, param, call => device::step(&call, param, Weights::Float, grad, [m, v], options));
    for (operand, a, other, b) in [("param", param, "m", m), ("param", param, "v", v), ("m", m, "v", v)] {
        if share_storage(a, b) {
            return Err(Error::Aliased { op: OP, operand, other });
        }
    }
    let grad = Operand::open(OP, "grad", grad)?;
    let shape = param.dims();
    grad.expect(shape)?;
    let destination = |name, tensor| Destination { name, tensor, shape };
    for_element!(grad.dtype(), T => {
        let (g, c) = (grad.slice::<T>()?, Coefficients::<T>::new(options));
        // Three writes nest, always in this order, over storages just shown to be three.
        write(OP, &destination("param", param), &[&grad], |param: &mut [T]| {
            write(OP, &destination("m", m), &[&grad], |m: &mut [T]| {
                write(OP, &destination("v", v), &[&grad], |v: &mut [T]| update_all(&c, param, g, m, v))
            })
        })??
    })
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

/// Updates bf16 parameters, their masters or moments, in place from an f32 gradient. On a device only.
///
/// # Errors
/// As [`step`]; [`Error::Device`] on the CPU, which trains in f32.
pub fn step_narrow(
    param: &Tensor,
    weights: Weights<'_>,
    grad: &Tensor,
    m: &Tensor,
    v: &Tensor,
    options: &AdamW,
) -> Result<()> {
    const OP: &str = "adamw::step_narrow";
    if options.step == 0 {
        return Err(Error::Argument { op: OP, message: "steps are counted from 1, found step 0".to_owned() });
    }
    if matches!(weights, Weights::Float) {
        return step(param, grad, m, v, options);
    }
    on_device!(OP, param, call => device::step(&call, param, weights, grad, [m, v], options));
    Err(Error::Device { op: OP, operand: "param", device: Box::new(param.device().clone()) })
}

fn update_all<T: Element>(c: &Coefficients<T>, param: &mut [T], grad: &[T], m: &mut [T], v: &mut [T]) {
    let moments = m.par_chunks_mut(BLOCK).zip(v.par_chunks_mut(BLOCK));
    let blocks = param.par_chunks_mut(BLOCK).zip(grad.par_chunks(BLOCK)).zip(moments);
    blocks.for_each(|((param, grad), (m, v))| wide!(update(c, param, grad, m, v)));
}

#[inline(always)]
fn update<T: Element>(c: &Coefficients<T>, param: &mut [T], grad: &[T], m: &mut [T], v: &mut [T]) {
    for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(m).zip(v) {
        *m = c.beta1 * *m + c.one_minus_beta1 * g;
        *v = c.beta2 * *v + c.one_minus_beta2 * (g * g);
        *p -= c.decay * *p + c.step_size * *m / (v.sqrt() * c.root_correction + c.eps);
    }
}
