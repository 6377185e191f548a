//! Text drawn token by token, many jobs in one forward.
//!
//! Each job's prompt is computed like any other tokens; from then on every forward carries one
//! token of each live job. Token `i` of a job is drawn with number `i` of the job's own random
//! stream, so a text depends on its prompt, its sampling and its key, and not on its company.
//!
//! Invariant: an id that stands for no text (a control token, a hole in the vocabulary) is drawn
//! only if it is one of the job's stop ids, and then it ends the text.

use recon_lm::{Finish, GenJob, Generation, Prompt, RandomStream, Result};
use recon_text::Tokenizer;

use crate::conversation::conversation;
use crate::core::Core;
use crate::lanes::{Lane, Lanes};
use crate::sample;
use crate::sequence::Sequence;

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
    let (lanes, mut drafts): (Vec<Lane>, Vec<Draft>) = jobs
        .iter()
        .map(|job| {
            let draft = Draft { stream: job.key.stream(), ids: Vec::new(), room: 0, finish: None };
            match prepare(core, tokenizer, job) {
                Ok((lane, room)) => (lane, Draft { room, ..draft }),
                Err(error) => (Lane::failed(error), draft),
            }
        })
        .unzip();
    let mut lanes = Lanes::new(lanes);
    loop {
        let ready: Vec<usize> = (0..jobs.len()).filter(|&job| lanes.lanes()[job].ready().is_some()).collect();
        if let Err(error) = draw(core, tokenizer, &mut lanes, &ready, jobs, &mut drafts) {
            for &job in ready.iter().filter(|&&job| drafts[job].finish.is_none()) {
                lanes.lane(job).fail(error.clone());
            }
        }
        if lanes.wave(core).is_none() {
            break;
        }
    }
    lanes.into_lanes().into_iter().zip(drafts).map(|(lane, draft)| report(tokenizer, lane, draft)).collect()
}

fn prepare(core: &mut Core, tokenizer: &Tokenizer, job: &GenJob<'_>) -> Result<(Lane, usize)> {
    sample::check(&job.sampling)?;
    let (start, prompt) = match job.prompt {
        Prompt::Branch { at, hint } => (core.place(at)?, hint.to_vec()),
        Prompt::Messages(messages) => (Sequence::default(), conversation(tokenizer, messages)),
    };
    core.check_ids(&start, &prompt)?;
    let left = core.context_tokens - start.tokens() - prompt.len();
    core.stats.reused_tokens += start.tokens() as u64;
    let borders = vec![prompt.len()];
    Ok((Lane::new(start, prompt, borders, 1, core.prefill_tokens), left.min(job.sampling.max_new_tokens)))
}

/// Draws one token for each lane in `ready`.
fn draw(
    core: &mut Core,
    tokenizer: &Tokenizer,
    lanes: &mut Lanes,
    ready: &[usize],
    jobs: &[GenJob<'_>],
    drafts: &mut [Draft],
) -> Result<()> {
    let full = |job: &usize| drafts[*job].ids.len() >= drafts[*job].room;
    let (full, drawing): (Vec<usize>, Vec<usize>) = ready.iter().copied().partition(full);
    for job in full {
        drafts[job].finish = Some(Finish::Length);
        lanes.lane(job).close();
    }
    let places = drawing.iter().filter_map(|&job| lanes.lanes()[job].ready());
    let rows = core.logits(places)?;
    for (job, row) in drawing.into_iter().zip(rows) {
        let (draft, GenJob { sampling, stop_ids, .. }) = (&mut drafts[job], &jobs[job]);
        let uniform = draft.stream.uniform(draft.ids.len() as u64);
        let allowed = |id: u32| tokenizer.token_bytes(id).is_some() || stop_ids.contains(&id);
        match sample::draw(&row, allowed, sampling, uniform) {
            Ok(id) if stop_ids.contains(&id) => draft.finish = Some(Finish::Stop),
            Ok(id) => {
                core.stats.generated_tokens += 1;
                draft.ids.push(id);
                if draft.ids.len() == draft.room {
                    draft.finish = Some(Finish::Length);
                } else {
                    lanes.lane(job).push(id);
                }
            }
            Err(error) => lanes.lane(job).fail(error),
        }
        if draft.finish.is_some() {
            lanes.lane(job).close();
        }
    }
    Ok(())
}

fn report(tokenizer: &Tokenizer, lane: Lane, draft: Draft) -> Result<Generation> {
    lane.finish()?;
    let Draft { ids, finish, .. } = draft;
    let finish = finish.expect("a lane that has not failed ran until its text was finished");
    Ok(Generation { text: tokenizer.decode(&ids), ids, finish })
}
