//! The memory of a run, counted before anything is allocated.
//!
//! `N` rows of one micro-batch, `D` hidden, `F` feed-forward, `H`/`KH` heads of `hd`, `V`
//! vocabulary, `L` layers. Parameters, gradients and moments are exact. Activations and working set count what
//! is alive at the widest moment, the head or the last layer's backward pass; temporaries inside one kernel are not
//! counted. `tests/memory.rs` holds it against the allocator on the CPU.

use recon_llama::{ActivationPolicy, Config, Precision, Unit};
use serde::Serialize;

use crate::{Attention, StateOn, TrainOptions, optimizer};

const F32_BYTES: u64 = 4;
/// Logits that exist at once: the chunk of `recon_kernels::cross_entropy`, on the CPU and on a GPU, as elements and as
/// the least and the most rows.
const HEAD_CHUNK: [(u64, u64, u64); 2] = [(1 << 22, 128, 1024), (3 << 26, 128, 8192)];
/// What a GPU's driver takes for a program before its first tensor.
const CONTEXT_BYTES: u64 = 600_000_000;

/// Bytes on one device, by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// Parameters, and their f32 masters where there are any.
    pub parameters_bytes: u64,
    /// Gradients.
    pub gradients_bytes: u64,
    /// First and second moments.
    pub moments_bytes: u64,
    /// What the forward pass keeps.
    pub activations_bytes: u64,
    /// Beside that, at the widest moment: one layer's backward pass, or the head.
    pub working_bytes: u64,
    /// What attention on a GPU needs for itself.
    pub scratch_bytes: u64,
    /// Units and rows on their way between devices.
    pub communication_bytes: u64,
    /// The copy that a checkpoint is written from while the training goes on; a GPU's lies in the host's memory.
    pub copy_bytes: u64,
    /// What the allocator rounds up, and on a GPU the program's context.
    pub slack_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

impl MemoryPlan {
    /// The plan of `config` trained on rows of `row_tokens` on one device.
    pub fn new(config: &Config, options: &TrainOptions, row_tokens: usize) -> Self {
        Self::sharded(config, options, row_tokens, 1)
    }

    /// The same on each of `devices`, which share rows and state as `options.parallel` says.
    pub fn sharded(config: &Config, options: &TrainOptions, row_tokens: usize, devices: u64) -> Self {
        let units = config.units();
        let elements_of = |unit: &Unit| config.layout(*unit).elements as u64;
        let elements: u64 = units.iter().map(elements_of).sum();
        let precision = options.precision().unwrap_or(Precision::F32);
        let bytes = precision.dtype().size_in_bytes() as u64;
        let optimizer = optimizer::of(options, precision);
        let master_bytes = optimizer.master().map_or(0, |dtype| dtype.size_in_bytes() as u64);
        let parallel = &options.parallel;
        let (context, shards) = (parallel.context.get() as u64, parallel.shards_of(devices as usize) as u64);
        let spread = |from: StateOn, bytes_each: u64| {
            (elements * bytes_each).div_ceil(if parallel.state >= from { shards.max(1) } else { 1 })
        };

        let rows = ((row_tokens * options.micro_batch_rows.get()) as u64).div_ceil(context);
        let sizes = LayerBytes::new(config, bytes);
        let (kept, again) = match options.activations {
            ActivationPolicy::KeepAll => (sizes.everything(), 0),
            ActivationPolicy::KeepAttention => (sizes.input + sizes.attention, sizes.rest),
            ActivationPolicy::BlockInputs => (sizes.input, sizes.attention + sizes.rest),
        };
        let on_gpu = options.device != "cpu";
        let mut plan = Self {
            parameters_bytes: spread(StateOn::SharedWeights, bytes) + spread(StateOn::Shared, master_bytes),
            gradients_bytes: spread(StateOn::SharedGradients, F32_BYTES) * (1 + sums_of_parts(options, devices)),
            moments_bytes: spread(StateOn::Shared, optimizer.bytes_per_parameter() - master_bytes),
            activations_bytes: rows * kept * config.num_hidden_layers as u64,
            working_bytes: (rows * (again + sizes.backward)).max(head_bytes(config, rows, bytes, on_gpu)),
            ..Self::default()
        };
        if on_gpu {
            // Ours: a number a row and head. cuDNN's, which `auto` may choose: what it asks for at 64k.
            let own = options.attention == Attention::Own || precision == Precision::F32;
            plan.scratch_bytes =
                rows * if own { config.num_attention_heads as u64 * F32_BYTES } else { 12 * config.query_dim() as u64 };
        }
        if !on_gpu && options.save_in_background {
            let stored = if master_bytes > 0 { 0 } else { bytes };
            plan.copy_bytes = elements * (stored + optimizer.bytes_per_parameter());
        }
        if devices > 1 {
            let largest = units.iter().map(elements_of).max().unwrap_or(0);
            plan.communication_bytes = largest * F32_BYTES;
            if parallel.state >= StateOn::SharedGradients {
                // The unit's whole gradient, beside the sum.
                plan.communication_bytes += largest * F32_BYTES;
            }
            if parallel.state >= StateOn::SharedWeights {
                // The unit that is read and the one that comes next.
                plan.communication_bytes += 2 * largest * bytes;
            }
            if context > 1 {
                // Heads of all rows: what attention reads and what it returns, forward and backward.
                let (q, kv) = (config.query_dim() as u64, config.key_value_dim() as u64);
                plan.communication_bytes += rows * 4 * (q + kv) * bytes;
            }
        }
        let counted = plan.sum();
        plan.slack_bytes = counted / 50 + if on_gpu { CONTEXT_BYTES } else { 0 };
        plan.total_bytes = counted + plan.slack_bytes;
        plan
    }

