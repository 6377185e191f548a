//! Proof on packed rows that documents do not see each other.
//!
//! One document's tokens are exchanged for others; then the logits of every other document in the row, and the
//! gradient of every parameter by their loss, must have the same bits as before. The exchanged document carries no loss
//! in either, since its own loss is of other tokens.

use std::ops::Range;

use candle_core::{DType, Tensor};
use recon_llama::{ActivationPolicy, AttentionCtx, FlatParams, Llama, Packed};
use serde::Serialize;

use crate::{Error, Result};

/// Rows of logits that are compared at once.
const CHUNK_ROWS: usize = 256;

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Documents whose tokens were exchanged.
    pub exchanged: u64,
    /// Logits of the others.
    pub logits: u64,
    /// Of these, those that moved.
    pub logits_moved: u64,
    /// Gradients of parameters.
    pub gradients: u64,
    /// Of these, those that moved.
    pub gradients_moved: u64,
}

impl Compared {
    /// Whether anything of another document moved.
    pub fn moved(&self) -> bool {
        self.logits_moved + self.gradients_moved > 0
    }

    fn add(&mut self, other: &Self) {
        self.exchanged += other.exchanged;
        self.logits += other.logits;
        self.logits_moved += other.logits_moved;
        self.gradients += other.gradients;
        self.gradients_moved += other.gradients_moved;
    }
}

/// Exchanges each of `documents` (ranges of `row.ids`) in turn and compares what the model computes for the rest of
/// the row under the spans of `row`. `params` must have gradients.
///
/// # Errors
/// What the model says of the row.
pub fn compare_exchanged(
    model: &Llama,
    params: &FlatParams,
    row: &Packed,
    documents: &[Range<usize>],
) -> Result<Compared> {
    let mut all = Compared::default();
    let before = hidden(model, params, row)?;
    for document in documents {
        let mut masked = row.clone();
        masked.mask[document.clone()].fill(0);
        // Nor is its token after the end, where the spans let it be predicted from here.
        let exchanged = exchanged(&masked, document, model.config().vocab_size);
        let after = hidden(model, params, &exchanged)?;
        let mut compared = Compared { exchanged: 1, ..Compared::default() };
        for rows in [0..document.start, document.end..row.ids.len()] {
            compare_logits(model, params, (&before, &after), rows, &mut compared)?;
        }
        let (one, other) = (gradients(model, params, &masked)?, gradients(model, params, &exchanged)?);
        compared.gradients = one.len() as u64;
        compared.gradients_moved = one.iter().zip(&other).filter(|(a, b)| a != b).count() as u64;
        all.add(&compared);
    }
    Ok(all)
}

/// The row with other tokens in `document`, none of them the one that stood there.
fn exchanged(row: &Packed, document: &Range<usize>, vocabulary: usize) -> Packed {
    let mut row = row.clone();
    let others = (vocabulary as u64).saturating_sub(1).max(1);
    for (at, id) in row.ids[document.clone()].iter_mut().enumerate() {
        let shift = 1 + (at as u64).wrapping_mul(2_654_435_761) % others;
        *id = ((u64::from(*id) + shift) % vocabulary as u64) as u32;
    }
    row
}

fn hidden(model: &Llama, params: &FlatParams, row: &Packed) -> Result<Tensor> {
    let positions: Vec<u32> = row.spans.iter().flat_map(|span| 0..span.len() as u32).collect();
    let ctx = AttentionCtx::Packed { spans: &row.spans };
    Ok(model.hidden(params, &row.ids, &positions, &ctx)?)
}

fn compare_logits(
    model: &Llama,
    params: &FlatParams,
    (before, after): (&Tensor, &Tensor),
    rows: Range<usize>,
    compared: &mut Compared,
) -> Result<()> {
    for start in rows.clone().step_by(CHUNK_ROWS) {
        let count = CHUNK_ROWS.min(rows.end - start);
        let bits = |hidden: &Tensor| -> Result<Vec<u32>> {
            let logits = model.logits(params, &hidden.narrow(0, start, count)?)?;
            bits(&logits)
        };
        let (before, after) = (bits(before)?, bits(after)?);
        compared.logits += before.len() as u64;
        compared.logits_moved += before.iter().zip(&after).filter(|(a, b)| a != b).count() as u64;
    }
    Ok(())
}

/// The bits of every gradient.
fn gradients(model: &Llama, params: &FlatParams, row: &Packed) -> Result<Vec<u32>> {
    params.zero_grads()?;
    let trained = row.trained_tokens();
    if trained == 0 {
        return Err(Error::NothingTrained { step: 1 });
    }
    model.loss_and_grads(params, row, ActivationPolicy::BlockInputs, 1.0 / trained as f32)?;
    let mut all = Vec::new();
    for unit in model.config().units() {
        let gradient = params.grad(unit).expect("the parameters have gradients");
        all.extend(bits(gradient)?);
    }
    Ok(all)
}

fn bits(tensor: &Tensor) -> Result<Vec<u32>> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}
