//! The model over a batch: training ([`Llama::loss_and_grads`]) and serving ([`Llama::hidden`]).
//!
//! Legend: `N` rows, `D` hidden size, `V` vocabulary.
//!
//! Invariants: each unit is leased while it is used and not longer; every unit's gradient is
//! finished exactly once per backward pass, in the order head, last layer … first layer,
//! embedding; full logits exist only where [`Llama::logits`] asks for them.

use candle_core::{DType, Device, Tensor};
use recon_kernels::attention::Backend;
use recon_kernels::rope::Table;
use recon_kernels::{cross_entropy, embedding, linear, rms_norm};

use crate::block::{Block, LayerTensors, Saved};
use crate::layout::slot;
use crate::packed::{Rows, check_ids};
use crate::params::view;
use crate::rope::Frequencies;
use crate::serve::{check_packed, slots};
use crate::{
    ActivationPolicy, Attend, AttentionCtx, Config, Error, Lease, Loss, Packed, Params, PendingLoss, Result, Unit,
    UnitLayout,
};

/// A configuration ready to run; it holds no parameters.
pub struct Llama {
    config: Config,
    frequencies: Frequencies,
    device: Device,
    dtype: DType,
    attention: Backend,
    embed: UnitLayout,
    head: UnitLayout,
    layers: Vec<UnitLayout>,
}

