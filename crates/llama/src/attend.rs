//! The seam between a layer and whoever computes attention: this device alone, or several that each have a part of the
//! rows.

use std::ops::Range;

use candle_core::Tensor;
use recon_kernels::attention::Backend;

use crate::Result;

/// Causal attention inside each span, forward and backward.
///
/// Shapes: `q`, `o`, `d_o` `[N, H, E]`, `k`, `v` `[N, KH, E]`, `lse` `[N, H]`. Spans count all rows of the batch; `N` are
/// those of [`Attend::own`].
pub trait Attend {
    /// Of so many rows, those that are computed here.
    fn own(&self, rows: usize) -> Range<usize> {
        0..rows
    }

    /// (o, log-sum-exp of the scores).
    fn forward(&self, qkv: [&Tensor; 3], spans: &[Range<usize>], scale: f64) -> Result<(Tensor, Tensor)>;

    /// (dq, dk, dv) from the gradient of o and what the forward pass read and returned.
    fn backward(
        &self,
        d_o: &Tensor,
        qkv: [&Tensor; 3],
        saved: (&Tensor, &Tensor),
        spans: &[Range<usize>],
        scale: f64,
    ) -> Result<[Tensor; 3]>;
}

impl Attend for Backend {
    fn forward(&self, [q, k, v]: [&Tensor; 3], spans: &[Range<usize>], scale: f64) -> Result<(Tensor, Tensor)> {
        Ok(Self::forward(*self, q, k, v, spans, scale)?)
    }

    fn backward(
        &self,
        d_o: &Tensor,
        [q, k, v]: [&Tensor; 3],
        (o, lse): (&Tensor, &Tensor),
        spans: &[Range<usize>],
        scale: f64,
    ) -> Result<[Tensor; 3]> {
        let (d_q, d_k, d_v) = Self::backward(*self, d_o, q, k, v, o, lse, spans, scale)?;
        Ok([d_q, d_k, d_v])
    }
}
