//! Table look-up.
//!
//! Formula: x[n] = table[ids[n]]; dtable[id] += Σ dx[n] over the rows n with that id.
//! Shapes: ids u32 `[N]`, table `[V, D]`, x `[N, D]`.
//! Accumulation: in the element type, rows in ascending order.
//! Determinism: bit-equal over runs and thread counts (rows are sorted by id; no atomics).
//! On a device an id outside the table is no error: its row of x is NaN, and it has no gradient.

use candle_core::Tensor;
use rayon::prelude::*;

#[cfg(recon_device)]
use crate::device::elementwise as device;
use crate::element::{add_assign, for_element, wide};
use crate::error::Result;
use crate::fresh::Fresh;
use crate::operand::{Destination, Operand, fresh, write};

/// Elements of one task of the forward pass.
const BLOCK: usize = 1 << 14;

/// Table rows whose gradient one task owns.
const BAND: usize = 128;

/// x `[N, D]`: the table's rows named by ids `[N]`.
///
/// # Errors
/// An id outside the table, shapes that contradict each other, an unsupported device, element type or layout.
pub fn forward(ids: &Tensor, table: &Tensor) -> Result<Tensor> {
    const OP: &str = "embedding::forward";
    on_device!(OP, table, call => device::embedding_forward(&call, ids, table));
    let (ids, table) = (Operand::open_indices(OP, "ids", ids)?, Operand::open(OP, "table", table)?);
    let [n] = ids.dims("[N]")?;
    let [v, d] = table.dims("[V, D]")?;
    let ids = ids.indices(v)?;
    for_element!(table.dtype(), T => {
        let table = table.slice::<T>()?;
        let mut x = Fresh::new(n * d);
        let rows = (BLOCK / d.max(1)).max(1);
        x.unwritten(rows * d).zip(ids.par_chunks(rows)).for_each(|(x, ids)| {
            x.copied(ids.iter().map(|&id| &table[id as usize * d..(id as usize + 1) * d]));
        });
        fresh(OP, x.finish(), &[n, d])
    })
}

/// dtable `[V, D]` += the rows of dx `[N, D]`, each at its id.
///
/// # Errors
/// As [`forward`], or a `dtable` that shares its storage with an input.
pub fn backward(dx: &Tensor, ids: &Tensor, dtable: &Tensor) -> Result<()> {
    const OP: &str = "embedding::backward";
    on_device!(OP, dx, call => device::embedding_backward(&call, dx, ids, dtable));
    let (dx, ids) = (Operand::open(OP, "dx", dx)?, Operand::open_indices(OP, "ids", ids)?);
    let [n, d] = dx.dims("[N, D]")?;
    ids.expect(&[n])?;
    let v = dtable.dims().first().copied().unwrap_or(0);
    let index = ids.indices(v)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&row| index[row]);
    for_element!(dx.dtype(), T => {
        let gradient = dx.slice::<T>()?;
        let destination = Destination { name: "dtable", tensor: dtable, shape: &[v, d] };
        write(OP, &destination, &[&dx, &ids], |dtable| {
            dtable.par_chunks_mut((BAND * d).max(1)).enumerate().for_each(|(band, dtable)| {
                let first_id = band * BAND;
                let start = order.partition_point(|&row| (index[row] as usize) < first_id);
                let end = order.partition_point(|&row| (index[row] as usize) < first_id + BAND);
                wide!({
                    for &row in &order[start..end] {
                        let at = (index[row] as usize - first_id) * d;
                        add_assign(&mut dtable[at..at + d], &gradient[row * d..(row + 1) * d]);
                    }
                });
            });
        })
    })
}
