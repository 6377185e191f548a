//! Root-mean-square normalisation with a learned gain, and the residual sum before it.
//!
//! Formula: x = stream + branch where both are given; r = 1/√(mean(x²) + ε), y = x·r·w; dx = r·(w·dy) − x·r³/D · Σ(w·dy·x); dw += Σ_rows dy·x·r.
//! Shapes: x, y `[N, D]`, weight `[D]`, r `[N]`.
//! Accumulation: in the element type over 16 interleaved sums; dw over blocks of 64 rows, then the blocks in order.
//! Determinism: bit-equal over runs and thread counts; a row does not depend on the others.
//! Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

mod cpu;
#[cfg(recon_device)]
mod device;

use candle_core::Tensor;

use crate::element::for_element;
use crate::error::{Error, Result};
use crate::operand::{Destination, Operand, fresh, write};

/// (y `[N, D]`, inverse root mean square `[N]`) of x `[N, D]` and weight `[D]`.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout.
pub fn forward(x: &Tensor, weight: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    const OP: &str = "rms_norm::forward";
    on_device!(OP, x, call => {
        device::forward(&call, x, None, weight, eps).map(|(_, y, inv_rms)| (y, inv_rms))
    });
    let (x, weight) = (Operand::open(OP, "x", x)?, Operand::open(OP, "weight", weight)?);
    let [n, d] = x.dims("[N, D]")?;
    weight.expect(&[d])?;
    for_element!(x.dtype(), T => {
        let (y, inv_rms) = cpu::forward(x.slice::<T>()?, weight.slice()?, n, eps);
        Ok((fresh(OP, y, &[n, d])?, fresh(OP, inv_rms, &[n])?))
    })
}

/// (x = stream + branch, y, inverse root mean square): the norm after a residual sum, `[N, D]`, `[N, D]`, `[N]`.
///
/// # Errors
/// As [`forward`].
pub fn forward_residual(
    stream: &Tensor,
    branch: &Tensor,
    weight: &Tensor,
    eps: f64,
) -> Result<(Tensor, Tensor, Tensor)> {
    const OP: &str = "rms_norm::forward_residual";
    on_device!(OP, stream, call => {
        let (sum, y, inv_rms) = device::forward(&call, stream, Some(branch), weight, eps)?;
        Ok((sum.expect("there is a sum where there is a residual"), y, inv_rms))
    });
    let x = (stream + branch).map_err(Error::candle(OP))?;
    let (y, inv_rms) = forward(&x, weight, eps)?;
    Ok((x, y, inv_rms))
}

/// dx `[N, D]` from dy, x `[N, D]`, weight `[D]` and the forward's inverse root mean square `[N]`; the weight's
/// gradient is added to `dweight` `[D]`.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout, or a `dweight` that shares its
/// storage with an input.
pub fn backward(dy: &Tensor, x: &Tensor, weight: &Tensor, inv_rms: &Tensor, dweight: &Tensor) -> Result<Tensor> {
    const OP: &str = "rms_norm::backward";
    on_device!(OP, dy, call => device::backward(&call, dy, x, weight, inv_rms, dweight, None));
    let (dy, x) = (Operand::open(OP, "dy", dy)?, Operand::open(OP, "x", x)?);
    let (weight, inv_rms) = (Operand::open(OP, "weight", weight)?, Operand::open(OP, "inv_rms", inv_rms)?);
    let [n, d] = dy.dims("[N, D]")?;
    x.expect(&[n, d])?;
    weight.expect(&[d])?;
    inv_rms.expect(&[n])?;
    for_element!(dy.dtype(), T => {
        let (dx, partial) = cpu::backward(dy.slice::<T>()?, x.slice()?, weight.slice()?, inv_rms.slice()?);
        let destination = Destination { name: "dweight", tensor: dweight, shape: &[d] };
        write(OP, &destination, &[&dy, &x, &weight, &inv_rms], |dweight| cpu::add_partial::<T>(dweight, &partial))?;
        fresh(OP, dx, &[n, d])
    })
}

/// [`backward`] plus `d_stream` `[N, D]`, the gradient that reaches x past the norm.
///
/// # Errors
/// As [`backward`].
pub fn backward_residual(
    dy: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    inv_rms: &Tensor,
    dweight: &Tensor,
    d_stream: &Tensor,
) -> Result<Tensor> {
    const OP: &str = "rms_norm::backward_residual";
    on_device!(OP, dy, call => device::backward(&call, dy, x, weight, inv_rms, dweight, Some(d_stream)));
    let dx = backward(dy, x, weight, inv_rms, dweight)?;
    (d_stream + dx).map_err(Error::candle(OP))
}
