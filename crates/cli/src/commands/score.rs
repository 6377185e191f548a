//! `recon score`: log-likelihood of given targets after given contexts.
//!
//! What items begin with in common is computed once. The cache is as large as the longest item at
//! least, so any number of items is scored of which each fits the model: they wait for room. A
//! likelihood depends on its own item only.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use recon_engine::{Document, Engine};
use recon_lm::{Limits, Scored, Scorer as _};
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

impl Item {
    fn tokens(&self) -> usize {
        self.context.len() + self.target.len()
    }

    fn scored(&self) -> std::ops::Range<usize> {
        self.context.len()..self.tokens()
    }

    fn ids(&self) -> Vec<u32> {
        self.context.iter().chain(&self.target).copied().collect()
    }
}

#[derive(Debug, Serialize)]
struct ScoreOutput {
    /// `null` for what was not scored, because the model failed before.
    results: Vec<Option<ItemScore>>,
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
    let longest = items.iter().map(Item::tokens).max().expect("an empty list is refused");
    let longest = u32::try_from(longest).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
    let engine = arguments.model.open_for_ids(longest)?;
    check(&items, &arguments.tokens, engine.limits())?;
    let start = Instant::now();
    let (results, scored) = score(&engine, &items);
    let stats = engine.stats();
    tracing::info!(
        items = items.len(),
        tokens = items.iter().map(Item::tokens).sum::<usize>(),
        fresh_tokens = stats.fresh_tokens,
        "scored; what items begin with in common was computed once"
    );
    let stats = Stats {
        fresh_tokens: stats.fresh_tokens,
        reused_tokens: stats.reused_tokens,
        seconds: start.elapsed().as_secs_f64(),
    };
    if let Some(path) = &arguments.logits {
        write_logits(&engine, &items[0], path)?;
    }
    // What was scored before a failure is printed, and then the failure.
    match arguments.format {
        Format::Json => print_json(&ScoreOutput { results, stats })?,
        Format::Text => {
            for (at, item) in results.iter().enumerate() {
                let Some(item) = item else { continue };
                print_line(format_args!("{at}: {:.4} nats over {} tokens", item.nats, item.tokens))?;
            }
        }
    }
    scored
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

/// Refuses what cannot be scored, before anything is computed.
fn check(items: &[Item], path: &Path, Limits { context_tokens: limit, vocabulary }: Limits) -> Outcome {
    for (at, item) in items.iter().enumerate() {
        let asked = item.tokens();
        let unknown = item.context.iter().chain(&item.target).find(|&&id| id as usize >= vocabulary);
        let fault = match unknown {
            _ if asked > limit => recon_lm::Error::ContextTooLong { asked, limit },
            Some(&id) => recon_lm::Error::UnknownToken { id, vocabulary },
            None => continue,
        };
        return Err(Failure::input_because(format!("{}: item {at}: {fault}", path.display())));
    }
    Ok(())
}

/// The score of every item, and the first failure, if there was one.
fn score(engine: &Engine, items: &[Item]) -> (Vec<Option<ItemScore>>, Outcome) {
    let ids: Vec<Vec<u32>> = items.iter().map(Item::ids).collect();
    let document = |(item, ids)| Document { ids, scored: Item::scored(item) };
    let documents: Vec<Document<'_>> = items.iter().zip(ids.iter().map(Vec::as_slice)).map(document).collect();
    let mut first_failure = Ok(());
    let mut score = |result| match result {
        Ok(Scored::Full { nats, logprobs, .. }) => Some(ItemScore { nats, tokens: logprobs.len(), logprobs }),
        Ok(Scored::Refused { .. }) => unreachable!("no bound was set"),
        Err(error) => {
            if first_failure.is_ok() {
                first_failure = Err(model_fault(error));
            }
            None
        }
    };
    let results = engine.caller().score_documents(&documents).into_iter().map(&mut score).collect();
    (results, first_failure)
}

/// `ids` [T] as i64 and `logits` [T, V] as f32: what an outside program compares with.
fn write_logits(engine: &Engine, item: &Item, path: &Path) -> Outcome {
    let ids = item.ids();
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
