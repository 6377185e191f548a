//! `train`: continued pretraining on the rows.

use std::ops::ControlFlow;
use std::path::Path;

use recon_checkpoint::ModelFiles;
use recon_pack::PackReport;
use recon_schema::Sha256;
use recon_schema::file::each_json_line;
use recon_train::{Observer, Signals, StepMetrics, TrainOptions, TrainPlan};
use serde::{Deserialize, Serialize};

use super::pack::ROWS;
use crate::config::ModelConfig;
use crate::failure::{Failure, Outcome};
use crate::lock::Lock;
use crate::observe::Observe;
use crate::stage::{Finished, Key, Stage};

/// Name of the stage and of its directory.
pub(crate) const NAME: &str = "train";

#[derive(Serialize)]
struct Plan<'a> {
    train: &'a TrainOptions,
    model: &'a ModelConfig,
}

/// What the training left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainFacts {
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens processed.
    pub tokens: u64,
    /// Mean loss of the first step, nats per trained token.
    pub first_loss_nats: f64,
    /// Mean loss of the last step, nats per trained token.
    pub last_loss_nats: f64,
}

/// Trains the model on what was packed.
pub(crate) fn run(
    root: &Path,
    pack: &Finished<PackReport>,
    (files, sha256): (&ModelFiles, Sha256),
    (model, train): (&ModelConfig, &TrainOptions),
    observe: &dyn Observe,
) -> Outcome<Finished<TrainFacts>> {
    let mut key =
        Key::new(NAME, &["train"], &Plan { train, model }).input("rows", pack.digest()).input("model", sha256);
    for source in &train.sources {
        let index = source.directory.join("index.json");
        key = key.input(format!("source {}", source.name()), recon_schema::file::hash_file(&index)?.sha256);
    }
    // `recon-train` on the same folder would write between our files.
    Stage::new(root, key).keep_leftovers().run_with(Lock::take_stage, |directory, lock| {
        let _lock = lock.renewed(directory)?;
        let plan = TrainPlan {
            model: files.clone(),
            overrides: model.overrides(),
            data: Some(pack.directory.join(ROWS)),
            out: directory.into(),
            options: train.clone(),
            resume: true,
        };
        let mut watch = Watch { observe, signals: Signals::listen() };
        let report = recon_train::run(&plan, &mut watch)?;
        if report.stopped() {
            let signal = watch.signals.asked().unwrap_or("a signal");
            let message = format!("{signal} in the training, after step {} of {}", report.step, report.steps);
            return Err(Failure::stopped(message).hint("the same command goes on from there"));
        }
        // From the metrics on disk: a resumed run has all of them.
        let mut metrics = each_json_line::<StepMetrics>(&directory.join("metrics.jsonl"), "metrics")?;
        let missing = || Failure::run_because(format!("{}: metrics.jsonl has no step", directory.display()));
        let first = metrics.next().ok_or_else(missing)??;
        let last = metrics.last().transpose()?.unwrap_or_else(|| first.clone());
        let (first_loss_nats, last_loss_nats) = (first.loss_nats, last.loss_nats);
        Ok(TrainFacts { steps: report.steps, tokens: last.tokens, first_loss_nats, last_loss_nats })
    })
}

/// Tells the steps of the training, and hears who asks it to stop.
struct Watch<'a> {
    observe: &'a dyn Observe,
    signals: Signals,
}

impl Observer for Watch<'_> {
    fn start(&mut self, steps: u64, done: u64) {
        self.observe.begin(NAME, steps);
        self.observe.skip(done);
    }

    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.observe.advance(&format!("loss {:.4}", metrics.loss_nats));
        if self.signals.asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
