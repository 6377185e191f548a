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

/// The operands that every backend reads, checked, and the results that it writes.
pub(super) struct Packed {
    pub(super) q: Address,
    pub(super) k: Address,
    pub(super) v: Address,
    pub(super) n: usize,
    pub(super) heads: Heads,
    dtype: DType,
    /// Whether every row lies in a span; other rows are zero.
    covered: bool,
}

impl Packed {
    /// Refuses operands of other types than `dtypes`, and what no backend can take.
    pub(super) fn open(
        call: &Call<'_>,
        [q, k, v]: [&Tensor; 3],
        spans: &[Range<usize>],
        dtypes: &[DType],
    ) -> Result<Self> {
        let [n, query, dim] = call.dims("q", q, "[N, H, E]")?;
        let [_, kv, _] = call.dims("k", k, "[N, K, E]")?;
        let (heads, dtype) = (check_heads(call.op, Heads { query, kv, dim })?, q.dtype());
        check_spans(call.op, spans, n)?;
        let q = call.read("q", q, dtypes)?;
        let k = call.read_shaped("k", k, &[n, kv, dim], dtype)?;
        let v = call.read_shaped("v", v, &[n, kv, dim], dtype)?;
        check_dim(call.op, dim, dtype)?;
        check_aligned(call.op, &[q, k, v])?;
        let covered = spans.iter().map(ExactSizeIterator::len).sum::<usize>() == n;
        Ok(Self { q, k, v, n, heads, dtype, covered })
    }

    fn queries(&self) -> [usize; 3] {
        [self.n, self.heads.query, self.heads.dim]
    }

    /// What the backward pass also reads: d_o, o and lse.
    pub(super) fn saved(&self, call: &Call<'_>, [d_o, o, lse]: [&Tensor; 3]) -> Result<[Address; 3]> {
        let d_o = call.read_shaped("d_o", d_o, &self.queries(), self.dtype)?;
        let o = call.read_shaped("o", o, &self.queries(), self.dtype)?;
        check_aligned(call.op, &[d_o, o])?;
        Ok([d_o, o, call.read_shaped("lse", lse, &self.queries()[..2], DType::F32)?])
    }

    /// o and lse.
    pub(super) fn outputs(&self, call: &Call<'_>) -> Result<[(Tensor, Address); 2]> {
        let queries = self.queries();
        Ok([self.result(call, self.dtype, &queries)?, self.result(call, DType::F32, &queries[..2])?])
    }

    /// dq, dk and dv.
    pub(super) fn gradients(&self, call: &Call<'_>) -> Result<[(Tensor, Address); 3]> {
        let keys = [self.n, self.heads.kv, self.heads.dim];
        let result = |shape| self.result(call, self.dtype, shape);
        Ok([result(&self.queries())?, result(&keys)?, result(&keys)?])
    }

    fn result(&self, call: &Call<'_>, dtype: DType, shape: &[usize]) -> Result<(Tensor, Address)> {
        let (tensor, address) = call.fresh(dtype, shape)?;
        if !self.covered && tensor.elem_count() > 0 {
            tensor.zero_set().map_err(Error::candle(call.op))?;
        }
        Ok((tensor, address))
    }
}

/// Refuses heads too wide, or not made of groups of 16 bytes.
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

/// The arguments that both passes share, and the list of tiles that they point into.
fn arguments(
    call: &Call<'_>,
    packed: &Packed,
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(ffi::AttentionArgs, Tensor)> {
    let list = tiles(spans);
    let tiles = upload(call.op, &list, call.device)?;
    let none = Address::NULL;
    let args = ffi::AttentionArgs {
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

pub(crate) fn forward(
    call: &Call<'_>,
    qkv: [&Tensor; 3],
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor)> {
    let packed = Packed::open(call, qkv, spans, FLOATS)?;
    let (args, _tiles) = arguments(call, &packed, spans, scale)?;
    let [(o, o_at), (lse, lse_at)] = packed.outputs(call)?;
    call.launch(ffi::attention_forward, &ffi::AttentionArgs { o: o_at, lse: lse_at, ..args })?;
    Ok((o, lse))
}

pub(crate) fn backward(
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
