//! The memory of a run, counted before anything is allocated.
//!
//! `N` rows of one micro-batch, `D` hidden, `F` feed-forward, `H`/`KH` heads of `hd`, `V`
//! vocabulary, `L` layers. Parameters, gradients and moments are exact. Activations count what
//! stays alive at the widest moment, one layer's backward pass at the end of the forward pass; short-lived
//! temporaries inside one kernel are not counted.

use recon_llama::{ActivationPolicy, Config, Precision};
use serde::Serialize;

use crate::{TrainOptions, optimizer};

const F32_BYTES: u64 = 4;
/// Logits that exist at once: the chunk of `recon_kernels::cross_entropy`, on the CPU and on a GPU.
const HEAD_CHUNK_ELEMENTS: [u64; 2] = [1 << 22, 3 << 26];

/// Bytes by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// Parameters, and their f32 masters where there are any.
    pub parameters_bytes: u64,
    /// Gradients.
    pub gradients_bytes: u64,
    /// First and second moments.
    pub moments_bytes: u64,
    /// What the forward pass keeps, and one layer's working set.
    pub activations_bytes: u64,
    /// One chunk of logits, with hidden rows and their gradient.
    pub head_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

impl MemoryPlan {
    /// The plan of `config` trained on rows of `row_tokens`.
    pub fn new(config: &Config, options: &TrainOptions, row_tokens: usize) -> Self {
        let elements: u64 = config.units().into_iter().map(|unit| config.layout(unit).elements as u64).sum();
        let rows = (row_tokens * options.micro_batch_rows.get()) as u64;
        let sizes = LayerSizes::new(config);
        let layers = config.num_hidden_layers as u64;
        let kept = match options.activations {
            ActivationPolicy::KeepAll => sizes.everything(),
            ActivationPolicy::KeepAttention => sizes.input + sizes.attention,
            ActivationPolicy::BlockInputs => sizes.input,
        };
        // Backward through one layer holds its recomputed activations and a gradient for each.
        let precision = options.precision().unwrap_or(Precision::F32);
        let bytes = precision.dtype().size_in_bytes() as u64;
        let activations_bytes = rows * (kept * layers + 2 * sizes.everything()) * bytes;
        let chunk = HEAD_CHUNK_ELEMENTS[usize::from(options.device != "cpu")];
        let logits = chunk.max(128 * config.vocab_size as u64).min(rows * config.vocab_size as u64);
        let head_bytes = logits * F32_BYTES + 2 * rows * config.hidden_size as u64 * bytes;
        let optimizer = optimizer::of(options, precision);
        let master_bytes = optimizer.master().map_or(0, |dtype| dtype.size_in_bytes() as u64);
        let parameters_bytes = elements * (bytes + master_bytes);
        let gradients_bytes = elements * F32_BYTES;
        let moments_bytes = elements * (optimizer.bytes_per_parameter() - master_bytes);
        let total_bytes = parameters_bytes + gradients_bytes + moments_bytes + activations_bytes + head_bytes;
        Self { parameters_bytes, gradients_bytes, moments_bytes, activations_bytes, head_bytes, total_bytes }
    }
}

/// Elements that one row holds in one layer.
struct LayerSizes {
    input: u64,
    /// Attention output and log-sum-exp.
    attention: u64,
    /// Two normed rows with their inverse RMS, queries, keys, values, residual, gate, up, product.
    rest: u64,
}

impl LayerSizes {
    fn new(config: &Config) -> Self {
        let d = config.hidden_size as u64;
        let q = (config.num_attention_heads * config.head_dim) as u64;
        let kv = (config.num_key_value_heads * config.head_dim) as u64;
        Self {
            input: d,
            attention: q + config.num_attention_heads as u64,
            rest: 2 * (d + 1) + q + 2 * kv + d + 3 * config.intermediate_size as u64,
        }
    }

    fn everything(&self) -> u64 {
        self.input + self.attention + self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OptimizerState;

    fn config() -> Config {
        let json = serde_json::json!({
            "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
            "rope_theta": 500_000.0, "max_position_embeddings": 8192, "tie_word_embeddings": false,
        });
        Config::from_json(&json.to_string()).unwrap()
    }

    #[test]
    fn a_policy_that_keeps_less_needs_less() {
        let plan = |activations| MemoryPlan::new(&config(), &TrainOptions { activations, ..Default::default() }, 8192);
        let all = plan(ActivationPolicy::KeepAll);
        let attention = plan(ActivationPolicy::KeepAttention);
        let inputs = plan(ActivationPolicy::BlockInputs);
        assert!(all.activations_bytes > attention.activations_bytes);
        assert!(attention.activations_bytes > inputs.activations_bytes);
        let sum = |plan: MemoryPlan| {
            let MemoryPlan { parameters_bytes, gradients_bytes, moments_bytes, activations_bytes, head_bytes, .. } =
                plan;
            parameters_bytes + gradients_bytes + moments_bytes + activations_bytes + head_bytes
        };
        assert_eq!((sum(all), sum(inputs)), (all.total_bytes, inputs.total_bytes));
        // Llama-3-8B: 8.03 billion parameters of 4 bytes.
        assert_eq!(all.parameters_bytes / 100_000_000, 321);
    }

    #[test]
    fn a_parameter_takes_what_its_state_takes() {
        let per_parameter = |precision, optimizer_state| {
            let options = TrainOptions {
                device: "cuda".into(),
                precision: Some(precision),
                optimizer_state,
                ..Default::default()
            };
            let MemoryPlan { parameters_bytes, gradients_bytes, moments_bytes, .. } =
                MemoryPlan::new(&config(), &options, 1024);
            let elements: u64 = config().units().into_iter().map(|unit| config().layout(unit).elements as u64).sum();
            (parameters_bytes + gradients_bytes + moments_bytes) / elements
        };
        assert_eq!(per_parameter(Precision::F32, OptimizerState::Masters), 16);
        assert_eq!(per_parameter(Precision::Bf16, OptimizerState::Masters), 18);
        assert_eq!(per_parameter(Precision::Bf16, OptimizerState::Stochastic), 10);
    }

    #[test]
    fn activations_grow_with_the_micro_batch_and_nothing_else_does() {
        let plan = |rows: usize| {
            let options = TrainOptions { micro_batch_rows: rows.try_into().unwrap(), ..Default::default() };
            MemoryPlan::new(&config(), &options, 1024)
        };
        assert_eq!(plan(4).activations_bytes, 4 * plan(1).activations_bytes);
        assert_eq!(plan(4).parameters_bytes, plan(1).parameters_bytes);
    }
}
