//! A whole run: open, plan or restore, step until done, save.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Device};
use recon_checkpoint::ModelFiles;
use recon_comm::{Communicator, Solo};
use recon_kernels::device;
use recon_llama::{Config, FlatParams, Llama, place};

use crate::attention;
use crate::checkpoint::{Found, Identity, find, first_difference, restore};
use crate::export::keep_companions;
use crate::log::Log;
use crate::optimizer::{self, Optimizer};
use crate::prefetch::Prefetch;
use crate::ranks::Ranks;
use crate::saver::Saver;
use crate::saves::Saves;
use crate::trace::{Trace, Track};
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
    agree_on(comm, found.as_ref())?;
    let parts = found.as_ref().map(Found::parts);
    let ranks = Ranks::new(comm, options, &config, parts)?;
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
    let (saver, saves) = (Saver::new(checkpoints.clone(), options), Saves::new(options.save));
    let traced = options.trace.filter(|_| leads).map(std::num::NonZeroU64::get);
    if let Some(step) = traced.filter(|step| !(trainer.step + 1..=steps).contains(step)) {
        tracing::warn!(step, done = trainer.step, steps, "train.trace names a step that is not made; none is traced");
    }
    let run = Run {
        trainer,
        log,
        steps,
        out: out.into(),
        checkpoints,
        identity,
        saver,
        saves,
        validation,
        traced,
        trace: None,
    };
    std::thread::scope(|scope| run.go(Prefetch::start(scope, rows, config.vocab_size), observer))
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

/// Makes sure that all ranks found the same checkpoint.
fn agree_on(comm: &dyn Communicator, found: Option<&Found>) -> Result<()> {
    Ok(comm.agree("checkpoint to go on from", &found.map_or(Ok("none".into()), Found::name)?)?)
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
    let change = "use `train.parallel.state = \"shared_weights\"` where there are several, `train.activations = \
                  \"block_inputs\"`, `train.optimizer_state = \"stochastic\"`, or shorter rows";
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
    let first = initial(plan, model.config(), device, optimizer.master().unwrap_or(dtype), &ranks)?;
    Trainer::fresh(model, options, optimizer, steps, first, dtype, ranks)
}

/// A run that is ready for its next step.
struct Run<'a> {
    trainer: Trainer<'a>,
    /// Of the rank that writes.
    log: Option<Log>,
    steps: u64,
    out: PathBuf,
    checkpoints: PathBuf,
    identity: Identity,
    saver: Saver,
    saves: Saves,
    validation: Validation,
    /// The step to trace, on the rank that writes.
    traced: Option<u64>,
    trace: Option<Arc<Trace>>,
}

impl Run<'_> {
    /// Steps until all are done or the observer stops it.
    fn go(mut self, mut data: Prefetch, observer: &mut dyn Observer) -> Result<TrainReport> {
        let mut last = None;
        while self.trainer.step < self.steps {
            self.trace = self.traced.take_if(|step| *step == self.trainer.step + 1).map(Trace::new).or(self.trace);
            self.trainer.trace = self.trace.clone().filter(|trace| trace.step == self.trainer.step + 1);
            let mut metrics = match self.trainer.step(&mut data) {
                Ok(metrics) => metrics,
                Err(error) => {
                    self = self.go_back(error, observer)?;
                    continue;
                }
            };
            if self.validation.is_due(self.trainer.step, self.steps) {
                metrics.validation = self.trainer.validate(&self.validation)?;
            }
            if let Some(log) = &mut self.log {
                log.step(&metrics)?;
            }
            let (stop, due) = (observer.step(&metrics) == ControlFlow::Break(()), self.saves.due(self.trainer.step));
            last = Some(metrics);
            // Clocks differ, and a signal may have come to one rank only.
            let (stop, due) = self.trainer.ranks().any_and_first(stop, due)?;
            let must = stop || self.trainer.step == self.steps;
            if must || due {
                self.trainer.save(&mut self.saver, self.identity.clone(), must)?;
                self.saves.saved();
            }
            self.saver.look()?;
            self.tell(observer)?;
            if stop {
                break;
            }
        }
        self.saver.wait()?;
        self.tell(observer)?;
        self.trainer.ranks().meet()?;
        let step = self.trainer.step;
        let checkpoint = recon_checkpoint::state::path(&self.checkpoints, step);
        Ok(TrainReport { steps: self.steps, step, last, checkpoint })
    }

    /// Tells of the checkpoints that ended, and writes the trace when nothing of it goes on any more.
    fn tell(&mut self, observer: &mut dyn Observer) -> Result<()> {
        for saved in self.saver.ended() {
            if let Some(log) = &mut self.log {
                log.save(&saved.metrics)?;
            }
            if let Some(trace) = self.trace.as_ref().filter(|trace| saved.metrics.step <= trace.step) {
                trace.add(format!("checkpoint of step {}", saved.metrics.step), Track::Checkpoint, saved.during);
            }
            match &saved.metrics.failed {
                None => observer.saved(&saved.path, &saved.metrics),
                Some(error) => {
                    tracing::warn!(
                        step = saved.metrics.step,
                        error,
                        "a checkpoint could not be written; the run goes on"
                    );
                }
            }
        }
        let (done, writing) = (self.trainer.step, self.saver.writes());
        let over = self.trace.take_if(|trace| trace.step <= done && writing.is_none_or(|step| step > trace.step));
        over.map_or(Ok(()), |trace| trace.write(&self.out.join(format!("trace-step-{}.json", trace.step))))
    }

    /// Goes back to the newest checkpoint after a step that ended with `error`, where the run may.
    ///
    /// # Errors
    /// `error` itself where it may not, or has no checkpoint yet.
    fn go_back(mut self, error: Error, observer: &mut dyn Observer) -> Result<Self> {
        if !self.trainer.may_rewind(&error) {
            return Err(error);
        }
        // The newest may be in the making.
        self.saver.wait()?;
        self.tell(observer)?;
        self.trainer.ranks().meet()?;
        let found = find(&self.checkpoints, &self.identity)?;
        agree_on(self.trainer.ranks().communicator(), found.as_ref())?;
        let Some(found) = found else { return Err(error) };
        let Some(rewound) = self.trainer.rewind(&error, &found) else { return Err(error) };
        tracing::warn!(
            %error,
            to_step = rewound.to_step,
            rows = rewound.rows,
            "the run goes back to its checkpoint and passes over the rows since then (train.bad_steps)"
        );
        if let Some(log) = &mut self.log {
            log.rewind(rewound.to_step)?;
        }
        let trainer = self.trainer.rewound(found, rewound)?;
        observer.start(self.steps, trainer.step);
        Ok(Self { trainer, ..self })
    }
}

/// The weights a run begins with; of each unit what this rank has of it.
fn initial(plan: &TrainPlan, config: &Config, device: &Device, dtype: DType, ranks: &Ranks<'_>) -> Result<FlatParams> {
    let keep = |whole| ranks.weights(whole);
    if plan.options.init == Init::Random {
        return Ok(FlatParams::random_kept(config, device, dtype, plan.options.seed, keep)?);
    }
    let tensors = plan.model.tensors()?;
    let read = |name: &str, shape: &[usize]| tensors.read_shaped(name, shape, dtype, &Device::Cpu);
    Ok(FlatParams::load_kept(config, device, dtype, read, keep)?)
}
