//! Attention on the CPU: forward by tiles of queries, backward by span and key/value head, on all threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::attend::{Attended, Heads, KEY_BLOCK, KEY_GRAIN, QUERY_BLOCK, QueryTile};
use crate::element::{Element, sum2, wide};
use crate::matmul::{Into, Mat, multiply};

/// (o `[N, H, E]`, lse `[N, H]`).
pub(super) fn forward<T: Element>(
    [q, k, v]: [&[T]; 3],
    heads: Heads,
    n: usize,
    spans: &[Range<usize>],
    scale: T,
) -> (Vec<T>, Vec<T>) {
    let tiles = tiles(spans, heads);
    let done: Vec<Attended<T>> = tiles.par_iter().map(|tile| forward_tile(q, k, v, heads, tile, scale)).collect();
    let (mut o, mut lse) = (vec![T::ZERO; n * heads.query * heads.dim], vec![T::ZERO; n * heads.query]);
    for (tile, attended) in tiles.iter().zip(&done) {
        heads.scatter(&attended.o, &mut o, tile.rows.clone(), tile.kv_head);
        Heads { dim: 1, ..heads }.scatter(&attended.lse, &mut lse, tile.rows.clone(), tile.kv_head);
    }
    (o, lse)
}

/// One block of queries of one span and key/value head.
struct Tile {
    span: Range<usize>,
    rows: Range<usize>,
    kv_head: usize,
}

/// All tiles, those that see most keys first: the last ones to run are then short.
fn tiles(spans: &[Range<usize>], heads: Heads) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for span in spans {
        for start in span.clone().step_by(QUERY_BLOCK) {
            let rows = start..span.end.min(start + QUERY_BLOCK);
            tiles.extend((0..heads.kv).map(|kv_head| Tile { span: span.clone(), rows: rows.clone(), kv_head }));
        }
    }
    tiles.sort_by_key(|tile| std::cmp::Reverse(tile.rows.end - tile.span.start));
    tiles
}

fn forward_tile<T: Element>(q: &[T], k: &[T], v: &[T], heads: Heads, tile: &Tile, scale: T) -> Attended<T> {
    let Tile { span, rows, kv_head } = tile;
    let scaled = heads.gather(q, rows.clone(), *kv_head, scale);
    let mut state = QueryTile::new(scaled, heads, rows.start - span.start);
    for first_key in (0..rows.end - span.start).step_by(KEY_BLOCK) {
        let start = span.start + first_key;
        let keys = (rows.end - start).min(KEY_BLOCK).next_multiple_of(KEY_GRAIN);
        if start + keys <= span.end {
            let block = start..start + keys;
            state.absorb(first_key, heads.kv_rows(k, block.clone(), *kv_head), heads.kv_rows(v, block, *kv_head));
        } else {
            let copy = |data: &[T]| {
                let mut block = vec![T::ZERO; keys * heads.dim];
                for (row, to) in (start..span.end).zip(block.chunks_exact_mut(heads.dim)) {
                    to.copy_from_slice(&data[heads.kv_range(row, *kv_head)]);
                }
                block
            };
            let (k, v) = (copy(k), copy(v));
            state.absorb(first_key, Mat::new(&k, keys, heads.dim), Mat::new(&v, keys, heads.dim));
        }
    }
    state.finish()
}

/// What the backward pass reads.
pub(super) struct Saved<'a, T> {
    pub(super) q: &'a [T],
    pub(super) k: &'a [T],
    pub(super) v: &'a [T],
    pub(super) o: &'a [T],
    pub(super) lse: &'a [T],
    pub(super) d_o: &'a [T],
    pub(super) heads: Heads,
    pub(super) scale: T,
}

/// dq, dk and dv; of one span of T rows and one key/value head `[T·G, E]`, `[T, E]` and `[T, E]`.
pub(super) struct Gradients<T> {
    pub(super) dq: Vec<T>,
    pub(super) dk: Vec<T>,
    pub(super) dv: Vec<T>,
}

