//! `recon-train --rehearse`: a few steps of a run on random ids, timed. The model's shape and the length of rows are found
//! as for `--plan`.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use recon_comm::Communicator;
use recon_llama::ActivationPolicy;
use recon_pipeline::{Config, Failure, Outcome};
use recon_train::{MemoryPlan, Observer, RandomRows, StepMetrics, flops_per_token, rehearse};
use serde::Serialize;
use serde_json::Value;

use super::plan::{model, rows};
use super::{Format, print_json, print_line};

/// What was done and measured.
#[derive(Serialize)]
struct Rehearsal {
    /// `config.json` of the model.
    model: Value,
    row_tokens: usize,
    document_tokens: usize,
    micro_batch_rows: usize,
    accumulation: usize,
    activations: ActivationPolicy,
    /// Arithmetic of a token, forward and backward, without recomputation.
    flops_per_token: f64,
    steps: Vec<StepMetrics>,
    /// Of the steps but the first, which opens libraries and fills caches.
    median_tokens_per_s: f64,
    planned: MemoryPlan,
}

/// Rehearses `steps` steps with documents of `document_tokens`, or as long as a row, and prints what they took.
pub(super) fn print(
    config: &Config,
    steps: u64,
    document_tokens: Option<NonZeroUsize>,
    comm: &dyn Communicator,
    format: Format,
) -> Outcome {
    let (model, options) = (model(config)?, &config.train);
    let (row_tokens, _) = rows(config)?;
    let row_tokens = NonZeroUsize::new(row_tokens)
        .ok_or_else(|| Failure::input_because("a row has no tokens; set pack.row_tokens"))?;
    let document_tokens = document_tokens.unwrap_or(row_tokens).min(row_tokens);
    let source =
        RandomRows { vocabulary: model.vocab_size, row_tokens, document_tokens, rows: steps * options.step_rows() };
    let leads = comm.rank() == 0;
    let mut seen = Seen { steps: Vec::new(), told: leads && format == Format::Text };
    rehearse(&model, options, &source, steps, comm, &mut seen)?;
    if !leads {
        return Ok(());
    }
    let mut rates: Vec<f64> = seen.steps.iter().skip(usize::from(steps > 1)).map(|step| step.tokens_per_s).collect();
    rates.sort_by(f64::total_cmp);
    let rehearsal = Rehearsal {
        model: serde_json::from_str(&model.to_json()).map_err(Failure::run)?,
        row_tokens: row_tokens.get(),
        document_tokens: document_tokens.get(),
        micro_batch_rows: options.micro_batch_rows.get(),
        accumulation: options.accumulation.get(),
        activations: options.activations,
        flops_per_token: flops_per_token(&model, document_tokens.get() as f64),
        median_tokens_per_s: rates.get(rates.len() / 2).copied().unwrap_or_default(),
        planned: MemoryPlan::sharded(&model, options, row_tokens.get(), comm.world() as u64),
        steps: seen.steps,
    };
    match format {
        Format::Json => print_json(&rehearsal),
        Format::Text => print_line(format_args!(
            "median {:.0} tokens/s; planned for {:.2} GiB on one device",
            rehearsal.median_tokens_per_s,
            gib(rehearsal.planned.total_bytes)
        )),
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1_u64 << 30) as f64
}

/// Keeps the figures of each step, and tells them as they come where a person reads.
struct Seen {
    steps: Vec<StepMetrics>,
    told: bool,
}

impl Observer for Seen {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.steps.push(metrics.clone());
        let peak = metrics.device_peak_bytes.or(metrics.peak_bytes).map_or(f64::NAN, gib);
        let mfu = metrics.mfu.map_or(String::new(), |mfu| format!(", {:.1} % of the peak", 100.0 * mfu));
        let StepMetrics { step, tokens_per_s, loss_nats, .. } = metrics;
        let line = format_args!(
            "step {step}: {tokens_per_s:.0} tokens/s{mfu}, {peak:.2} GiB at most, loss {loss_nats:.3} on random ids"
        );
        if self.told && print_line(line).is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
