//! Launches of `rope.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::{DType, Tensor};

use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent};
use crate::error::Result;

#[repr(C)]
struct RopeArgs {
    x: Address,
    cos: Address,
    sin: Address,
    positions: Address,
    y: Address,
    rows: i64,
    heads: i64,
    half: i64,
    table_rows: i64,
    inverse: i32,
    dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn rope_rotate(args: *const RopeArgs, stream: Stream) -> i32;
}

pub(super) fn rotate(
    call: &Call<'_>,
    x: &Tensor,
    (cos, sin): (&Tensor, &Tensor),
    positions: &Tensor,
    inverse: bool,
) -> Result<Tensor> {
    let [table_rows, half] = call.dims("table", cos, "[positions, E/2]")?;
    let [n, h, _] = call.dims("x", x, "[N, H, E]")?;
    let (dtype, shape) = (x.dtype(), [n, h, 2 * half]);
    call.expect("x", x, &shape)?;
    let x = call.read("x", x, FLOATS)?;
    let table = [table_rows, half];
    let cos = call.read_shaped("table", cos, &table, DType::F32)?;
    let sin = call.read_shaped("table", sin, &table, DType::F32)?;
    let positions = call.read_shaped("positions", positions, &[n], DType::U32)?;
    let (y, y_at) = call.fresh(dtype, &shape)?;
    let args = RopeArgs {
        x,
        cos,
        sin,
        positions,
        y: y_at,
        rows: extent(n),
        heads: extent(h),
        half: extent(half),
        table_rows: extent(table_rows),
        inverse: i32::from(inverse),
        dtype: dtype_code(dtype),
    };
    call.launch(rope_rotate, &args)?;
    Ok(y)
}
