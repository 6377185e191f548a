//! What a run says of a step.

use std::fs;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Drawn, Rewound, Skipped, ValidationMetrics};

/// The figures of one optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// The step, from 1.
    pub step: u64,
    /// Mean −log p of the trained tokens, before the update; null, read as NaN, where it was not finite.
    #[serde(deserialize_with = "or_nan")]
    pub loss_nats: f64,
    /// Norm of the gradient before clipping; null, read as NaN, where it was not finite.
    #[serde(deserialize_with = "or_nan")]
    pub grad_norm: f64,
    /// Of the embedding, each layer and the head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit_grad_norms: Vec<f64>,
    /// Why nothing was updated, where the step was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
    /// Steps left out so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_steps: u64,
    /// How often the run went back to the checkpoint before this step, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewound: Vec<Rewound>,
    /// Whether the gradient was scaled down to `clip_norm`.
    #[serde(default)]
    pub clipped: bool,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens inside documents so far, trained or not.
    pub tokens: u64,
    /// Trained tokens so far.
    pub trained_tokens: u64,
    /// By source, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceMetrics>,
    /// The loss of rows that are not trained on, where it was measured after this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<ValidationMetrics>,
    /// Tokens of this step by its wall-clock seconds.
    pub tokens_per_s: f64,
    /// Seconds of these in which the step waited for its rows.
    #[serde(default)]
    pub data_wait_s: f64,
    /// Share of the device's peak arithmetic; null where the peak is not known.
    pub mfu: Option<f64>,
    /// Most of the host's memory the process has held; null where the system does not say.
    pub peak_bytes: Option<u64>,
    /// Most of the device's memory that tensors have held at one time; null on the CPU.
    pub device_peak_bytes: Option<u64>,
}

fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What one of several sources gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceMetrics {
    /// So far.
    #[serde(flatten)]
    pub drawn: Drawn,
    /// Mean −log p of its trained tokens of this step; null where it has none in it.
    pub loss_nats: Option<f64>,
}

/// The most memory this process has held, in bytes.
pub(crate) fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_that_of_a_process() {
        let bytes = peak_bytes().expect("Linux says");
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
    }
}
