//! Root-mean-square normalisation with a learned gain, and the residual sum before it.
//!
//! Formula: x = stream + branch where both are given; r = 1/√(mean(x²) + ε), y = x·r·w; dx = r·(w·dy) − x·r³/D · Σ(w·dy·x); dw += Σ_rows dy·x·r.
//! Shapes: x, y `[N, D]`, weight `[D]`, r `[N]`.
//! Accumulation: in the element type over 16 interleaved sums; dw over blocks of 64 rows, then the blocks in order.
//! Determinism: bit-equal over runs and thread counts; a row does not depend on the others.
//! Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

use candle_core::Tensor;
use rayon::prelude::*;

#[cfg(recon_device)]
use crate::device::elementwise as device;
use crate::element::{Element, add_assign, for_element, sum1, sum2, wide};
use crate::error::{Error, Result};
use crate::fresh::Fresh;
use crate::operand::{Destination, Operand, fresh, write};

/// Rows of one task, and of one partial sum of the weight's gradient.
const BLOCK_ROWS: usize = 64;

/// (y `[N, D]`, inverse root mean square `[N]`) of x `[N, D]` and weight `[D]`.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout.
pub fn forward(x: &Tensor, weight: &Tensor, eps: f64) -> Result<(Tensor, Tensor)> {
    const OP: &str = "rms_norm::forward";
    on_device!(OP, x, call => {
        device::rms_norm_forward(&call, x, None, weight, eps).map(|(_, y, inv_rms)| (y, inv_rms))
    });
    let (x, weight) = (Operand::open(OP, "x", x)?, Operand::open(OP, "weight", weight)?);
    let [n, d] = x.dims("[N, D]")?;
    weight.expect(&[d])?;
    for_element!(x.dtype(), T => {
        let (mut y, mut inv_rms) = (Fresh::new(n * d), vec![T::ZERO; n]);
        if d > 0 {
            let (x, weight) = (x.slice::<T>()?, weight.slice::<T>()?);
            y.blocks(BLOCK_ROWS * d)
                .zip(inv_rms.par_chunks_mut(BLOCK_ROWS))
                .zip(x.par_chunks(BLOCK_ROWS * d))
                .for_each(|((y, inv_rms), x)| wide!(forward_rows(y, inv_rms, x, weight, T::rounded(eps))));
        }
        Ok((fresh(OP, y.finish(), &[n, d])?, fresh(OP, inv_rms, &[n])?))
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
        let (sum, y, inv_rms) = device::rms_norm_forward(&call, stream, Some(branch), weight, eps)?;
        Ok((sum.expect("there is a sum where there is a residual"), y, inv_rms))
    });
    let x = (stream + branch).map_err(Error::candle(OP))?;
    let (y, inv_rms) = forward(&x, weight, eps)?;
    Ok((x, y, inv_rms))
}

#[inline(always)]
fn forward_rows<T: Element>(y: &mut [T], inv_rms: &mut [T], x: &[T], weight: &[T], eps: T) {
    let d = weight.len();
    for ((y, inv_rms), x) in y.chunks_exact_mut(d).zip(inv_rms).zip(x.chunks_exact(d)) {
        let mean_square = sum1(x, |x| x * x) / T::rounded(d as f64);
        let r = T::ONE / (mean_square + eps).sqrt();
        *inv_rms = r;
        for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * r * w;
        }
    }
}

/// dx `[N, D]` from dy, x `[N, D]`, weight `[D]` and the forward's inverse root mean square `[N]`; the weight's
/// gradient is added to `dweight` `[D]`.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout, or a `dweight` that shares its
/// storage with an input.
pub fn backward(dy: &Tensor, x: &Tensor, weight: &Tensor, inv_rms: &Tensor, dweight: &Tensor) -> Result<Tensor> {
    const OP: &str = "rms_norm::backward";
    on_device!(OP, dy, call => device::rms_norm_backward(&call, dy, x, weight, inv_rms, dweight, None));
    let (dy, x) = (Operand::open(OP, "dy", dy)?, Operand::open(OP, "x", x)?);
    let (weight, inv_rms) = (Operand::open(OP, "weight", weight)?, Operand::open(OP, "inv_rms", inv_rms)?);
    let [n, d] = dy.dims("[N, D]")?;
    x.expect(&[n, d])?;
    weight.expect(&[d])?;
    inv_rms.expect(&[n])?;
    for_element!(dy.dtype(), T => {
        let (mut dx, mut partial) = (Fresh::new(n * d), vec![T::ZERO; n.div_ceil(BLOCK_ROWS) * d]);
        if d > 0 {
            let (dy, x) = (dy.slice::<T>()?, x.slice::<T>()?);
            let (weight, inv_rms) = (weight.slice::<T>()?, inv_rms.slice::<T>()?);
            dx.blocks(BLOCK_ROWS * d)
                .zip(partial.par_chunks_mut(d))
                .zip(dy.par_chunks(BLOCK_ROWS * d).zip(x.par_chunks(BLOCK_ROWS * d)))
                .zip(inv_rms.par_chunks(BLOCK_ROWS))
                .for_each(|(((dx, dw), (dy, x)), r)| wide!(backward_rows(dx, dw, dy, x, r, weight)));
        }
        let destination = Destination { name: "dweight", tensor: dweight, shape: &[d] };
        write(OP, &destination, &[&dy, &x, &weight, &inv_rms], |dweight| {
            for partial in partial.chunks_exact(d.max(1)) {
                add_assign::<T>(dweight, partial);
            }
        })?;
        fresh(OP, dx.finish(), &[n, d])
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
    on_device!(OP, dy, call => device::rms_norm_backward(&call, dy, x, weight, inv_rms, dweight, Some(d_stream)));
    let dx = backward(dy, x, weight, inv_rms, dweight)?;
    (d_stream + dx).map_err(Error::candle(OP))
}

#[inline(always)]
fn backward_rows<T: Element>(dx: &mut [T], dw: &mut [T], dy: &[T], x: &[T], inv_rms: &[T], weight: &[T]) {
    let d = weight.len();
    let mut g = vec![T::ZERO; d];
    let rows = dy.chunks_exact(d).zip(x.chunks_exact(d));
    for ((dx, (dy, x)), &r) in dx.chunks_exact_mut(d).zip(rows).zip(inv_rms) {
        for ((g, &dy), &w) in g.iter_mut().zip(dy).zip(weight) {
            *g = dy * w;
        }
        let c = sum2(&g, x, |g, x| g * x) * (r * r) / T::rounded(d as f64);
        for ((dx, &g), &x) in dx.iter_mut().zip(&g).zip(x) {
            *dx = (g - x * c) * r;
        }
        for ((dw, &dy), &x) in dw.iter_mut().zip(dy).zip(x) {
            *dw += dy * (x * r);
        }
    }
}
