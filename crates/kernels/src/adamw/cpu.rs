//! The step on the CPU: blocks of elements on all threads.

use rayon::prelude::*;

use super::options::Coefficients;
use crate::element::{Element, wide};

/// Elements of one task.
const BLOCK: usize = 1 << 14;

/// Updates param, m and v, all as long as grad.
pub(super) fn update<T: Element>(c: &Coefficients<T>, param: &mut [T], grad: &[T], m: &mut [T], v: &mut [T]) {
    let moments = m.par_chunks_mut(BLOCK).zip(v.par_chunks_mut(BLOCK));
    let blocks = param.par_chunks_mut(BLOCK).zip(grad.par_chunks(BLOCK)).zip(moments);
    blocks.for_each(|((param, grad), (m, v))| wide!(update_block(c, param, grad, m, v)));
}

#[inline(always)]
fn update_block<T: Element>(c: &Coefficients<T>, param: &mut [T], grad: &[T], m: &mut [T], v: &mut [T]) {
    for (((p, &g), m), v) in param.iter_mut().zip(grad).zip(m).zip(v) {
        *m = c.beta1 * *m + c.one_minus_beta1 * g;
        *v = c.beta2 * *v + c.one_minus_beta2 * (g * g);
        *p -= c.decay * *p + c.step_size * *m / (v.sqrt() * c.root_correction + c.eps);
    }
}
