//! The gated activation of Llama's feed-forward block.
//!
//! Formula, with σ the logistic function: y = g·σ(g)·u; dg = dy·u·σ(g)·(1 + g·(1 − σ(g))), du = dy·g·σ(g).
//! Shapes: gate, up, y `[N, F]`.
//! Accumulation: none. Determinism: elementwise.
//! Source: Shazeer, GLU Variants Improve Transformer, 2020.

use candle_core::Tensor;
use rayon::prelude::*;

#[cfg(recon_device)]
use crate::device::elementwise as device;
use crate::element::{Element, for_element, wide};
use crate::error::Result;
use crate::fresh::Fresh;
use crate::operand::{Operand, fresh};

/// Elements of one task.
const BLOCK: usize = 1 << 14;

/// y `[N, F]` = silu(gate) · up.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout.
pub fn forward(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    const OP: &str = "swiglu::forward";
    on_device!(OP, gate, call => device::swiglu_forward(&call, gate, up));
    let (gate, up) = (Operand::open(OP, "gate", gate)?, Operand::open(OP, "up", up)?);
    let [n, f] = gate.dims("[N, F]")?;
    up.expect(&[n, f])?;
    for_element!(gate.dtype(), T => {
        let (gate, up) = (gate.slice::<T>()?, up.slice::<T>()?);
        let mut y = Fresh::new(n * f);
        y.blocks(BLOCK).zip(gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK))).for_each(|(y, (gate, up))| {
            wide!({
                for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) {
                    *y = g * logistic(g) * u;
                }
            });
        });
        fresh(OP, y.finish(), &[n, f])
    })
}

/// (dgate, dup), both `[N, F]`.
///
/// # Errors
/// As [`forward`].
pub fn backward(dy: &Tensor, gate: &Tensor, up: &Tensor) -> Result<(Tensor, Tensor)> {
    const OP: &str = "swiglu::backward";
    on_device!(OP, dy, call => device::swiglu_backward(&call, dy, gate, up));
    let dy = Operand::open(OP, "dy", dy)?;
    let (gate, up) = (Operand::open(OP, "gate", gate)?, Operand::open(OP, "up", up)?);
    let [n, f] = dy.dims("[N, F]")?;
    gate.expect(&[n, f])?;
    up.expect(&[n, f])?;
    for_element!(dy.dtype(), T => {
        let (dy, gate, up) = (dy.slice::<T>()?, gate.slice::<T>()?, up.slice::<T>()?);
        let (mut dgate, mut dup) = (Fresh::new(n * f), Fresh::new(n * f));
        let inputs = dy.par_chunks(BLOCK).zip(gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK)));
        let outputs = dgate.blocks(BLOCK).zip(dup.blocks(BLOCK));
        outputs.zip(inputs).for_each(|((dgate, dup), (dy, (gate, up)))| {
            wide!({
                let inputs = dy.iter().zip(gate.iter().zip(up));
                for ((dgate, dup), (&dy, (&g, &u))) in dgate.iter_mut().zip(dup).zip(inputs) {
                    let s = logistic(g);
                    *dgate = dy * u * (s * (T::ONE + g * (T::ONE - s)));
                    *dup = dy * (g * s);
                }
            });
        });
        Ok((fresh(OP, dgate.finish(), &[n, f])?, fresh(OP, dup.finish(), &[n, f])?))
    })
}

#[inline(always)]
fn logistic<T: Element>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}