    fn sum(&self) -> u64 {
        self.parameters_bytes
            + self.gradients_bytes
            + self.moments_bytes
            + self.activations_bytes
            + self.working_bytes
            + self.scratch_bytes
            + self.communication_bytes
            + self.copy_bytes
    }
}

/// Gradients that wait to be added, where a device has several parts of a step.
fn sums_of_parts(options: &TrainOptions, devices: u64) -> u64 {
    let parallel = &options.parallel;
    let data = (devices / parallel.context.get() as u64).max(1);
    let parts = match parallel.parts {
        Some(parts) => parts.get() as u64,
        None if parallel.state >= StateOn::SharedGradients => options.accumulation.get() as u64,
        None => data,
    };
    match parts.div_ceil(data) {
        0 | 1 => 0,
        // One a level of the tree, and the next.
        several => u64::from(several.next_power_of_two().ilog2()) + 1,
    }
}

/// The head at work: the last output, hidden rows and their gradient, and a chunk of logits with the rows it is of.
fn head_bytes(config: &Config, rows: u64, bytes: u64, on_gpu: bool) -> u64 {
    let (elements, least, most) = HEAD_CHUNK[usize::from(on_gpu)];
    let (vocabulary, hidden) = (config.vocab_size as u64, config.hidden_size as u64);
    let chunk = (elements / vocabulary).clamp(least, most).min(rows);
    rows * 3 * hidden * bytes + chunk * (vocabulary * F32_BYTES + 2 * hidden * bytes)
}

/// Bytes that one row takes in one layer.
struct LayerBytes {
    input: u64,
    /// Attention output and log-sum-exp.
    attention: u64,
    /// Two normed rows with their inverse RMS, queries, keys, values, residual, gate, up, product.
    rest: u64,
    /// Gradients in the backward pass through the feed-forward half, which is the wider one: of product, gate, up, four
    /// of the residual stream, and the last layer's output.
    backward: u64,
}

impl LayerBytes {
    fn new(config: &Config, bytes: u64) -> Self {
        let d = config.hidden_size as u64;
        let (q, kv) = (config.query_dim() as u64, config.key_value_dim() as u64);
        let f = config.intermediate_size as u64;
        Self {
            input: d * bytes,
            attention: q * bytes + config.num_attention_heads as u64 * F32_BYTES,
            rest: (2 * d + q + 2 * kv + d + 3 * f) * bytes + 2 * F32_BYTES,
            backward: (3 * f + 5 * d) * bytes,
        }
    }

