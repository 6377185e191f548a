//! One step of Adam with decoupled weight decay, over a flat buffer.
//!
//! Formula: m = β₁m + (1 − β₁)g; v = β₂v + (1 − β₂)g²;
//! p = p − lr·λ·p − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε), t counted from 1.
//! Shapes: param, grad, m, v of one shape; three are written, so the four live in four storages.
//! On a device also bf16 parameters, with f32 masters or rounded stochastically ([`step_narrow`]).
//! Accumulation: in the element type; the scalars (lr·λ, the bias corrections) are computed in f64 and rounded once.
//! Determinism: elementwise.
//! Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019 (PyTorch's `AdamW`).

mod cpu;
#[cfg(recon_device)]
mod device;
mod options;

use candle_core::Tensor;

use crate::element::for_element;
use crate::error::{Error, Result};
use crate::operand::{Destination, Operand, share_storage, write};
use options::Coefficients;
pub use options::{AdamW, Weights};

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
                write(OP, &destination("v", v), &[&grad], |v: &mut [T]| cpu::update(&c, param, g, m, v))
            })
        })??
    })
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
