//! Keys and values in fixed-size pages, and causal attention of token runs to them, for serving.
//!
//! Formula: as `attention`; query i of a run stands at position first_position + i and sees keys 0..=position.
//! Shapes: q, o `[N, H, E]`, k, v `[N, K, E]`, pages `[P, S, K, E]` with `S` slots a page. Position p of a run lies in
//! slot p % S of page `pages[p / S]`; a slot is addressed as page · S + offset. Rows in no run get zeros.
//! Accumulation and determinism: as `attention`, and a row's result is bit-equal whatever else is in the call: other
//! runs, or the same run in one piece, in chunks or token by token.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::attention::check_heads;
#[cfg(recon_device)]
use crate::device::paged as device;
use crate::element::{Element, for_element};
use crate::error::{Error, Result};
use crate::matmul::Mat;
use crate::operand::{Destination, Operand, check_indices, fresh, write as write_tensor};
use crate::tile::{Attended, Heads, KEY_BLOCK, KEY_GRAIN, QUERY_BLOCK, QueryTile};

/// Consecutive tokens of one sequence within a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagedRun {
    /// The call's rows that hold the run.
    pub rows: Range<usize>,
    /// The position of its first token in its sequence.
    pub first_position: usize,
    /// The sequence's pages, from position 0; at least as many as the last position needs.
    pub pages: Vec<u32>,
}

/// Writes row i of k and v `[N, K, E]` to slot `slots[i]` of the pages `[P, S, K, E]`.
///
/// # Errors
/// Shapes that contradict each other, a slot outside the pages, pages that share a storage with an input, an unsupported device, element type or layout.
pub fn write(k: &Tensor, v: &Tensor, k_pages: &Tensor, v_pages: &Tensor, slots: &[u32]) -> Result<()> {
    const OP: &str = "paged::write";
    let (pages, page_slots) = check_slots(OP, k, k_pages, slots)?;
    on_device!(OP, k, call => {
        let [_, kv, dim] = call.dims("k", k, "[N, K, E]")?;
        device::write(&call, [k, v, k_pages, v_pages], slots, [pages, page_slots, kv, dim])
    });
    let (k, v) = (Operand::open(OP, "k", k)?, Operand::open(OP, "v", v)?);
    let [n, kv, dim] = k.dims("[N, K, E]")?;
    v.expect(&[n, kv, dim])?;
    let shape = [pages, page_slots, kv, dim];
    for_element!(k.dtype(), T => {
        for (name, tensor, source) in [("k_pages", k_pages, &k), ("v_pages", v_pages, &v)] {
            let rows = source.slice::<T>()?;
            let length = kv * dim;
            write_tensor(OP, &Destination { name, tensor, shape: &shape }, &[&k, &v], |pages: &mut [T]| {
                for (&slot, row) in slots.iter().zip(rows.chunks_exact(length.max(1))) {
                    pages[slot as usize * length..][..length].copy_from_slice(row);
                }
            })?;
        }
        Ok(())
    })
}

/// (P, S), where every row of k has a slot inside them.
fn check_slots(op: &'static str, k: &Tensor, k_pages: &Tensor, slots: &[u32]) -> Result<(usize, usize)> {
    let (n, pages, page_slots) = (k.dim(0).unwrap_or(0), k_pages.dim(0).unwrap_or(0), k_pages.dim(1).unwrap_or(0));
    if slots.len() != n {
        return Err(Error::Argument { op, message: format!("{n} rows, but {} slots", slots.len()) });
    }
    check_indices(op, "slots", slots, pages * page_slots)?;
    Ok((pages, page_slots))
}

