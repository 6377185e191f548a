//! Query heads and the key/value heads they share: how many, and where each lies in a row.
//!
//! Legend: `H` query heads, `K` key/value heads, `G` = H/K query heads that share one, `E` head dimension.

use std::ops::Range;

use crate::element::Element;
use crate::error::{Error, Result};
use crate::matmul::Mat;

/// The extents of attention operands.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) query: usize,
    pub(crate) kv: usize,
    pub(crate) dim: usize,
}

impl Heads {
    /// Refuses query heads that do not divide among the key/value heads.
    pub(crate) fn new(op: &'static str, query: usize, kv: usize, dim: usize) -> Result<Self> {
        if kv == 0 || query == 0 || dim == 0 || !query.is_multiple_of(kv) {
            let message = format!("{query} query heads of dimension {dim} do not divide among {kv} key/value heads");
            return Err(Error::Argument { op, message });
        }
        Ok(Self { query, kv, dim })
    }

    /// Query heads that share a key/value head.
    pub(crate) fn group(&self) -> usize {
        self.query / self.kv
    }

    /// Where the group of `kv_head` begins in row `row` of a `[N, H, E]` tensor, and how many elements it has.
    pub(crate) fn group_range(&self, row: usize, kv_head: usize) -> Range<usize> {
        let length = self.group() * self.dim;
        let start = row * self.query * self.dim + kv_head * length;
        start..start + length
    }

    /// Where `kv_head` begins in row `row` of a `[N, K, E]` tensor.
    pub(crate) fn kv_range(&self, row: usize, kv_head: usize) -> Range<usize> {
        let start = (row * self.kv + kv_head) * self.dim;
        start..start + self.dim
    }

    /// The rows `rows` of one key/value head of a `[N, K, E]` tensor.
    pub(crate) fn kv_rows<'a, T>(&self, data: &'a [T], rows: Range<usize>, kv_head: usize) -> Mat<'a, T> {
        Mat::strided(&data[self.kv_range(rows.start, kv_head).start..], rows.len(), self.dim, self.kv * self.dim)
    }

    /// The group's rows of a `[N, H, E]` tensor, multiplied by `factor`: `[rows · G, E]`.
    pub(crate) fn gather<T: Element>(&self, data: &[T], rows: Range<usize>, kv_head: usize, factor: T) -> Vec<T> {
        let mut tile = Vec::with_capacity(rows.len() * self.group() * self.dim);
        for row in rows {
            tile.extend(data[self.group_range(row, kv_head)].iter().map(|&x| x * factor));
        }
        tile
    }

    /// The inverse of [`Heads::gather`].
    pub(crate) fn scatter<T: Element>(&self, tile: &[T], data: &mut [T], rows: Range<usize>, kv_head: usize) {
        let length = self.group() * self.dim;
        for (tile, row) in tile.chunks_exact(length.max(1)).zip(rows) {
            data[self.group_range(row, kv_head)].copy_from_slice(tile);
        }
    }
}
