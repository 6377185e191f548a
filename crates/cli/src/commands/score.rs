//! `recon score`: log-likelihood of given targets after given contexts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use recon_engine::Engine;
use recon_lm::{Branch, Run, ScoreJob, Scored, Scorer as _};
use serde::{Deserialize, Serialize};

use super::model::{ModelArgs, model_fault};
use super::{Format, print_json, print_line};
use recon_pipeline::{Failure, Outcome};

/// Score token lists.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recon score --model nano --tokens items.json --format json\n\n\
    items.json: [{\"context\": [4096, 10, 11], \"target\": [12, 13]}]")]
pub struct ScoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// JSON list of {"context": [ids], "target": [ids]}.
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,
    /// Also write the logits at every position of the first item (context and target) as safetensors.
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    context: Vec<u32>,
    target: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct ScoreOutput {
    results: Vec<ItemScore>,
    stats: Stats,
}

#[derive(Debug, Serialize)]
struct ItemScore {
    nats: f64,
    tokens: usize,
    logprobs: Vec<f32>,
}

#[derive(Debug, Serialize)]
struct Stats {
    fresh_tokens: u64,
    reused_tokens: u64,
    seconds: f64,
}

/// Runs the command.
pub fn run(arguments: &ScoreArgs) -> Outcome {
    let items = read_items(&arguments.tokens)?;
    let engine = arguments.model.open()?;
    let start = Instant::now();
    let results = score(&engine, &items)?;
    let stats = engine.stats();
    let stats = Stats {
        fresh_tokens: stats.fresh_tokens,
        reused_tokens: stats.reused_tokens,
        seconds: start.elapsed().as_secs_f64(),
    };
    if let Some(path) = &arguments.logits {
        write_logits(&engine, &items[0], path)?;
    }
    match arguments.format {
        Format::Json => print_json(&ScoreOutput { results, stats }),
        Format::Text => results.iter().enumerate().try_for_each(|(at, item)| {
            print_line(format_args!("{at}: {:.4} nats over {} tokens", item.nats, item.tokens))
        }),
    }
}

fn read_items(path: &Path) -> Outcome<Vec<Item>> {
    let items: Vec<Item> = recon_schema::file::read_json(path, "score items")?;
    if items.is_empty() {
        return Err(Failure::input_because(format!("{}: the list is empty", path.display())));
    }
    for (at, item) in items.iter().enumerate() {
        let place = format!("{}: item {at}", path.display());
        if item.context.is_empty() {
            return Err(Failure::input_because(format!("{place}: the context is empty"))
                .hint("a context begins with the beginning-of-text token"));
        }
        if item.target.is_empty() {
            return Err(Failure::input_because(format!("{place}: the target is empty")));
        }
    }
    Ok(items)
}

/// Every item in one call; items with the same context share it.
fn score(engine: &Engine, items: &[Item]) -> Outcome<Vec<ItemScore>> {
    let mut branches: HashMap<&[u32], Branch> = HashMap::new();
    for item in items {
        if !branches.contains_key(item.context.as_slice()) {
            let branch = engine.extend(None, &item.context).map_err(model_fault)?;
            branches.insert(&item.context, branch);
        }
    }
    let runs: Vec<[Run<'_>; 1]> = items.iter().map(|item| [Run { ids: &item.target, scored: true }]).collect();
    let jobs: Vec<ScoreJob<'_>> = items
        .iter()
        .zip(&runs)
        .map(|(item, runs)| ScoreJob { at: &branches[item.context.as_slice()], runs, refuse_above_nats: None })
        .collect();
    let scored = engine.score(&jobs).into_iter().map(|result| match result.map_err(model_fault)? {
        Scored::Full { nats, logprobs, .. } => Ok(ItemScore { nats, tokens: logprobs.len(), logprobs }),
        Scored::Refused { .. } => unreachable!("no bound was set"),
    });
    scored.collect()
}

/// `ids` [T] as i64 and `logits` [T, V] as f32: what an outside program compares with.
fn write_logits(engine: &Engine, item: &Item, path: &Path) -> Outcome {
    let ids: Vec<u32> = item.context.iter().chain(&item.target).copied().collect();
    let logits = engine.logits(&ids).map_err(model_fault)?;
    let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
    let bytes = recon_checkpoint::tensors_to_bytes(&[
        ("ids", candle_core::Tensor::new(ids, logits.device()).map_err(Failure::run)?),
        ("logits", logits),
    ])
    .map_err(Failure::run)?;
    recon_schema::file::write_bytes(path, &bytes)?;
    Ok(())
}
