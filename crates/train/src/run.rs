//! A whole run: open, plan or restore, step until done, save.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use recon_checkpoint::ModelFiles;
use recon_comm::{Communicator, Solo};
use recon_kernels::device;
use recon_llama::{Config, FlatParams, Llama, place};

use crate::attention;
use crate::checkpoint::{Found, Identity, find, first_difference, restore};
use crate::export::keep_companions;
use crate::metrics::MetricsFile;
use crate::optimizer::{self, Optimizer};
use crate::ranks::Ranks;
use crate::saves::Saves;
use crate::tensorboard::EventFile;
use crate::trainer::Trainer;
use crate::validation::Validation;
use crate::{
    Error, Init, MemoryPlan, ModelOverrides, Observer, PackedRows, Result, RowSource, StepMetrics, TrainOptions,
};

/// What to train, on what, where to, and how.
#[derive(Debug, Clone)]
pub struct TrainPlan {
    /// The model.
    pub model: ModelFiles,
    /// What replaces values of its configuration.
    pub overrides: ModelOverrides,
    /// Directory of the run's own packed rows; none where all are in the options' sources.
    pub data: Option<PathBuf>,
    /// Directory of the run.
    pub out: PathBuf,
    /// How.
    pub options: TrainOptions,
    /// Continue the run in `out` from its newest checkpoint, or begin it where it has none.
    pub resume: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainReport {
    /// Steps of the whole run.
    pub steps: u64,
    /// The last step done.
    pub step: u64,
    /// Its figures; `None` where nothing was left to do.
    pub last: Option<StepMetrics>,
    /// The newest checkpoint.
    pub checkpoint: PathBuf,
}

impl TrainReport {
    /// Whether it was stopped before its last step, and can be resumed.
    pub fn stopped(&self) -> bool {
        self.step < self.steps
    }
}

impl TrainPlan {
    /// The model's configuration under the overrides.
    fn config(&self) -> Result<Config> {
        self.overrides.over(&self.model.config_json()?, self.options.init)
    }
}

/// Trains on the packed rows of `plan.data` and of the options' sources, on the device the options name.
///
/// # Errors
/// Everything of [`Error`]; the newest complete checkpoint is kept.
pub fn run(plan: &TrainPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    run_among(plan, &Solo, observer)
}

/// As [`run`], on the rows given; `plan.data` is not looked at.
///
/// # Errors
/// As [`run`].
pub fn run_on(plan: &TrainPlan, rows: &dyn RowSource, observer: &mut dyn Observer) -> Result<TrainReport> {
    run_on_among(plan, rows, &Solo, observer)
}

/// As [`run`], as one of the ranks of `comm`, all of which call it with the same plan and see the same files. The first
/// writes, and all return the same report.
///
/// # Errors
/// As [`run`]; [`Error::Ranks`] names a rank that has another plan, is lost, says nothing, or failed itself.
pub fn run_among(plan: &TrainPlan, comm: &dyn Communicator, observer: &mut dyn Observer) -> Result<TrainReport> {
    let opened = plan.options.validate().and_then(|()| PackedRows::open_mix(plan.data.as_deref(), &plan.options));
    let rows = opened.inspect_err(|error| comm.give_up(&error.to_string()))?;
    run_on_among(plan, &rows, comm, observer)
}

/// As [`run_among`], on the rows given.
///
/// # Errors
/// As there.
pub fn run_on_among(
    plan: &TrainPlan,
    rows: &dyn RowSource,
    comm: &dyn Communicator,
    observer: &mut dyn Observer,
) -> Result<TrainReport> {
    // Without a word from a rank that fails, the others could say only that it is lost.
    prepare_and_go(plan, rows, comm, observer).inspect_err(|error| comm.give_up(&error.to_string()))
}

fn prepare_and_go(
    plan: &TrainPlan,
    rows: &dyn RowSource,
    comm: &dyn Communicator,
    observer: &mut dyn Observer,
) -> Result<TrainReport> {
    plan.options.validate()?;
    let (options, out, leads) = (&plan.options.within(rows.rows()), plan.out.as_path(), comm.rank() == 0);
    let checkpoints = out.join("checkpoints");
    if leads && !plan.resume && (checkpoints.exists() || out.join("metrics.jsonl").exists()) {
        return Err(Error::Occupied { path: out.into() });
    }
    let config = plan.config()?;
    rows.fit(config.max_position_embeddings)?;
    let steps = options.steps(rows.rows());
    let identity = Identity::new(&config, options, rows.identity(), steps);
    same_plan(comm, &identity, plan)?;
    require_memory(&config, options, rows, comm.world())?;
    let Opened { device, dtype, optimizer, model } = open(&config, options, rows.row_tokens(), comm)?;
    if leads {
        recon_checkpoint::state::sweep(&checkpoints)?;
    }
    comm.barrier()?;
    let found = if plan.resume { find(&checkpoints, &identity)? } else { None };
    comm.agree("checkpoint to go on from", &found.as_ref().map_or(Ok("none".into()), Found::name)?)?;
    let parts = found.as_ref().map(Found::parts);
    let ranks = Ranks::new(comm, &options.parallel, options.accumulation.get(), parts)?;
    let validation = Validation::open(options.validation.as_ref(), config.vocab_size)?;
    let trainer = begin(plan, options, &model, (&device, dtype), optimizer, (steps, found), ranks)?;
    let log = if leads {
        keep_companions(&plan.model, &out.join("model"))?;
        Some(Log::open(out, trainer.step)?)
    } else {
        None
    };
    tracing::info!(steps, done = trainer.step, rows = rows.rows(), "training; {}", options.clip_norm);
    observer.start(steps, trainer.step);
    Run { trainer, log, steps, checkpoints, identity, saves: Saves::new(options.save), validation }.go(rows, observer)
}

/// Makes sure that all ranks do the same, but for where they compute.
///
/// # Errors
/// [`recon_comm::Error::Disagree`] with the first key that differs.
fn same_plan(comm: &dyn Communicator, identity: &Identity, plan: &TrainPlan) -> Result<()> {
    let mut options = serde_json::to_value(&plan.options).expect("options are numbers and names");
    options.as_object_mut().expect("options are a structure").remove("device");
    let whole = serde_json::json!({"model": identity.model, "train": options, "data": identity.data,
        "steps": identity.steps, "resume": plan.resume});
    comm.agree("configuration", &whole.to_string()).map_err(|error| {
        let recon_comm::Error::Disagree { what, rank, world, found, expected } = error else { return error.into() };
        let values = [&found, &expected].map(|text| serde_json::from_str(text).unwrap_or_default());
        let (what, found, expected) = match first_difference("", &values[0], &values[1]) {
            Some((key, found, expected)) => (format!("`{key}`"), found, expected),
            None => (what, found, expected),
        };
        recon_comm::Error::Disagree { what, rank, world, found, expected }.into()
    })
}

/// A model without weights, and where and how it is trained.
pub(crate) struct Opened {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
    pub(crate) optimizer: Box<dyn Optimizer>,
    pub(crate) model: Llama,
}

/// Opens the device that the options name, for rows of `row_tokens`.
///
/// # Errors
/// A device that cannot be had; ranks that would compute attention in two ways.
pub(crate) fn open(
    config: &Config,
    options: &TrainOptions,
    row_tokens: usize,
    comm: &dyn Communicator,
) -> Result<Opened> {
    let (device, precision) = place::open(&options.device, options.precision)?;
    let (dtype, optimizer) = (precision.dtype(), optimizer::of(options, precision));
    let rows = row_tokens * options.micro_batch_rows.get();
    let attention = attention::choose((options.attention, options.deterministic), config, (&device, dtype), rows)?;
    comm.agree("attention that train.attention = \"auto\" chose", &format!("{attention:?}"))?;
    let model = Llama::new(config.clone(), &device, dtype)?.with_attention(attention);
    Ok(Opened { device, dtype, optimizer, model })
}

/// Stops before anything is allocated that the device has no room for.
pub(crate) fn require_memory(
    config: &Config,
    options: &TrainOptions,
    rows: &dyn RowSource,
    world: usize,
) -> Result<()> {
    let bytes = MemoryPlan::sharded(config, options, rows.row_tokens(), world as u64).total_bytes;
    let change =
        "use `train.activations = \"block_inputs\"`, `train.optimizer_state = \"stochastic\"`, or shorter rows";
    Ok(device::require(&options.device, "the run", bytes, change).map_err(recon_llama::Error::from)?)
}

/// The state that the first step of this invocation begins from.
fn begin<'a>(
    plan: &TrainPlan,
    options: &'a TrainOptions,
    model: &'a Llama,
    (device, dtype): (&Device, DType),
    optimizer: Box<dyn Optimizer>,
    (steps, found): (u64, Option<Found>),
    ranks: Ranks<'a>,
) -> Result<Trainer<'a>> {
    if let Some(found) = found {
        let restored = restore(found, model.config(), (device, dtype), &*optimizer, &ranks)?;
        return Trainer::resumed(model, options, optimizer, steps, restored, ranks);
    }
    let first = initial(plan, model.config(), device, optimizer.master().unwrap_or(dtype))?;
    Trainer::fresh(model, options, optimizer, steps, first, dtype, ranks)
}

