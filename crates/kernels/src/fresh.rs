//! Memory for results, first touched by the threads that compute them.
//!
//! A page of fresh memory costs a fault and is filled with zeros by the kernel before anything can be written to it. For
//! results of many megabytes that takes longer than the arithmetic where one thread does it, page by page. Here the
//! memory is asked for in large pages, and every task zeroes its own block, which is then in its cache.
//!
//! Invariant: [`Fresh::finish`] gives the elements out only if every block of one pass was taken, hence written.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::element::Element;

/// A result of a known length, to be written block by block.
pub(crate) struct Fresh<T> {
    /// Empty, with room for `length`.
    data: Vec<T>,
    length: usize,
    /// Elements that the current pass has written.
    written: AtomicUsize,
}

impl<T: Element> Fresh<T> {
    pub(crate) fn new(length: usize) -> Self {
        let mut data = Vec::with_capacity(length);
        large_pages(&mut data);
        Self { data, length, written: AtomicUsize::new(0) }
    }

    /// All elements in blocks of `size`, the last one shorter; each is zeroed by the thread that takes it.
    pub(crate) fn blocks(&mut self, size: usize) -> impl IndexedParallelIterator<Item = &mut [T]> {
        self.unwritten(size).map(Block::zeroed)
    }

    /// The same without the zeros.
    pub(crate) fn unwritten(&mut self, size: usize) -> impl IndexedParallelIterator<Item = Block<'_, T>> {
        *self.written.get_mut() = 0;
        let written = &self.written;
        let room = &mut self.data.spare_capacity_mut()[..self.length];
        room.par_chunks_mut(size.max(1)).map(move |data| Block { data, written })
    }

    /// All elements, zeroed by this thread.
    pub(crate) fn whole(&mut self) -> &mut [T] {
        self.data.clear();
        self.data.resize(self.length, T::ZERO);
        &mut self.data
    }

    /// The elements.
    pub(crate) fn finish(mut self) -> Vec<T> {
        if self.data.is_empty() {
            assert_eq!(*self.written.get_mut(), self.length, "a pass takes every block");
            #[expect(unsafe_code, reason = "`set_len` is how a vector learns what others wrote into it")]
            // SAFETY: `new` reserved `length` elements. The blocks of a pass do not overlap and each counts once what was
            // written in it, so a count of `length` means everything.
            unsafe {
                self.data.set_len(self.length);
            }
        }
        self.data
    }
}

/// A part of a result that nobody has written yet.
pub(crate) struct Block<'a, T> {
    data: &'a mut [MaybeUninit<T>],
    written: &'a AtomicUsize,
}

impl<'a, T: Element> Block<'a, T> {
    fn zeroed(self) -> &'a mut [T] {
        self.data.fill(MaybeUninit::new(T::ZERO));
        self.written.fetch_add(self.data.len(), Ordering::Relaxed);
        #[expect(unsafe_code, reason = "a block becomes readable")]
        // SAFETY: the fill above wrote every element.
        unsafe {
            self.data.assume_init_mut()
        }
    }

    /// Fills the block with `rows`, one after the other, which together are as long as it.
    pub(crate) fn copied<'r>(self, rows: impl Iterator<Item = &'r [T]>) {
        let mut copied = 0;
        for row in rows {
            self.data[copied..copied + row.len()].write_copy_of_slice(row);
            copied += row.len();
        }
        self.written.fetch_add(copied, Ordering::Relaxed);
    }
}

/// Asks for large pages where a vector's unused room spans whole ones: one fault in place of 512. Only advice: where the
/// system has none, the pages are small.
#[cfg(target_os = "linux")]
fn large_pages<T>(data: &mut Vec<T>) {
    const LARGE: usize = 2 << 20;
    let room = data.spare_capacity_mut();
    let bytes = size_of_val(room);
    let skipped = room.as_ptr().addr().wrapping_neg() % LARGE;
    let whole = bytes.saturating_sub(skipped) / LARGE * LARGE;
    if whole == 0 {
        return;
    }
    #[expect(unsafe_code, reason = "advice about memory takes an address")]
    // SAFETY: the range lies inside of the vector's allocation, and this advice changes no contents.
    let _ = unsafe {
        rustix::mm::madvise(room.as_mut_ptr().byte_add(skipped).cast(), whole, rustix::mm::Advice::LinuxHugepage)
    };
}

#[cfg(not(target_os = "linux"))]
fn large_pages<T>(_: &mut Vec<T>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_zero_until_written_and_then_kept() {
        for (length, size) in [(0, 5), (1, 5), (5, 5), (1003, 64), (3 << 20, 1 << 14)] {
            let mut fresh = Fresh::<f32>::new(length);
            fresh.blocks(size).enumerate().for_each(|(block, data)| {
                assert!(data.iter().all(|&x| x == 0.0));
                data.iter_mut().enumerate().for_each(|(i, x)| *x = (block * size + i) as f32);
            });
            let data = fresh.finish();
            assert_eq!(data.len(), length);
            assert!(data.iter().enumerate().all(|(i, &x)| x == i as f32), "{length} in blocks of {size}");
        }
        let mut fresh = Fresh::<f32>::new(10);
        fresh.unwritten(4).for_each(|block| {
            let rows: Vec<f32> = (0..block.data.len()).map(|i| i as f32).collect();
            block.copied(rows.chunks(3));
        });
        assert_eq!(fresh.finish(), [0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0]);
        let mut fresh = Fresh::<f64>::new(7);
        fresh.whole()[3] = 2.0;
        assert_eq!(fresh.finish(), [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "a pass takes every block")]
    fn a_block_left_out_is_never_given_out() {
        let mut fresh = Fresh::<f32>::new(100);
        fresh.blocks(10).for_each(drop);
        fresh.blocks(10).take(9).for_each(drop);
        fresh.finish();
    }
}
