//! Schedules the jobs of all callers: who computes which tokens in the next forward.
//!
//! A job is admitted when the pages that it may come to need are free beside those promised to the
//! jobs that run, so that nobody runs out midway. Callers take turns: next comes a job of the
//! caller with fewest running, and the rows of a forward are divided among callers before they are
//! divided among one caller's jobs. Jobs of one request whose documents begin alike compute the
//! beginning once (`radix`). Where a job does not fit, what callers hold between their calls gives
//! way (`branch`): at once if nothing else runs, otherwise after [`PATIENCE`] forwards, since it
//! has to be computed again.
//!
//! Invariants: a job's numbers do not depend on the other jobs, on the chunks, on a setback or on
//! an eviction, because every row of a forward is computed independently of its neighbours; a
//! document that fits the cache alone is computed, whoever else is there.
//!
//! Legend: `N` rows of a forward, `D` model width.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use candle_core::Tensor;
use recon_lm::{Error, Result};

use crate::core::{self, Core};
use crate::generate::{self, Allowed};
use crate::job::{Finished, Job, Work};
use crate::options::Stats;
use crate::radix::{Shared, Tree};
use crate::score::{Rows, judge};
use crate::sequence::{JobId, Sequence, State};
use crate::share::shares;

/// Forwards that a job waits before it takes the pages of branches while others run.
const PATIENCE: u64 = 64;
/// Fewest tokens that are worth waiting for: less costs more as a forward that is waited for than as rows of one.
const MIN_SHARED_TOKENS: usize = 16;

/// A request's job: its document and what is asked of it, or why it cannot be done.
pub(crate) type Asked = Result<(Sequence, Work)>;

/// Which tokens of which job stand in which rows.
struct Chunk {
    job: JobId,
    /// Positions in the document.
    ids: Range<usize>,
    /// The first one's row.
    first_row: usize,
    /// Hidden state `[1, D]` of the token before the chunk.
    before: Option<Tensor>,
}

/// The jobs of all callers that are not done.
#[derive(Default)]
pub(crate) struct Schedule {
    jobs: BTreeMap<JobId, Job>,
    next: JobId,
    allowed: Allowed,
    /// Jobs that could not be begun at all.
    refused: Vec<Finished>,
}

impl Schedule {
    /// Takes in a request.
    pub(crate) fn add(&mut self, (request, caller): (u64, u64), asked: Vec<Asked>, core: &Core) {
        let (mut jobs, mut slots) = (Vec::new(), Vec::new());
        for (slot, asked) in asked.into_iter().enumerate() {
            match asked {
                Ok((sequence, work)) => {
                    let (since, spent) = (core.stats.forwards, Stats::default());
                    jobs.push(Job { caller, request, slot, sequence, work, since, spent });
                    slots.push(slot);
                }
                Err(error) => {
                    self.refused.push(Finished { request, slot, answer: Err(error), spent: Stats::default() });
                }
            }
        }
        let order = self.share(&mut jobs);
        let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
        for at in order {
            let job = jobs[at].take().expect("an order names each job once");
            self.jobs.insert(self.next, job);
            self.next += 1;
        }
    }

    /// The order in which jobs are worked on, with who waits for whom.
    fn share(&self, jobs: &mut [Job]) -> Vec<usize> {
        let documents: Vec<&[u32]> = jobs.iter().map(|job| job.sequence.ids()).collect();
        let Tree { order, shared } = Tree::new(&documents);
        let mut rank = vec![0; jobs.len()];
        order.iter().enumerate().for_each(|(at, &job)| rank[job] = at);
        // Deeper nodes first, so that a leader asks its own leader for what it is asked for.
        for &at in order.iter().rev() {
            let Some(Shared { leader, tokens }) = shared[at] else { continue };
            let start = &jobs[at].sequence;
            let has = start.at().filter(|at| at.is_resident()).map_or(0, |_| start.start());
            let [follower, leads] = jobs.get_disjoint_mut([at, leader]).expect("nobody follows himself");
            if tokens < has + MIN_SHARED_TOKENS || !leads.lead(follower, tokens) {
                continue;
            }
            jobs[at].sequence.state = State::Waiting { leader: self.next + rank[leader] as JobId, tokens };
        }
        order
    }

