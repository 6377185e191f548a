//! Causal attention over a packed row of documents, for training.
//!
//! Formula, inside each span and per query head h with key/value head h / (H/K): s = scale · q · kᵀ for keys up to the
//! query's position, p = softmax(s), o = p · v, lse = ln Σ exp(s). Backward, with δ = Σ do · o:
//! ds = p · (do · vᵀ − δ), dq = scale · ds · k, dk = scale · dsᵀ · q, dv = pᵀ · do.
//! Shapes: q, o `[N, H, E]`, k, v `[N, K, E]`, lse `[N, H]`; spans are disjoint ranges of rows. Rows in no span attend
//! to nothing: their o, lse and gradients are zero.
//! Memory: O(N) beside the outputs; scores exist for one tile at a time. Blocks beyond the diagonal are skipped.
//! Accumulation: in the element type; blocks of 128 keys in ascending order, and in the backward pass blocks of 64
//! queries in ascending order.
//! Determinism: bit-equal over runs and thread counts; a span's result does not depend on the other spans.
//! Source: Dao, FlashAttention-2, 2023.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::device::DeviceError;
#[cfg(recon_device)]
use crate::device::attention as device;
#[cfg(feature = "cudnn")]
use crate::device::cudnn;
use crate::element::{Element, for_element, sum2, wide};
use crate::error::{Error, Result};
use crate::matmul::{Into, Mat, multiply};
use crate::operand::{Operand, fresh};
use crate::tile::{Attended, Heads, KEY_BLOCK, KEY_GRAIN, QUERY_BLOCK, QueryTile};

/// Who computes attention on a GPU. The CPU has one way, whatever is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// `kernels/attention.cu`.
    #[default]
    Own,
    /// cuDNN's graphs: bf16, head dimensions up to 128; needs the feature `cudnn` and the library.
    Cudnn,
}

impl Backend {
    /// Refuses a backend that this program or this machine does not have.
    ///
    /// # Errors
    /// [`DeviceError::WithoutCudnn`] and [`DeviceError::Cudnn`].
    pub fn check(self) -> Result<(), DeviceError> {
        match self {
            Self::Own => Ok(()),
            #[cfg(feature = "cudnn")]
            Self::Cudnn => crate::device::cudnn::check(),
            #[cfg(not(feature = "cudnn"))]
            Self::Cudnn => Err(DeviceError::WithoutCudnn),
        }
    }

    /// As [`forward`].
    ///
    /// # Errors
    /// As [`forward`]; from cuDNN also its own refusals.
    pub fn forward(
        self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        spans: &[Range<usize>],
        scale: f64,
    ) -> Result<(Tensor, Tensor)> {
        #[cfg(feature = "cudnn")]
        if self == Self::Cudnn {
            on_device!("attention::forward", q, call => cudnn::forward(&call, [q, k, v], spans, scale));
        }
        forward(q, k, v, spans, scale)
    }

    /// As [`backward`].
    ///
    /// # Errors
    /// As [`backward`]; from cuDNN also its own refusals.
    #[expect(clippy::too_many_arguments, reason = "the operands of one formula, none of them optional")]
    pub fn backward(
        self,
        d_o: &Tensor,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        o: &Tensor,
        lse: &Tensor,
        spans: &[Range<usize>],
        scale: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        #[cfg(feature = "cudnn")]
        if self == Self::Cudnn {
            on_device!("attention::backward", d_o, call =>
                cudnn::backward(&call, [q, k, v], [d_o, o, lse], spans, scale));
        }
        backward(d_o, q, k, v, o, lse, spans, scale)
    }
}

/// (o `[N, H, E]`, log-sum-exp `[N, H]`).
///
/// # Errors
/// Shapes that contradict each other, spans that overlap or leave the row, an unsupported device, element type or
/// layout.
pub fn forward(q: &Tensor, k: &Tensor, v: &Tensor, spans: &[Range<usize>], scale: f64) -> Result<(Tensor, Tensor)> {
    const OP: &str = "attention::forward";
    on_device!(OP, q, call => device::forward(&call, [q, k, v], spans, scale));
    let (q, k, v) = (Operand::open(OP, "q", q)?, Operand::open(OP, "k", k)?, Operand::open(OP, "v", v)?);
    let (n, heads) = extents(OP, &q, &k, &v)?;
    check_spans(OP, spans, n)?;
    for_element!(q.dtype(), T => {
        let (q, k, v) = (q.slice::<T>()?, k.slice::<T>()?, v.slice::<T>()?);
        let tiles = tiles(spans, heads);
        let done: Vec<Attended<T>> =
            tiles.par_iter().map(|tile| forward_tile(q, k, v, heads, tile, T::rounded(scale))).collect();
        let (mut o, mut lse) = (vec![T::ZERO; n * heads.query * heads.dim], vec![T::ZERO; n * heads.query]);
        for (tile, attended) in tiles.iter().zip(&done) {
            heads.scatter(&attended.o, &mut o, tile.rows.clone(), tile.kv_head);
            Heads { dim: 1, ..heads }.scatter(&attended.lse, &mut lse, tile.rows.clone(), tile.kv_head);
        }
        Ok((fresh(OP, o, &[n, heads.query, heads.dim])?, fresh(OP, lse, &[n, heads.query])?))
    })
}

