//! A tensor in blocks, so that memory does not grow with the tensor.

use std::ops::Range;

/// Elements of the blocks in which large tensors are read: 4 MiB of f32.
const BLOCK_ELEMENTS: usize = 1 << 20;

/// The elements `range` in neighbouring blocks of at most 2²⁰.
pub fn blocks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(BLOCK_ELEMENTS).map(move |start| start..(start + BLOCK_ELEMENTS).min(end))
}
