//! Launches of `embedding.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::{DType, Tensor};

use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent};
use crate::error::Result;

#[repr(C)]
struct EmbeddingArgs {
    ids: Address,
    table: Address,
    dx: Address,
    x: Address,
    dtable: Address,
    rows: i64,
    width: i64,
    vocabulary: i64,
    dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn embedding_forward(args: *const EmbeddingArgs, stream: Stream) -> i32;
    fn embedding_backward(args: *const EmbeddingArgs, stream: Stream) -> i32;
}

/// Also how the head picks its rows.
pub(crate) fn forward(call: &Call<'_>, ids: &Tensor, table: &Tensor) -> Result<Tensor> {
    let [n] = call.dims("ids", ids, "[N]")?;
    let [v, d] = call.dims("table", table, "[V, D]")?;
    let dtype = table.dtype();
    let ids = call.read("ids", ids, &[DType::U32])?;
    let table = call.read("table", table, FLOATS)?;
    let (x, x_at) = call.fresh(dtype, &[n, d])?;
    let args = EmbeddingArgs {
        ids,
        table,
        dx: Address::NULL,
        x: x_at,
        dtable: Address::NULL,
        rows: extent(n),
        width: extent(d),
        vocabulary: extent(v),
        dtype: dtype_code(dtype),
    };
    call.launch(embedding_forward, &args)?;
    Ok(x)
}

pub(super) fn backward(call: &Call<'_>, dx: &Tensor, ids: &Tensor, dtable: &Tensor) -> Result<()> {
    let [n, d] = call.dims("dx", dx, "[N, D]")?;
    let [v, _] = call.dims("dtable", dtable, "[V, D]")?;
    let dtype = dx.dtype();
    let dx = call.read("dx", dx, FLOATS)?;
    let ids = call.read_shaped("ids", ids, &[n], DType::U32)?;
    let dtable = call.write("dtable", dtable, &[v, d], DType::F32)?;
    let args = EmbeddingArgs {
        ids,
        table: Address::NULL,
        dx,
        x: Address::NULL,
        dtable,
        rows: extent(n),
        width: extent(d),
        vocabulary: extent(v),
        dtype: dtype_code(dtype),
    };
    call.launch(embedding_backward, &args)
}
