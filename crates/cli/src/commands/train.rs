//! `recon-train`: continued pretraining on packed rows.

use std::ops::ControlFlow;
use std::path::Path;

use clap::Parser;
use recon_train::{MemoryPlan, Observer, Signals, StepMetrics, TrainPlan, plan_memory};

use super::{Format, print_json, print_line};
use crate::config::ConfigArgs;
use crate::progress::Progress;
use crate::ranks;
use recon_pipeline::{Failure, Lock, Observe as _, Outcome, model};

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
    /// Count the memory of the run and stop; nothing is allocated or written.
    #[arg(long)]
    plan: bool,
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
    let data = config.data.clone().ok_or_else(|| {
        Failure::input_because("no rows to train on").hint("name them: --set data=DIR, as `recon pack` made them")
    })?;
    let launch = ranks::launched()?;
    let mut options = config.train.clone();
    options.device = ranks::own_device(&options.device, launch.as_ref());
    let plan = TrainPlan {
        model: model::files(&config.model.name)?,
        overrides: config.model.overrides(),
        data,
        out: config.out.clone().unwrap_or_else(|| "out/training".into()),
        options,
        resume: arguments.resume,
    };
    if arguments.plan {
        let memory = plan_memory(&plan)?;
        return match arguments.format {
            Format::Json => print_json(&memory),
            Format::Text => print_memory(&memory),
        };
    }
    let comm = ranks::meet(launch.as_ref(), &plan.options.parallel)?;
    let leads = comm.rank() == 0;
    let _lock = if leads { Some(ranks::or_give_up(&*comm, Lock::take(&plan.out))?) } else { None };
    let progress = if leads { Progress::new() } else { Progress::hidden() };
    let mut bar = Bar { progress, signals: Signals::listen() };
    let report = recon_train::run_among(&plan, &*comm, &mut bar)?;
    bar.progress.finish();
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

/// One line a purpose, in bytes and in GiB.
fn print_memory(memory: &MemoryPlan) -> Outcome {
    let lines = serde_json::to_value(memory).map_err(Failure::run)?;
    for (purpose, bytes) in lines.as_object().into_iter().flatten() {
        let bytes = bytes.as_u64().unwrap_or_default();
        let gib = bytes as f64 / (1_u64 << 30) as f64;
        print_line(format_args!("{:<12} {bytes:>16} bytes {gib:>9.3} GiB", purpose.trim_end_matches("_bytes")))?;
    }
    Ok(())
}

struct Bar {
    progress: Progress,
    signals: Signals,
}

impl Observer for Bar {
    fn start(&mut self, steps: u64, done: u64) {
        self.progress.begin("train", steps.saturating_sub(done));
    }

    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.progress.advance(&format!("loss {:.4}", metrics.loss_nats));
        tracing::info!(step = metrics.step, loss_nats = metrics.loss_nats, tokens_per_s = metrics.tokens_per_s, "step");
        if self.signals.asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn saved(&mut self, checkpoint: &Path) {
        tracing::info!(checkpoint = %checkpoint.display(), "saved");
    }
}