impl Llama {
    /// Prepares `config` for arithmetic in `dtype` on `device`: what the parameters leased to it
    /// must have.
    pub fn new(config: Config, device: &Device, dtype: DType) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            frequencies: Frequencies::new(&config),
            device: device.clone(),
            dtype,
            attention: Backend::Own,
            embed: config.layout(Unit::Embed),
            head: config.layout(config.head_unit()),
            layers: (0..config.num_hidden_layers).map(|layer| config.layout(Unit::Layer(layer))).collect(),
            config,
        })
    }

    /// The same model with its attention over packed rows computed by `attention`, where the device has it.
    #[must_use]
    pub fn with_attention(self, attention: Backend) -> Self {
        Self { attention, ..self }
    }

    fn block<'a>(&'a self, table: &'a Table, positions: &'a Tensor) -> Block<'a> {
        Block { config: &self.config, attention: &self.attention, table, positions }
    }

    /// Who computes attention over packed rows.
    pub fn attention(&self) -> &dyn Attend {
        &self.attention
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The loss of a packed row; the gradient of `token_weight · nats` is added to the gradient
    /// buffers of `params`.
    ///
    /// `token_weight` is one over the trained tokens of the whole global batch.
    pub fn loss_and_grads(
        &self,
        params: &dyn Params,
        packed: &Packed,
        policy: ActivationPolicy,
        token_weight: f32,
    ) -> Result<Loss> {
        self.begin_loss_and_grads(&self.attention, params, packed, policy, token_weight)?.read()
    }

    /// As [`Llama::loss_and_grads`], of the rows that are `attend`'s own, without waiting for the device: everything has
    /// been asked of it. Loss and gradients are what these rows add; a document without one of them has no loss.
    ///
    /// # Errors
    /// [`Error::Input`] where `attend` has none of the rows.
    pub fn begin_loss_and_grads(
        &self,
        attend: &dyn Attend,
        params: &dyn Params,
        packed: &Packed,
        policy: ActivationPolicy,
        token_weight: f32,
    ) -> Result<PendingLoss> {
        let rows = self.own_rows(attend, packed)?;
        let nats = self.forward_backward(attend, params, &rows, policy, token_weight)?;
        Ok(PendingLoss::new(nats, &rows))
    }

    fn own_rows(&self, attend: &dyn Attend, packed: &Packed) -> Result<Rows> {
        let rows = Rows::new(packed, self.config.vocab_size)?;
        let own = attend.own(rows.ids.len());
        rows.part(own)
    }

    fn forward_backward(
        &self,
        attend: &dyn Attend,
        params: &dyn Params,
        rows: &Rows,
        policy: ActivationPolicy,
        token_weight: f32,
    ) -> Result<cross_entropy::Nats> {
        let (ids, positions) = (self.indices(&rows.ids)?, self.indices(&rows.positions)?);
        let table = self.frequencies.table(&rows.positions, self.dtype, &self.device)?;
        let block = Block { attention: attend, ..self.block(&table, &positions) };

        let mut x = self.embed(params, &ids)?;
        let mut kept = Vec::with_capacity(self.layers.len());
        for (layer, layout) in self.layers.iter().enumerate() {
            let lease = self.lease(params, Unit::Layer(layer), layout)?;
            params.prefetch(self.after(layer))?;
            let weights = LayerTensors::new(lease.flat(), layout)?;
            let (y, saved) = block.forward(&weights, x, &rows.spans, policy)?;
            x = y;
            kept.push(saved);
        }

        let head_unit = self.config.head_unit();
        let head_grads = params.grads(head_unit)?;
        let (nats, mut dx) = self.backward_head(params, head_grads.flat(), &x, rows, token_weight)?;
        let embed_grads = if head_unit == Unit::Embed {
            head_grads
        } else {
            params.finish_grads(head_unit, head_grads)?;
            params.grads(Unit::Embed)?
        };
        for (layer, saved) in kept.into_iter().enumerate().rev() {
            dx = self.backward_layer(params, &block, layer, saved, &dx, rows)?;
        }
        embedding::backward(&dx, &ids, &view(embed_grads.flat(), &self.embed, slot::TABLE)?)?;
        params.finish_grads(Unit::Embed, embed_grads)?;
        Ok(nats)
    }

    /// The loss of a packed row, without gradients.
    pub fn loss(&self, params: &dyn Params, packed: &Packed) -> Result<Loss> {
        self.loss_by(&self.attention, params, packed)
    }

    /// As [`Llama::loss`], of the rows that are `attend`'s own.
    ///
    /// # Errors
    /// As [`Llama::begin_loss_and_grads`].
    pub fn loss_by(&self, attend: &dyn Attend, params: &dyn Params, packed: &Packed) -> Result<Loss> {
        let rows = self.own_rows(attend, packed)?;
        let ctx = AttentionCtx::Packed { spans: &rows.spans };
        let hidden = self.hidden_by(attend, params, &rows.ids, &rows.positions, &ctx, &[])?;
        let lease = self.lease_head(params)?;
        let weight = view(lease.flat(), &self.head, slot::TABLE)?;
        let loss = cross_entropy::forward(&hidden, &weight, &rows.targets, &rows.weights(1.0))?;
        Ok(Loss { nats: loss.sum, tokens: rows.trained_tokens() })
    }

    /// Rows after the final norm, `[N, D]`, for `ids` at `positions` in their documents.
    ///
    /// With [`AttentionCtx::Paged`] the new keys and values are written into the cache first.
    ///
    /// # Errors
    /// [`Error::Input`] where ids, positions and spans or runs do not fit together.
    pub fn hidden(&self, params: &dyn Params, ids: &[u32], positions: &[u32], ctx: &AttentionCtx) -> Result<Tensor> {
        if ids.is_empty() || ids.len() != positions.len() {
            return Err(Error::Input(format!("{} ids at {} positions", ids.len(), positions.len())));
        }
        check_ids(ids, self.config.vocab_size)?;
        let slots = match ctx {
            AttentionCtx::Packed { spans } => check_packed(spans, ids.len()).map(|()| Vec::new())?,
            AttentionCtx::Paged { cache, runs } => slots(cache, runs, positions)?,
        };
        self.hidden_by(&self.attention, params, ids, positions, ctx, &slots)
    }

    /// As [`Llama::hidden`], of what has been checked; `slots` are those of the new keys and values.
    fn hidden_by(
        &self,
        attend: &dyn Attend,
        params: &dyn Params,
        ids: &[u32],
        positions: &[u32],
        ctx: &AttentionCtx,
        slots: &[u32],
    ) -> Result<Tensor> {
        let table = self.frequencies.table(positions, self.dtype, &self.device)?;
        let positions = self.indices(positions)?;
        let block = Block { attention: attend, ..self.block(&table, &positions) };
        let mut x = self.embed(params, &self.indices(ids)?)?;
        for (layer, layout) in self.layers.iter().enumerate() {
            let lease = self.lease(params, Unit::Layer(layer), layout)?;
            params.prefetch(self.after(layer))?;
            let weights = LayerTensors::new(lease.flat(), layout)?;
            let projected = block.project(&weights, &x)?;
            let o = match ctx {
                AttentionCtx::Packed { spans } => block.attend(&projected, spans)?.o,
                AttentionCtx::Paged { cache, runs } => {
                    let pages = cache.layer(layer);
                    recon_kernels::paged::write(&projected.k, &projected.v, pages.0, pages.1, slots)?;
                    block.attend_paged(&projected, pages, runs)?
                }
            };
            x = block.output(&weights, &block.mix(&weights, &x, &o)?)?;
        }
        let lease = self.lease_head(params)?;
        let norm = view(lease.flat(), &self.head, slot::FINAL_NORM)?;
        Ok(rms_norm::forward(&x, &norm, self.config.rms_norm_eps)?.0)
    }

    /// Logits `[N, V]` of `hidden[N, D]`, rows of [`Llama::hidden`]; f32 at least.
    pub fn logits(&self, params: &dyn Params, hidden: &Tensor) -> Result<Tensor> {
        let lease = self.lease_head(params)?;
        Ok(linear::forward_wide(&hidden.contiguous()?, &view(lease.flat(), &self.head, slot::TABLE)?)?)
    }

    /// Log-probability in nats of `targets[i]` after row `i` of `hidden[N, D]`; the logits are
    /// never held all at once.
    pub fn log_probs(&self, params: &dyn Params, hidden: &Tensor, targets: &[u32]) -> Result<Vec<f32>> {
        check_ids(targets, self.config.vocab_size)?;
        let lease = self.lease_head(params)?;
        let weight = view(lease.flat(), &self.head, slot::TABLE)?;
        Ok(cross_entropy::log_probs(&hidden.contiguous()?, &weight, targets)?)
    }

    fn indices(&self, values: &[u32]) -> Result<Tensor> {
        Ok(Tensor::from_slice(values, values.len(), &self.device)?)
    }

    /// The unit that the forward pass reads after a layer.
    fn after(&self, layer: usize) -> Unit {
        if layer + 1 < self.layers.len() { Unit::Layer(layer + 1) } else { self.config.head_unit() }
    }

    fn lease(&self, params: &dyn Params, unit: Unit, layout: &UnitLayout) -> Result<Lease> {
        let lease = params.lease(unit)?;
        if lease.flat().dims() != [layout.elements] {
            let found = lease.flat().elem_count();
            return Err(Error::Lease { unit, expected: layout.elements, found });
        }
        Ok(lease)
    }

    fn lease_head(&self, params: &dyn Params) -> Result<Lease> {
        self.lease(params, self.config.head_unit(), &self.head)
    }

    fn embed(&self, params: &dyn Params, ids: &Tensor) -> Result<Tensor> {
        let lease = self.lease(params, Unit::Embed, &self.embed)?;
        Ok(embedding::forward(ids, &view(lease.flat(), &self.embed, slot::TABLE)?)?)
    }

    /// Final norm, head and cross-entropy, forward and backward: the summed nats and the gradient
    /// of the last layer's output.
    fn backward_head(
        &self,
        params: &dyn Params,
        grads: &Tensor,
        x: &Tensor,
        rows: &Rows,
        token_weight: f32,
    ) -> Result<(cross_entropy::Nats, Tensor)> {
        let lease = self.lease_head(params)?;
        let at = |flat: &Tensor, index| view(flat, &self.head, index);
        let norm = at(lease.flat(), slot::FINAL_NORM)?;
        let (hidden, inv_rms) = rms_norm::forward(x, &norm, self.config.rms_norm_eps)?;
        let (weight, d_weight) = (at(lease.flat(), slot::TABLE)?, at(grads, slot::TABLE)?);
        let weights = rows.weights(token_weight);
        let (nats, d_hidden) = cross_entropy::forward_backward(&hidden, &weight, &rows.targets, &weights, &d_weight)?;
        let dx = rms_norm::backward(&d_hidden, x, &norm, &inv_rms, &at(grads, slot::FINAL_NORM)?)?;
        Ok((nats, dx))
    }

    fn backward_layer(
        &self,
        params: &dyn Params,
        block: &Block,
        layer: usize,
        saved: Saved,
        dy: &Tensor,
        rows: &Rows,
    ) -> Result<Tensor> {
        let (unit, layout) = (Unit::Layer(layer), &self.layers[layer]);
        let lease = self.lease(params, unit, layout)?;
        if let Some(before) = layer.checked_sub(1) {
            params.prefetch(Unit::Layer(before))?;
        }
        let weights = LayerTensors::new(lease.flat(), layout)?;
        let activations = block.recall(&weights, saved, &rows.spans)?;
        let grads = params.grads(unit)?;
        let gradients = LayerTensors::new(grads.flat(), layout)?;
        let dx = block.backward(&weights, &gradients, activations, dy, &rows.spans)?;
        drop(gradients);
        params.finish_grads(unit, grads)?;
        Ok(dx)
    }
}
