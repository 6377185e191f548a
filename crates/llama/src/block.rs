//! One transformer layer: forward, what is kept of it, and backward.
//!
//! ```text
//! h = norm(x)·w₁;  q, k = rope(h·Wqᵀ), rope(h·Wkᵀ);  v = h·Wvᵀ;  o = attention(q, k, v)
//! m = x + o·Woᵀ;   n = norm(m)·w₂;  a = silu(n·Wgᵀ) ⊙ (n·Wuᵀ);   y = m + a·Wdᵀ
//! ```
//! Shapes: `x, m, y [N, D]`, `q, o [N, H, hd]`, `k, v [N, KH, hd]`, `a [N, F]`.
//!
//! Invariants: what is computed again in the backward pass comes from the same calls on the same
//! values as in the forward pass, so every [`ActivationPolicy`] gives the same bits; parameter
//! gradients are added, activations are fresh.

use std::ops::Range;

use candle_core::Tensor;
use recon_kernels::rope::Table;
use recon_kernels::{linear, rms_norm, rope, swiglu};

use crate::layout::slot;
use crate::params::view;
use crate::{Attend, Config, Result, UnitLayout};

/// What the forward pass keeps for the backward pass; everything else is computed again.
///
/// The gradients are the same bit for bit under every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationPolicy {
    /// Every intermediate: no recomputation.
    #[default]
    KeepAll,
    /// Each layer's input and attention output: all but attention is computed again.
    KeepAttention,
    /// Each layer's input only.
    BlockInputs,
}

/// The tensors of a layer, or their gradients, as views into a flat buffer.
pub(crate) struct LayerTensors {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
    attention_norm: Tensor,
    mlp_norm: Tensor,
}

impl LayerTensors {
    pub(crate) fn new(flat: &Tensor, layout: &UnitLayout) -> Result<Self> {
        let at = |index| view(flat, layout, index);
        Ok(Self {
            q: at(slot::Q)?,
            k: at(slot::K)?,
            v: at(slot::V)?,
            o: at(slot::O)?,
            gate: at(slot::GATE)?,
            up: at(slot::UP)?,
            down: at(slot::DOWN)?,
            attention_norm: at(slot::ATTENTION_NORM)?,
            mlp_norm: at(slot::MLP_NORM)?,
        })
    }
}

/// What all layers of one batch share.
pub(crate) struct Block<'a> {
    pub(crate) config: &'a Config,
    pub(crate) attention: &'a dyn Attend,
    pub(crate) table: &'a Table,
    /// Position of every row in its document, u32 `[N]`.
    pub(crate) positions: &'a Tensor,
}

/// Up to attention.
pub(crate) struct Projected {
    /// Normalised input, `[N, D]`.
    h: Tensor,
    /// `[N]`.
    inv_rms: Tensor,
    /// Rotated, `[N, H, hd]`.
    pub(crate) q: Tensor,
    /// Rotated, `[N, KH, hd]`.
    pub(crate) k: Tensor,
    /// `[N, KH, hd]`.
    pub(crate) v: Tensor,
}

/// After attention, up to the last projection.
pub(crate) struct Mixed {
    /// The residual stream between the halves (`m`), `[N, D]`.
    middle: Tensor,
    /// `[N]`.
    inv_rms: Tensor,
    /// Normalised `m`, `[N, D]`.
    n: Tensor,
    gate: Tensor,
    up: Tensor,
    /// `[N, F]`.
    activated: Tensor,
}

/// The output of attention.
pub(crate) struct Attended {
    /// `[N, H, hd]`.
    pub(crate) o: Tensor,
    /// Log-sum-exp of the scores, `[N, H]`.
    lse: Tensor,
}

/// Everything the backward pass of a layer reads.
pub(crate) struct Activations {
    x: Tensor,
    projected: Projected,
    attended: Attended,
    mixed: Mixed,
}

/// What is held from the forward to the backward pass.
pub(crate) enum Saved {
    All(Box<Activations>),
    Attention { x: Tensor, attended: Attended },
    Input { x: Tensor },
}

