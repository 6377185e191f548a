//! Table look-up.
//!
//! Formula: x[n] = table[ids[n]]; dtable[id] += Σ dx[n] over the rows n with that id.
//! Shapes: ids u32 `[N]`, table `[V, D]`, x `[N, D]`.
//! Accumulation: in the element type, rows in ascending order.
//! Determinism: bit-equal over runs and thread counts (rows are sorted by id; no atomics).
//! On a device an id outside the table is no error: its row of x is NaN, and it has no gradient.

mod cpu;
#[cfg(recon_device)]
pub(crate) mod device;

use candle_core::Tensor;

use crate::element::for_element;
use crate::error::Result;
use crate::operand::{Destination, Operand, fresh, write};

/// x `[N, D]`: the table's rows named by ids `[N]`.
///
/// # Errors
/// An id outside the table, shapes that contradict each other, an unsupported device, element type or layout.
pub fn forward(ids: &Tensor, table: &Tensor) -> Result<Tensor> {
    const OP: &str = "embedding::forward";
    on_device!(OP, table, call => device::forward(&call, ids, table));
    let (ids, table) = (Operand::open_indices(OP, "ids", ids)?, Operand::open(OP, "table", table)?);
    let [n] = ids.dims("[N]")?;
    let [v, d] = table.dims("[V, D]")?;
    let ids = ids.indices(v)?;
    for_element!(table.dtype(), T => fresh(OP, cpu::forward(ids, table.slice::<T>()?, d), &[n, d]))
}

/// dtable `[V, D]` += the rows of dx `[N, D]`, each at its id.
///
/// # Errors
/// As [`forward`], or a `dtable` that shares its storage with an input.
pub fn backward(dx: &Tensor, ids: &Tensor, dtable: &Tensor) -> Result<()> {
    const OP: &str = "embedding::backward";
    on_device!(OP, dx, call => device::backward(&call, dx, ids, dtable));
    let (dx, ids) = (Operand::open(OP, "dx", dx)?, Operand::open_indices(OP, "ids", ids)?);
    let [n, d] = dx.dims("[N, D]")?;
    ids.expect(&[n])?;
    let v = dtable.dims().first().copied().unwrap_or(0);
    let at = ids.indices(v)?;
    for_element!(dx.dtype(), T => {
        let gradient = dx.slice::<T>()?;
        let destination = Destination { name: "dtable", tensor: dtable, shape: &[v, d] };
        write(OP, &destination, &[&dx, &ids], |dtable| cpu::backward(gradient, at, dtable, d))
    })
}
