//! The model: embedding, layers, final norm and head, forward and backward.

use candle_core::{DType, Device, Tensor};

use crate::packed::Rows;
use crate::rope::inverse_frequencies;
use crate::{AttentionCtx, Config, Error, Loss, Packed, Params, Result};

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

/// A configuration ready to run; it holds no parameters.
pub struct Llama {
    config: Config,
    inv_freq: Vec<f32>,
}

impl Llama {
    /// Prepares the rotary table of `config` on `device`, for arithmetic in `dtype`.
    pub fn new(config: Config, _device: &Device, _dtype: DType) -> Result<Self> {
        config.validate()?;
        let inv_freq = inverse_frequencies(&config.rope, config.head_dim);
        Ok(Self { config, inv_freq })
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
        _params: &dyn Params,
        packed: &Packed,
        _policy: ActivationPolicy,
        token_weight: f32,
    ) -> Result<Loss> {
        let rows = Rows::new(packed, self.config.vocab_size)?;
        let (ids, positions, spans) = (&rows.ids, &rows.positions, &rows.spans);
        let problem =
            format!("{:?}", (rows.weights(token_weight), &rows.targets, ids, positions, spans, &self.inv_freq));
        Err(Error::Input(problem))
    }

    /// The loss of a packed row, without gradients.
    pub fn loss(&self, _params: &dyn Params, packed: &Packed) -> Result<Loss> {
        let tokens = Rows::new(packed, self.config.vocab_size)?.trained_tokens();
        Err(Error::Input(tokens.to_string()))
    }

    /// Rows after the final norm, `[N, D]`, for `ids` at `positions` in their documents.
    pub fn hidden(&self, _: &dyn Params, _ids: &[u32], _positions: &[u32], _: &AttentionCtx) -> Result<Tensor> {
        Err(Error::Input(String::new()))
    }

    /// Logits `[N, V]` of `hidden[N, D]`.
    pub fn logits(&self, _: &dyn Params, _hidden: &Tensor) -> Result<Tensor> {
        Err(Error::Input(String::new()))
    }

    /// Log-probability in nats of `targets[i]` after row `i` of `hidden[N, D]`.
    pub fn log_probs(&self, _: &dyn Params, _hidden: &Tensor, _targets: &[u32]) -> Result<Vec<f32>> {
        Err(Error::Input(String::new()))
    }
}
