//! Keys and values in fixed-size pages, and causal attention of token runs to them, for serving.
//!
//! Formula: as `attention`; query i of a run stands at position first_position + i and sees keys 0..=position.
//! Shapes: q, o `[N, H, E]`, k, v `[N, K, E]`, pages `[P, S, K, E]` with `S` slots a page. Position p of a run lies in
//! slot p % S of page `pages[p / S]`; a slot is addressed as page · S + offset. Rows in no run get zeros.
//! Accumulation and determinism: as `attention`, and a row's result is bit-equal whatever else is in the call: other
//! runs, or the same run in one piece, in chunks or token by token.

mod cpu;
#[cfg(recon_device)]
mod device;
mod run;

use candle_core::Tensor;

use crate::attend::Heads;
use crate::element::{Element, for_element};
use crate::error::{Error, Result};
use crate::operand::{Destination, Operand, check_indices, fresh, write as write_tensor};
pub use run::PagedRun;
use run::check_runs;

/// Writes row i of k and v `[N, K, E]` to slot `slots[i]` of the pages `[P, S, K, E]`.
///
/// # Errors
/// Shapes that contradict each other, a slot outside the pages, pages that share a storage with an input, an unsupported device, element type or layout.
pub fn write(k: &Tensor, v: &Tensor, k_pages: &Tensor, v_pages: &Tensor, slots: &[u32]) -> Result<()> {
    const OP: &str = "paged::write";
    let (pages, page_slots) = check_slots(OP, k, k_pages, slots)?;
    on_device!(OP, k, call => {
        let [_, kv, dim] = call.dims("k", k, "[N, K, E]")?;
        device::write(&call, [k, v, k_pages, v_pages], slots, [pages, page_slots, kv, dim])
    });
    let (k, v) = (Operand::open(OP, "k", k)?, Operand::open(OP, "v", v)?);
    let [n, kv, dim] = k.dims("[N, K, E]")?;
    v.expect(&[n, kv, dim])?;
    let shape = [pages, page_slots, kv, dim];
    for_element!(k.dtype(), T => {
        for (name, tensor, source) in [("k_pages", k_pages, &k), ("v_pages", v_pages, &v)] {
            let rows = source.slice::<T>()?;
            let destination = Destination { name, tensor, shape: &shape };
            write_tensor(OP, &destination, &[&k, &v], |pages: &mut [T]| cpu::write(rows, pages, slots, kv * dim))?;
        }
        Ok(())
    })
}

/// (P, S), where every row of k has a slot inside them.
fn check_slots(op: &'static str, k: &Tensor, k_pages: &Tensor, slots: &[u32]) -> Result<(usize, usize)> {
    let (n, pages, page_slots) = (k.dim(0).unwrap_or(0), k_pages.dim(0).unwrap_or(0), k_pages.dim(1).unwrap_or(0));
    if slots.len() != n {
        return Err(Error::Argument { op, message: format!("{n} rows, but {} slots", slots.len()) });
    }
    check_indices(op, "slots", slots, pages * page_slots)?;
    Ok((pages, page_slots))
}

/// o `[N, H, E]` of q `[N, H, E]` over the keys and values in pages.
///
/// # Errors
/// Shapes that contradict each other, runs that overlap, leave the rows or lack pages, a page that does not exist, an
/// unsupported device, element type or layout.
pub fn attention(q: &Tensor, k_pages: &Tensor, v_pages: &Tensor, runs: &[PagedRun], scale: f64) -> Result<Tensor> {
    const OP: &str = "paged::attention";
    on_device!(OP, q, call => device::attention(&call, [q, k_pages, v_pages], runs, scale));
    let q = Operand::open(OP, "q", q)?;
    let (k, v) = (Operand::open(OP, "k_pages", k_pages)?, Operand::open(OP, "v_pages", v_pages)?);
    let [n, query, dim] = q.dims("[N, H, E]")?;
    let [pages, page_slots, kv, _] = k.dims("[P, S, K, E]")?;
    k.expect(&[pages, page_slots, kv, dim])?;
    v.expect(&[pages, page_slots, kv, dim])?;
    let heads = Heads::new(OP, query, kv, dim)?;
    check_runs(OP, runs, n, pages, page_slots)?;
    for_element!(q.dtype(), T => {
        let cache = cpu::Cache { k: k.slice::<T>()?, v: v.slice()?, page_slots, heads };
        fresh(OP, cpu::attention(q.slice()?, &cache, runs, n, T::rounded(scale)), &[n, query, dim])
    })
}
