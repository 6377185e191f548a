//! Launches of `rms_norm.cu`, `rope.cu`, `swiglu.cu`, `embedding.cu`, `norm.cu` and `sampling.cu`.

use candle_core::{DType, Tensor};

use super::call::{Address, Call, FLOATS, dtype_code, extent};
use super::ffi;
use crate::error::{Error, Result};
use crate::sampling::{Draw, Masks, check_draws};

/// Partial sums of a weight's gradient: enough blocks to fill a GPU, long enough that adding them costs little.
fn partials(rows: usize) -> usize {
    rows.div_ceil(16).clamp(1, 512)
}

pub(crate) fn rms_norm_forward(
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
    let args = ffi::RmsNormForwardArgs {
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
    call.launch(ffi::rms_norm_forward, &args)?;
    Ok((sum.map(|(sum, _)| sum), y, inv_rms))
}

pub(crate) fn rms_norm_backward(
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
    let args = ffi::RmsNormBackwardArgs {
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
    call.launch(ffi::rms_norm_backward, &args)?;
    Ok(dx)
}

pub(crate) fn rotate(
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
    let args = ffi::RopeArgs {
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
    call.launch(ffi::rope_rotate, &args)?;
    Ok(y)
}

pub(crate) fn swiglu_forward(call: &Call<'_>, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let [n, f] = call.dims("gate", gate, "[N, F]")?;
    let dtype = gate.dtype();
    let gate = call.read("gate", gate, FLOATS)?;
    let up = call.read_shaped("up", up, &[n, f], dtype)?;
    let (y, y_at) = call.fresh(dtype, &[n, f])?;
    let none = Address::NULL;
    let (elements, dtype) = (extent(n * f), dtype_code(dtype));
    let args = ffi::SwigluArgs { gate, up, dy: none, y: y_at, dgate: none, dup: none, elements, dtype };
    call.launch(ffi::swiglu_forward, &args)?;
    Ok(y)
}

pub(crate) fn swiglu_backward(call: &Call<'_>, dy: &Tensor, gate: &Tensor, up: &Tensor) -> Result<(Tensor, Tensor)> {
    let [n, f] = call.dims("dy", dy, "[N, F]")?;
    let dtype = dy.dtype();
    let dy = call.read("dy", dy, FLOATS)?;
    let gate = call.read_shaped("gate", gate, &[n, f], dtype)?;
    let up = call.read_shaped("up", up, &[n, f], dtype)?;
    let ((dgate, dgate_at), (dup, dup_at)) = (call.fresh(dtype, &[n, f])?, call.fresh(dtype, &[n, f])?);
    let (elements, dtype) = (extent(n * f), dtype_code(dtype));
    let args = ffi::SwigluArgs { gate, up, dy, y: Address::NULL, dgate: dgate_at, dup: dup_at, elements, dtype };
    call.launch(ffi::swiglu_backward, &args)?;
    Ok((dgate, dup))
}

pub(crate) fn embedding_forward(call: &Call<'_>, ids: &Tensor, table: &Tensor) -> Result<Tensor> {
    let [n] = call.dims("ids", ids, "[N]")?;
    let [v, d] = call.dims("table", table, "[V, D]")?;
    let dtype = table.dtype();
    let ids = call.read("ids", ids, &[DType::U32])?;
    let table = call.read("table", table, FLOATS)?;
    let (x, x_at) = call.fresh(dtype, &[n, d])?;
    let args = ffi::EmbeddingArgs {
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
    call.launch(ffi::embedding_forward, &args)?;
    Ok(x)
}

pub(crate) fn embedding_backward(call: &Call<'_>, dx: &Tensor, ids: &Tensor, dtable: &Tensor) -> Result<()> {
    let [n, d] = call.dims("dx", dx, "[N, D]")?;
    let [v, _] = call.dims("dtable", dtable, "[V, D]")?;
    let dtype = dx.dtype();
    let dx = call.read("dx", dx, FLOATS)?;
    let ids = call.read_shaped("ids", ids, &[n], DType::U32)?;
    let dtable = call.write("dtable", dtable, &[v, d], DType::F32)?;
    let args = ffi::EmbeddingArgs {
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
    call.launch(ffi::embedding_backward, &args)
}

/// Σ tᵢ², f64 `[1]`, on the device.
pub(crate) fn sum_of_squares(call: &Call<'_>, t: &Tensor) -> Result<Tensor> {
    let (dtype, elements) = (t.dtype(), t.elem_count());
    let parts = elements.div_ceil(1 << 14).clamp(1, 1024);
    let t = call.read("t", t, FLOATS)?;
    let ((_partial, partial), (sum, sum_at)) = (call.fresh(DType::F64, &[parts])?, call.fresh(DType::F64, &[1])?);
    let (elements, partials, dtype) = (extent(elements), extent(parts), dtype_code(dtype));
    let args = ffi::NormArgs { t, partial, sum: sum_at, elements, partials, factor: 0.0, dtype };
    call.launch(ffi::norm_sum_of_squares, &args)?;
    Ok(sum)
}

pub(crate) fn scale(call: &Call<'_>, t: &Tensor, factor: f64) -> Result<()> {
    let dtype = t.dtype();
    if !FLOATS.contains(&dtype) {
        return Err(Error::DType { op: call.op, operand: "t", found: dtype, expected: "F32 or BF16" });
    }
    let at = call.write("t", t, t.dims(), dtype)?;
    let (elements, dtype) = (extent(t.elem_count()), dtype_code(dtype));
    let (partial, sum) = (Address::NULL, Address::NULL);
    let args = ffi::NormArgs { t: at, partial, sum, elements, partials: 0, factor: factor as f32, dtype };
    call.launch(ffi::norm_scale, &args)
}

/// The ids drawn, `u32::MAX` where a row has none; waits for the device.
pub(crate) fn draw(call: &Call<'_>, logits: &Tensor, masks: Option<&Masks>, draws: &[Draw]) -> Result<Vec<u32>> {
    let [n, v] = call.dims("logits", logits, "[N, V]")?;
    check_draws(call.op, (n, v), masks, draws)?;
    if n == 0 {
        return Ok(Vec::new());
    }
    let choice = |draw: &Draw| {
        let mask = draw.mask.map_or(-1.0, |mask| mask as f64);
        [draw.temperature, draw.top_p, draw.uniform, mask]
    };
    let choices: Vec<f64> = draws.iter().flat_map(choice).collect();
    let choices = Tensor::from_vec(choices, (n, 4), call.device).map_err(Error::candle(call.op))?;
    let (ids, ids_at) = call.fresh(DType::U32, &[n])?;
    let args = ffi::SamplingArgs {
        logits: call.read("logits", logits, &[DType::F32])?,
        choices: call.read("choices", &choices, &[DType::F64])?,
        masks: match masks {
            Some(masks) => call.read("masks", masks.words(), &[DType::U32])?,
            None => Address::NULL,
        },
        ids: ids_at,
        rows: extent(n),
        vocabulary: extent(v),
    };
    call.launch(ffi::sampling_draw, &args)?;
    ids.to_vec1().map_err(Error::candle(call.op))
}
