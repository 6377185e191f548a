//! The products of a linear map, through `linear.cu`.

use candle_core::{DType, Tensor};

use crate::device::matmul::{Matrix, product, result, sum};
use crate::device::{Call, FLOATS};
use crate::error::Result;

/// y `[N, O]` = x `[N, I]` · w `[O, I]`ᵀ, in `output` type.
pub(super) fn forward(call: &Call<'_>, x: &Tensor, w: &Tensor, output: DType) -> Result<Tensor> {
    let [n, i] = call.dims("x", x, "[N, I]")?;
    let [o, _] = call.dims("w", w, "[O, I]")?;
    let dtype = x.dtype();
    let x = Matrix::new(call.read("x", x, FLOATS)?, n, i, dtype);
    let w = Matrix::new(call.read_shaped("w", w, &[o, i], dtype)?, o, i, dtype);
    result(call, x, w.t(), output)
}

/// base `[N, O]` + x `[N, I]` · w `[O, I]`ᵀ.
pub(super) fn forward_onto(call: &Call<'_>, x: &Tensor, w: &Tensor, base: &Tensor) -> Result<Tensor> {
    let [n, i] = call.dims("x", x, "[N, I]")?;
    let [o, _] = call.dims("w", w, "[O, I]")?;
    let dtype = x.dtype();
    let x = Matrix::new(call.read("x", x, FLOATS)?, n, i, dtype);
    let w = Matrix::new(call.read_shaped("w", w, &[o, i], dtype)?, o, i, dtype);
    sum(call, x, w.t(), base)
}

/// base `[N, I]` + dy `[N, O]` · w `[O, I]`.
pub(super) fn backward_input_onto(call: &Call<'_>, dy: &Tensor, w: &Tensor, base: &Tensor) -> Result<Tensor> {
    let [n, o] = call.dims("dy", dy, "[N, O]")?;
    let [_, i] = call.dims("w", w, "[O, I]")?;
    let dtype = dy.dtype();
    let dy = Matrix::new(call.read("dy", dy, FLOATS)?, n, o, dtype);
    let w = Matrix::new(call.read_shaped("w", w, &[o, i], dtype)?, o, i, dtype);
    sum(call, dy, w, base)
}

/// dx `[N, I]` = dy `[N, O]` · w `[O, I]`.
pub(super) fn backward_input(call: &Call<'_>, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let [n, o] = call.dims("dy", dy, "[N, O]")?;
    let [_, i] = call.dims("w", w, "[O, I]")?;
    let dtype = dy.dtype();
    let dy = Matrix::new(call.read("dy", dy, FLOATS)?, n, o, dtype);
    let w = Matrix::new(call.read_shaped("w", w, &[o, i], dtype)?, o, i, dtype);
    result(call, dy, w, dtype)
}

/// dw `[O, I]` f32 += dy `[N, O]`ᵀ · x `[N, I]`.
pub(super) fn backward_weight(call: &Call<'_>, dy: &Tensor, x: &Tensor, dw: &Tensor) -> Result<()> {
    let [n, o] = call.dims("dy", dy, "[N, O]")?;
    let [_, i] = call.dims("x", x, "[N, I]")?;
    let dtype = dy.dtype();
    let dy = Matrix::new(call.read("dy", dy, FLOATS)?, n, o, dtype);
    let x = Matrix::new(call.read_shaped("x", x, &[n, i], dtype)?, n, i, dtype);
    let dw = Matrix::new(call.write("dw", dw, &[o, i], DType::F32)?, o, i, DType::F32);
    product(call, dy.t(), x, dw, Some(dw.at))
}