    /// Admits, draws, computes one forward, and gives back what has ended.
    pub(crate) fn step(&mut self, core: &mut Core) -> Vec<Finished> {
        let begin = Instant::now();
        self.admit(core);
        self.draw(core);
        let chunks = self.reserve(core);
        self.compute(core, &chunks);
        let seconds = begin.elapsed().as_secs_f64();
        core.stats.seconds += seconds;
        let rows: usize = chunks.iter().map(|chunk| chunk.ids.len()).sum();
        for chunk in &chunks {
            if let Some(job) = self.jobs.get_mut(&chunk.job) {
                job.spent.fresh_tokens += chunk.ids.len() as u64;
                job.spent.seconds += seconds * chunk.ids.len() as f64 / rows as f64;
            }
        }
        self.settle(core)
    }

    /// Ends every job with an error: what was computed may be half-written.
    pub(crate) fn abandon(&mut self, core: &mut Core, error: &Error) -> Vec<Finished> {
        self.jobs.values_mut().for_each(|job| job.sequence.state = State::Failed(error.clone()));
        self.settle(core)
    }

    /// Begins what fits.
    fn admit(&mut self, core: &mut Core) {
        while let Some(id) = self.next_queued(core) {
            if !self.begin(core, id) {
                return;
            }
        }
    }

    /// A job of the caller with fewest running; of equals the one that came first.
    fn next_queued(&self, core: &Core) -> Option<JobId> {
        let mut callers: BTreeMap<u64, (usize, Option<JobId>)> = BTreeMap::new();
        for (&id, job) in &self.jobs {
            let (running, first) = callers.entry(job.caller).or_default();
            match &job.sequence.state {
                State::Live => *running += 1,
                State::Queued { .. } if first.is_none() && !self.is_being_rebuilt(&job.sequence) => *first = Some(id),
                _ => {}
            }
        }
        // Each text that runs takes a row of every forward.
        let running: usize = callers.values().map(|(running, _)| running).sum();
        let queued = callers.into_values().filter_map(|(running, first)| Some((running, first?)));
        queued.min().filter(|_| running < core.prefill_tokens).map(|(_, id)| id)
    }

    /// Whether another job makes the pages again that this one begins behind.
    fn is_being_rebuilt(&self, sequence: &Sequence) -> bool {
        let lost = sequence.at().filter(|at| !at.is_resident());
        lost.is_some_and(|at| self.jobs.values().any(|job| job.sequence.is_rebuilding(at)))
    }

    /// Whether nothing runs, and the pages that what runs may still take.
    fn promised(&self, core: &Core) -> (bool, usize) {
        let live = self.jobs.values().map(|job| &job.sequence).filter(|it| matches!(it.state, State::Live));
        let pages: Vec<usize> = live.map(|it| it.pages_to_come(it.prefix(), &core.pool, false)).collect();
        (pages.is_empty(), pages.iter().sum())
    }

    /// Begins a job if it fits; false if it has to wait for others.
    fn begin(&mut self, core: &mut Core, id: JobId) -> bool {
        let (is_alone, promised) = self.promised(core);
        if let Some(at) = self.jobs[&id].sequence.at() {
            core.places.touch(at);
        }
        loop {
            let job = self.jobs.get_mut(&id).expect("it was found among the jobs");
            let start = job.sequence.stand(&core.places);
            let needed = job.sequence.pages_to_come(&start, &core.pool, is_alone);
            if needed + promised <= core.pool.free() {
                core.stats.reused_tokens += start.tokens() as u64;
                job.spent.reused_tokens += start.tokens() as u64;
                job.sequence.begin(start);
                return true;
            }
            drop(start);
            if !is_alone && core.stats.forwards - job.since < PATIENCE {
                return false;
            }
            if core.places.evict(is_alone) {
                core.stats.evicted_branches += 1;
            } else if !is_alone {
                return false;
            } else if !self.shed(core, id) {
                // Nobody holds a page any more, and no document is longer than the cache.
                let (free, total) = (core.pool.free(), core.pool.total());
                self.fail(id, &Error::OutOfPages { asked: needed, free, total });
                return true;
            }
        }
    }

