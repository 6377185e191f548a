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
use recon_lm::{Error, Finish, RandomStream, Result, Sampling};

use crate::core::{Core, failed};
use crate::sequence::{Sequence, State};

/// One job's text so far.
#[derive(Debug)]
pub(crate) struct Draft {
    sampling: Sampling,
    stream: RandomStream,
    stop_ids: Vec<u32>,
    /// Most ids that may be drawn: the job's own bound or what the context leaves.
    room: usize,
    pub(crate) ids: Vec<u32>,
    pub(crate) finish: Option<Finish>,
}

impl Draft {
    /// Nothing drawn yet.
    pub(crate) fn new(sampling: Sampling, stream: RandomStream, stop_ids: &[u32], room: usize) -> Self {
        Self { sampling, stream, stop_ids: stop_ids.to_vec(), room, ids: Vec::new(), finish: None }
    }

    fn draw(&self, mask: usize) -> Draw {
        let uniform = self.stream.uniform(self.ids.len() as u64);
        Draw { uniform, mask: Some(mask), ..distribution(&self.sampling) }
    }
}

fn distribution(sampling: &Sampling) -> Draw {
    Draw { temperature: sampling.temperature, top_p: sampling.top_p, uniform: 0.0, mask: None }
}

/// Refuses parameters that name no distribution.
pub(crate) fn check(sampling: &Sampling) -> Result<()> {
    let Sampling { temperature, top_p, .. } = *sampling;
    if distribution(sampling).names_a_distribution() {
        return Ok(());
    }
    let message =
        format!("temperature must be a number from 0 on and top_p lie in (0, 1], not {temperature} and {top_p}");
    Err(Error::Engine(message))
}

/// What jobs may draw, by their stop ids: text, and what ends it.
#[derive(Default)]
pub(crate) struct Allowed {
    kinds: Vec<Vec<u32>>,
    masks: Option<Masks>,
}

impl Allowed {
    /// One mask for all jobs with the same stop ids; the masks stay on the device until others are asked for.
    fn of<'a>(&mut self, core: &Core, stop_ids: impl Iterator<Item = &'a [u32]>) -> Result<(&Masks, Vec<usize>)> {
        let asked: Vec<&[u32]> = stop_ids.collect();
        if self.masks.is_none() || asked.iter().any(|ids| !self.kinds.iter().any(|kind| kind == ids)) {
            let mut kinds: Vec<Vec<u32>> = asked.iter().map(|ids| ids.to_vec()).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let mask = |stop_ids: &Vec<u32>| {
                let mut mask = core.text_ids.clone();
                stop_ids.iter().chain(&core.ends).for_each(|&id| mask.allow(id));
                mask
            };
            let masks: Vec<Mask> = kinds.iter().map(mask).collect();
            self.masks = Some(Masks::new(&masks, core.cache.device()).map_err(failed)?);
            self.kinds = kinds;
        }
        let place =
            |ids: &&[u32]| self.kinds.iter().position(|kind| kind == ids).expect("every kind asked for is there");
        let of = asked.iter().map(place).collect();
        Ok((self.masks.as_ref().expect("made just now, or before"), of))
    }
}

/// Draws one token for each text whose tokens are all computed.
pub(crate) fn draw(core: &mut Core, allowed: &mut Allowed, texts: Vec<(&mut Sequence, &mut Draft)>) {
    let is_full = |(_, draft): &(&mut Sequence, &mut Draft)| draft.ids.len() >= draft.room;
    let (full, mut drawing): (Vec<_>, Vec<_>) = texts.into_iter().partition(is_full);
    for (sequence, draft) in full {
        draft.finish = Some(Finish::Length);
        sequence.state = State::Closed;
    }
    if drawing.is_empty() {
        return;
    }
    let drawn = allowed.of(core, drawing.iter().map(|(_, draft)| draft.stop_ids.as_slice())).and_then(|(masks, of)| {
        let draws: Vec<Draw> = drawing.iter().zip(of).map(|((_, draft), mask)| draft.draw(mask)).collect();
        core.draw(drawing.iter().map(|(sequence, _)| sequence.prefix()), masks, &draws)
    });
    match drawn {
        Ok(ids) => {
            for ((sequence, draft), id) in drawing.into_iter().zip(ids) {
                go_on(core, sequence, draft, id);
            }
        }
        Err(error) => drawing.iter_mut().for_each(|(sequence, _)| sequence.state = State::Failed(error.clone())),
    }
}

fn go_on(core: &mut Core, sequence: &mut Sequence, draft: &mut Draft, id: Option<u32>) {
    match id {
        Some(id) if draft.stop_ids.contains(&id) || core.ends.contains(&id) => draft.finish = Some(Finish::Stop),
        Some(id) => {
            core.stats.generated_tokens += 1;
            draft.ids.push(id);
            if draft.ids.len() == draft.room {
                draft.finish = Some(Finish::Length);
            } else {
                sequence.push(id);
            }
        }
        None => {
            let message = "no token can be drawn: the logits are not finite, or allow no token";
            sequence.state = State::Failed(Error::Engine(message.into()));
        }
    }
    if draft.finish.is_some() {
        sequence.state = State::Closed;
    }
}