/// (dq `[N, H, E]`, dk `[N, K, E]`, dv `[N, K, E]`) from the gradient of o and what the forward pass read and returned.
///
/// # Errors
/// As [`forward`].
#[expect(clippy::too_many_arguments, reason = "the operands of one formula, none of them optional")]
pub fn backward(
    d_o: &Tensor,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    o: &Tensor,
    lse: &Tensor,
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor, Tensor)> {
    const OP: &str = "attention::backward";
    on_device!(OP, d_o, call => device::backward(&call, [q, k, v], [d_o, o, lse], spans, scale));
    let (q, k, v) = (Operand::open(OP, "q", q)?, Operand::open(OP, "k", k)?, Operand::open(OP, "v", v)?);
    let (d_o, o, lse) = (Operand::open(OP, "d_o", d_o)?, Operand::open(OP, "o", o)?, Operand::open(OP, "lse", lse)?);
    let (n, heads) = extents(OP, &q, &k, &v)?;
    d_o.expect(&[n, heads.query, heads.dim])?;
    o.expect(&[n, heads.query, heads.dim])?;
    lse.expect(&[n, heads.query])?;
    check_spans(OP, spans, n)?;
    for_element!(q.dtype(), T => {
        let (query_elements, kv_elements) = (n * heads.query * heads.dim, n * heads.kv * heads.dim);
        let (mut dq, mut dk) = (vec![T::ZERO; query_elements], vec![T::ZERO; kv_elements]);
        let mut dv = vec![T::ZERO; kv_elements];
        let saved = Saved::<T> {
            q: q.slice()?,
            k: k.slice()?,
            v: v.slice()?,
            o: o.slice()?,
            lse: lse.slice()?,
            d_o: d_o.slice()?,
            heads,
            scale: T::rounded(scale),
        };
        let tasks: Vec<(Range<usize>, usize)> =
            spans.iter().flat_map(|span| (0..heads.kv).map(move |kv_head| (span.clone(), kv_head))).collect();
        let done: Vec<Gradients<T>> =
            tasks.par_iter().map(|(span, kv_head)| backward_head(&saved, span.clone(), *kv_head)).collect();
        for ((span, kv_head), gradients) in tasks.into_iter().zip(done) {
            heads.scatter(&gradients.dq, &mut dq, span.clone(), kv_head);
            let one = Heads { query: heads.kv, ..heads };
            one.scatter(&gradients.dk, &mut dk, span.clone(), kv_head);
            one.scatter(&gradients.dv, &mut dv, span, kv_head);
        }
        let (query_shape, kv_shape) = ([n, heads.query, heads.dim], [n, heads.kv, heads.dim]);
        Ok((fresh(OP, dq, &query_shape)?, fresh(OP, dk, &kv_shape)?, fresh(OP, dv, &kv_shape)?))
    })
}

fn extents(op: &'static str, q: &Operand<'_>, k: &Operand<'_>, v: &Operand<'_>) -> Result<(usize, Heads)> {
    let [n, query, dim] = q.dims("[N, H, E]")?;
    let [_, kv, _] = k.dims("[N, K, E]")?;
    k.expect(&[n, kv, dim])?;
    v.expect(&[n, kv, dim])?;
    check_heads(op, Heads { query, kv, dim }).map(|heads| (n, heads))
}

pub(crate) fn check_heads(op: &'static str, heads: Heads) -> Result<Heads> {
    let Heads { query, kv, dim } = heads;
    if kv == 0 || query == 0 || dim == 0 || !query.is_multiple_of(kv) {
        let message = format!("{query} query heads of dimension {dim} do not divide among {kv} key/value heads");
        return Err(Error::Argument { op, message });
    }
    Ok(heads)
}

pub(crate) fn check_spans(op: &'static str, spans: &[Range<usize>], n: usize) -> Result<()> {
    let mut sorted: Vec<&Range<usize>> = spans.iter().collect();
    sorted.sort_by_key(|span| (span.start, span.end));
    let mut end = 0;
    for span in sorted {
        if span.start > span.end || span.start < end || span.end > n {
            let message = format!("span {span:?} is reversed, overlaps another or leaves the {n} rows");
            return Err(Error::Argument { op, message });
        }
        end = span.end;
    }
    Ok(())
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
struct Saved<'a, T> {
    q: &'a [T],
    k: &'a [T],
    v: &'a [T],
    o: &'a [T],
    lse: &'a [T],
    d_o: &'a [T],
    heads: Heads,
    scale: T,
}

/// Of one span and key/value head: dq `[T·G, E]`, dk and dv `[T, E]`.
struct Gradients<T> {
    dq: Vec<T>,
    dk: Vec<T>,
    dv: Vec<T>,
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
