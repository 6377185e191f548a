//! Launches of `attention.cu`, and the list of tiles it works through.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::call::{Address, Call, FLOATS, dtype_code, extent};
use super::ffi;
use super::uploads::upload;
use crate::attention::{check_heads, check_spans};
use crate::error::{Error, Result};
use crate::tile::Heads;

/// Rows of a tile, as in the `.cu` file.
const TILE_ROWS: usize = 64;

/// First row, rows, first and end row of the span, for every tile; those that see most keys first.
fn tiles(spans: &[Range<usize>]) -> Vec<u32> {
    let mut tiles: Vec<[usize; 4]> = Vec::new();
    for span in spans {
        tiles.extend(
            span.clone().step_by(TILE_ROWS).map(|first| [first, TILE_ROWS.min(span.end - first), span.start, span.end]),
        );
    }
    tiles.sort_by_key(|&[first, rows, start, _]| std::cmp::Reverse(first + rows - start));
    tiles.into_iter().flatten().map(|value| u32::try_from(value).expect("a row has fewer than 2³² tokens")).collect()
}

/// Refuses what the kernels cannot take: heads too wide or not made of groups of 16 bytes.
pub(super) fn check_dim(op: &'static str, dim: usize, dtype: DType) -> Result<()> {
    let group = 16 / dtype.size_in_bytes();
    if dim > 128 || !dim.is_multiple_of(group) {
        let message = format!("head dimension {dim} on the device: expected a multiple of {group}, at most 128");
        return Err(Error::Argument { op, message });
    }
    Ok(())
}

/// Refuses addresses that 16-byte copies cannot take.
pub(super) fn check_aligned(op: &'static str, addresses: &[Address]) -> Result<()> {
    if addresses.iter().any(|address| !(address.0 as usize).is_multiple_of(16)) {
        let message = "an operand on the device does not begin at a multiple of 16 bytes".to_owned();
        return Err(Error::Argument { op, message });
    }
    Ok(())
}

struct Operands {
    args: ffi::AttentionArgs,
    n: usize,
    heads: Heads,
    dtype: DType,
    _tiles: Tensor,
}

fn open(call: &Call<'_>, [q, k, v]: [&Tensor; 3], spans: &[Range<usize>], scale: f64) -> Result<Operands> {
    let [n, query, dim] = call.dims("q", q, "[N, H, E]")?;
    let [_, kv, _] = call.dims("k", k, "[N, K, E]")?;
    let (heads, dtype) = (check_heads(call.op, Heads { query, kv, dim })?, q.dtype());
    check_spans(call.op, spans, n)?;
    let q = call.read("q", q, FLOATS)?;
    let k = call.read_shaped("k", k, &[n, kv, dim], dtype)?;
    let v = call.read_shaped("v", v, &[n, kv, dim], dtype)?;
    check_dim(call.op, dim, dtype)?;
    check_aligned(call.op, &[q, k, v])?;
    let list = tiles(spans);
    let tiles = upload(call.op, &list, call.device)?;
    let none = Address::NULL;
    let args = ffi::AttentionArgs {
        q,
        k,
        v,
        d_o: none,
        o: none,
        dq: none,
        dk: none,
        dv: none,
        lse: none,
        delta: none,
        tiles: call.read("tiles", &tiles, &[DType::U32])?,
        rows: extent(n),
        heads: extent(query),
        kv_heads: extent(kv),
        dim: extent(dim),
        tile_count: extent(list.len() / 4),
        scale: scale as f32,
        dtype: dtype_code(dtype),
    };
    Ok(Operands { args, n, heads, dtype, _tiles: tiles })
}

/// A result that the tiles write; rows in no span are zero.
pub(super) fn result(call: &Call<'_>, dtype: DType, shape: &[usize], covered: bool) -> Result<(Tensor, Address)> {
    let (tensor, address) = call.fresh(dtype, shape)?;
    if !covered && tensor.elem_count() > 0 {
        tensor.zero_set().map_err(Error::candle(call.op))?;
    }
    Ok((tensor, address))
}

pub(super) fn covers(spans: &[Range<usize>], n: usize) -> bool {
    spans.iter().map(ExactSizeIterator::len).sum::<usize>() == n
}

pub(crate) fn forward(
    call: &Call<'_>,
    qkv: [&Tensor; 3],
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor)> {
    let Operands { args, n, heads, dtype, .. } = open(call, qkv, spans, scale)?;
    let covered = covers(spans, n);
    let (o, o_at) = result(call, dtype, &[n, heads.query, heads.dim], covered)?;
    let (lse, lse_at) = result(call, DType::F32, &[n, heads.query], covered)?;
    call.launch(ffi::attention_forward, &ffi::AttentionArgs { o: o_at, lse: lse_at, ..args })?;
    Ok((o, lse))
}

pub(crate) fn backward(
    call: &Call<'_>,
    qkv: [&Tensor; 3],
    [d_o, o, lse]: [&Tensor; 3],
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor, Tensor)> {
    let Operands { args, n, heads, dtype, .. } = open(call, qkv, spans, scale)?;
    let (queries, keys) = ([n, heads.query, heads.dim], [n, heads.kv, heads.dim]);
    let d_o = call.read_shaped("d_o", d_o, &queries, dtype)?;
    let o = call.read_shaped("o", o, &queries, dtype)?;
    let lse = call.read_shaped("lse", lse, &[n, heads.query], DType::F32)?;
    check_aligned(call.op, &[d_o])?;
    let covered = covers(spans, n);
    let (dq, dq_at) = result(call, dtype, &queries, covered)?;
    let (dk, dk_at) = result(call, dtype, &keys, covered)?;
    let (dv, dv_at) = result(call, dtype, &keys, covered)?;
    let (_delta, delta) = call.fresh(DType::F32, &[n, heads.query])?;
    let args = ffi::AttentionArgs { d_o, o, lse, delta, dq: dq_at, dk: dk_at, dv: dv_at, ..args };
    call.launch(ffi::attention_backward, &args)?;
    Ok((dq, dk, dv))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_row_of_every_span_once_and_the_widest_come_first() {
        let spans = [0..1, 1..130, 200..264];
        let tiles: Vec<u32> = tiles(&spans);
        let mut rows: Vec<usize> = Vec::new();
        let mut seen = usize::MAX;
        for tile in tiles.chunks_exact(4) {
            let [first, count, start, end] = [tile[0], tile[1], tile[2], tile[3]].map(|x| x as usize);
            assert!(spans.contains(&(start..end)) && first >= start && first + count <= end);
            assert!(first + count - start <= seen);
            seen = first + count - start;
            rows.extend(first..first + count);
        }
        rows.sort_unstable();
        assert_eq!(rows, spans.into_iter().flatten().collect::<Vec<_>>());
    }
}
