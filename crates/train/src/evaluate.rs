//! The likelihood of held-out rows: forward only.

use recon_llama::{Llama, Loss, Packed, Params};

use crate::Result;

/// Summed −log p of the trained tokens of `rows`, one row at a time.
pub fn loss_over<'r>(model: &Llama, params: &dyn Params, rows: impl IntoIterator<Item = &'r Packed>) -> Result<Loss> {
    let mut sum = Loss { nats: 0.0, tokens: 0 };
    for row in rows {
        let Loss { nats, tokens } = model.loss(params, row)?;
        sum.nats += nats;
        sum.tokens += tokens;
    }
    Ok(sum)
}
