//! One optimizer step: gradients of the whole step, then the update.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::DType;
use recon_kernels::device;
use recon_llama::{FlatParams, Llama, Loss, Packed, Unit};

use crate::checkpoint::{self, Identity, Progress, Restored};
use crate::data::{balance, join};
use crate::metrics::peak_bytes;
use crate::optimizer::{self, Optimizer, Slots, StepAt};
use crate::ranks::Ranks;
use crate::{Error, Result, RowSource, Schedule, StepMetrics, TrainOptions};

/// A model in training.
pub(crate) struct Trainer<'a> {
    model: &'a Llama,
    params: FlatParams,
    optimizer: Box<dyn Optimizer>,
    slots: Slots,
    options: &'a TrainOptions,
    schedule: Schedule,
    units: Vec<Unit>,
    ranks: Ranks<'a>,
    /// Steps done.
    pub(crate) step: u64,
    /// Tokens inside documents so far.
    tokens: u64,
    /// Trained tokens so far.
    trained_tokens: u64,
}

impl<'a> Trainer<'a> {
    /// Training from `initial`, without gradients so far, of a model that computes in `dtype`; where the optimizer keeps
    /// masters, `initial` are these.
    pub(crate) fn fresh(
        model: &'a Llama,
        options: &'a TrainOptions,
        optimizer: Box<dyn Optimizer>,
        steps: u64,
        initial: FlatParams,
        dtype: DType,
        ranks: Ranks<'a>,
    ) -> Result<Self> {
        let slots = Slots::zeros(&*optimizer, model.config(), &initial, &ranks)?;
        let params = optimizer::computed(&*optimizer, initial, dtype)?;
        Self::new(model, options, optimizer, steps, params, slots, ranks)
    }

    /// Training that goes on where `restored` was saved.
    pub(crate) fn resumed(
        model: &'a Llama,
        options: &'a TrainOptions,
        optimizer: Box<dyn Optimizer>,
        steps: u64,
        restored: Restored,
        ranks: Ranks<'a>,
    ) -> Result<Self> {
        let Restored { step, progress, params, slots } = restored;
        let trainer = Self::new(model, options, optimizer, steps, params, slots, ranks)?;
        Ok(Self { step, tokens: progress.tokens, trained_tokens: progress.trained_tokens, ..trainer })
    }

    fn new(
        model: &'a Llama,
        options: &'a TrainOptions,
        optimizer: Box<dyn Optimizer>,
        steps: u64,
        params: FlatParams,
        slots: Slots,
        ranks: Ranks<'a>,
    ) -> Result<Self> {
        let schedule = Schedule::new(options, steps);
        let (params, units) = (params.with_grads()?, model.config().units());
        Ok(Self { model, params, optimizer, slots, options, schedule, units, ranks, step: 0, tokens: 0, trained_tokens: 0 })
    }

    /// The ranks that train it.
    pub(crate) fn ranks(&self) -> &Ranks<'a> {
        &self.ranks
    }

    /// Writes a checkpoint below `directory`, with all ranks.
    ///
    /// # Errors
    /// [`Error::Weights`] where the weights are not finite: no checkpoint is written of such a run.
    pub(crate) fn save(&self, directory: &Path, identity: Identity) -> Result<PathBuf> {
        let (position, tokens, trained_tokens) = (self.position(), self.tokens, self.trained_tokens);
        let progress = Progress { identity, position, tokens, trained_tokens, parts: self.ranks.parts() };
        let config = self.model.config();
        checkpoint::require_finite(&self.params, config, self.step)?;
        let state = (&self.slots, &self.params, config);
        checkpoint::save(directory, self.step, &progress, state, &self.ranks, self.options.keep)
    }

    /// Rows consumed so far.
    fn position(&self) -> u64 {
        self.step * self.options.step_rows()
    }

    /// Trains on the next rows of `rows`.
    ///
    /// # Errors
    /// [`Error::Loss`] and [`Error::Gradient`] leave parameters, slots and counts as they were.
    pub(crate) fn step(&mut self, rows: &dyn RowSource) -> Result<StepMetrics> {
        let started = Instant::now();
        let step = self.step + 1;
        let mut batch = (self.position()..self.position() + self.options.step_rows())
            .map(|position| rows.row(position))
            .collect::<Result<Vec<_>>>()?;
        balance(&mut batch);
        let tokens: u64 = batch.iter().flat_map(|row| &row.spans).map(|span| span.len() as u64).sum();
        let trained: u64 = batch.iter().map(Packed::trained_tokens).sum();
        if trained == 0 {
            return Err(Error::NothingTrained { step });
        }
        let micro_batches: Vec<&[Packed]> = batch.chunks(self.options.micro_batch_rows.get()).collect();
        let figures = self.ranks.compute(&self.params, &self.units, micro_batches.len(), |at| {
            let (packed, weight) = (join(micro_batches[at]), 1.0 / trained as f32);
            let Loss { nats, .. } =
                self.model.loss_and_grads(&self.params, &packed, self.options.activations, weight)?;
            Ok(vec![nats])
        })?;
        let mut nats = 0.0;
        for part in figures.into_iter().flatten() {
            nats += part;
        }
        let loss_nats = nats / trained as f64;
        if !loss_nats.is_finite() {
            return Err(Error::Loss { step, loss_nats });
        }
        self.ranks.reduce(&self.params, &self.units)?;
        let grad_norm = self.ranks.sum_of_squares(&self.params, &self.units, step)?.sqrt();
        let (lr, config) = (self.schedule.lr(step), self.model.config());
        let at = StepAt { step, lr };
        let clip = self.options.clip_norm.factor(grad_norm);
        optimizer::update(&*self.optimizer, &self.params, &self.slots, config, &self.ranks, clip, &at)?;
        self.ranks.share_parameters(&self.params, &self.units)?;
        self.step = step;
        self.tokens += tokens;
        self.trained_tokens += trained;
        let seconds = started.elapsed().as_secs_f64();
        let flops = batch.iter().map(|row| self.flops(row)).sum::<f64>();
        Ok(StepMetrics {
            step,
            loss_nats,
            grad_norm,
            clipped: clip.is_some(),
            lr,
            tokens: self.tokens,
            trained_tokens: self.trained_tokens,
            tokens_per_s: tokens as f64 / seconds,
            mfu: self.options.peak_tflops.map(|peak| flops / seconds / (peak * 1e12 * self.ranks.world() as f64)),
            peak_bytes: peak_bytes(),
            device_peak_bytes: device::peak_bytes(self.params.unit(Unit::Embed).device()),
        })
    }

    /// Arithmetic of one row, forward and backward, without recomputation: `6 · matrix elements` a
    /// token, and for attention `12 · L · H · hd · ½ length²` a document.
    fn flops(&self, row: &Packed) -> f64 {
        let config = self.model.config();
        let mut matrices = config.parameters() as f64;
        if !config.tie_word_embeddings {
            matrices -= (config.vocab_size * config.hidden_size) as f64; // the table is only looked up
        }
        let attention = (6 * config.num_hidden_layers * config.num_attention_heads * config.head_dim) as f64;
        let of_span = |length: f64| 6.0 * matrices * length + attention * length * length;
        row.spans.iter().map(|span| of_span(span.len() as f64)).sum()
    }
}
