//! Linear map without bias.
//!
//! Formula: y = x · wᵀ; dx = dy · w; dw += dyᵀ · x.
//! Shapes: x `[N, I]`, w `[O, I]`, y `[N, O]`.
//! Accumulation: in the element type, fused multiply-adds in ascending depth, panels of at most 512 added in order.
//! Determinism: bit-equal over runs and thread counts; a row of y or dx does not depend on the other rows.
//! Cost: 2·N·I·O floating-point operations each.

#[cfg(recon_device)]
mod device;

use candle_core::Tensor;

use crate::element::for_element;
use crate::error::Result;
use crate::matmul::{Into, Mat, multiply_parallel, product};
use crate::operand::{Destination, Operand, fresh, write};

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
