//! One JSON line a step, and what a resumed run does with the lines it will write again.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Drawn, Error, Result, Skipped, ValidationMetrics};

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

/// `metrics.jsonl`, open for appending.
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens `path` and drops the lines after `step`, and a torn last line: no step appears twice.
    pub(crate) fn open(path: PathBuf, step: u64) -> Result<Self> {
        let kept = kept_bytes(&path, step)?;
        let fail = |source| Error::Write { path: path.clone(), source };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        file.set_len(kept).map_err(fail)?;
        Ok(Self { path, file })
    }

    pub(crate) fn append(&mut self, metrics: &StepMetrics) -> Result<()> {
        let mut line = serde_json::to_string(metrics).expect("metrics have string keys");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Read { path: path.into(), source }),
        text => Ok(text.unwrap_or_default()),
    }
}

/// Length of the complete lines of steps up to `step`.
fn kept_bytes(path: &Path, step: u64) -> Result<u64> {
    let text = read(path)?;
    let is_kept = |line: &&str| {
        let metrics = line.strip_suffix('\n').and_then(|line| serde_json::from_str::<StepMetrics>(line).ok());
        metrics.is_some_and(|metrics| metrics.step <= step)
    };
    Ok(text.split_inclusive('\n').take_while(is_kept).map(str::len).sum::<usize>() as u64)
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

    fn metrics(step: u64) -> StepMetrics {
        StepMetrics {
            step,
            loss_nats: 0.1 + step as f64,
            grad_norm: 1.0,
            unit_grad_norms: vec![0.6, 0.8],
            skipped: None,
            skipped_steps: 0,
            clipped: false,
            lr: 1e-3,
            tokens: step * 8,
            trained_tokens: step * 4,
            sources: Vec::new(),
            validation: Vec::new(),
            tokens_per_s: 2.0,
            mfu: None,
            peak_bytes: peak_bytes(),
            device_peak_bytes: None,
        }
    }

    #[test]
    fn steps_after_the_checkpoint_and_torn_lines_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(path.clone(), 0).unwrap();
        (1..=5).for_each(|step| file.append(&metrics(step)).unwrap());
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\":6,\"lo").unwrap();
        let mut file = MetricsFile::open(path.clone(), 3).unwrap();
        file.append(&metrics(4)).unwrap();
        let steps: Vec<u64> = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<StepMetrics>(line).unwrap().step)
            .collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_that_of_a_process() {
        let bytes = peak_bytes().expect("Linux says");
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
    }
}