impl Block<'_> {
    fn scale(&self) -> f64 {
        (self.config.head_dim as f64).sqrt().recip()
    }

    /// Norm, projections and rotation.
    pub(crate) fn project(&self, w: &LayerTensors, x: &Tensor) -> Result<Projected> {
        let Config { head_dim, num_attention_heads, num_key_value_heads, rms_norm_eps, .. } = *self.config;
        let rows = x.dim(0)?;
        let (h, inv_rms) = rms_norm::forward(x, &w.attention_norm, rms_norm_eps)?;
        let heads = |w: &Tensor, count: usize| -> Result<Tensor> {
            Ok(linear::forward(&h, w)?.reshape((rows, count, head_dim))?)
        };
        let q = rope::forward(&heads(&w.q, num_attention_heads)?, self.table, self.positions)?;
        let k = rope::forward(&heads(&w.k, num_key_value_heads)?, self.table, self.positions)?;
        let v = heads(&w.v, num_key_value_heads)?;
        Ok(Projected { h, inv_rms, q, k, v })
    }

    /// Causal attention inside each span.
    pub(crate) fn attend(&self, p: &Projected, spans: &[Range<usize>]) -> Result<Attended> {
        let (o, lse) = self.attention.forward([&p.q, &p.k, &p.v], spans, self.scale())?;
        Ok(Attended { o, lse })
    }

    /// Attention over the pages of a cache that already holds this batch's keys and values.
    pub(crate) fn attend_paged(
        &self,
        p: &Projected,
        (keys, values): (&Tensor, &Tensor),
        runs: &[crate::PagedRun],
    ) -> Result<Tensor> {
        Ok(recon_kernels::paged::attention(&p.q, keys, values, runs, self.scale())?)
    }

    /// First residual sum and the gated half up to its last projection.
    pub(crate) fn mix(&self, w: &LayerTensors, x: &Tensor, o: &Tensor) -> Result<Mixed> {
        let branch = linear::forward(&o.flatten_from(1)?, &w.o)?;
        let (middle, n, inv_rms) = rms_norm::forward_residual(x, &branch, &w.mlp_norm, self.config.rms_norm_eps)?;
        let (gate, up) = (linear::forward(&n, &w.gate)?, linear::forward(&n, &w.up)?);
        let activated = swiglu::forward(&gate, &up)?;
        Ok(Mixed { middle, inv_rms, n, gate, up, activated })
    }

    /// The layer's output.
    pub(crate) fn output(&self, w: &LayerTensors, mixed: &Mixed) -> Result<Tensor> {
        Ok(linear::forward_onto(&mixed.activated, &w.down, &mixed.middle)?)
    }

    /// Forward for training: the output, and what `policy` keeps.
    pub(crate) fn forward(
        &self,
        w: &LayerTensors,
        x: Tensor,
        spans: &[Range<usize>],
        policy: ActivationPolicy,
    ) -> Result<(Tensor, Saved)> {
        let projected = self.project(w, &x)?;
        let attended = self.attend(&projected, spans)?;
        let mixed = self.mix(w, &x, &attended.o)?;
        let y = self.output(w, &mixed)?;
        let saved = match policy {
            ActivationPolicy::KeepAll => Saved::All(Box::new(Activations { x, projected, attended, mixed })),
            ActivationPolicy::KeepAttention => Saved::Attention { x, attended },
            ActivationPolicy::BlockInputs => Saved::Input { x },
        };
        Ok((y, saved))
    }

    /// What was kept, and the rest computed again.
    pub(crate) fn recall(&self, w: &LayerTensors, saved: Saved, spans: &[Range<usize>]) -> Result<Activations> {
        let (x, attended) = match saved {
            Saved::All(activations) => return Ok(*activations),
            Saved::Attention { x, attended } => (x, Some(attended)),
            Saved::Input { x } => (x, None),
        };
        let projected = self.project(w, &x)?;
        let attended = match attended {
            Some(attended) => attended,
            None => self.attend(&projected, spans)?,
        };
        let mixed = self.mix(w, &x, &attended.o)?;
        Ok(Activations { x, projected, attended, mixed })
    }

    /// Adds the parameter gradients to `g` and returns the gradient of the input, `[N, D]`.
    pub(crate) fn backward(
        &self,
        w: &LayerTensors,
        g: &LayerTensors,
        activations: Activations,
        dy: &Tensor,
        spans: &[Range<usize>],
    ) -> Result<Tensor> {
        let Activations { x, projected, attended, mixed } = activations;
        let d_middle = self.backward_mlp(w, g, mixed, dy)?;
        let d_o = linear::backward_input(&d_middle, &w.o)?.reshape(attended.o.shape())?;
        linear::backward_weight(&d_middle, &attended.o.flatten_from(1)?, &g.o)?;
        let d_h = self.backward_attention(w, g, &projected, &attended, &d_o, spans)?;
        let (norm, d_norm) = (&w.attention_norm, &g.attention_norm);
        Ok(rms_norm::backward_residual(&d_h, &x, norm, &projected.inv_rms, d_norm, &d_middle)?)
    }

    /// Gradient of `m`, through the gated half and past it.
    fn backward_mlp(&self, w: &LayerTensors, g: &LayerTensors, mixed: Mixed, dy: &Tensor) -> Result<Tensor> {
        linear::backward_weight(dy, &mixed.activated, &g.down)?;
        let d_activated = linear::backward_input(dy, &w.down)?;
        let (d_gate, d_up) = swiglu::backward(&d_activated, &mixed.gate, &mixed.up)?;
        linear::backward_weight(&d_gate, &mixed.n, &g.gate)?;
        linear::backward_weight(&d_up, &mixed.n, &g.up)?;
        let d_n = linear::backward_input_onto(&d_up, &w.up, &linear::backward_input(&d_gate, &w.gate)?)?;
        Ok(rms_norm::backward_residual(&d_n, &mixed.middle, &w.mlp_norm, &mixed.inv_rms, &g.mlp_norm, dy)?)
    }

    /// Gradient of the normalised input from the gradient of the attention output.
    fn backward_attention(
        &self,
        w: &LayerTensors,
        g: &LayerTensors,
        p: &Projected,
        attended: &Attended,
        d_o: &Tensor,
        spans: &[Range<usize>],
    ) -> Result<Tensor> {
        let Attended { o, lse } = attended;
        let [d_q, d_k, d_v] = self.attention.backward(d_o, [&p.q, &p.k, &p.v], (o, lse), spans, self.scale())?;
        let d_q = rope::backward(&d_q, self.table, self.positions)?.flatten_from(1)?;
        let d_k = rope::backward(&d_k, self.table, self.positions)?.flatten_from(1)?;
        let d_v = d_v.flatten_from(1)?;
        linear::backward_weight(&d_q, &p.h, &g.q)?;
        linear::backward_weight(&d_k, &p.h, &g.k)?;
        linear::backward_weight(&d_v, &p.h, &g.v)?;
        let from_keys = linear::backward_input_onto(&d_v, &w.v, &linear::backward_input(&d_k, &w.k)?)?;
        Ok(linear::backward_input_onto(&d_q, &w.q, &from_keys)?)
    }
}