    /// Takes back what waiting jobs have taken over from others, the last first and `id` at the very last; false
    /// where none has.
    fn shed(&mut self, core: &mut Core, id: JobId) -> bool {
        let has_taken = |it: JobId| matches!(self.jobs[&it].sequence.state, State::Queued { taken: Some(_) });
        let others = self.jobs.keys().rev().copied().filter(|&other| other != id);
        let Some(last) = others.chain([id]).find(|&it| has_taken(it)) else { return false };
        self.set_back(core, last);
        true
    }

    fn set_back(&mut self, core: &mut Core, id: JobId) {
        let job = self.jobs.get_mut(&id).expect("who is set back is there");
        job.set_back(core.stats.forwards);
        job.spent.rewound_jobs += 1;
        core.stats.rewound_jobs += 1;
    }

    fn fail(&mut self, id: JobId, error: &Error) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.sequence.state = State::Failed(error.clone());
        }
    }

    /// Draws a token for every text that has computed its last one.
    fn draw(&mut self, core: &mut Core) {
        let texts = self.jobs.values_mut().filter(|job| job.sequence.is_ready());
        let texts = texts.filter_map(|Job { sequence, work, .. }| match work {
            Work::Write(draft) => Some((sequence, draft)),
            _ => None,
        });
        generate::draw(core, &mut self.allowed, texts.collect());
    }

    /// Chooses the rows of a forward and makes room for them.
    fn reserve(&mut self, core: &mut Core) -> Vec<Chunk> {
        loop {
            let running = self.jobs.iter().filter(|(_, job)| job.sequence.pending() > 0);
            let wanting: Vec<(JobId, u64, usize)> =
                running.map(|(&id, job)| (id, job.caller, job.sequence.pending())).collect();
            let (mut chunks, mut shortage, mut first_row) = (Vec::new(), None, 0);
            for (&(id, ..), fresh) in wanting.iter().zip(fair(&wanting, core.prefill_tokens)) {
                if fresh == 0 {
                    continue;
                }
                match self.reserve_for(core, id, fresh) {
                    Ok(before) => {
                        let done = self.jobs[&id].sequence.prefix().tokens();
                        chunks.push(Chunk { job: id, ids: done..done + fresh, first_row, before });
                        first_row += fresh;
                    }
                    Err(error @ Error::OutOfPages { .. }) => shortage = Some(error),
                    Err(error) => self.fail(id, &error),
                }
            }
            let Some(shortage) = shortage.filter(|_| chunks.is_empty()) else { return chunks };
            // What runs was promised its pages: only a promise to nobody else can be too small.
            if !core.places.evict(true) {
                let (last, ..) = *wanting.last().expect("a job was short of pages");
                if wanting.len() > 1 { self.set_back(core, last) } else { self.fail(last, &shortage) }
            }
        }
    }

    /// Makes room for `fresh` tokens of a job; the hidden state before them.
    fn reserve_for(&mut self, core: &Core, id: JobId, fresh: usize) -> Result<Option<Tensor>> {
        let prefix = self.jobs.get_mut(&id).expect("it wants to compute").sequence.prefix_mut();
        let before = prefix.last().cloned();
        if let Some(copy) = prefix.reserve(&core.pool, fresh)? {
            core.copy_page(&copy)?;
        }
        Ok(before)
    }

    /// One forward over the chunks. Where it fails, the cache may be half-written for their jobs: none can go on.
    fn compute(&mut self, core: &mut Core, chunks: &[Chunk]) {
        if chunks.is_empty() {
            return;
        }
        let work = chunks.iter().map(|chunk| {
            let sequence = &self.jobs[&chunk.job].sequence;
            core::Work { ids: &sequence.ids()[chunk.ids.clone()], prefix: sequence.prefix() }
        });
        let computed = core.forward(&work.collect::<Vec<_>>()).and_then(|hidden| {
            self.absorb(core, chunks, &hidden)?;
            self.judge(core, chunks, &hidden)
        });
        if let Err(error) = computed {
            chunks.iter().for_each(|chunk| self.fail(chunk.job, &error));
        }
    }

    /// Moves the jobs over what was computed.
    fn absorb(&mut self, core: &Core, chunks: &[Chunk], hidden: &Tensor) -> Result<()> {
        for chunk in chunks {
            let row = |position: usize| core.row(hidden, chunk.first_row + position - chunk.ids.start);
            let job = self.jobs.get_mut(&chunk.job).expect("a chunk belongs to a job");
            job.sequence.advance(chunk.ids.len(), core, row)?;
        }
        Ok(())
    }

    fn judge(&mut self, core: &mut Core, chunks: &[Chunk], hidden: &Tensor) -> Result<()> {
        let of: BTreeMap<JobId, &Chunk> = chunks.iter().map(|chunk| (chunk.job, chunk)).collect();
        let rows = self.jobs.iter_mut().filter_map(|(id, job)| {
            let (chunk, Work::Score(tally)) = (of.get(id)?, &mut job.work) else { return None };
            let Chunk { ids, first_row, before, .. } = chunk;
            let (ids, first_row, before) = (ids.clone(), *first_row, before.as_ref());
            Some(Rows { sequence: &job.sequence, tally, ids, first_row, before })
        });
        judge(core, hidden, &mut rows.collect::<Vec<_>>())?;
        of.keys().for_each(|id| self.jobs.get_mut(id).expect("it was there just now").close_if_refused());
        Ok(())
    }

    /// Hands on what is reached, and takes out what has ended.
    fn settle(&mut self, core: &mut Core) -> Vec<Finished> {
        let mut finished = std::mem::take(&mut self.refused);
        loop {
            self.hand_over(core.stats.forwards);
            let ended: Vec<JobId> = self.jobs.iter().filter(|(_, job)| job.has_ended()).map(|(&id, _)| id).collect();
            if ended.is_empty() {
                return finished;
            }
            let jobs = ended.into_iter().filter_map(|id| self.jobs.remove(&id));
            finished.extend(jobs.map(|job| job.finish(core)));
        }
    }

    /// Lets waiting jobs take over what their leaders have reached; frees them from a leader that has ended before.
    fn hand_over(&mut self, forwards: u64) {
        let waiting: Vec<(JobId, (JobId, usize))> =
            self.jobs.iter().filter_map(|(&id, job)| Some((id, job.leader()?))).collect();
        for (id, (leader, tokens)) in waiting {
            let mut job = self.jobs.remove(&id).expect("it waits");
            job.since = forwards;
            match self.jobs.get(&leader).map(|leader| (leader, &leader.sequence.state)) {
                Some((leader, State::Live | State::Closed)) if job.finds_all(leader, tokens) => {
                    job.take_over(leader, tokens);
                }
                Some((_, State::Waiting { .. } | State::Queued { .. })) => {}
                Some((leader, State::Live)) if leader.sequence.prefix().tokens() < tokens => {}
                _ => job.set_back(forwards),
            }
            self.jobs.insert(id, job);
        }
    }
}

