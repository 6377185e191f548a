//! Pages on the CPU: rows copied to their slots, and tiles of queries that gather their keys from pages.

use std::ops::Range;

use rayon::prelude::*;

use super::run::PagedRun;
use crate::attend::{Attended, Heads, KEY_BLOCK, KEY_GRAIN, QUERY_BLOCK, QueryTile};
use crate::element::Element;
use crate::matmul::Mat;

/// Copies rows of `length` elements to their slots.
pub(super) fn write<T: Element>(rows: &[T], pages: &mut [T], slots: &[u32], length: usize) {
    for (&slot, row) in slots.iter().zip(rows.chunks_exact(length.max(1))) {
        pages[slot as usize * length..][..length].copy_from_slice(row);
    }
}

/// o `[N, H, E]` of q.
pub(super) fn attention<T: Element>(q: &[T], cache: &Cache<'_, T>, runs: &[PagedRun], n: usize, scale: T) -> Vec<T> {
    let heads = cache.heads;
    let tiles = tiles(runs, heads);
    let done: Vec<Attended<T>> = tiles.par_iter().map(|tile| cache.attend(q, tile, scale)).collect();
    let mut o = vec![T::ZERO; n * heads.query * heads.dim];
    for (tile, attended) in tiles.iter().zip(&done) {
        heads.scatter(&attended.o, &mut o, tile.rows(), tile.kv_head);
    }
    o
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

/// The keys and values in pages.
pub(super) struct Cache<'a, T> {
    pub(super) k: &'a [T],
    pub(super) v: &'a [T],
    pub(super) page_slots: usize,
    pub(super) heads: Heads,
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