/// A run that is ready for its next step.
struct Run<'a> {
    trainer: Trainer<'a>,
    /// Of the rank that writes.
    log: Option<Log>,
    steps: u64,
    checkpoints: PathBuf,
    identity: Identity,
    saves: Saves,
    validation: Validation,
}

impl Run<'_> {
    /// Steps until all are done or the observer stops it.
    fn go(mut self, rows: &dyn RowSource, observer: &mut dyn Observer) -> Result<TrainReport> {
        let (mut last, mut saved) = (None, None);
        while self.trainer.step < self.steps {
            let mut metrics = self.trainer.step(rows)?;
            if self.validation.is_due(self.trainer.step, self.steps) {
                metrics.validation = self.trainer.validate(&self.validation)?;
            }
            if let Some(log) = &mut self.log {
                log.append(&metrics)?;
            }
            let (stop, due) = (observer.step(&metrics) == ControlFlow::Break(()), self.saves.due(self.trainer.step));
            last = Some(metrics);
            // Clocks differ, and a signal may have come to one rank only.
            let (stop, due) = self.trainer.ranks().any_and_first(stop, due)?;
            if stop || due || self.trainer.step == self.steps {
                let checkpoint = self.trainer.save(&self.checkpoints, self.identity.clone())?;
                self.saves.saved();
                observer.saved(&checkpoint);
                saved = Some(checkpoint);
            }
            if stop {
                break;
            }
        }
        let step = self.trainer.step;
        // Nothing left to do: the checkpoint the run was restored from is the newest.
        let checkpoint = saved.unwrap_or_else(|| recon_checkpoint::state::path(&self.checkpoints, step));
        Ok(TrainReport { steps: self.steps, step, last, checkpoint })
    }
}

/// The weights a run begins with.
fn initial(plan: &TrainPlan, config: &Config, device: &Device, dtype: DType) -> Result<FlatParams> {
    if plan.options.init == Init::Random {
        return Ok(FlatParams::random(config, device, dtype, plan.options.seed)?);
    }
    let tensors = plan.model.tensors()?;
    Ok(FlatParams::load(config, device, dtype, |name, shape| tensors.read_shaped(name, shape, dtype, &Device::Cpu))?)
}

/// The two records of a run's figures.
struct Log {
    metrics: MetricsFile,
    events: EventFile,
}

impl Log {
    fn open(out: &Path, step: u64) -> Result<Self> {
        let metrics = MetricsFile::open(out.join("metrics.jsonl"), step)?;
        Ok(Self { metrics, events: EventFile::create(&out.join("tensorboard"))? })
    }

    fn append(&mut self, metrics: &StepMetrics) -> Result<()> {
        self.metrics.append(metrics)?;
        let mut scalars = vec![
            ("loss_nats", metrics.loss_nats),
            ("grad_norm", metrics.grad_norm),
            ("lr", metrics.lr),
            ("trained_tokens", metrics.trained_tokens as f64),
            ("tokens_per_s", metrics.tokens_per_s),
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
}
