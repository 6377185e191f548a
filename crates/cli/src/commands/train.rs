//! `recon-train`: continued pretraining on packed rows.

use std::io::IsTerminal as _;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use recon_train::{Machine, Observer, SaveMetrics, Signals, StepMetrics, TrainPlan};

use super::{Format, plan, print_line, rehearse};
use crate::config::ConfigArgs;
use crate::progress::Progress;
use crate::ranks;
use recon_pipeline::{Config, Failure, Lock, Observe as _, Outcome, model};

/// Continue pretraining a Llama on packed rows.
#[derive(Debug, Parser)]
#[command(
    name = "recon-train",
    version,
    after_help = "Example:\n  recon-train --config configs/quickstart.toml --set data=out/recon/pack/rows --out out/training"
)]
pub struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Tell memory, arithmetic and time of the run on a machine (cpu, 1xh200, 8xh100, 2x8xh100) and stop; nothing is
    /// allocated, downloaded or written.
    #[arg(long, value_name = "MACHINE", num_args = 0..=1)]
    plan: Option<Option<Machine>>,
    /// Make so many steps from fresh weights over random ids, tell what they took, and stop; nothing is read or written.
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "4", conflicts_with_all = ["plan", "resume"])]
    rehearse: Option<NonZeroU64>,
    /// With --rehearse: tokens of a document; as long as a row if absent.
    #[arg(long, value_name = "N", requires = "rehearse")]
    document_tokens: Option<NonZeroUsize>,
    /// Go on from the newest checkpoint.
    #[arg(long)]
    resume: bool,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(arguments: &TrainArgs) -> Outcome {
    let config = arguments.config.load()?;
    if let Some(machine) = arguments.plan {
        return plan::print(&config, machine, arguments.format);
    }
    if let Some(steps) = arguments.rehearse {
        return rehearsal(config, steps, arguments);
    }
    if config.data.is_none() && config.train.sources.is_empty() {
        return Err(Failure::input_because("no rows to train on")
            .hint("name them: --set data=DIR, as `recon pack` made them, or several as [[train.sources]]"));
    }
    let launch = ranks::launched()?;
    let mut options = config.train.clone();
    options.device = ranks::own_device(&options.device, launch.as_ref());
    let plan = TrainPlan {
        model: model::files(&config.model.name)?,
        overrides: config.model.overrides(),
        data: config.data.clone(),
        out: config.out.clone().unwrap_or_else(|| "out/training".into()),
        options,
        resume: arguments.resume,
    };
    let comm = ranks::meet(launch.as_ref(), &plan.options.parallel)?;
    let leads = comm.rank() == 0;
    let _lock = if leads { Some(ranks::or_give_up(&*comm, Lock::take(&plan.out))?) } else { None };
    let progress = if leads { Progress::new() } else { Progress::hidden() };
    let lines = !std::io::stderr().is_terminal();
    let mut bar = Bar { progress, signals: Signals::listen(), steps: 0, lines, told: None };
    let report = recon_train::run_among(&plan, &*comm, &mut bar)?;
    bar.progress.finish();
    if report.last.is_none() {
        tracing::warn!("the run was finished before: all {} steps are done, and nothing was trained", report.steps);
    }
    if report.stopped() {
        let signal = bar.signals.asked().unwrap_or("a signal to another rank");
        return Err(Failure::stopped(format_args!(
            "{signal} after step {} of {}; saved {}",
            report.step,
            report.steps,
            report.checkpoint.display()
        ))
        .hint("the same command with --resume goes on"));
    }
    if leads { print_line(format_args!("{}", report.checkpoint.display())) } else { Ok(()) }
}

/// Rehearses as one of the ranks that the launcher started.
fn rehearsal(mut config: Config, steps: NonZeroU64, arguments: &TrainArgs) -> Outcome {
    let launch = ranks::launched()?;
    config.train.device = ranks::own_device(&config.train.device, launch.as_ref());
    let comm = ranks::meet(launch.as_ref(), &config.train.parallel)?;
    let done = rehearse::print(&config, steps.get(), arguments.document_tokens, &*comm, arguments.format);
    ranks::or_give_up(&*comm, done)
}

/// A bar on a terminal; elsewhere a line for the first step, the last, one a minute, and each checkpoint.
struct Bar {
    progress: Progress,
    signals: Signals,
    steps: u64,
    /// Lines are told, and when the last one was.
    lines: bool,
    told: Option<Instant>,
}

impl Observer for Bar {
    fn start(&mut self, steps: u64, done: u64) {
        self.progress.begin("train", steps.saturating_sub(done));
        self.steps = steps;
    }

    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        let StepMetrics { step, loss_nats, tokens_per_s, .. } = *metrics;
        self.progress.advance(&format!("loss {loss_nats:.4}"));
        let is_due = self.told.is_none_or(|told| told.elapsed() >= Duration::from_mins(1)) || step == self.steps;
        if self.lines && is_due {
            self.told = Some(Instant::now());
            tracing::info!(target: "recon_train", loss_nats, tokens_per_s, "step {step} of {}", self.steps);
        }
        if self.signals.asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn saved(&mut self, checkpoint: &Path, metrics: &SaveMetrics) {
        let SaveMetrics { stall_s, total_s, .. } = *metrics;
        if self.lines {
            tracing::info!(target: "recon_train", stall_s, total_s, "saved {}", checkpoint.display());
        }
    }
}
