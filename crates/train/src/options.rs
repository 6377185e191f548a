//! What a training run may be told.

use std::num::{NonZeroU64, NonZeroUsize};

use recon_llama::{ActivationPolicy, Precision, place};
use serde::{Deserialize, Serialize};

use crate::sources::first_without_weight;
use crate::{
    Attention, BadSteps, ClipNorm, Decay, Error, FailedSave, ParallelOptions, Result, SavePolicy, SourceOptions,
    ValidationOptions, Weight,
};

/// How long to train.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duration {
    /// This many optimizer steps.
    Steps(u64),
    /// As many steps as pass over the rows this many times, the last one complete.
    Epochs(f64),
}

/// How long the learning rate rises.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// This share of all steps.
    Fraction(f64),
    /// This many steps.
    Steps(u64),
}

/// Where the weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The model's own.
    Model,
    /// Fresh ones from the seed; only configuration and tokenizer of the model are read.
    Random,
}

/// What the optimizer keeps where parameters are bf16; in f32 they are their own masters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerState {
    /// f32 masters and moments: 18 bytes a parameter with its gradient.
    #[default]
    Masters,
    /// bf16 parameters and moments, rounded up or down at random so that they are right on average: 10 bytes.
    Stochastic,
}

impl OptimizerState {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(value: &bool) -> bool {
    *value
}

/// How to train. The defaults are ProLong's second stage, but for the number of steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// Where to train: `cpu`, `cuda` (the first GPU) or `cuda:N`.
    pub device: String,
    /// `f32` or `bf16`; none takes bf16 on a GPU and f32 on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// `masters` or `stochastic`; looked at in bf16 only.
    #[serde(skip_serializing_if = "OptimizerState::is_default")]
    pub optimizer_state: OptimizerState,
    /// `auto`, `own` or `cudnn`: who computes attention on a GPU. cuDNN needs bf16.
    #[serde(skip_serializing_if = "Attention::is_default")]
    pub attention: Attention,
    /// Whether two runs give the same bits; `false` lets cuDNN add gradients of attention in any order, which is faster.
    #[serde(skip_serializing_if = "is_true")]
    pub deterministic: bool,
    /// `{ steps = N }` or `{ epochs = X }`.
    pub duration: Duration,
    /// `model` continues its weights, `random` starts from fresh ones.
    pub init: Init,
    /// Packed rows that go through the model together.
    pub micro_batch_rows: NonZeroUsize,
    /// Micro-batches whose gradients are added up before the optimizer's step.
    pub accumulation: NonZeroUsize,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// `cosine`, `constant`, or `{ last = X }`, linear over this last share of all steps.
    #[serde(skip_serializing_if = "Decay::is_default")]
    pub decay: Decay,
    /// `{ fraction = X }` of all steps or `{ steps = N }`.
    pub warmup: Warmup,
    /// AdamW's β₁ and β₂.
    pub betas: [f64; 2],
    /// AdamW's ε.
    pub eps: f64,
    /// Decoupled weight decay of the matrices; norms are not decayed.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient, or `false` to clip nothing. Left out it is 1.
    pub clip_norm: ClipNorm,
    /// Rows to mix with the run's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceOptions>,
    /// Weight of the run's own rows beside the sources.
    #[serde(skip_serializing_if = "Weight::is_default")]
    pub own_weight: Weight,
    /// Rows shorter than this are joined, best fit first; absent: rows are taken as they are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_tokens: Option<NonZeroUsize>,
    /// What happens where a loss or gradient is not finite, or much larger than before.
    #[serde(skip_serializing_if = "BadSteps::is_default")]
    pub bad_steps: BadSteps,
    /// Rows whose loss is told on the way; they are not trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationOptions>,
    /// Seed of the order of rows and, where fresh, of the weights.
    pub seed: u64,
    /// What the forward pass keeps. The gradients do not depend on it.
    pub activations: ActivationPolicy,
    /// `{ every_minutes = X }`, `{ every_steps = N }` or `at_end`.
    pub save: SavePolicy,
    /// Complete checkpoints kept, the newest ones.
    pub keep: NonZeroUsize,
    /// Also kept, for good: those whose step is a multiple of this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_every: Option<NonZeroU64>,
    /// Whether a checkpoint is written while the training goes on, from a copy in host memory; else the training waits for
    /// it.
    #[serde(skip_serializing_if = "is_true")]
    pub save_in_background: bool,
    /// `stop` or `go_on`: what happens where a checkpoint on the way cannot be written.
    #[serde(skip_serializing_if = "FailedSave::is_default")]
    pub failed_save: FailedSave,
    /// The step of which `trace-step-N.json` is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<NonZeroU64>,
    /// Peak arithmetic of the device in TFLOP/s, for `mfu`; absent: `mfu` is null.
    pub peak_tflops: Option<f64>,
    /// How several ranks share a step.
    #[serde(skip_serializing_if = "ParallelOptions::is_default")]
    pub parallel: ParallelOptions,
}

