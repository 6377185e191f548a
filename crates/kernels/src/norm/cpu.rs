//! Norm and scaling on the CPU: blocks on all threads, added in order.

use rayon::prelude::*;

use crate::element::{Element, LANES, wide};

/// Elements of one task, and of one partial sum.
const BLOCK: usize = 1 << 16;

/// Σ tᵢ².
pub(super) fn sum_of_squares<T: Element>(t: &[T]) -> f64 {
    let blocks: Vec<f64> = t.par_chunks(BLOCK).map(|block| wide!(squares(block))).collect();
    blocks.into_iter().sum()
}

#[inline(always)]
fn squares<T: Element>(block: &[T]) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let (full, rest) = block.as_chunks::<LANES>();
    for chunk in full {
        for i in 0..LANES {
            let x = chunk[i].to_f64();
            lanes[i] += x * x;
        }
    }
    lanes.into_iter().sum::<f64>() + rest.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>()
}

/// t = factor · t.
pub(super) fn scale<T: Element>(t: &mut [T], factor: T) {
    t.par_chunks_mut(BLOCK).for_each(|block| wide!(block.iter_mut().for_each(|x| *x *= factor)));
}