/// o `[N, H, E]` of q `[N, H, E]` over the keys and values in pages.
///
/// # Errors
/// Shapes that contradict each other, runs that overlap, leave the rows or lack pages, a page that does not exist, an
/// unsupported device, element type or layout.
pub fn attention(q: &Tensor, k_pages: &Tensor, v_pages: &Tensor, runs: &[PagedRun], scale: f64) -> Result<Tensor> {
    const OP: &str = "paged::attention";
    on_device!(OP, q, call => device::attention(&call, [q, k_pages, v_pages], runs, scale));
    let q = Operand::open(OP, "q", q)?;
    let (k, v) = (Operand::open(OP, "k_pages", k_pages)?, Operand::open(OP, "v_pages", v_pages)?);
    let [n, query, dim] = q.dims("[N, H, E]")?;
    let [pages, page_slots, kv, _] = k.dims("[P, S, K, E]")?;
    k.expect(&[pages, page_slots, kv, dim])?;
    v.expect(&[pages, page_slots, kv, dim])?;
    let heads = check_heads(OP, Heads { query, kv, dim })?;
    check_runs(OP, runs, n, pages, page_slots)?;
    for_element!(q.dtype(), T => {
        let cache = Cache { k: k.slice::<T>()?, v: v.slice::<T>()?, page_slots, heads };
        let q = q.slice::<T>()?;
        let tiles = tiles(runs, heads);
        let done: Vec<Attended<T>> = tiles.par_iter().map(|tile| cache.attend(q, tile, T::rounded(scale))).collect();
        let mut o = vec![T::ZERO; n * query * dim];
        for (tile, attended) in tiles.iter().zip(&done) {
            heads.scatter(&attended.o, &mut o, tile.rows(), tile.kv_head);
        }
        fresh(OP, o, &[n, query, dim])
    })
}

pub(crate) fn check_runs(op: &'static str, runs: &[PagedRun], n: usize, pages: usize, page_slots: usize) -> Result<()> {
    let mut taken = vec![false; n];
    for PagedRun { rows, first_position, pages: held } in runs {
        let free = rows.start <= rows.end && rows.end <= n && !taken[rows.clone()].contains(&true);
        if !free {
            let message = format!("run over rows {rows:?} is reversed, overlaps another or leaves the {n} rows");
            return Err(Error::Argument { op, message });
        }
        taken[rows.clone()].fill(true);
        let positions = first_position + rows.len();
        if !rows.is_empty() && held.len() * page_slots < positions {
            let message = format!("{} pages of {page_slots} do not hold {positions} positions", held.len());
            return Err(Error::Argument { op, message });
        }
        check_indices(op, "runs.pages", held, pages)?;
    }
    Ok(())
}

/// One block of queries of one run and key/value head; `start` counts from the run's first row.
struct Tile<'r> {
    run: &'r PagedRun,
    start: usize,
    kv_head: usize,
}

impl Tile<'_> {
    fn rows(&self) -> Range<usize> {
        let start = self.run.rows.start + self.start;
        start..self.run.rows.end.min(start + QUERY_BLOCK)
    }

    fn first_position(&self) -> usize {
        self.run.first_position + self.start
    }
}

/// All tiles, those that see most keys first.
fn tiles(runs: &[PagedRun], heads: Heads) -> Vec<Tile<'_>> {
    let mut tiles = Vec::new();
    for run in runs {
        for start in (0..run.rows.len()).step_by(QUERY_BLOCK) {
            tiles.extend((0..heads.kv).map(|kv_head| Tile { run, start, kv_head }));
        }
    }
    tiles.sort_by_key(|tile| std::cmp::Reverse(tile.first_position()));
    tiles
}

struct Cache<'a, T> {
    k: &'a [T],
    v: &'a [T],
    page_slots: usize,
    heads: Heads,
}

impl<T: Element> Cache<'_, T> {
    fn attend(&self, q: &[T], tile: &Tile<'_>, scale: T) -> Attended<T> {
        let (rows, heads) = (tile.rows(), self.heads);
        let positions = tile.first_position() + rows.len();
        let mut state = QueryTile::new(heads.gather(q, rows, tile.kv_head, scale), heads, tile.first_position());
        let (mut k, mut v) = (vec![T::ZERO; KEY_BLOCK * heads.dim], vec![T::ZERO; KEY_BLOCK * heads.dim]);
        for first_key in (0..positions).step_by(KEY_BLOCK) {
            let keys = (positions - first_key).min(KEY_BLOCK);
            for (i, position) in (first_key..first_key + keys).enumerate() {
                let page = tile.run.pages[position / self.page_slots] as usize;
                let slot = heads.kv_range(page * self.page_slots + position % self.page_slots, tile.kv_head);
                k[i * heads.dim..(i + 1) * heads.dim].copy_from_slice(&self.k[slot.clone()]);
                v[i * heads.dim..(i + 1) * heads.dim].copy_from_slice(&self.v[slot]);
            }
            let padded = keys.next_multiple_of(KEY_GRAIN);
            k[keys * heads.dim..padded * heads.dim].fill(T::ZERO);
            v[keys * heads.dim..padded * heads.dim].fill(T::ZERO);
            state.absorb(first_key, Mat::new(&k, padded, heads.dim), Mat::new(&v, padded, heads.dim));
        }
        state.finish()
    }
}
