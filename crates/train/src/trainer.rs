//! One optimizer step: gradients of the whole step, then the update.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use candle_core::DType;
use recon_kernels::device;
use recon_llama::{FlatParams, Llama, Loss, Packed, Params, PendingLoss, Unit};

use crate::bad_steps::{Rewound, Steadiness};
use crate::checkpoint::{self, Found, Identity, Progress, Restored};
use crate::data::{Taken, document_tokens, join};
use crate::flops::flops_per_token;
use crate::metrics::peak_bytes;
use crate::optimizer::{self, Optimizer, Slots, StepAt};
use crate::prefetch::Prefetch;
use crate::ranks::Ranks;
use crate::reached::Unreached;
use crate::saver::Saver;
use crate::shares::Shares;
use crate::trace::{Trace, Watched, timed};
use crate::validation::Validation;
use crate::{Drawn, Error, Result, Schedule, Skipped, StepMetrics, TrainOptions, ValidationMetrics};

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
    /// Of the next row: rows seen and passed over so far.
    position: u64,
    /// Tokens inside documents so far.
    tokens: u64,
    /// Trained tokens so far.
    trained_tokens: u64,
    /// Of each source so far, where there are several.
    sources: Vec<Drawn>,
    steadiness: Steadiness,
    unreached: Unreached,
    /// All steps of the run.
    steps: u64,
    /// Of the next step, where it is traced.
    pub(crate) trace: Option<Arc<Trace>>,
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
        let Progress { position, tokens, trained_tokens, sources, steadiness, .. } = progress;
        Ok(Self { step, position, tokens, trained_tokens, sources, steadiness, ..trainer })
    }

    /// Whether the run may go back once more, since the next step ended with `error`.
    pub(crate) fn may_rewind(&self, error: &Error) -> bool {
        Skipped::of(error).is_some() && (self.steadiness.rewound.len() as u64) < self.options.bad_steps.rewind
    }

    /// How the run goes back from the next step, which ended with `error`, to `found`; `None` where `error` is none to go
    /// back for.
    pub(crate) fn rewind(&self, error: &Error, found: &Found) -> Option<Rewound> {
        let (reason, _) = Skipped::of(error)?;
        let rows = self.position + self.options.step_rows() - found.progress.position;
        Some(Rewound { from_step: self.step + 1, reason, to_step: found.step(), rows })
    }

    /// The run as it was at `found`, but for the rows that `rewound` passes over.
    pub(crate) fn rewound(self, found: Found, rewound: Rewound) -> Result<Self> {
        let Self { model, params, optimizer, slots, options, ranks, steps, mut steadiness, .. } = self;
        let place = (params.unit(Unit::Embed).device().clone(), params.unit(Unit::Embed).dtype());
        // There is not room for both states.
        drop((params, slots));
        let restored = checkpoint::restore(found, model.config(), (&place.0, place.1), &*optimizer, &ranks)?;
        let mut trainer = Self::resumed(model, options, optimizer, steps, restored, ranks)?;
        trainer.position += rewound.rows;
        steadiness.rewound.push(rewound);
        trainer.steadiness.rewound = steadiness.rewound;
        Ok(trainer)
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
        let params = params.with_grads_kept(|elements| ranks.gradient_elements(elements))?;
        let units = model.config().units();
        Ok(Self {
            model,
            params,
            optimizer,
            slots,
            options,
            schedule,
            units,
            ranks,
            step: 0,
            position: 0,
            tokens: 0,
            trained_tokens: 0,
            sources: Vec::new(),
            steadiness: Steadiness::default(),
            unreached: Unreached::new(model.config()),
            steps,
            trace: None,
        })
    }

    /// The ranks that train it.
    pub(crate) fn ranks(&self) -> &Ranks<'a> {
        &self.ranks
    }

    /// Hands this state to `saver`, with all ranks; `must`: the run does not go on without it.
    ///
    /// # Errors
    /// [`Error::Weights`] where the weights are not finite: no checkpoint is written of such a run.
    pub(crate) fn save(&self, saver: &mut Saver, identity: Identity, must: bool) -> Result<()> {
        let (position, tokens, trained_tokens) = (self.position, self.tokens, self.trained_tokens);
        let (sources, steadiness, parts) = (self.sources.clone(), self.steadiness.clone(), self.ranks.parts());
        let progress = Progress { identity, position, tokens, trained_tokens, parts, sources, steadiness };
        let config = self.model.config();
        checkpoint::require_finite(&self.params, config, self.step)?;
        saver.save((self.step, must), &progress, (&self.slots, &self.params, config), &self.ranks)
    }

    /// The rows of this step and, where there is one, of the next.
    fn positions(&self) -> (Range<u64>, Option<Range<u64>>) {
        let (start, rows) = (self.position, self.options.step_rows());
        let next = (self.step + 1 < self.steps).then_some(start + rows..start + 2 * rows);
        (start..start + rows, next)
    }

    /// Trains on the next rows of `data`.
    ///
    /// # Errors
    /// [`Error::Loss`], [`Error::Gradient`] and [`Error::Spike`], where no more such steps may be left out, leave
    /// parameters, slots and counts as they were.
    pub(crate) fn step(&mut self, data: &mut Prefetch) -> Result<StepMetrics> {
        let started = Instant::now();
        let step = self.step + 1;
        let trace = self.trace.take();
        let trace = trace.as_ref();
        let (positions, next) = self.positions();
        let end = positions.end;
        let batch = timed(trace, "rows", || data.take(positions, next))?;
        let data_wait_s = started.elapsed().as_secs_f64();
        let tokens: u64 = batch.iter().map(|taken| document_tokens(&taken.row)).sum();
        let trained: u64 = batch.iter().map(|taken| taken.row.trained_tokens()).sum();
        if trained == 0 {
            return Err(Error::NothingTrained { step });
        }
        let mut shares = Shares::new(data.names().to_vec(), &self.sources);
        let micro_batches: Vec<&[Taken]> = batch.chunks(self.options.micro_batch_rows.get()).collect();
        let losses = self.losses(&micro_batches, 1.0 / trained as f32, !shares.is_empty(), trace)?;
        let nats = micro_batches.iter().zip(losses).fold(0.0, |nats, (micro_batch, losses)| {
            nats + if shares.is_empty() { losses[0].nats } else { shares.add(micro_batch, &losses) }
        });
        let loss_nats = nats / trained as f64;
        let (lr, config) = (self.schedule.lr(step), self.model.config());
        let found = timed(trace, "exchange and norms", || self.gradient(step, loss_nats));
        let (grad_norm, unit_grad_norms, skipped) = match found {
            Ok((norm, norms)) => (norm, norms, None),
            Err(error) => {
                let (reason, grad_norm) = self.skip(error)?;
                (grad_norm, Vec::new(), Some(reason))
            }
        };
        let clip = self.options.clip_norm.factor(grad_norm).filter(|_| skipped.is_none());
        if skipped.is_none() {
            self.unreached.look(&self.params, &self.ranks, step == self.steps)?;
            let at = StepAt { step, lr };
            timed(trace, "optimizer", || {
                optimizer::update(&*self.optimizer, &self.params, &self.slots, config, &self.ranks, clip, &at)?;
                self.ranks.share_parameters(&self.params, &self.units)
            })?;
            self.steadiness.taken(grad_norm, &self.options.bad_steps);
        }
        (self.step, self.position) = (step, end);
        self.tokens += tokens;
        self.trained_tokens += trained;
        let sources = shares.metrics();
        self.sources = sources.iter().map(|source| source.drawn.clone()).collect();
        let seconds = started.elapsed().as_secs_f64();
        let flops = batch.iter().map(|taken| self.flops(&taken.row)).sum::<f64>();
        Ok(StepMetrics {
            step,
            loss_nats,
            grad_norm,
            unit_grad_norms,
            skipped,
            skipped_steps: self.steadiness.skipped,
            rewound: self.steadiness.rewound.iter().filter(|it| it.to_step + 1 == step).cloned().collect(),
            clipped: clip.is_some(),
            lr,
            tokens: self.tokens,
            trained_tokens: self.trained_tokens,
            sources,
            validation: Vec::new(),
            tokens_per_s: tokens as f64 / seconds,
            data_wait_s,
            mfu: self.options.peak_tflops.map(|peak| flops / seconds / (peak * 1e12 * self.ranks.world() as f64)),
            peak_bytes: peak_bytes(),
            device_peak_bytes: device::peak_bytes(self.params.unit(Unit::Embed).device()),
        })
    }

    /// The losses of each micro-batch, of every document or summed, with the gradients of this rank's parts.
    fn losses(
        &self,
        micro_batches: &[&[Taken]],
        weight: f32,
        by_document: bool,
        trace: Option<&Arc<Trace>>,
    ) -> Result<Vec<Vec<Loss>>> {
        let policy = self.options.activations;
        let over_row = self.ranks.over_row(self.model.attention());
        let attend = over_row.as_ref().map_or(self.model.attention(), |ulysses| ulysses);
        let begin = |at: usize, params: &dyn Params| {
            let packed = join(micro_batches[at].iter().map(|taken| &taken.row));
            let begin = |params: &dyn Params| -> Result<PendingLoss> {
                Ok(self.model.begin_loss_and_grads(attend, params, &packed, policy, weight)?)
            };
            match trace {
                Some(trace) => {
                    let device = self.params.unit(Unit::Embed).device();
                    let watched = Watched::new(params, Arc::clone(trace), device);
                    timed(Some(trace), &format!("micro-batch {at}"), || begin(&watched))
                }
                None => begin(params),
            }
        };
        let read = |pending: PendingLoss| {
            let losses = if by_document { pending.read_each()? } else { vec![pending.read()?] };
            Ok(losses.into_iter().flat_map(|loss| [loss.nats, loss.tokens as f64]).collect())
        };
        let figures = self.ranks.compute(&self.params, &self.units, micro_batches.len(), begin, read)?;
        let losses = |figures: Vec<f64>| {
            figures.as_chunks().0.iter().map(|&[nats, tokens]| Loss { nats, tokens: tokens as u64 }).collect()
        };
        Ok(figures.into_iter().map(losses).collect())
    }

    /// The norm of the gradient over all ranks, and that of each unit's.
    ///
    /// # Errors
    /// [`Error::Loss`], [`Error::Gradient`] and [`Error::Spike`] where the step is bad.
    fn gradient(&self, step: u64, loss_nats: f64) -> Result<(f64, Vec<f64>)> {
        if !loss_nats.is_finite() {
            return Err(Error::Loss { step, loss_nats });
        }
        self.ranks.reduce(&self.params, &self.units)?;
        let squares = self.ranks.sums_of_squares(&self.params, &self.units, step)?;
        let grad_norm = squares.iter().fold(0.0, |sum, squares| sum + squares).sqrt();
        match self.steadiness.spike(grad_norm, &self.options.bad_steps) {
            Some(median) => Err(Error::Spike { step, grad_norm, median }),
            None => Ok((grad_norm, squares.into_iter().map(f64::sqrt).collect())),
        }
    }

    /// Counts a bad step that is left out: why, and the norm where it has one.
    ///
    /// # Errors
    /// `error` itself where no more steps may be left out, or it is of another kind.
    fn skip(&mut self, error: Error) -> Result<(Skipped, f64)> {
        let may = self.steadiness.skipped < self.options.bad_steps.skip;
        let Some(reason) = Skipped::of(&error).filter(|_| may) else { return Err(error) };
        tracing::warn!(%error, "the step is left out (train.bad_steps)");
        self.steadiness.skipped += 1;
        Ok(reason)
    }

    /// The loss of rows that are not trained on.
    pub(crate) fn validate(&self, validation: &Validation) -> Result<Vec<ValidationMetrics>> {
        let over_row = self.ranks.over_row(self.model.attention());
        let attend = over_row.as_ref().map_or(self.model.attention(), |ulysses| ulysses);
        let params = self.ranks.lend(&self.params);
        validation.measure(|row| self.ranks.whole_loss(self.model.loss_by(attend, &params, row)?))
    }

    /// Arithmetic of one row, forward and backward, without recomputation.
    fn flops(&self, row: &Packed) -> f64 {
        let of_span = |length: f64| length * flops_per_token(self.model.config(), length);
        row.spans.iter().map(|span| of_span(span.len() as f64)).sum()
    }
}
