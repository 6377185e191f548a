//! Matrix products of very few rows on AVX-512: dst (+)= a · wᵀ, each lane its own row of `w`.
//!
//! Legend: `R` rows of `a`, 1, 2, 4 or 8; `n` rows of `w`, `k` depth.
//!
//! With one row of `a`, the lanes of a register can only be filled by different rows of `w`, which lie apart in memory.
//! Squares of 16 rows by 16 depths are transposed on the way from memory, 64 loads of 4 weights and 32 shuffles, and
//! each of the 16 registers that come out is multiplied by one broadcast element of each row of `a`.
//!
//! Invariant: the order of summation is that of `matmul`, as in `thin`. `tests/linear.rs` holds it to the bit.
//! Floor: the bytes of `w`. From the cache the latency of the chain is above it, so two groups go side by side; from
//! memory it is not, and reading fewer rows at a time is faster.

use std::arch::x86_64::__m512;
use std::marker::PhantomData;
use std::ops::Range;

use pulp::x86::V4;
use pulp::{Simd, cast};
use rayon::prelude::*;

use super::mat::{Into, Mat, panel_depth};

/// The most rows this path takes: with more, the broadcasts of `thin` do as much work in each instruction.
pub(super) const ROWS: usize = 8;

/// Rows of `w` side by side in a register, and depths of one square.
const LANES: usize = 16;

/// Weights of one task; fewer than twice that many are not worth waking a thread for.
const TASK_WEIGHTS: usize = 1 << 17;

/// One element of the result for each of [`LANES`] rows of `w`, under each row of `a`.
type Group<const R: usize> = [[f32; LANES]; R];

/// The instruction set, where a product of these operands, which `thin` takes, is for this path.
pub(super) fn takes<T>(a: &Mat<'_, T>) -> Option<V4> {
    if a.rows <= ROWS && a.columns >= LANES { V4::try_new() } else { None }
}

/// dst (+)= a · b; `dst` is row-major `[m, n]` without gaps.
pub(super) fn multiply(simd: V4, dst: &mut [f32], into: Into, a: Mat<'_, f32>, b: Mat<'_, f32>, parallel: bool) {
    match a.rows {
        0..=1 if b.rows * b.columns < 2 * TASK_WEIGHTS => rows::<1, 2>(simd, dst, into, a, b, parallel),
        0..=1 => rows::<1, 1>(simd, dst, into, a, b, parallel),
        2 => rows::<2, 1>(simd, dst, into, a, b, parallel),
        3..=4 => rows::<4, 1>(simd, dst, into, a, b, parallel),
        _ => rows::<ROWS, 1>(simd, dst, into, a, b, parallel),
    }
}

/// `G` groups are in flight together.
fn rows<const R: usize, const G: usize>(
    simd: V4,
    dst: &mut [f32],
    into: Into,
    a: Mat<'_, f32>,
    b: Mat<'_, f32>,
    parallel: bool,
) {
    let (m, n, k) = (a.rows, b.columns, b.rows);
    assert!(
        a.columns == k && m <= R && b.row_stride == 1 && a.fits() && b.fits() && dst.len() == m * n,
        "matmul: shapes contradict each other"
    );
    // The rows of `a` side by side, `[k, R]`; where there is no row stand zeros.
    let mut across = vec![[0.0; R]; k];
    for (row, data) in (0..m).map(|row| (row, &a.data[row * a.row_stride..])) {
        across.iter_mut().zip(data.iter().step_by(a.column_stride)).for_each(|(across, &x)| across[row] = x);
    }
    let mut groups: Vec<Group<R>> = vec![[[0.0; LANES]; R]; n.div_ceil(LANES)];
    if into == Into::Add {
        for (row, dst) in dst.chunks_exact(n).enumerate() {
            groups
                .iter_mut()
                .zip(dst.chunks(LANES))
                .for_each(|(group, old)| group[row][..old.len()].copy_from_slice(old));
        }
    }
    let tasks = if parallel { (n * k / TASK_WEIGHTS).max(1) } else { 1 };
    let task_groups = groups.len().div_ceil(tasks).next_multiple_of(G);
    let task = |(task, groups): (usize, &mut [Group<R>])| {
        let first = task * task_groups * LANES;
        let weights =
            Weights { data: &b.data[first * b.column_stride..], rows: n - first, stride: b.column_stride, depth: k };
        Simd::vectorize(simd, Columns::<R, G> { simd, groups, into, across: &across, weights });
    };
    if tasks > 1 {
        groups.par_chunks_mut(task_groups).enumerate().for_each(task);
    } else {
        task((0, &mut groups));
    }
    for (row, dst) in dst.chunks_exact_mut(n).enumerate() {
        dst.chunks_mut(LANES).zip(&groups).for_each(|(dst, group)| dst.copy_from_slice(&group[row][..dst.len()]));
    }
}

