//! Launches of `attention.cu`, and the list of tiles it works through.
//!
//! Invariant: the argument structure equals the one of the same name in the `.cu` file, field for field; the tests launch
//! every entry point with every field set to a value of its own.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::packed::Packed;
use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent, upload};
use crate::error::Result;

#[repr(C)]
struct AttentionArgs {
    q: Address,
    k: Address,
    v: Address,
    d_o: Address,
    o: Address,
    dq: Address,
    dk: Address,
    dv: Address,
    lse: Address,
    delta: Address,
    tiles: Address,
    rows: i64,
    heads: i64,
    kv_heads: i64,
    dim: i64,
    tile_count: i64,
    scale: f32,
    dtype: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn attention_forward(args: *const AttentionArgs, stream: Stream) -> i32;
    fn attention_backward(args: *const AttentionArgs, stream: Stream) -> i32;
}

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

/// The arguments that both passes share, and the list of tiles that they point into.
fn arguments(call: &Call<'_>, packed: &Packed, spans: &[Range<usize>], scale: f64) -> Result<(AttentionArgs, Tensor)> {
    let list = tiles(spans);
    let tiles = upload(call.op, &list, call.device)?;
    let none = Address::NULL;
    let args = AttentionArgs {
        q: packed.q,
        k: packed.k,
        v: packed.v,
        d_o: none,
        o: none,
        dq: none,
        dk: none,
        dv: none,
        lse: none,
        delta: none,
        tiles: call.read("tiles", &tiles, &[DType::U32])?,
        rows: extent(packed.n),
        heads: extent(packed.heads.query),
        kv_heads: extent(packed.heads.kv),
        dim: extent(packed.heads.dim),
        tile_count: extent(list.len() / 4),
        scale: scale as f32,
        dtype: dtype_code(packed.dtype),
    };
    Ok((args, tiles))
}

pub(super) fn forward(
    call: &Call<'_>,
    qkv: [&Tensor; 3],
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor)> {
    let packed = Packed::open(call, qkv, spans, FLOATS)?;
    let (args, _tiles) = arguments(call, &packed, spans, scale)?;
    let [(o, o_at), (lse, lse_at)] = packed.outputs(call)?;
    call.launch(attention_forward, &AttentionArgs { o: o_at, lse: lse_at, ..args })?;
    Ok((o, lse))
}

pub(super) fn backward(
    call: &Call<'_>,
    qkv: [&Tensor; 3],
    saved: [&Tensor; 3],
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor, Tensor)> {
    let packed = Packed::open(call, qkv, spans, FLOATS)?;
    let [d_o, o, lse] = packed.saved(call, saved)?;
    let (args, _tiles) = arguments(call, &packed, spans, scale)?;
    let [(dq, dq_at), (dk, dk_at), (dv, dv_at)] = packed.gradients(call)?;
    let (_delta, delta) = call.fresh(DType::F32, &[packed.n, packed.heads.query])?;
    let args = AttentionArgs { d_o, o, lse, delta, dq: dq_at, dk: dk_at, dv: dv_at, ..args };
    call.launch(attention_backward, &args)?;
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
