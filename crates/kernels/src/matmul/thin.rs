//! Matrix products of few rows: dst (+)= a · wᵀ for the one or two tokens of a decoding step.
//!
//! Legend: `m` rows of `a` (at most [`ROWS`]), `n` rows of `w`, `k` depth, `L` lanes, m rounded up to 4, 8 or 16.
//!
//! `gemm` first copies `w` into the layout of its micro-kernel, which pays when many rows share the copy; with few rows
//! the copy is the work. Here the rows of `a` fill the lanes of one register and each weight, read once where it lies,
//! is broadcast against them. Where the machine can, up to 8 rows take the path of `transposed` instead.
//!
//! Invariant: the order of summation is that of `matmul`: panels of one depth, within a panel one chain of fused
//! multiply-adds in ascending depth, the panels added in order. So how many rows stand in a product decides only its
//! speed. `tests/linear.rs` holds it to the bit.
//! Floor: the bytes of `w`; 2·m·n·k floating-point operations.

use rayon::prelude::*;

use super::mat::{Into, Mat, panel_depth};
#[cfg(target_arch = "x86_64")]
use super::transposed;
use crate::element::Element;

/// The most rows this path takes.
pub(super) const ROWS: usize = 16;

/// Rows of `w` that are in flight together: enough independent chains to hide the latency of one.
const CHAINS: usize = 8;

/// Rows of `w` of one task; it reads a few hundred kilobytes, above the cost of waking a thread.
const TASK_ROWS: usize = 256;

/// Whether this path gives the same bits as `gemm`, which fuses only where the machine does.
fn fuses() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// Whether a product of these operands is for this path: few rows, and weights that lie along the depth. A single
/// column is not: `gemm` sums it in another order, whatever the number of rows.
pub(super) fn takes<T>(a: &Mat<'_, T>, b: &Mat<'_, T>) -> bool {
    (1..=ROWS).contains(&a.rows) && b.row_stride == 1 && b.rows > 0 && b.columns > 1 && fuses()
}

/// dst (+)= a · b, where asked on all threads of the current pool; `dst` is row-major `[m, n]` without gaps.
pub(super) fn multiply<T: Element>(dst: &mut [T], into: Into, a: Mat<'_, T>, b: Mat<'_, T>, parallel: bool) {
    #[cfg(target_arch = "x86_64")]
    if let (Some(simd), Some(narrow_a), Some(narrow_b)) = (transposed::takes(&a), a.narrow(), b.narrow()) {
        let dst = T::narrow_mut(dst).expect("the type of `a`");
        return transposed::multiply(simd, dst, into, narrow_a, narrow_b, parallel);
    }
    match a.rows {
        0..=4 => lanes::<T, 4>(dst, into, a, b, parallel),
        5..=8 => lanes::<T, 8>(dst, into, a, b, parallel),
        _ => lanes::<T, ROWS>(dst, into, a, b, parallel),
    }
}

fn lanes<T: Element, const L: usize>(dst: &mut [T], into: Into, a: Mat<'_, T>, b: Mat<'_, T>, parallel: bool) {
    let (m, n, k) = (a.rows, b.columns, b.rows);
    assert!(
        a.columns == k && m <= L && b.row_stride == 1 && a.fits() && b.fits() && dst.len() == m * n,
        "matmul: shapes contradict each other"
    );
    // The rows of `a` side by side, `[k, L]`; lanes without a row hold zeros.
    let mut across = vec![[T::ZERO; L]; k];
    for (depth, across) in across.iter_mut().enumerate() {
        for (row, x) in across[..m].iter_mut().enumerate() {
            *x = a.data[row * a.row_stride + depth * a.column_stride];
        }
    }
    let mut columns = vec![[T::ZERO; L]; n];
    if into == Into::Add {
        for (row, dst) in dst.chunks_exact(n).enumerate() {
            columns.iter_mut().zip(dst).for_each(|(column, &old)| column[row] = old);
        }
    }
    let task = |(task, columns): (usize, &mut [[T; L]])| {
        let weights = &b.data[task * TASK_ROWS * b.column_stride..];
        pulp::Arch::new().dispatch(Columns { columns, into, across: &across, weights, stride: b.column_stride });
    };
    if parallel && n > TASK_ROWS {
        columns.par_chunks_mut(TASK_ROWS).enumerate().for_each(task);
    } else {
        columns.chunks_mut(TASK_ROWS).enumerate().for_each(task);
    }
    for (row, dst) in dst.chunks_exact_mut(n).enumerate() {
        dst.iter_mut().zip(&columns).for_each(|(dst, column)| *dst = column[row]);
    }
}

