//! What every backend on a device reads and writes: packed rows checked and turned into addresses, results allocated.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::spans::check_spans;
use crate::attend::Heads;
use crate::attend::device::{check_aligned, check_dim};
use crate::device::{Address, Call};
use crate::error::{Error, Result};

/// The operands that every backend reads, checked, and the results that it writes.
pub(super) struct Packed {
    pub(super) q: Address,
    pub(super) k: Address,
    pub(super) v: Address,
    pub(super) n: usize,
    pub(super) heads: Heads,
    pub(super) dtype: DType,
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
        let (heads, dtype) = (Heads::new(call.op, query, kv, dim)?, q.dtype());
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
