//! Launches of `rms_norm.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::{DType, Tensor};

use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent};
use crate::error::Result;

#[repr(C)]
struct RmsNormForwardArgs {
    x: Address,
    residual: Address,
    weight: Address,
    sum: Address,
    y: Address,
    inv_rms: Address,
    rows: i64,
    width: i64,
    eps: f32,
    dtype: i32,
}

#[repr(C)]
struct RmsNormBackwardArgs {
    dy: Address,
    x: Address,
    weight: Address,
    d_residual: Address,
    inv_rms: Address,
    dx: Address,
    partial: Address,
    dweight: Address,
    rows: i64,
    width: i64,
    partials: i64,
    dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn rms_norm_forward(args: *const RmsNormForwardArgs, stream: Stream) -> i32;
    fn rms_norm_backward(args: *const RmsNormBackwardArgs, stream: Stream) -> i32;
}

/// Partial sums of a weight's gradient: enough blocks to fill a GPU, long enough that adding them costs little.
fn partials(rows: usize) -> usize {
    rows.div_ceil(16).clamp(1, 512)
}

pub(super) fn forward(
    call: &Call<'_>,
    x: &Tensor,
    residual: Option<&Tensor>,
    weight: &Tensor,
    eps: f64,
) -> Result<(Option<Tensor>, Tensor, Tensor)> {
    let [n, d] = call.dims("x", x, "[N, D]")?;
    let dtype = x.dtype();
    let x_at = call.read("x", x, FLOATS)?;
    let residual_at = match residual {
        Some(residual) => call.read_shaped("residual", residual, &[n, d], dtype)?,
        None => Address::NULL,
    };
    let weight = call.read_shaped("weight", weight, &[d], dtype)?;
    let sum = residual.map(|_| call.fresh(dtype, &[n, d])).transpose()?;
    let ((y, y_at), (inv_rms, inv_rms_at)) = (call.fresh(dtype, &[n, d])?, call.fresh(DType::F32, &[n])?);
    let args = RmsNormForwardArgs {
        x: x_at,
        residual: residual_at,
        weight,
        sum: sum.as_ref().map_or(Address::NULL, |(_, at)| *at),
        y: y_at,
        inv_rms: inv_rms_at,
        rows: extent(n),
        width: extent(d),
        eps: eps as f32,
        dtype: dtype_code(dtype),
    };
    call.launch(rms_norm_forward, &args)?;
    Ok((sum.map(|(sum, _)| sum), y, inv_rms))
}

pub(super) fn backward(
    call: &Call<'_>,
    dy: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    inv_rms: &Tensor,
    dweight: &Tensor,
    d_residual: Option<&Tensor>,
) -> Result<Tensor> {
    let [n, d] = call.dims("dy", dy, "[N, D]")?;
    let (dtype, parts) = (dy.dtype(), partials(n));
    let dy = call.read("dy", dy, FLOATS)?;
    let x = call.read_shaped("x", x, &[n, d], dtype)?;
    let weight = call.read_shaped("weight", weight, &[d], dtype)?;
    let inv_rms = call.read_shaped("inv_rms", inv_rms, &[n], DType::F32)?;
    let d_residual = match d_residual {
        Some(d_residual) => call.read_shaped("d_residual", d_residual, &[n, d], dtype)?,
        None => Address::NULL,
    };
    let dweight = call.write("dweight", dweight, &[d], DType::F32)?;
    let ((dx, dx_at), (_partial, partial)) = (call.fresh(dtype, &[n, d])?, call.fresh(DType::F32, &[parts, d])?);
    let args = RmsNormBackwardArgs {
        dy,
        x,
        weight,
        d_residual,
        inv_rms,
        dx: dx_at,
        partial,
        dweight,
        rows: extent(n),
        width: extent(d),
        partials: extent(parts),
        dtype: dtype_code(dtype),
    };
    call.launch(rms_norm_backward, &args)?;
    Ok(dx)
}
