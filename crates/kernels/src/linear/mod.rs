//! Linear map without bias.
//!
//! Formula: y = x · wᵀ; dx = dy · w; dw += dyᵀ · x; y and dx also onto a base of their shape, which is added after the sum.
//! Shapes: x `[N, I]`, w `[O, I]`, y `[N, O]`.
//! Accumulation: in the element type, fused multiply-adds in ascending depth, panels of at most 512 added in order.
//! Determinism: bit-equal over runs and thread counts; a row of y or dx does not depend on the other rows.
//! Cost: 2·N·I·O floating-point operations each.

#[cfg(recon_device)]
mod device;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::element::{Element, for_element, wide};
use crate::error::Result;
use crate::matmul::{Into, Mat, multiply_parallel, product};
use crate::operand::{Destination, Operand, fresh, write};

/// Elements that a thread adds at a time.
const PART: usize = 1 << 14;

/// y `[N, O]` = x `[N, I]` · w `[O, I]`ᵀ.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout.
pub fn forward(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    const OP: &str = "linear::forward";
    on_device!(OP, x, call => device::forward(&call, x, w, x.dtype()));
    let (x, w) = (Operand::open(OP, "x", x)?, Operand::open(OP, "w", w)?);
    let [n, i] = x.dims("[N, I]")?;
    let [o, _] = w.dims("[O, I]")?;
    w.expect(&[o, i])?;
    for_element!(x.dtype(), T => {
        let y = product::<T>(Mat::new(x.slice()?, n, i), Mat::new(w.slice()?, o, i).t());
        fresh(OP, y, &[n, o])
    })
}

/// [`forward`] with y in f32 at least: for logits, whose bf16 rounding would change decisions.
///
/// # Errors
/// As [`forward`].
pub fn forward_wide(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    on_device!("linear::forward_wide", x, call => device::forward(&call, x, w, crate::device::gradient_dtype(x.dtype())));
    forward(x, w)
}

/// base `[N, O]` + x `[N, I]` · w `[O, I]`ᵀ: a device rounds once, the CPU product and sum each.
///
/// # Errors
/// As [`forward`].
pub fn forward_onto(x: &Tensor, w: &Tensor, base: &Tensor) -> Result<Tensor> {
    const OP: &str = "linear::forward_onto";
    on_device!(OP, x, call => device::forward_onto(&call, x, w, base));
    let (x, w) = (Operand::open(OP, "x", x)?, Operand::open(OP, "w", w)?);
    let [n, i] = x.dims("[N, I]")?;
    let [o, _] = w.dims("[O, I]")?;
    w.expect(&[o, i])?;
    for_element!(x.dtype(), T => {
        onto::<T>(OP, base, [n, o], product(Mat::new(x.slice()?, n, i), Mat::new(w.slice()?, o, i).t()))
    })
}

/// base `[N, I]` + dy `[N, O]` · w `[O, I]`: a device rounds once, the CPU product and sum each.
///
/// # Errors
/// As [`forward`].
pub fn backward_input_onto(dy: &Tensor, w: &Tensor, base: &Tensor) -> Result<Tensor> {
    const OP: &str = "linear::backward_input_onto";
    on_device!(OP, dy, call => device::backward_input_onto(&call, dy, w, base));
    let (dy, w) = (Operand::open(OP, "dy", dy)?, Operand::open(OP, "w", w)?);
    let [n, o] = dy.dims("[N, O]")?;
    let [_, i] = w.dims("[O, I]")?;
    w.expect(&[o, i])?;
    for_element!(dy.dtype(), T => {
        onto::<T>(OP, base, [n, i], product(Mat::new(dy.slice()?, n, o), Mat::new(w.slice()?, o, i)))
    })
}

/// The product's own memory takes the sum.
fn onto<T: Element>(op: &'static str, base: &Tensor, shape: [usize; 2], mut sum: Vec<T>) -> Result<Tensor> {
    let base = Operand::open(op, "base", base)?;
    base.expect(&shape)?;
    let parts = sum.par_chunks_mut(PART).zip(base.slice::<T>()?.par_chunks(PART));
    parts.for_each(|(sum, base)| wide!(sum.iter_mut().zip(base).for_each(|(sum, base)| *sum += *base)));
    fresh(op, sum, &shape)
}

/// dx `[N, I]` = dy `[N, O]` · w `[O, I]`.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout.
pub fn backward_input(dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    const OP: &str = "linear::backward_input";
    on_device!(OP, dy, call => device::backward_input(&call, dy, w));
    let (dy, w) = (Operand::open(OP, "dy", dy)?, Operand::open(OP, "w", w)?);
    let [n, o] = dy.dims("[N, O]")?;
    let [_, i] = w.dims("[O, I]")?;
    w.expect(&[o, i])?;
    for_element!(dy.dtype(), T => {
        let dx = product::<T>(Mat::new(dy.slice()?, n, o), Mat::new(w.slice()?, o, i));
        fresh(OP, dx, &[n, i])
    })
}

/// dw `[O, I]` += dy `[N, O]`ᵀ · x `[N, I]`.
///
/// # Errors
/// Shapes that contradict each other, an unsupported device, element type or layout, or a `dw` that shares its storage
/// with an input.
pub fn backward_weight(dy: &Tensor, x: &Tensor, dw: &Tensor) -> Result<()> {
    const OP: &str = "linear::backward_weight";
    on_device!(OP, dy, call => device::backward_weight(&call, dy, x, dw));
    let (dy, x) = (Operand::open(OP, "dy", dy)?, Operand::open(OP, "x", x)?);
    let [n, o] = dy.dims("[N, O]")?;
    let [_, i] = x.dims("[N, I]")?;
    x.expect(&[n, i])?;
    for_element!(dy.dtype(), T => {
        let (dy_mat, x_mat) = (Mat::<T>::new(dy.slice()?, n, o), Mat::new(x.slice()?, n, i));
        let destination = Destination { name: "dw", tensor: dw, shape: &[o, i] };
        write(OP, &destination, &[&dy, &x], |dw| multiply_parallel(dw, Into::Add, dy_mat.t(), x_mat))
    })
}
