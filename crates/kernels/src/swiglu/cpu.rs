//! The activation on the CPU: blocks of elements on all threads.

use rayon::prelude::*;

use crate::element::{Element, wide};
use crate::fresh::Fresh;

/// Elements of one task.
const BLOCK: usize = 1 << 14;

/// y.
pub(super) fn forward<T: Element>(gate: &[T], up: &[T]) -> Vec<T> {
    let mut y = Fresh::new(gate.len());
    y.blocks(BLOCK).zip(gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK))).for_each(|(y, (gate, up))| {
        wide!({
            for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) {
                *y = g * logistic(g) * u;
            }
        });
    });
    y.finish()
}

/// (dgate, dup).
pub(super) fn backward<T: Element>(dy: &[T], gate: &[T], up: &[T]) -> (Vec<T>, Vec<T>) {
    let (mut dgate, mut dup) = (Fresh::new(dy.len()), Fresh::new(dy.len()));
    let inputs = dy.par_chunks(BLOCK).zip(gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK)));
    let outputs = dgate.blocks(BLOCK).zip(dup.blocks(BLOCK));
    outputs.zip(inputs).for_each(|((dgate, dup), (dy, (gate, up)))| {
        wide!({
            let inputs = dy.iter().zip(gate.iter().zip(up));
            for ((dgate, dup), (&dy, (&g, &u))) in dgate.iter_mut().zip(dup).zip(inputs) {
                let s = logistic(g);
                *dgate = dy * u * (s * (T::ONE + g * (T::ONE - s)));
                *dup = dy * (g * s);
            }
        });
    });
    (dgate.finish(), dup.finish())
}

#[inline(always)]
fn logistic<T: Element>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}
