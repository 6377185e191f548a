//! The gated activation of Llama's feed-forward block.
//!
//! Formula, with σ the logistic function: y = g·σ(g)·u; dg = dy·u·σ(g)·(1 + g·(1 − σ(g))), du = dy·g·σ(g).
//! Shapes: gate, up, y `[N, F]`.
//! Accumulation: none. Determinism: elementwise.
//! Source: Shazeer, GLU Variants Improve Transformer, 2020.

mod cpu;
#[cfg(recon_device)]
mod device;

use candle_core::Tensor;

use crate::element::for_element;
use crate::error::Result;
use crate::operand::{Operand, fresh};

/// y `[N, F]` = silu(gate) · up.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout.
pub fn forward(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    const OP: &str = "swiglu::forward";
    on_device!(OP, gate, call => device::forward(&call, gate, up));
    let (gate, up) = (Operand::open(OP, "gate", gate)?, Operand::open(OP, "up", up)?);
    let [n, f] = gate.dims("[N, F]")?;
    up.expect(&[n, f])?;
    for_element!(gate.dtype(), T => fresh(OP, cpu::forward(gate.slice::<T>()?, up.slice()?), &[n, f]))
}

/// (dgate, dup), both `[N, F]`.
///
/// # Errors
/// As [`forward`].
pub fn backward(dy: &Tensor, gate: &Tensor, up: &Tensor) -> Result<(Tensor, Tensor)> {
    const OP: &str = "swiglu::backward";
    on_device!(OP, dy, call => device::backward(&call, dy, gate, up));
    let dy = Operand::open(OP, "dy", dy)?;
    let (gate, up) = (Operand::open(OP, "gate", gate)?, Operand::open(OP, "up", up)?);
    let [n, f] = dy.dims("[N, F]")?;
    gate.expect(&[n, f])?;
    up.expect(&[n, f])?;
    for_element!(dy.dtype(), T => {
        let (dgate, dup) = cpu::backward(dy.slice::<T>()?, gate.slice()?, up.slice()?);
        Ok((fresh(OP, dgate, &[n, f])?, fresh(OP, dup, &[n, f])?))
    })
}
