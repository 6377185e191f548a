//! The rotation on the CPU: blocks of rows on all threads.

use rayon::prelude::*;

use crate::element::{Element, wide};
use crate::fresh::Fresh;

/// Rows of one task.
const BLOCK_ROWS: usize = 64;

/// y `[N, H, E]` of x; the table holds rows of `half` = E/2 cosines and sines, `inverse` rotates back.
pub(super) fn rotate<T: Element>(
    x: &[T],
    positions: &[u32],
    [cos, sin]: [&[T]; 2],
    [h, half]: [usize; 2],
    inverse: bool,
) -> Vec<T> {
    let row = h * 2 * half;
    let mut y = Fresh::new(positions.len() * row);
    if row > 0 {
        let blocks = y.blocks(BLOCK_ROWS * row).zip(x.par_chunks(BLOCK_ROWS * row));
        blocks.zip(positions.par_chunks(BLOCK_ROWS)).for_each(|((y, x), positions)| {
            wide!(rotate_rows(y, x, positions, cos, sin, half, if inverse { -T::ONE } else { T::ONE }));
        });
    }
    y.finish()
}

#[inline(always)]
fn rotate_rows<T: Element>(y: &mut [T], x: &[T], positions: &[u32], cos: &[T], sin: &[T], half: usize, sign: T) {
    let row = x.len() / positions.len();
    for ((y, x), &position) in y.chunks_exact_mut(row).zip(x.chunks_exact(row)).zip(positions) {
        let at = position as usize * half;
        let (cos, sin) = (&cos[at..at + half], &sin[at..at + half]);
        for (y, x) in y.chunks_exact_mut(2 * half).zip(x.chunks_exact(2 * half)) {
            let ((ya, yb), (xa, xb)) = (y.split_at_mut(half), x.split_at(half));
            let (ya, yb, xa, xb) = (&mut ya[..half], &mut yb[..half], &xa[..half], &xb[..half]);
            for i in 0..half {
                let s = sin[i] * sign;
                ya[i] = xa[i] * cos[i] - xb[i] * s;
                yb[i] = xb[i] * cos[i] + xa[i] * s;
            }
        }
    }
}
