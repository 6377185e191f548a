//! The norm on the CPU: blocks of rows on all threads, each row in the widest instruction set.

use rayon::prelude::*;

use crate::element::{Element, add_assign, sum1, sum2, wide};
use crate::fresh::Fresh;

/// Rows of one task, and of one partial sum of the weight's gradient.
const BLOCK_ROWS: usize = 64;

/// (y `[N, D]`, inverse root mean square `[N]`).
pub(super) fn forward<T: Element>(x: &[T], weight: &[T], n: usize, eps: f64) -> (Vec<T>, Vec<T>) {
    let d = weight.len();
    let (mut y, mut inv_rms) = (Fresh::new(n * d), vec![T::ZERO; n]);
    if d > 0 {
        y.blocks(BLOCK_ROWS * d)
            .zip(inv_rms.par_chunks_mut(BLOCK_ROWS))
            .zip(x.par_chunks(BLOCK_ROWS * d))
            .for_each(|((y, inv_rms), x)| wide!(forward_rows(y, inv_rms, x, weight, T::rounded(eps))));
    }
    (y.finish(), inv_rms)
}

#[inline(always)]
fn forward_rows<T: Element>(y: &mut [T], inv_rms: &mut [T], x: &[T], weight: &[T], eps: T) {
    let d = weight.len();
    for ((y, inv_rms), x) in y.chunks_exact_mut(d).zip(inv_rms).zip(x.chunks_exact(d)) {
        let mean_square = sum1(x, |x| x * x) / T::rounded(d as f64);
        let r = T::ONE / (mean_square + eps).sqrt();
        *inv_rms = r;
        for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * r * w;
        }
    }
}

/// (dx `[N, D]`, the weight's gradient as partial sums `[⌈N/64⌉, D]`).
pub(super) fn backward<T: Element>(dy: &[T], x: &[T], weight: &[T], inv_rms: &[T]) -> (Vec<T>, Vec<T>) {
    let (n, d) = (inv_rms.len(), weight.len());
    let (mut dx, mut partial) = (Fresh::new(n * d), vec![T::ZERO; n.div_ceil(BLOCK_ROWS) * d]);
    if d > 0 {
        dx.blocks(BLOCK_ROWS * d)
            .zip(partial.par_chunks_mut(d))
            .zip(dy.par_chunks(BLOCK_ROWS * d).zip(x.par_chunks(BLOCK_ROWS * d)))
            .zip(inv_rms.par_chunks(BLOCK_ROWS))
            .for_each(|(((dx, dw), (dy, x)), r)| wide!(backward_rows(dx, dw, dy, x, r, weight)));
    }
    (dx.finish(), partial)
}

#[inline(always)]
fn backward_rows<T: Element>(dx: &mut [T], dw: &mut [T], dy: &[T], x: &[T], inv_rms: &[T], weight: &[T]) {
    let d = weight.len();
    let mut g = vec![T::ZERO; d];
    let rows = dy.chunks_exact(d).zip(x.chunks_exact(d));
    for ((dx, (dy, x)), &r) in dx.chunks_exact_mut(d).zip(rows).zip(inv_rms) {
        for ((g, &dy), &w) in g.iter_mut().zip(dy).zip(weight) {
            *g = dy * w;
        }
        let c = sum2(&g, x, |g, x| g * x) * (r * r) / T::rounded(d as f64);
        for ((dx, &g), &x) in dx.iter_mut().zip(&g).zip(x) {
            *dx = (g - x * c) * r;
        }
        for ((dw, &dy), &x) in dw.iter_mut().zip(dy).zip(x) {
            *dw += dy * (x * r);
        }
    }
}

/// dweight += the partial sums, in order.
pub(super) fn add_partial<T: Element>(dweight: &mut [T], partial: &[T]) {
    for partial in partial.chunks_exact(dweight.len().max(1)) {
        add_assign(dweight, partial);
    }
}
