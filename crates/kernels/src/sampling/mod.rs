//! Draws one token from each row of logits.
//!
//! Legend: `N` rows, `V` vocabulary, `M` masks.
//!
//! Formula, temperature T > 0, z the logits of the ids that the row's mask allows, max their largest:
//! w = round(2⁴⁰ · exp((z − max) · (1/T))). Kept are the likeliest ids whose w first sum to `top_p` of all, of equals the
//! lowest ids. The draw is the first kept id, in order of ids, at which the running sum exceeds
//! uniform · (sum of the kept). T = 0 takes the largest logit. Of equals the lowest id; −0 counts as below 0.
//! Shapes: logits f32 `[N, V]`, masks u32 `[M, ⌈V/32⌉]`.
//! Accumulation: exponentials in f64 by operations that IEEE 754 defines to the bit, sums in 64-bit integers: exact, so
//! CPU and device draw the same tokens.
//! Determinism: bit-equal; a row's draw does not depend on the others.
//! Source of top-p: Holtzman et al., The Curious Case of Neural Text Degeneration, 2019.

mod cpu;
#[cfg(recon_device)]
mod device;
mod draws;

use candle_core::Tensor;

use crate::error::Result;
use crate::operand::Operand;
pub use draws::{Draw, Mask, Masks};
use draws::{NONE, check_draws};

/// The token drawn from each row of logits `[N, V]`; none where the row holds NaN or +∞, allowed or not, or allows
/// nothing finite. From a device the ids come back in one copy, and nothing else does.
///
/// # Errors
/// Shapes that contradict each other, parameters that name no distribution, a mask that is not there, an unsupported
/// device, element type or layout.
pub fn draw(logits: &Tensor, masks: Option<&Masks>, draws: &[Draw]) -> Result<Vec<Option<u32>>> {
    let ids = all("sampling::draw", logits, masks, draws)?;
    Ok(ids.into_iter().map(|id| (id != NONE).then_some(id)).collect())
}

fn all(op: &'static str, logits: &Tensor, masks: Option<&Masks>, draws: &[Draw]) -> Result<Vec<u32>> {
    on_device!(op, logits, call => device::draw(&call, logits, masks, draws));
    let logits = Operand::open(op, "logits", logits)?;
    let [n, v] = logits.dims("[N, V]")?;
    check_draws(op, (n, v), masks, draws)?;
    let rows = logits.slice::<f32>()?;
    let words = masks.map(|masks| Operand::open_indices(op, "masks", masks.words())).transpose()?;
    let words = words.as_ref().map(Operand::slice::<u32>).transpose()?.unwrap_or_default();
    Ok(cpu::draw(rows, v, words, draws))
}
