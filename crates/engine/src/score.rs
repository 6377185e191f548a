//! Likelihood of fixed token runs after branches.
//!
//! The head is applied only to rows whose next token is scored. Sums are taken in f64 in token
//! order, so a sum is a function of the tokens and not of how they were batched. A job that may
//! be refused is judged token by token: what it reports is the exact sum at the first token
//! border above the bound, however many tokens were computed with it.
//!
//! Legend: `N` rows of a forward, `D` model width.

use std::ops::Range;

use recon_lm::{Branch, Error, Result, ScoreJob, Scored};

use crate::core::Core;
use crate::sequences::{Batch, Chunk, Sequence, Sequences};

/// What one job has scored so far.
#[derive(Debug, Default)]
struct Tally {
    nats: f64,
    logprobs: Vec<f32>,
    /// Ids of the sequence already judged.
    judged: usize,
    refused: bool,
}

/// Scores every job; one result each, in order.
pub(crate) fn score(core: &mut Core, jobs: &[ScoreJob<'_>]) -> Vec<Result<Scored>> {
    let mut sequences =
        Sequences::new(jobs.iter().map(|job| sequence(core, job).unwrap_or_else(Sequence::failed)).collect());
    let scored: Vec<Vec<Range<usize>>> = jobs.iter().map(scored_ranges).collect();
    let mut tallies: Vec<Tally> = jobs.iter().map(|_| Tally::default()).collect();
    while let Some(batch) = sequences.next_batch(core) {
        if let Err(error) = judge(core, &mut sequences, &batch, jobs, &scored, &mut tallies) {
            for chunk in &batch.chunks {
                sequences.job(chunk.job).fail(error.clone());
            }
        }
    }
    sequences.into_all().into_iter().zip(tallies).map(|(sequence, tally)| report(core, sequence, tally)).collect()
}

fn sequence(core: &mut Core, job: &ScoreJob<'_>) -> Result<Sequence> {
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
    Ok(Sequence::new(start, ids, borders.collect(), unscored, chunk_tokens))
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

/// Adds the batch's log-probabilities to the tallies and closes the sequences that are refused.
fn judge(
    core: &mut Core,
    sequences: &mut Sequences,
    batch: &Batch,
    jobs: &[ScoreJob<'_>],
    scored: &[Vec<Range<usize>>],
    tallies: &mut [Tally],
) -> Result<()> {
    let logprobs = log_probs(core, sequences, batch, scored)?;
    let mut logprobs = logprobs.into_iter();
    for chunk in &batch.chunks {
        let tally = &mut tallies[chunk.job];
        if chunk.ids.start < tally.judged {
            // The sequence was set back: nothing before its start is scored.
            *tally = Tally::default();
        }
        tally.judged = chunk.ids.end;
        let count = scored_ids(chunk, &scored[chunk.job]).count();
        for logprob in logprobs.by_ref().take(count) {
            if tally.refused {
                continue;
            }
            tally.nats -= f64::from(logprob);
            tally.logprobs.push(logprob);
            tally.refused = jobs[chunk.job].refuse_above_nats.is_some_and(|bound| tally.nats > bound);
        }
        if tally.refused {
            sequences.job(chunk.job).close();
            core.stats.refused_jobs += 1;
        }
    }
    Ok(())
}

/// Log-probability of every scored token of the batch, in the order of its chunks.
fn log_probs(core: &mut Core, sequences: &Sequences, batch: &Batch, scored: &[Vec<Range<usize>>]) -> Result<Vec<f32>> {
    let (mut rows, mut targets, mut parts) = (Vec::new(), Vec::new(), vec![batch.hidden.clone()]);
    let mut extra_row = batch.hidden.dims()[0];
    for chunk in &batch.chunks {
        for id in scored_ids(chunk, &scored[chunk.job]) {
            targets.push(sequences.all()[chunk.job].ids()[id]);
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

fn report(core: &Core, sequence: Sequence, tally: Tally) -> Result<Scored> {
    let (ends, _) = sequence.finish()?;
    let Tally { nats, logprobs, refused, .. } = tally;
    if refused {
        return Ok(Scored::Refused { nats_at_least: nats, tokens_seen: logprobs.len() });
    }
    let ends: Vec<Branch> = ends.into_iter().map(|end| core.branch(end)).collect();
    Ok(Scored::Full { nats, logprobs, ends })
}
