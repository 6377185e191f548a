//! Launches of `swiglu.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::Tensor;

use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent};
use crate::error::Result;

#[repr(C)]
struct SwigluArgs {
    gate: Address,
    up: Address,
    dy: Address,
    y: Address,
    dgate: Address,
    dup: Address,
    elements: i64,
    dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn swiglu_forward(args: *const SwigluArgs, stream: Stream) -> i32;
    fn swiglu_backward(args: *const SwigluArgs, stream: Stream) -> i32;
}

pub(super) fn forward(call: &Call<'_>, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let [n, f] = call.dims("gate", gate, "[N, F]")?;
    let dtype = gate.dtype();
    let gate = call.read("gate", gate, FLOATS)?;
    let up = call.read_shaped("up", up, &[n, f], dtype)?;
    let (y, y_at) = call.fresh(dtype, &[n, f])?;
    let none = Address::NULL;
    let (elements, dtype) = (extent(n * f), dtype_code(dtype));
    let args = SwigluArgs { gate, up, dy: none, y: y_at, dgate: none, dup: none, elements, dtype };
    call.launch(swiglu_forward, &args)?;
    Ok(y)
}

pub(super) fn backward(call: &Call<'_>, dy: &Tensor, gate: &Tensor, up: &Tensor) -> Result<(Tensor, Tensor)> {
    let [n, f] = call.dims("dy", dy, "[N, F]")?;
    let dtype = dy.dtype();
    let dy = call.read("dy", dy, FLOATS)?;
    let gate = call.read_shaped("gate", gate, &[n, f], dtype)?;
    let up = call.read_shaped("up", up, &[n, f], dtype)?;
    let ((dgate, dgate_at), (dup, dup_at)) = (call.fresh(dtype, &[n, f])?, call.fresh(dtype, &[n, f])?);
    let (elements, dtype) = (extent(n * f), dtype_code(dtype));
    let args = SwigluArgs { gate, up, dy, y: Address::NULL, dgate: dgate_at, dup: dup_at, elements, dtype };
    call.launch(swiglu_backward, &args)?;
    Ok((dgate, dup))
}