/// Divides `rows` among callers, and what one gets among its jobs, given as (job, caller, tokens wanted).
fn fair(wanting: &[(JobId, u64, usize)], rows: usize) -> Vec<usize> {
    let mut callers: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, (_, caller, _)) in wanting.iter().enumerate() {
        callers.entry(*caller).or_default().push(at);
    }
    let pending = |at: &usize| wanting[*at].2;
    let totals: Vec<usize> = callers.values().map(|jobs| jobs.iter().map(pending).sum()).collect();
    let mut fair = vec![0; wanting.len()];
    for (jobs, rows) in callers.values().zip(shares(&totals, rows)) {
        let pending: Vec<usize> = jobs.iter().map(pending).collect();
        for (&at, rows) in jobs.iter().zip(shares(&pending, rows)) {
            fair[at] = rows;
        }
    }
    fair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_of_many_jobs_gets_no_more_rows_than_another() {
        let wanting: Vec<(JobId, u64, usize)> = (0..9).map(|job| (job, u64::from(job == 4), 100)).collect();
        let fair = fair(&wanting, 64);
        assert_eq!((fair[4], fair.iter().sum::<usize>()), (32, 64));
        assert!(fair.iter().enumerate().all(|(job, rows)| job == 4 || *rows == 4), "{fair:?}");
    }
}
