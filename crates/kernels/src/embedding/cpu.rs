//! Table look-up on the CPU: rows copied on all threads, gradients by bands of the table that each have one owner.

use rayon::prelude::*;

use crate::element::{Element, add_assign, wide};
use crate::fresh::Fresh;

/// Elements of one task of the forward pass.
const BLOCK: usize = 1 << 14;

/// Table rows whose gradient one task owns.
const BAND: usize = 128;

/// x `[N, D]`.
pub(super) fn forward<T: Element>(ids: &[u32], table: &[T], d: usize) -> Vec<T> {
    let mut x = Fresh::new(ids.len() * d);
    let rows = (BLOCK / d.max(1)).max(1);
    x.unwritten(rows * d).zip(ids.par_chunks(rows)).for_each(|(x, ids)| {
        x.copied(ids.iter().map(|&id| &table[id as usize * d..(id as usize + 1) * d]));
    });
    x.finish()
}

/// dtable `[V, D]` += the rows of dx `[N, D]`, those of one id in ascending order.
pub(super) fn backward<T: Element>(dx: &[T], ids: &[u32], dtable: &mut [T], d: usize) {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&row| ids[row]);
    dtable.par_chunks_mut((BAND * d).max(1)).enumerate().for_each(|(band, dtable)| {
        let first_id = band * BAND;
        let start = order.partition_point(|&row| (ids[row] as usize) < first_id);
        let end = order.partition_point(|&row| (ids[row] as usize) < first_id + BAND);
        wide!({
            for &row in &order[start..end] {
                let at = (ids[row] as usize - first_id) * d;
                add_assign(&mut dtable[at..at + d], &dx[row * d..(row + 1) * d]);
            }
        });
    });
}
