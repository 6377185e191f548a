//! `recon-train --plan`: what a run needs and how long it takes, before anything is allocated.
//!
//! Neither the model nor the rows need be at hand: `[model.shape]` stands for the one, `train.window_tokens`, else
//! `pack.row_tokens`, for the other.

use recon_checkpoint::resolve_at_hand;
use recon_pipeline::{Config, Failure, Outcome};
use recon_train::{Machine, PackedRows, RowSource as _, RunPlan};

use super::{Format, print_json, print_line};

/// Prints the plan of the run that `config` asks for.
pub(super) fn print(config: &Config, machine: Option<Machine>, format: Format) -> Outcome {
    let plan = of(config, machine)?;
    match format {
        Format::Json => print_json(&plan),
        Format::Text => print_text(&plan),
    }
}

/// The plan of the run that `config` asks for, on `machine`, or where `train.device` says.
fn of(config: &Config, machine: Option<Machine>) -> Outcome<RunPlan> {
    config.train.validate()?;
    let machine = machine.unwrap_or_else(|| {
        let named = if config.train.device == "cpu" { "cpu" } else { "1xh100" };
        tracing::info!(machine = named, "no machine is named with --plan; planned by train.device");
        named.parse().expect("it is one of the machines")
    });
    Ok(RunPlan::new(&model(config)?, &config.train, rows(config)?, machine)?)
}

/// The model's configuration: its own, or the shape alone.
fn model(config: &Config) -> Outcome<recon_llama::Config> {
    let (name, overrides) = (&config.model.name, config.model.overrides());
    let found = resolve_at_hand(name);
    if let Ok(Some(files)) = &found {
        return Ok(overrides.over(&files.config_json()?, config.train.init)?);
    }
    if let Some(alone) = overrides.alone()? {
        tracing::info!(model = name, "the model is not at hand; planned by model.shape");
        return Ok(alone);
    }
    let failure = match found {
        Err(error) => Failure::input(error),
        Ok(_) => Failure::input_because(format!("model `{name}` is not at hand, and a plan downloads nothing")),
    };
    Err(failure.hint("give the sizes of its config.json as [model.shape]"))
}

/// Tokens of a row, and the number of rows where they are at hand.
fn rows(config: &Config) -> Outcome<(usize, Option<u64>)> {
    let sources = config.train.sources.iter().map(|source| &source.directory);
    let folders: Vec<_> = config.data.iter().chain(sources).collect();
    if !folders.is_empty() && folders.iter().all(|folder| folder.join("index.json").exists()) {
        let rows = PackedRows::open_mix(config.data.as_deref(), &config.train)?;
        return Ok((rows.row_tokens(), Some(rows.rows())));
    }
    let tokens = config.train.window_tokens.map_or(config.pack.row_tokens, std::num::NonZeroUsize::get);
    tracing::info!(
        row_tokens = tokens,
        "the rows are not at hand; planned by train.window_tokens, else pack.row_tokens"
    );
    Ok((tokens, None))
}

fn print_text(plan: &RunPlan) -> Outcome {
    let line = |name: &str, value: String| print_line(format_args!("{name:<16} {value}"));
    line("machine", plan.machine.to_string())?;
    line("model", billions(plan.parameters as f64) + " parameters")?;
    line("row", format!("{} tokens", plan.row_tokens))?;
    line("step", format!("{} tokens", plan.step_tokens))?;
    line("memory", "of each device, by purpose".into())?;
    let memory = serde_json::to_value(plan.memory).map_err(Failure::run)?;
    for (purpose, bytes) in memory.as_object().into_iter().flatten().filter(|(_, bytes)| bytes.as_u64() > Some(0)) {
        let purpose = format!("- {}", purpose.trim_end_matches("_bytes"));
        line(&purpose, gib(bytes.as_u64().unwrap_or_default()))?;
    }
    if let Some(bytes) = plan.device_bytes {
        let verdict = if plan.fits == Some(true) { "fits" } else { "DOES NOT FIT" };
        line("device", format!("{}: {verdict}", gib(bytes)))?;
    }
    for change in &plan.change {
        line("change", change.clone())?;
    }
    line("arithmetic", format!("{:.2} GFLOP a token, rows as one causal document each", plan.flops_per_token / 1e9))?;
    line("causal MFU", format!("{:.1} % assumed", 100.0 * plan.causal_mfu))?;
    line("speed", format!("{:.0} tokens/s", plan.tokens_per_s))?;
    line(
        "checkpoint",
        format!("{}, {:.0} s to write at 1 GB/s a node", gib(plan.checkpoint_bytes), plan.checkpoint_s),
    )?;
    match (plan.steps, plan.tokens, plan.hours) {
        (Some(steps), Some(tokens), Some(hours)) => {
            line("run", format!("{steps} steps, {}, {hours:.1} hours", billions(tokens as f64) + " tokens"))?;
        }
        _ => line("run", "as long as the rows are many, which are not at hand; set train.duration.steps".into())?,
    }
    plan.gpu_hours.map_or(Ok(()), |hours| line("GPU-hours", format!("{hours:.0}")))
}

fn gib(bytes: u64) -> String {
    format!("{:>9.3} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

fn billions(count: f64) -> String {
    if count >= 1e9 { format!("{:.2} billion", count / 1e9) } else { format!("{:.2} million", count / 1e6) }
}