impl Default for TrainOptions {
    fn default() -> Self {
        let one = NonZeroUsize::MIN;
        Self {
            device: "cpu".into(),
            precision: None,
            optimizer_state: OptimizerState::Masters,
            attention: Attention::Auto,
            deterministic: true,
            duration: Duration::Epochs(1.0),
            init: Init::Model,
            micro_batch_rows: one,
            accumulation: one,
            lr: 1e-5,
            min_lr: 1e-6,
            decay: Decay::Cosine,
            warmup: Warmup::Fraction(0.1),
            betas: [0.9, 0.95],
            eps: 1e-8,
            weight_decay: 0.1,
            clip_norm: ClipNorm::At(1.0),
            sources: Vec::new(),
            own_weight: Weight::default(),
            window_tokens: None,
            bad_steps: BadSteps::default(),
            validation: None,
            seed: 0,
            activations: ActivationPolicy::KeepAll,
            save: SavePolicy::EveryMinutes(30.0),
            keep: NonZeroUsize::new(2).expect("2 is not 0"),
            keep_every: None,
            save_in_background: true,
            failed_save: FailedSave::Stop,
            trace: None,
            peak_tflops: None,
            parallel: ParallelOptions::default(),
        }
    }
}

impl TrainOptions {
    /// These options over `rows` packed rows: a step that would take in more than all of them takes all of them, and
    /// says so.
    pub(crate) fn within(&self, rows: u64) -> Self {
        let all = usize::try_from(rows).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MAX);
        let micro_batch_rows = self.micro_batch_rows.min(all);
        let enough = NonZeroUsize::new(all.get().div_ceil(micro_batch_rows.get())).unwrap_or(NonZeroUsize::MIN);
        let accumulation = self.accumulation.min(enough);
        let cut = [
            ("micro_batch_rows", self.micro_batch_rows, micro_batch_rows),
            ("accumulation", self.accumulation, accumulation),
        ];
        for (key, asked, taken) in cut.into_iter().filter(|(_, asked, taken)| asked != taken) {
            tracing::warn!(asked, taken, rows, "train.{key} is more than the data has rows for");
        }
        Self { micro_batch_rows, accumulation, ..self.clone() }
    }

    /// Rows of one optimizer step.
    pub fn step_rows(&self) -> u64 {
        (self.micro_batch_rows.get() * self.accumulation.get()) as u64
    }

    /// Optimizer steps over `rows` packed rows.
    pub fn steps(&self, rows: u64) -> u64 {
        match self.duration {
            Duration::Steps(steps) => steps,
            Duration::Epochs(epochs) => ((rows as f64 * epochs) / self.step_rows() as f64).ceil() as u64,
        }
    }

    /// The type of parameters and activations.
    ///
    /// # Errors
    /// A device that does not exist by its name, or a type it does not compute in.
    pub fn precision(&self) -> Result<Precision> {
        Ok(place::precision(&self.device, self.precision)?)
    }

    fn validate_sources(&self) -> Result<()> {
        let wrong = |problem: String| Err(Error::Option { key: "sources", problem });
        if let Some(problem) = self.own_weight.problem() {
            return Err(Error::Option { key: "own_weight", problem });
        }
        for source in &self.sources {
            if let Some(problem) = source.weight.problem() {
                return wrong(format!("{} {problem}", source.directory.display()));
            }
        }
        let weights: Vec<&Weight> =
            self.sources.iter().map(|source| &source.weight).chain([&self.own_weight]).collect();
        match first_without_weight(&weights) {
            Some(step) => wrong(format!("and `train.own_weight` give weights that sum to zero at step {step}")),
            None => Ok(()),
        }
    }

    /// Refuses what cannot be meant.
    pub fn validate(&self) -> Result<()> {
        let wrong = |key, problem: String| Err(Error::Option { key, problem });
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let precision = self.precision()?;
        if precision == Precision::F32 && self.optimizer_state == OptimizerState::Stochastic {
            return wrong(
                "optimizer_state",
                "is `stochastic`, which is for bf16 parameters; this run is in f32".into(),
            );
        }
        if self.attention == Attention::Cudnn && precision == Precision::F32 {
            return wrong("attention", "is `cudnn`, which computes in bf16 on a GPU; this run is in f32".into());
        }
        match self.duration {
            Duration::Steps(0) => return wrong("duration", "is 0 steps".into()),
            Duration::Epochs(epochs) if !positive(epochs) => return wrong("duration", format!("is {epochs} epochs")),
            _ => {}
        }
        self.validate_sources()?;
        if !positive(self.lr) {
            return wrong("lr", format!("is {}, expected a positive number", self.lr));
        }
        if !(0.0..=self.lr).contains(&self.min_lr) {
            return wrong("min_lr", format!("is {}, expected 0 to lr = {}", self.min_lr, self.lr));
        }
        if let Warmup::Fraction(fraction) = self.warmup
            && !(0.0..=1.0).contains(&fraction)
        {
            return wrong("warmup", format!("is a fraction of {fraction}, expected 0 to 1"));
        }
        if self.betas.iter().any(|beta| !(0.0..1.0).contains(beta)) {
            return wrong("betas", format!("are {:?}, expected numbers from 0 up to, not including, 1", self.betas));
        }
        if !positive(self.eps) {
            return wrong("eps", format!("is {}, expected a positive number", self.eps));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return wrong("weight_decay", format!("is {}, expected 0 or more", self.weight_decay));
        }
        if let Some(value) = self.peak_tflops.filter(|value| !positive(*value)) {
            return wrong("peak_tflops", format!("is {value}, expected a positive number; leave it out to have none"));
        }
        let problems = [
            ("clip_norm", self.clip_norm.problem()),
            ("save", self.save.problem()),
            ("decay", self.decay.problem()),
            ("bad_steps", self.bad_steps.problem()),
            ("validation", self.validation.as_ref().and_then(ValidationOptions::problem)),
        ];
        for (key, problem) in problems {
            if let Some(problem) = problem {
                return wrong(key, problem);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_complete_steps() {
        let four = NonZeroUsize::new(4).unwrap();
        let options = TrainOptions { micro_batch_rows: four, accumulation: four, ..TrainOptions::default() };
        assert_eq!(options.steps(16), 1);
        assert_eq!(options.steps(17), 2);
        assert_eq!(TrainOptions { duration: Duration::Epochs(0.5), ..options.clone() }.steps(64), 2);
        assert_eq!(TrainOptions { duration: Duration::Steps(9), ..options }.steps(1), 9);
    }

    #[test]
    fn a_step_takes_in_the_data_once_at_most() {
        let cut = |micro: usize, accumulation: usize| {
            let of = |number: usize| NonZeroUsize::new(number).unwrap();
            let asked =
                TrainOptions { micro_batch_rows: of(micro), accumulation: of(accumulation), ..Default::default() };
            let taken = asked.within(7);
            (taken.micro_batch_rows.get(), taken.accumulation.get())
        };
        assert_eq!(cut(1_000_000_000_000, 1), (7, 1));
        assert_eq!(cut(usize::MAX, usize::MAX), (7, 1));
        assert_eq!(cut(1, usize::MAX), (1, 7));
        assert_eq!(cut(2, 1_000), (2, 4));
        for (micro, accumulation) in [(7, 1), (2, 3), (1, 7), (3, 3)] {
            assert_eq!(cut(micro, accumulation), (micro, accumulation), "what fits stays");
        }
    }

    #[test]
    fn options_that_cannot_be_meant_are_named() {
        let base = TrainOptions::default();
        base.validate().unwrap();
        for (key, options) in [
            ("attention", TrainOptions { attention: Attention::Cudnn, ..base.clone() }),
            ("duration", TrainOptions { duration: Duration::Steps(0), ..base.clone() }),
            ("duration", TrainOptions { duration: Duration::Epochs(f64::NAN), ..base.clone() }),
            ("lr", TrainOptions { lr: -1.0, ..base.clone() }),
            ("min_lr", TrainOptions { min_lr: 1.0, ..base.clone() }),
            ("warmup", TrainOptions { warmup: Warmup::Fraction(1.5), ..base.clone() }),
            ("betas", TrainOptions { betas: [0.9, 1.0], ..base.clone() }),
            ("eps", TrainOptions { eps: 0.0, ..base.clone() }),
            ("weight_decay", TrainOptions { weight_decay: f64::INFINITY, ..base.clone() }),
            ("clip_norm", TrainOptions { clip_norm: ClipNorm::At(0.0), ..base.clone() }),
            ("save", TrainOptions { save: SavePolicy::EveryMinutes(f64::NAN), ..base.clone() }),
        ] {
            let error = options.validate().unwrap_err();
            assert!(matches!(error, Error::Option { key: named, .. } if named == key), "{error}");
        }
    }

    #[test]
    fn unknown_options_are_refused_and_the_rest_default() {
        let json = r#"{"duration": {"steps": 3}, "warmup": {"steps": 1}, "save": {"every_steps": 2}}"#;
        let options: TrainOptions = serde_json::from_str(json).unwrap();
        assert_eq!((options.duration, options.warmup), (Duration::Steps(3), Warmup::Steps(1)));
        assert_eq!(options.lr, TrainOptions::default().lr);
        assert!(serde_json::from_str::<TrainOptions>(r#"{"learning_rate": 1}"#).is_err());
    }
}