/// Rows of `w`, `stride` apart, of which each has `depth` elements.
#[derive(Clone, Copy)]
struct Weights<'a> {
    data: &'a [f32],
    rows: usize,
    stride: usize,
    depth: usize,
}

impl<'a> Weights<'a> {
    /// The rows of a group; where there are no more, the last again.
    #[inline(always)]
    fn group(self, group: usize) -> Rows<'a> {
        let mut rows = Rows { start: [self.data.as_ptr(); LANES], depth: self.depth, data: PhantomData };
        for (lane, start) in rows.start.iter_mut().enumerate() {
            let row = (group * LANES + lane).min(self.rows - 1);
            *start = self.data[row * self.stride..][..self.depth].as_ptr();
        }
        rows
    }
}

/// [`LANES`] rows of `depth` elements. Pointers, because 16 slices of one length are checked 16 times a square.
struct Rows<'a> {
    start: [*const f32; LANES],
    depth: usize,
    data: PhantomData<&'a [f32]>,
}

impl Rows<'_> {
    const NONE: Self = Self { start: [std::ptr::null(); LANES], depth: 0, data: PhantomData };

    /// The square of [`LANES`] depths from `depth`, transposed: register `i` holds depth `i` of every row.
    #[inline(always)]
    fn square(&self, simd: V4, depth: usize) -> [__m512; LANES] {
        assert!(self.depth >= LANES && depth <= self.depth - LANES, "a square ends inside of the rows");
        let f = simd.avx512f;
        let mut square = [f._mm512_setzero_ps(); LANES];
        for quarter in (0..LANES).step_by(4) {
            // Four depths of the rows i, 4 + i, 8 + i, 12 + i.
            let mut w = [f._mm512_setzero_ps(); 4];
            for (i, w) in w.iter_mut().enumerate() {
                let four = |row: usize| {
                    #[expect(unsafe_code, reason = "one check for 64 loads")]
                    // SAFETY: `Weights::group` sliced `self.depth` elements from every start, borrowed for as long as
                    // `self` lives, and the assertion above shows that LANES elements from `depth` lie among them.
                    unsafe {
                        simd.sse._mm_loadu_ps(self.start[row].add(depth + quarter))
                    }
                };
                *w = f._mm512_castps128_ps512(four(i));
                *w = f._mm512_insertf32x4::<1>(*w, four(4 + i));
                *w = f._mm512_insertf32x4::<2>(*w, four(8 + i));
                *w = f._mm512_insertf32x4::<3>(*w, four(12 + i));
            }
            let (low, high) = (f._mm512_unpacklo_ps(w[0], w[1]), f._mm512_unpackhi_ps(w[0], w[1]));
            let (a, b) = (f._mm512_castps_pd(low), f._mm512_castps_pd(high));
            let (low, high) = (f._mm512_unpacklo_ps(w[2], w[3]), f._mm512_unpackhi_ps(w[2], w[3]));
            let (c, d) = (f._mm512_castps_pd(low), f._mm512_castps_pd(high));
            square[quarter] = f._mm512_castpd_ps(f._mm512_unpacklo_pd(a, c));
            square[quarter + 1] = f._mm512_castpd_ps(f._mm512_unpackhi_pd(a, c));
            square[quarter + 2] = f._mm512_castpd_ps(f._mm512_unpacklo_pd(b, d));
            square[quarter + 3] = f._mm512_castpd_ps(f._mm512_unpackhi_pd(b, d));
        }
        square
    }
}

