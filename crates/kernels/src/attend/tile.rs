//! The inner loop of causal attention: one tile of queries against blocks of keys, with an online softmax.
//!
//! Legend: `G` query heads that share a key/value head, `R` = positions · G rows of a tile, `E` head dimension.
//!
//! Used by `attention` (keys lie in the packed row) and `paged` (keys lie in pages).
//!
//! Invariant: a row's result is a function of its query, its position and the keys up to it. Blocks of keys start at
//! multiples of [`KEY_BLOCK`] from position 0 whatever the tile; a key that a row does not see contributes an exact
//! zero to sums that began at +0, so it makes no difference whether the tile's other rows make it take part. For the
//! same reason [`QueryTile::absorb`] takes keys in multiples of [`KEY_GRAIN`], filled up with zeros: very short
//! products are summed by other code.
//! Source: Dao, FlashAttention-2, 2023; Milakov and Gimelshein, Online normalizer calculation for softmax, 2018.

use super::heads::Heads;
use crate::element::{Element, maximum, sum1, wide};
use crate::matmul::{Into, Mat, multiply};

/// Keys of one step of the online softmax.
pub(crate) const KEY_BLOCK: usize = 128;
/// Positions of one tile of queries.
pub(crate) const QUERY_BLOCK: usize = 64;
/// Keys are given in multiples of this.
pub(crate) const KEY_GRAIN: usize = 16;

/// A tile of queries and what it has seen so far.
pub(crate) struct QueryTile<T> {
    group: usize,
    dim: usize,
    first_position: usize,
    /// Scaled queries `[R, E]`.
    q: Vec<T>,
    /// Σ exp(s − max) · v, `[R, E]`.
    o: Vec<T>,
    max: Vec<T>,
    sum: Vec<T>,
    scores: Vec<T>,
}

/// The finished tile.
pub(crate) struct Attended<T> {
    /// `[R, E]`
    pub(crate) o: Vec<T>,
    /// ln Σ exp(s), `[R]`
    pub(crate) lse: Vec<T>,
}

impl<T: Element> QueryTile<T> {
    /// `q` holds `[R, E]` scaled queries of consecutive positions from `first_position`, the group's heads innermost.
    pub(crate) fn new(q: Vec<T>, heads: Heads, first_position: usize) -> Self {
        let rows = q.len() / heads.dim;
        Self {
            group: heads.group(),
            dim: heads.dim,
            first_position,
            o: vec![T::ZERO; q.len()],
            max: vec![T::NEG_INFINITY; rows],
            sum: vec![T::ZERO; rows],
            scores: vec![T::ZERO; rows * KEY_BLOCK],
            q,
        }
    }

    /// Attends to keys `first_key..first_key + k.rows`; blocks come in ascending order.
    pub(crate) fn absorb(&mut self, first_key: usize, k: Mat<'_, T>, v: Mat<'_, T>) {
        debug_assert!(first_key.is_multiple_of(KEY_BLOCK) && k.rows.is_multiple_of(KEY_GRAIN));
        let rows = self.max.len();
        let scores = &mut self.scores[..rows * k.rows];
        multiply(scores, Into::Replace, Mat::new(&self.q, rows, self.dim), k.t());
        let (group, first_position) = (self.group, self.first_position);
        let state = self.max.iter_mut().zip(&mut self.sum).zip(self.o.chunks_exact_mut(self.dim));
        wide!({
            for (row, (scores, ((max, sum), o))) in scores.chunks_exact_mut(k.rows).zip(state).enumerate() {
                let seen = (first_position + row / group + 1).saturating_sub(first_key).min(scores.len());
                let (visible, hidden) = scores.split_at_mut(seen);
                hidden.fill(T::ZERO);
                if !visible.is_empty() {
                    online_softmax(visible, max, sum, o);
                }
            }
        });
        multiply(&mut self.o, Into::Add, Mat::new(scores, rows, k.rows), v);
    }

    pub(crate) fn finish(mut self) -> Attended<T> {
        let rows = self.o.chunks_exact_mut(self.dim);
        let lse = rows.zip(self.max.iter().zip(&self.sum)).map(|(o, (&max, &sum))| {
            wide!(o.iter_mut().for_each(|o| *o /= sum));
            max + sum.ln()
        });
        let lse = lse.collect();
        Attended { o: self.o, lse }
    }
}

/// Replaces scores by exp(score − max) and rescales what was summed under the old maximum.
#[inline(always)]
fn online_softmax<T: Element>(scores: &mut [T], max: &mut T, sum: &mut T, o: &mut [T]) {
    let largest = maximum(scores);
    if largest > *max {
        let correction = (*max - largest).exp();
        *max = largest;
        *sum *= correction;
        o.iter_mut().for_each(|o| *o *= correction);
    }
    let max = *max;
    scores.iter_mut().for_each(|s| *s = (*s - max).exp());
    *sum += sum1(scores, |p| p);
}
