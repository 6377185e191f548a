//! Matrix products on the CPU: dst (+)= a · b, over strided views, with one fixed order of summation.
//!
//! Legend: `m` rows, `n` columns, `k` depth.
//!
//! The `gemm` crate multiplies. Within one of its depth panels every element of the result is one chain of fused
//! multiply-adds in ascending depth, whichever micro-kernel covers it and whichever thread runs it; but its choice of
//! panels depends on `m` and `n`, and very small products go through other code with another order. Hence here:
//! - the depth is cut into panels of at most 512 as a function of `k` alone, and each is one call;
//! - products too small for the general path are padded with rows of zeros until they take it;
//! - products of few rows go through `thin`, which sums in the same order.
//!
//! Invariant: an element of the result is a function of its row of `a` and its column of `b`: not of the number of
//! rows, nor of threads. `tests/linear.rs` holds it.

use rayon::prelude::*;

mod mat;
mod thin;
#[cfg(target_arch = "x86_64")]
mod transposed;

use crate::element::Element;
use crate::fresh::Fresh;
use mat::panel_depth;
pub(crate) use mat::{Into, Mat};

/// `gemm` multiplies results of up to this many elements by dot products, in another order.
const DOT_PRODUCT_ELEMENTS: usize = 16 * 16;

/// Below this many multiplications, ten microseconds or more, a product is not worth waking other threads for.
const PARALLEL_WORK: usize = 1 << 21;

/// Columns that a task has at least where one row is split by columns: a few kilobytes of each row of `b`.
const TASK_COLUMNS: usize = 512;

/// dst (+)= a · b on this thread; `dst` is row-major `[a.rows, b.columns]` without gaps.
pub(crate) fn multiply<T: Element>(dst: &mut [T], into: Into, a: Mat<'_, T>, b: Mat<'_, T>) {
    let (m, n) = (a.rows, b.columns);
    assert!(a.columns == b.rows && a.fits() && b.fits() && dst.len() == m * n, "matmul: shapes contradict each other");
    if m == 0 || n == 0 {
        return;
    }
    if thin::takes(&a, &b) {
        return thin::multiply(dst, into, a, b, false);
    }
    if m == 1 || m * n <= DOT_PRODUCT_ELEMENTS {
        return multiply_padded(dst, into, a, b);
    }
    panels(dst, into, a, b);
}

/// The same with rows of zeros below `a`, as many as the general path of `gemm` asks for.
fn multiply_padded<T: Element>(dst: &mut [T], into: Into, a: Mat<'_, T>, b: Mat<'_, T>) {
    let (k, n) = (b.rows, b.columns);
    let rows = (DOT_PRODUCT_ELEMENTS / n + 1).max(2);
    let mut padded = vec![T::ZERO; rows * k];
    for row in 0..a.rows {
        for depth in 0..k {
            padded[row * k + depth] = a.data[row * a.row_stride + depth * a.column_stride];
        }
    }
    let mut result = vec![T::ZERO; rows * n];
    result[..dst.len()].copy_from_slice(dst);
    panels(&mut result, into, Mat::new(&padded, rows, k), b);
    dst.copy_from_slice(&result[..dst.len()]);
}

fn panels<T: Element>(dst: &mut [T], into: Into, a: Mat<'_, T>, b: Mat<'_, T>) {
    let k = b.rows;
    let depth = panel_depth(k);
    let mut into = into;
    let mut start = 0;
    loop {
        let length = depth.min(k - start);
        let (lhs, rhs) = (a.column_range(start, length), b.t().column_range(start, length).t());
        call(dst, into, lhs, rhs);
        into = Into::Add;
        start += length;
        if start >= k {
            return;
        }
    }
}

fn call<T: Element>(dst: &mut [T], into: Into, a: Mat<'_, T>, b: Mat<'_, T>) {
    assert!(
        a.columns == b.rows && a.fits() && b.fits() && dst.len() >= a.rows * b.columns,
        "matmul: views out of range"
    );
    #[expect(unsafe_code, reason = "gemm takes raw pointers and strides")]
    // SAFETY: the assertion above proves that every index gemm forms from the extents and strides lies inside the
    // three slices; `dst` is borrowed mutably, so it overlaps neither input; T is f32 or f64, which gemm knows.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            dst.as_mut_ptr(),
            1,
            b.columns as isize,
            into == Into::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// dst (+)= a · b on all threads of the current pool, each computing whole rows of the result.
pub(crate) fn multiply_parallel<T: Element>(dst: &mut [T], into: Into, a: Mat<'_, T>, b: Mat<'_, T>) {
    let n = b.columns;
    if rayon::current_num_threads() > 1 && thin::takes(&a, &b) {
        return thin::multiply(dst, into, a, b, true);
    }
    let Some(rows) = task_rows(&a, &b) else {
        return multiply(dst, into, a, b);
    };
    // A last task of a single column would be summed in another order.
    if a.rows == 1 && n % TASK_COLUMNS != 1 {
        return dst.par_chunks_mut(TASK_COLUMNS).enumerate().for_each(|(block, dst)| {
            let columns = dst.len();
            multiply(dst, into, a, b.column_range(block * TASK_COLUMNS, columns));
        });
    }
    dst.par_chunks_mut(rows * n).enumerate().for_each(|(block, dst)| {
        multiply(dst, into, a.row_range(block * rows, dst.len() / n), b);
    });
}

/// a · b as fresh elements, on all threads of the current pool.
pub(crate) fn product<T: Element>(a: Mat<'_, T>, b: Mat<'_, T>) -> Vec<T> {
    let (m, n) = (a.rows, b.columns);
    let mut result = Fresh::new(m * n);
    match task_rows(&a, &b).filter(|_| m > 1 && !thin::takes(&a, &b)) {
        Some(rows) => result.blocks(rows * n).enumerate().for_each(|(block, dst)| {
            multiply(dst, Into::Replace, a.row_range(block * rows, dst.len() / n), b);
        }),
        None => multiply_parallel(result.whole(), Into::Replace, a, b),
    }
    result.finish()
}

/// Rows of the result one task computes, where there is work for several: two tasks a thread, so that a thread that is
/// held up costs little, yet long enough that preparing `b` anew in each does not count.
fn task_rows<T>(a: &Mat<'_, T>, b: &Mat<'_, T>) -> Option<usize> {
    let threads = rayon::current_num_threads();
    let worth = threads > 1 && b.columns > 0 && a.rows * b.columns * b.rows >= PARALLEL_WORK;
    worth.then(|| a.rows.div_ceil(2 * threads).next_multiple_of(32).max(64))
}