/// A type and not a closure, as in `thin`: it must be inlined into the code for the instruction set.
struct Columns<'a, const R: usize, const G: usize> {
    simd: V4,
    groups: &'a mut [Group<R>],
    into: Into,
    across: &'a [[f32; R]],
    weights: Weights<'a>,
}

impl<const R: usize, const G: usize> pulp::WithSimd for Columns<'_, R, G> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { simd, groups, into, across, weights } = self;
        let (together, alone) = groups.as_chunks_mut::<G>();
        let first_alone = together.len() * G;
        for (index, groups) in together.iter_mut().enumerate() {
            panels(simd, groups, into, across, weights, index * G);
        }
        for (index, group) in alone.iter_mut().enumerate() {
            panels(simd, std::array::from_mut(group), into, across, weights, first_alone + index);
        }
    }
}

/// All panels of the `G` groups from `first`.
#[inline(always)]
fn panels<const R: usize, const G: usize>(
    simd: V4,
    groups: &mut [Group<R>; G],
    mut into: Into,
    across: &[[f32; R]],
    weights: Weights<'_>,
    first: usize,
) {
    let mut rows = [const { Rows::NONE }; G];
    for (index, rows) in rows.iter_mut().enumerate() {
        *rows = weights.group(first + index);
    }
    let depth = panel_depth(across.len());
    let mut start = 0;
    while start < across.len() {
        let end = across.len().min(start + depth);
        let panel = chains(simd, across, start..end, &rows);
        for (group, panel) in groups.iter_mut().zip(panel) {
            for (old, sum) in group.iter_mut().zip(panel) {
                let sum = if into == Into::Replace { sum } else { simd.avx512f._mm512_add_ps(cast(*old), sum) };
                *old = cast(sum);
            }
        }
        into = Into::Add;
        start = end;
    }
}

/// The chains of fused multiply-adds of one panel, of all groups side by side: the latency of one hides behind the
/// others.
#[inline(always)]
fn chains<const R: usize, const G: usize>(
    simd: V4,
    across: &[[f32; R]],
    panel: Range<usize>,
    rows: &[Rows<'_>; G],
) -> [[__m512; R]; G] {
    let mut sums = [[simd.avx512f._mm512_setzero_ps(); R]; G];
    let (squares, rest) = across[panel.clone()].as_chunks::<LANES>();
    for (square, across) in squares.iter().enumerate() {
        for (rows, sums) in rows.iter().zip(&mut sums) {
            let w = rows.square(simd, panel.start + square * LANES);
            for depth in 0..LANES {
                add(simd, sums, &across[depth], w[depth]);
            }
        }
    }
    if !rest.is_empty() {
        for (rows, sums) in rows.iter().zip(&mut sums) {
            // The last square begins early, over depths already summed, rather than read past the end.
            let w = rows.square(simd, panel.end - LANES);
            for (across, &w) in rest.iter().zip(&w[LANES - rest.len()..]) {
                add(simd, sums, across, w);
            }
        }
    }
    sums
}

#[inline(always)]
fn add<const R: usize>(simd: V4, sums: &mut [__m512; R], across: &[f32; R], w: __m512) {
    for row in 0..R {
        sums[row] = simd.avx512f._mm512_fmadd_ps(simd.avx512f._mm512_set1_ps(across[row]), w, sums[row]);
    }
}
