//! Launches of `norm.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::{DType, Tensor};

use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent};
use crate::error::{Error, Result};

#[repr(C)]
struct NormArgs {
    t: Address,
    partial: Address,
    sum: Address,
    elements: i64,
    partials: i64,
    factor: f32,
    dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn norm_sum_of_squares(args: *const NormArgs, stream: Stream) -> i32;
    fn norm_scale(args: *const NormArgs, stream: Stream) -> i32;
}

/// Σ tᵢ², f64 `[1]`, on the device.
pub(super) fn sum_of_squares(call: &Call<'_>, t: &Tensor) -> Result<Tensor> {
    let (dtype, elements) = (t.dtype(), t.elem_count());
    let parts = elements.div_ceil(1 << 14).clamp(1, 1024);
    let t = call.read("t", t, FLOATS)?;
    let ((_partial, partial), (sum, sum_at)) = (call.fresh(DType::F64, &[parts])?, call.fresh(DType::F64, &[1])?);
    let (elements, partials, dtype) = (extent(elements), extent(parts), dtype_code(dtype));
    let args = NormArgs { t, partial, sum: sum_at, elements, partials, factor: 0.0, dtype };
    call.launch(norm_sum_of_squares, &args)?;
    Ok(sum)
}

pub(super) fn scale(call: &Call<'_>, t: &Tensor, factor: f64) -> Result<()> {
    let dtype = t.dtype();
    if !FLOATS.contains(&dtype) {
        return Err(Error::DType { op: call.op, operand: "t", found: dtype, expected: "F32 or BF16" });
    }
    let at = call.write("t", t, t.dims(), dtype)?;
    let (elements, dtype) = (extent(t.elem_count()), dtype_code(dtype));
    let (partial, sum) = (Address::NULL, Address::NULL);
    let args = NormArgs { t: at, partial, sum, elements, partials: 0, factor: factor as f32, dtype };
    call.launch(norm_scale, &args)
}
