//! The records of a run's figures: JSON Lines of steps and of checkpoints, and TensorBoard's events.

use std::path::{Path, PathBuf};

use crate::jsonl::StepLines;
use crate::tensorboard::EventFile;
use crate::{Result, SaveMetrics, StepMetrics};

/// What a run writes of itself, open for appending.
pub(crate) struct Log {
    out: PathBuf,
    steps: StepLines,
    saves: StepLines,
    events: EventFile,
}

impl Log {
    /// Opens the records below `out`; what they say of steps after `step` is dropped.
    pub(crate) fn open(out: &Path, step: u64) -> Result<Self> {
        let [steps, saves] = lines(out, step)?;
        Ok(Self { out: out.into(), steps, saves, events: EventFile::create(&out.join("tensorboard"))? })
    }

    /// Drops what is said of steps after `step`.
    pub(crate) fn rewind(&mut self, step: u64) -> Result<()> {
        [self.steps, self.saves] = lines(&self.out, step)?;
        Ok(())
    }

    pub(crate) fn step(&mut self, metrics: &StepMetrics) -> Result<()> {
        self.steps.append(metrics)?;
        let mut scalars = vec![
            ("loss_nats", metrics.loss_nats),
            ("grad_norm", metrics.grad_norm),
            ("lr", metrics.lr),
            ("trained_tokens", metrics.trained_tokens as f64),
            ("tokens_per_s", metrics.tokens_per_s),
            ("data_wait_s", metrics.data_wait_s),
        ];
        scalars.extend(metrics.mfu.map(|mfu| ("mfu", mfu)));
        let by_source = metrics.sources.iter().map(|it| (format!("loss_nats/{}", it.drawn.source), it.loss_nats));
        let by_source: Vec<_> = by_source.collect();
        let validation = metrics.validation.iter().map(|it| (format!("validation_nats/{}", it.source), it.loss_nats));
        let validation: Vec<_> = validation.collect();
        scalars.extend(validation.iter().map(|(name, loss)| (name.as_str(), *loss)));
        scalars.extend(by_source.iter().filter_map(|(name, loss)| Some((name.as_str(), (*loss)?))));
        self.events.scalars(metrics.step, &scalars)
    }

    pub(crate) fn save(&mut self, metrics: &SaveMetrics) -> Result<()> {
        self.saves.append(metrics)?;
        let scalars = [("save_stall_s", metrics.stall_s), ("save_total_s", metrics.total_s)];
        self.events.scalars(metrics.step, &scalars)
    }
}

fn lines(out: &Path, step: u64) -> Result<[StepLines; 2]> {
    Ok([StepLines::open(out.join("metrics.jsonl"), step)?, StepLines::open(out.join("saves.jsonl"), step)?])
}