/// The gradients of all `n` rows.
pub(super) fn backward<T: Element>(saved: &Saved<'_, T>, n: usize, spans: &[Range<usize>]) -> Gradients<T> {
    let heads = saved.heads;
    let (query_elements, kv_elements) = (n * heads.query * heads.dim, n * heads.kv * heads.dim);
    let (mut dq, mut dk) = (vec![T::ZERO; query_elements], vec![T::ZERO; kv_elements]);
    let mut dv = vec![T::ZERO; kv_elements];
    let tasks: Vec<(Range<usize>, usize)> =
        spans.iter().flat_map(|span| (0..heads.kv).map(move |kv_head| (span.clone(), kv_head))).collect();
    let done: Vec<Gradients<T>> =
        tasks.par_iter().map(|(span, kv_head)| backward_head(saved, span.clone(), *kv_head)).collect();
    for ((span, kv_head), gradients) in tasks.into_iter().zip(done) {
        heads.scatter(&gradients.dq, &mut dq, span.clone(), kv_head);
        let one = Heads { query: heads.kv, ..heads };
        one.scatter(&gradients.dk, &mut dk, span.clone(), kv_head);
        one.scatter(&gradients.dv, &mut dv, span, kv_head);
    }
    Gradients { dq, dk, dv }
}

fn backward_head<T: Element>(saved: &Saved<'_, T>, span: Range<usize>, kv_head: usize) -> Gradients<T> {
    let Saved { heads, scale, .. } = *saved;
    let (e, group, tokens) = (heads.dim, heads.group(), span.len());
    let q = heads.gather(saved.q, span.clone(), kv_head, scale);
    let d_o = heads.gather(saved.d_o, span.clone(), kv_head, T::ONE);
    let o = heads.gather(saved.o, span.clone(), kv_head, T::ONE);
    let lse = Heads { dim: 1, ..heads }.gather(saved.lse, span.clone(), kv_head, T::ONE);
    let delta: Vec<T> =
        wide!(d_o.chunks_exact(e).zip(o.chunks_exact(e)).map(|(a, b)| sum2(a, b, |a, b| a * b)).collect());
    let mut dq = vec![T::ZERO; q.len()];
    let (mut dk, mut dv) = (vec![T::ZERO; tokens * e], vec![T::ZERO; tokens * e]);
    let mut p = vec![T::ZERO; QUERY_BLOCK * group * KEY_BLOCK];
    let mut ds = p.clone();
    for key in (0..tokens).step_by(KEY_BLOCK) {
        let keys = KEY_BLOCK.min(tokens - key);
        let block = span.start + key..span.start + key + keys;
        let (k, v) = (heads.kv_rows(saved.k, block.clone(), kv_head), heads.kv_rows(saved.v, block, kv_head));
        let (dk, dv) = (&mut dk[key * e..(key + keys) * e], &mut dv[key * e..(key + keys) * e]);
        for query in (key / QUERY_BLOCK * QUERY_BLOCK..tokens).step_by(QUERY_BLOCK) {
            let rows = query * group..tokens.min(query + QUERY_BLOCK) * group;
            let elements = rows.start * e..rows.end * e;
            let (q, d_o) =
                (Mat::new(&q[elements.clone()], rows.len(), e), Mat::new(&d_o[elements.clone()], rows.len(), e));
            let (p, ds) = (&mut p[..rows.len() * keys], &mut ds[..rows.len() * keys]);
            multiply(p, Into::Replace, q, k.t());
            multiply(ds, Into::Replace, d_o, v.t());
            let seen = |row: usize| (query + row / group + 1).saturating_sub(key).min(keys);
            wide!(score_gradients(p, ds, keys, &lse[rows.clone()], &delta[rows.clone()], seen));
            let (p, ds) = (Mat::new(p, rows.len(), keys), Mat::new(ds, rows.len(), keys));
            multiply(dv, Into::Add, p.t(), d_o);
            multiply(dk, Into::Add, ds.t(), q);
            multiply(&mut dq[elements], Into::Add, ds, k);
        }
    }
    wide!(dq.iter_mut().for_each(|x| *x *= scale));
    Gradients { dq, dk, dv }
}

/// Replaces scores by probabilities, and the probabilities' gradients by the scores'.
#[inline(always)]
fn score_gradients<T: Element>(
    p: &mut [T],
    ds: &mut [T],
    keys: usize,
    lse: &[T],
    delta: &[T],
    seen: impl Fn(usize) -> usize,
) {
    let rows = p.chunks_exact_mut(keys).zip(ds.chunks_exact_mut(keys));
    for (row, ((p, ds), (&lse, &delta))) in rows.zip(lse.iter().zip(delta)).enumerate() {
        let seen = seen(row);
        p[seen..].fill(T::ZERO);
        ds[seen..].fill(T::ZERO);
        for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
            *p = (*p - lse).exp();
            *ds = *p * (*ds - delta);
        }
    }
}
