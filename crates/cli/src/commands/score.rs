//! `recon score`: log-likelihood of given targets after given contexts.
//!
//! Items are scored in waves, each as many as the cache holds at once, those with the same context
//! together. The cache is as large as the longest item at least, so any number of items is scored
//! of which each fits the model. A likelihood depends on its own item only.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use recon_engine::{CachePages, Engine};
use recon_lm::{Branch, Limits, Run, ScoreJob, Scored, Scorer as _};
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

/// Refuses what no wave could hold, before anything is computed.
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

/// The score of every item, and what stopped the scoring, if anything did.
fn score(engine: &Engine, items: &[Item]) -> (Vec<Option<ItemScore>>, Outcome) {
    let mut results: Vec<Option<ItemScore>> = items.iter().map(|_| None).collect();
    for wave in waves(items, engine.cache_pages()) {
        if let Err(failure) = score_wave(engine, items, &wave, &mut results) {
            return (results, Err(failure));
        }
    }
    (results, Ok(()))
}

/// Indices of items that are scored together: in the order of the file, but that those with the
/// same context follow one another.
fn waves(items: &[Item], CachePages { total, page_tokens, .. }: CachePages) -> Vec<Vec<usize>> {
    let mut contexts: Vec<(&[u32], Vec<usize>)> = Vec::new();
    let mut known: HashMap<&[u32], usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        let place = *known.entry(item.context.as_slice()).or_insert_with(|| {
            contexts.push((item.context.as_slice(), Vec::new()));
            contexts.len() - 1
        });
        contexts[place].1.push(at);
    }
    let (mut waves, mut wave, mut free) = (Vec::new(), Vec::new(), total);
    for (context, indices) in contexts {
        let mut is_held = false;
        for at in indices {
            let shared = context.len().div_ceil(page_tokens);
            // A target goes on in a copy of the context's last page, where that is not full.
            let own = (context.len() % page_tokens + items[at].target.len()).div_ceil(page_tokens);
            let needed = if is_held { own } else { shared + own };
            if needed > free && !wave.is_empty() {
                waves.push(std::mem::take(&mut wave));
                free = total.saturating_sub(shared + own);
            } else {
                free = free.saturating_sub(needed);
            }
            is_held = true;
            wave.push(at);
        }
    }
    waves.push(wave);
    waves
}

fn score_wave(engine: &Engine, items: &[Item], wave: &[usize], results: &mut [Option<ItemScore>]) -> Outcome {
    let mut branches: HashMap<&[u32], Branch> = HashMap::new();
    for &at in wave {
        let context = items[at].context.as_slice();
        if !branches.contains_key(context) {
            branches.insert(context, engine.extend(None, context).map_err(model_fault)?);
        }
    }
    let runs: Vec<[Run<'_>; 1]> = wave.iter().map(|&at| [Run { ids: &items[at].target, scored: true }]).collect();
    let jobs: Vec<ScoreJob<'_>> = wave
        .iter()
        .zip(&runs)
        .map(|(&at, runs)| ScoreJob { at: &branches[items[at].context.as_slice()], runs, refuse_above_nats: None })
        .collect();
    let mut first_failure = Ok(());
    for (&at, result) in wave.iter().zip(engine.score(&jobs)) {
        match result {
            Ok(Scored::Full { nats, logprobs, .. }) => {
                results[at] = Some(ItemScore { nats, tokens: logprobs.len(), logprobs });
            }
            Ok(Scored::Refused { .. }) => unreachable!("no bound was set"),
            Err(error) => first_failure = first_failure.and(Err(model_fault(error))),
        }
    }
    first_failure
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

#[cfg(test)]
mod tests {
    use super::*;

    fn item(context: &[u32], target_tokens: usize) -> Item {
        Item { context: context.into(), target: vec![0; target_tokens] }
    }

    #[test]
    fn waves_fill_the_cache_and_never_more() {
        let pages = |total| CachePages { free: total, total, page_tokens: 4 };
        // A page for each context and one for each target.
        let items = [item(&[1, 2, 3, 4], 2), item(&[5, 6, 7, 8], 1), item(&[1, 2, 3, 4], 3), item(&[9], 3)];
        assert_eq!(waves(&items, pages(7)), [vec![0, 2, 1, 3]]);
        assert_eq!(waves(&items, pages(6)), [vec![0, 2, 1], vec![3]]);
        assert_eq!(waves(&items, pages(3)), [vec![0, 2], vec![1], vec![3]]);
        assert_eq!(waves(&items, pages(2)), [[0], [2], [1], [3]], "a context is computed again in the next wave");
        assert_eq!(waves(&items, pages(1)), [[0], [2], [1], [3]], "what does not fit alone still has its turn");
    }
}
