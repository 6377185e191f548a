//! Text drawn token by token, many jobs in one forward.
//!
//! Each job's prompt is computed like any other tokens; from then on every forward carries one
//! token of each live job. Token `i` of a job is drawn with number `i` of the job's own random
//! stream, so a text depends on its prompt, its sampling and its key, and not on its company.
//!
//! Tokens are drawn where the logits are: a GPU is sent four numbers a job and sends back an id.
//!
//! Invariant: an id that stands for no text (a control token, a hole in the vocabulary) is drawn
//! only if it is one of the job's stop ids or of the model's own end ids, and then it ends the text.

use recon_kernels::sampling::{Draw, Mask, Masks};
use recon_lm::{Error, Finish, GenJob, Generation, Prompt, RandomStream, Result, Sampling};
use recon_text::Tokenizer;

use crate::conversation::conversation;
use crate::core::{Core, failed};
use crate::prefix::Prefix;
use crate::sequences::{Sequence, Sequences};

/// One job's text so far.
#[derive(Debug)]
struct Draft {
    stream: RandomStream,
    ids: Vec<u32>,
    /// Most ids that may be drawn: the job's own bound or what the context leaves.
    room: usize,
    finish: Option<Finish>,
}

/// Generates every job; one result each, in order.
pub(crate) fn generate(core: &mut Core, tokenizer: &Tokenizer, jobs: &[GenJob<'_>]) -> Vec<Result<Generation>> {
    let (sequences, mut drafts): (Vec<Sequence>, Vec<Draft>) = jobs
        .iter()
        .map(|job| {
            let draft = Draft { stream: job.key.stream(), ids: Vec::new(), room: 0, finish: None };
            match prepare(core, tokenizer, job) {
                Ok((sequence, room)) => (sequence, Draft { room, ..draft }),
                Err(error) => (Sequence::failed(error), draft),
            }
        })
        .unzip();
    let mut sequences = Sequences::new(sequences);
    let allowed = match Allowed::new(core, jobs) {
        Ok(allowed) => allowed,
        Err(error) => return jobs.iter().map(|_| Err(error.clone())).collect(),
    };
    loop {
        let ready: Vec<usize> = (0..jobs.len()).filter(|&job| sequences.all()[job].ready().is_some()).collect();
        if let Err(error) = draw(core, &mut sequences, &ready, jobs, &allowed, &mut drafts) {
            for &job in ready.iter().filter(|&&job| drafts[job].finish.is_none()) {
                sequences.job(job).fail(error.clone());
            }
        }
        if sequences.next_batch(core).is_none() {
            break;
        }
    }
    sequences.into_all().into_iter().zip(drafts).map(|(sequence, draft)| report(tokenizer, sequence, draft)).collect()
}

fn prepare(core: &mut Core, tokenizer: &Tokenizer, job: &GenJob<'_>) -> Result<(Sequence, usize)> {
    check(&job.sampling)?;
    let (start, prompt) = match job.prompt {
        Prompt::Branch { at, hint } => (core.place(at)?, hint.to_vec()),
        Prompt::Messages(messages) => (Prefix::default(), conversation(tokenizer, messages)?),
    };
    core.check_ids(&start, &prompt)?;
    let left = core.context_tokens - start.tokens() - prompt.len();
    core.stats.reused_tokens += start.tokens() as u64;
    let borders = vec![prompt.len()];
    Ok((Sequence::new(start, prompt, borders, 1, core.prefill_tokens), left.min(job.sampling.max_new_tokens)))
}

fn distribution(sampling: &Sampling) -> Draw {
    Draw { temperature: sampling.temperature, top_p: sampling.top_p, uniform: 0.0, mask: None }
}

/// Refuses parameters that name no distribution.
fn check(sampling: &Sampling) -> Result<()> {
    let Sampling { temperature, top_p, .. } = *sampling;
    if distribution(sampling).names_a_distribution() {
        return Ok(());
    }
    let message =
        format!("temperature must be a number from 0 on and top_p lie in (0, 1], not {temperature} and {top_p}");
    Err(Error::Engine(message))
}

/// What each job may draw: text, and what ends it.
struct Allowed {
    masks: Masks,
    /// The mask of each job.
    of: Vec<usize>,
}

impl Allowed {
    /// One mask for all jobs with the same stop ids.
    fn new<'a>(core: &Core, jobs: &[GenJob<'a>]) -> Result<Self> {
        // Never empty: devices refuse allocations of nothing.
        let mut kinds: Vec<&'a [u32]> = vec![&[]];
        let mut of = Vec::with_capacity(jobs.len());
        for job in jobs {
            let known = kinds.iter().position(|kind| *kind == job.stop_ids);
            of.push(known.unwrap_or(kinds.len()));
            if known.is_none() {
                kinds.push(job.stop_ids);
            }
        }
        let mask = |stop_ids: &&[u32]| {
            let mut mask = core.text_ids.clone();
            stop_ids.iter().chain(&core.ends).for_each(|&id| mask.allow(id));
            mask
        };
        let masks: Vec<Mask> = kinds.iter().map(mask).collect();
        Ok(Self { masks: Masks::new(&masks, core.cache.device()).map_err(failed)?, of })
    }
}

/// Draws one token for each sequence in `ready`.
fn draw(
    core: &mut Core,
    sequences: &mut Sequences,
    ready: &[usize],
    jobs: &[GenJob<'_>],
    allowed: &Allowed,
    drafts: &mut [Draft],
) -> Result<()> {
    let full = |job: &usize| drafts[*job].ids.len() >= drafts[*job].room;
    let (full, drawing): (Vec<usize>, Vec<usize>) = ready.iter().copied().partition(full);
    for job in full {
        drafts[job].finish = Some(Finish::Length);
        sequences.job(job).close();
    }
    let choice = |&job: &usize| Draw {
        uniform: drafts[job].stream.uniform(drafts[job].ids.len() as u64),
        mask: Some(allowed.of[job]),
        ..distribution(&jobs[job].sampling)
    };
    let draws: Vec<Draw> = drawing.iter().map(choice).collect();
    let places = drawing.iter().filter_map(|&job| sequences.all()[job].ready());
    let ids = core.draw(places, &allowed.masks, &draws)?;
    for (job, id) in drawing.into_iter().zip(ids) {
        let draft = &mut drafts[job];
        match id {
            Some(id) if jobs[job].stop_ids.contains(&id) || core.ends.contains(&id) => {
                draft.finish = Some(Finish::Stop);
            }
            Some(id) => {
                core.stats.generated_tokens += 1;
                draft.ids.push(id);
                if draft.ids.len() == draft.room {
                    draft.finish = Some(Finish::Length);
                } else {
                    sequences.job(job).push(id);
                }
            }
            None => {
                let message = "no token can be drawn: the logits are not finite, or allow no token";
                sequences.job(job).fail(Error::Engine(message.into()));
            }
        }
        if draft.finish.is_some() {
            sequences.job(job).close();
        }
    }
    Ok(())
}

fn report(tokenizer: &Tokenizer, sequence: Sequence, draft: Draft) -> Result<Generation> {
    sequence.finish()?;
    let Draft { ids, finish, .. } = draft;
    let finish = finish.expect("a sequence that has not failed ran until its text was finished");
    Ok(Generation { text: tokenizer.decode(&ids), ids, finish })
}