/// One column of the result for each row of `w`; rows lie `stride` apart. A type and not a closure, so that inlining
/// into the code for one instruction set is certain: without it every fused multiply-add would be a call.
struct Columns<'a, T, const L: usize> {
    columns: &'a mut [[T; L]],
    into: Into,
    across: &'a [[T; L]],
    weights: &'a [T],
    stride: usize,
}

impl<T: Element, const L: usize> pulp::WithSimd for Columns<'_, T, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { columns, into, across, weights, stride } = self;
        let depth = panel_depth(across.len());
        for (group, columns) in columns.chunks_mut(CHAINS).enumerate() {
            let first = group * CHAINS * stride;
            let mut into = into;
            for (panel, across) in across.chunks(depth).enumerate() {
                let start = first + panel * depth;
                if columns.len() == CHAINS {
                    let w: [&[T]; CHAINS] =
                        [0, 1, 2, 3, 4, 5, 6, 7].map(|chain| &weights[start + chain * stride..][..across.len()]);
                    store(columns, into, chains::<T, L, CHAINS>(across, w));
                } else {
                    for (chain, column) in columns.iter_mut().enumerate() {
                        let w = [&weights[start + chain * stride..][..across.len()]];
                        store(std::slice::from_mut(column), into, chains(across, w));
                    }
                }
                into = Into::Add;
            }
        }
    }
}

#[inline(always)]
fn store<T: Element, const L: usize, const C: usize>(columns: &mut [[T; L]], into: Into, sums: [[T; L]; C]) {
    for (column, sum) in columns.iter_mut().zip(sums) {
        for (old, sum) in column.iter_mut().zip(sum) {
            *old = if into == Into::Replace { sum } else { *old + sum };
        }
    }
}

/// C chains of fused multiply-adds, each over L lanes, in ascending depth.
#[inline(always)]
fn chains<T: Element, const L: usize, const C: usize>(across: &[[T; L]], w: [&[T]; C]) -> [[T; L]; C] {
    let mut sums = [[T::ZERO; L]; C];
    for (depth, x) in across.iter().enumerate() {
        for (sum, w) in sums.iter_mut().zip(w) {
            let w = w[depth];
            for (sum, &x) in sum.iter_mut().zip(x) {
                *sum = x.fused(w, *sum);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing outside asks for a sum onto old values here, so this does: at odd extents, over rows with gaps.
    #[test]
    fn every_path_adds_to_the_same_bits() {
        let value = |i: usize| ((i * 7919 % 1009) as f32 - 504.0) / 251.0;
        for (n, k, gap) in [(2, 16, 0), (33, 40, 3), (50, 700, 1), (300, 1025, 0)] {
            let w: Vec<f32> = (0..n * (k + gap)).map(value).collect();
            let b = Mat::strided(&w, n, k, k + gap).t();
            for m in 1..=ROWS {
                let x: Vec<f32> = (0..m * k).map(|i| value(i + 5)).collect();
                let a = Mat::new(&x, m, k);
                let old: Vec<f32> = (0..m * n).map(|i| value(i + 11)).collect();
                let [mut y, mut parallel, mut broadcast] = [old.clone(), old.clone(), old];
                multiply(&mut y, Into::Add, a, b, false);
                multiply(&mut parallel, Into::Add, a, b, true);
                lanes::<f32, ROWS>(&mut broadcast, Into::Add, a, b, false);
                let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&y), bits(&broadcast), "{m} rows, {n} from {k}");
                assert_eq!(bits(&parallel), bits(&broadcast), "{m} rows on all threads, {n} from {k}");
            }
        }
    }
}
