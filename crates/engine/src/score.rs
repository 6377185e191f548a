//! Likelihood of fixed token runs after branches.
//!
//! The head is applied only to rows whose next token is scored. Sums are taken in f64 in token
//! order, so a sum is a function of the tokens and not of how they were batched. A job that may
//! be refused is judged token by token: what it reports is the exact sum at the first token
//! border above the bound, however many tokens were computed with it.
//!
//! Legend: `N` rows of a forward, `D` model width.

use std::ops::Range;

use candle_core::Tensor;
use recon_lm::{Branch, Error, Result, ScoreJob, Scored};

use crate::core::Core;
use crate::lanes::{Chunk, Lane, Lanes, Wave};

/// What one job has scored so far.
#[derive(Debug, Default)]
struct Tally {
    nats: f64,
    logprobs: Vec<f32>,
    /// Ids of the lane already judged.
    judged: usize,
    refused: bool,
}

/// Scores every job; one result each, in order.
pub(crate) fn score(core: &mut Core, jobs: &[ScoreJob<'_>]) -> Vec<Result<Scored>> {
    let mut lanes = Lanes::new(jobs.iter().map(|job| lane(core, job).unwrap_or_else(Lane::failed)).collect());
    let scored: Vec<Vec<Range<usize>>> = jobs.iter().map(scored_ranges).collect();
    let mut tallies: Vec<Tally> = jobs.iter().map(|_| Tally::default()).collect();
    while let Some(wave) = lanes.wave(core) {
        if let Err(error) = judge(core, &mut lanes, &wave, jobs, &scored, &mut tallies) {
            for chunk in &wave.chunks {
                lanes.lane(chunk.lane).fail(error.clone());
            }
        }
    }
    lanes.into_lanes().into_iter().zip(tallies).map(|(lane, tally)| report(core, lane, tally)).collect()
}

fn lane(core: &mut Core, job: &ScoreJob<'_>) -> Result<Lane> {
    let start = core.place(job.at)?;
    let ids = job.runs.iter().flat_map(|run| run.ids).copied().collect::<Vec<_>>();
    core.check_ids(&start, &ids)?;
    let mut end = 0;
    let borders = job.runs.iter().map(|run| {
        end += run.ids.len();
        end
    });
    let unscored = job.runs.iter().take_while(|run| !run.scored).count();
    let chunk_tokens = match job.refuse_above_nats {
        Some(_) => core.refusal_tokens.min(core.prefill_tokens),
        None => core.prefill_tokens,
    };
    core.stats.reused_tokens += start.tokens() as u64;
    Ok(Lane::new(start, ids, borders.collect(), unscored, chunk_tokens))
}

/// Which of a job's ids are scored.
fn scored_ranges(job: &ScoreJob<'_>) -> Vec<Range<usize>> {
    let mut end = 0;
    let ranges = job.runs.iter().map(|run| {
        end += run.ids.len();
        (end - run.ids.len()..end, run.scored)
    });
    ranges.filter_map(|(range, scored)| scored.then_some(range)).collect()
}

/// The scored ids of `chunk`, in order.
fn scored_ids<'a>(chunk: &'a Chunk, scored: &'a [Range<usize>]) -> impl Iterator<Item = usize> + 'a {
    scored.iter().flat_map(|range| range.start.max(chunk.ids.start)..range.end.min(chunk.ids.end))
}

/// Adds the wave's log-probabilities to the tallies and closes the lanes that are refused.
fn judge(
    core: &mut Core,
    lanes: &mut Lanes,
    wave: &Wave,
    jobs: &[ScoreJob<'_>],
    scored: &[Vec<Range<usize>>],
    tallies: &mut [Tally],
) -> Result<()> {
    let logprobs = log_probs(core, lanes, wave, scored)?;
    let mut logprobs = logprobs.into_iter();
    for chunk in &wave.chunks {
        let tally = &mut tallies[chunk.lane];
        if chunk.ids.start < tally.judged {
            // The lane was set back: nothing before its start is scored.
            *tally = Tally::default();
        }
        tally.judged = chunk.ids.end;
        let count = scored_ids(chunk, &scored[chunk.lane]).count();
        for logprob in logprobs.by_ref().take(count) {
            if tally.refused {
                continue;
            }
            tally.nats -= f64::from(logprob);
            tally.logprobs.push(logprob);
            tally.refused = jobs[chunk.lane].refuse_above_nats.is_some_and(|bound| tally.nats > bound);
        }
        if tally.refused {
            lanes.lane(chunk.lane).close();
            core.stats.refused_jobs += 1;
        }
    }
    Ok(())
}

/// Log-probability of every scored token of the wave, in the order of its chunks.
fn log_probs(core: &mut Core, lanes: &Lanes, wave: &Wave, scored: &[Vec<Range<usize>>]) -> Result<Vec<f32>> {
    let (mut rows, mut targets, mut parts) = (Vec::new(), Vec::new(), vec![wave.hidden.clone()]);
    let mut extra_row = wave.hidden.dims()[0];
    for chunk in &wave.chunks {
        for id in scored_ids(chunk, &scored[chunk.lane]) {
            targets.push(lanes.lanes()[chunk.lane].ids()[id]);
            if id > chunk.ids.start {
                rows.push((chunk.first_row + id - chunk.ids.start - 1) as u32);
                continue;
            }
            // The chunk's first token is predicted by the token before the chunk.
            parts.push(chunk.before.clone().ok_or(Error::EmptyContext)?);
            rows.push(extra_row as u32);
            extra_row += 1;
        }
    }
    core.log_probs(&parts, rows, &targets)
}

fn report(core: &Core, lane: Lane, tally: Tally) -> Result<Scored> {
    let (ends, _) = lane.finish()?;
    let Tally { nats, logprobs, refused, .. } = tally;
    if refused {
        return Ok(Scored::Refused { nats_at_least: nats, tokens_seen: logprobs.len() });
    }
    let ends: Vec<Branch> = ends.into_iter().map(|end| core.branch(end)).collect();
    Ok(Scored::Full { nats, logprobs, ends })
}

/// Concatenates `[·, D]` parts and picks `rows` of them.
pub(crate) fn pick_rows(parts: &[Tensor], rows: Vec<u32>) -> candle_core::Result<Tensor> {
    let all = if parts.len() == 1 { parts[0].clone() } else { Tensor::cat(parts, 0)? };
    let count = rows.len();
    all.index_select(&Tensor::from_vec(rows, count, all.device())?, 0)
}