    fn everything(&self) -> u64 {
        self.input + self.attention + self.rest
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{OptimizerState, ParallelOptions};

    pub(crate) fn llama3_8b() -> Config {
        let json = serde_json::json!({
            "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
            "rope_theta": 500_000.0, "max_position_embeddings": 8192, "tie_word_embeddings": false,
        });
        Config::from_json(&json.to_string()).unwrap()
    }

    #[test]
    fn a_policy_that_keeps_less_needs_less() {
        let plan =
            |activations| MemoryPlan::new(&llama3_8b(), &TrainOptions { activations, ..Default::default() }, 8192);
        let all = plan(ActivationPolicy::KeepAll);
        let attention = plan(ActivationPolicy::KeepAttention);
        let inputs = plan(ActivationPolicy::BlockInputs);
        assert!(all.activations_bytes > attention.activations_bytes);
        assert!(attention.activations_bytes > inputs.activations_bytes);
        for plan in [all, inputs] {
            assert_eq!(plan.sum() + plan.slack_bytes, plan.total_bytes);
        }
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
                MemoryPlan::new(&llama3_8b(), &options, 1024);
            let elements: u64 =
                llama3_8b().units().into_iter().map(|unit| llama3_8b().layout(unit).elements as u64).sum();
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
            MemoryPlan::new(&llama3_8b(), &options, 1024)
        };
        assert_eq!(plan(4).activations_bytes, 4 * plan(1).activations_bytes);
        assert_eq!(plan(4).parameters_bytes, plan(1).parameters_bytes);
    }

    #[test]
    fn what_is_spread_over_devices_is_divided_and_the_rest_is_not() {
        let plan = |devices, state| {
            let parallel = ParallelOptions { state, ..Default::default() };
            let options = TrainOptions { device: "cuda".into(), parallel, ..Default::default() };
            MemoryPlan::sharded(&llama3_8b(), &options, 8192, devices)
        };
        let (one, eight) = (plan(1, StateOn::Shared), plan(8, StateOn::Shared));
        assert_eq!(one.moments_bytes, 8 * eight.moments_bytes);
        assert_eq!(plan(8, StateOn::EveryRank).moments_bytes, one.moments_bytes);
        // Weights of 2 bytes on each, their masters of 4 divided.
        assert_eq!(
            (one.parameters_bytes * 5, one.gradients_bytes),
            (eight.parameters_bytes * 12, eight.gradients_bytes)
        );
        assert_eq!((one.activations_bytes, one.working_bytes), (eight.activations_bytes, eight.working_bytes));
        assert!(one.communication_bytes == 0 && eight.communication_bytes > 0);
        // Eight micro-batches: one part on each device, so no gradients wait.
        let options = |state| TrainOptions {
            device: "cuda".into(),
            accumulation: 8.try_into().unwrap(),
            parallel: ParallelOptions { state, ..Default::default() },
            ..Default::default()
        };
        let spread = |state| MemoryPlan::sharded(&llama3_8b(), &options(state), 8192, 8);
        let (gradients, weights) = (spread(StateOn::SharedGradients), spread(StateOn::SharedWeights));
        assert_eq!(
            (one.gradients_bytes, gradients.parameters_bytes),
            (8 * gradients.gradients_bytes, eight.parameters_bytes)
        );
        assert_eq!(one.parameters_bytes, 8 * weights.parameters_bytes);
        let many = TrainOptions { accumulation: 64.try_into().unwrap(), ..options(StateOn::SharedWeights) };
        let many = MemoryPlan::sharded(&llama3_8b(), &many, 8192, 8);
        assert_eq!(
            many.gradients_bytes,
            5 * weights.gradients_bytes,
            "eight parts each: three levels, the next, the sum"
        );
    }

    #[test]
    fn rows_that_devices_share_take_a_part_of_the_activations() {
        let plan = |context: usize| {
            let parallel = ParallelOptions { context: context.try_into().unwrap(), ..Default::default() };
            let options = TrainOptions { device: "cuda".into(), parallel, ..Default::default() };
            MemoryPlan::sharded(&llama3_8b(), &options, 65_536, 8)
        };
        assert_eq!(plan(1).activations_bytes, 8 * plan(8).activations_bytes);
        assert_eq!(plan(1).gradients_bytes, plan(8).gradients_bytes);
    }
}
