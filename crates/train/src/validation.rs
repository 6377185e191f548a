//! The loss of rows that are not trained on, by source, at intervals.

use std::num::NonZeroU64;

use recon_llama::{Loss, Packed};
use serde::{Deserialize, Serialize};

use crate::data::take;
use crate::{Error, PackedRows, Result, RowSource as _, ValidationOptions, ValidationSource};

/// The loss of one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationMetrics {
    /// The source.
    pub source: String,
    /// Its trained tokens.
    pub tokens: u64,
    /// Their mean −log p, after the update.
    pub loss_nats: f64,
}

/// Rows that are measured, in memory.
#[derive(Default)]
pub(crate) struct Validation {
    every_steps: Option<NonZeroU64>,
    sources: Vec<(String, Vec<Packed>)>,
}

impl Validation {
    /// Reads the rows: the first of each source in the order of seed 0, the same in every run.
    pub(crate) fn open(options: Option<&ValidationOptions>, vocabulary: usize) -> Result<Self> {
        let Some(options) = options else { return Ok(Self::default()) };
        let read = |source: &ValidationSource| -> Result<_> {
            let rows = PackedRows::open(&source.directory, 0)?;
            let count = rows.rows().min(options.rows.get() as u64);
            let rows: Vec<Packed> = take(&rows, 0..count, vocabulary)?.into_iter().map(|taken| taken.row).collect();
            if rows.iter().all(|row| row.trained_tokens() == 0) {
                let problem = format!("has nothing to predict in {}", source.directory.display());
                return Err(Error::Option { key: "validation", problem });
            }
            Ok((source.name.clone(), rows))
        };
        let sources = options.sources.iter().map(read).collect::<Result<_>>()?;
        Ok(Self { every_steps: Some(options.every_steps), sources })
    }

    /// Whether the rows are measured after `step` of `steps`.
    pub(crate) fn is_due(&self, step: u64, steps: u64) -> bool {
        self.every_steps.is_some_and(|every| step.is_multiple_of(every.get()) || step == steps)
    }

    /// Measures every source, by the loss of a row.
    pub(crate) fn measure(&self, loss_of: impl Fn(&Packed) -> Result<Loss>) -> Result<Vec<ValidationMetrics>> {
        let of = |(source, rows): &(String, Vec<Packed>)| {
            let (mut nats, mut tokens) = (0.0, 0);
            for row in rows {
                let loss = loss_of(row)?;
                nats += loss.nats;
                tokens += loss.tokens;
            }
            Ok(ValidationMetrics { source: source.clone(), tokens, loss_nats: nats / tokens as f64 })
        };
        self.sources.iter().map(of).collect()
    }
}
