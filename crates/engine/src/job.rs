//! One job of a caller: its document, what is asked of it, and what it has cost.

use recon_lm::{Branch, Error, Finish, Result, Scored};

use crate::core::Core;
use crate::generate::Draft;
use crate::options::Stats;
use crate::score::Tally;
use crate::sequence::{JobId, Sequence, State};

/// What is asked of a document.
#[derive(Debug)]
pub(crate) enum Work {
    /// The branch at its end.
    Extend,
    /// Likelihoods.
    Score(Tally),
    /// A text behind it.
    Write(Draft),
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Answer {
    Extended(Branch),
    Scored(Scored),
    Written { ids: Vec<u32>, finish: Finish },
}

/// A job in the schedule.
#[derive(Debug)]
pub(crate) struct Job {
    /// Whose it is, of which request, at which place of that.
    pub(crate) caller: u64,
    pub(crate) request: u64,
    pub(crate) slot: usize,
    pub(crate) sequence: Sequence,
    pub(crate) work: Work,
    /// Number of the forward before which it came or was set back.
    pub(crate) since: u64,
    pub(crate) spent: Stats,
}

/// A job that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) request: u64,
    pub(crate) slot: usize,
    pub(crate) answer: Result<Answer>,
    pub(crate) spent: Stats,
}

impl Job {
    /// Whether nothing remains to be done.
    pub(crate) fn has_ended(&self) -> bool {
        match self.sequence.state {
            State::Closed | State::Failed(_) => true,
            State::Live => self.sequence.is_ready() && !matches!(self.work, Work::Write(_)),
            State::Waiting { .. } | State::Queued { .. } => false,
        }
    }

    /// Asks `self` for what `follower` needs to take over the first `tokens` tokens; false where that cannot be had.
    pub(crate) fn lead(&mut self, follower: &Self, tokens: usize) -> bool {
        let (ours, theirs) = (&self.sequence, &follower.sequence);
        if tokens <= ours.start() || theirs.start() < ours.start() {
            return false;
        }
        match (&mut self.work, &follower.work) {
            (Work::Score(ours), Work::Score(theirs)) => ours.score_for(theirs, tokens),
            (_, Work::Score(_)) => return false,
            _ => {}
        }
        let places: Vec<usize> = follower.sequence.borders_to(tokens).chain([tokens]).collect();
        places.into_iter().for_each(|place| self.sequence.ask_for(place));
        true
    }

    /// Whether `leader` has reached all that `self` needs of the first `tokens` tokens.
    pub(crate) fn finds_all(&self, leader: &Self, tokens: usize) -> bool {
        let likelihoods = match (&self.work, &leader.work) {
            (Work::Score(ours), Work::Score(theirs)) => ours.finds_all(theirs, tokens),
            (ours, _) => !matches!(ours, Work::Score(_)),
        };
        likelihoods && self.sequence.finds_all(&leader.sequence, tokens)
    }

    /// Takes over the first `tokens` tokens of `leader`, where it [finds all](Self::finds_all).
    pub(crate) fn take_over(&mut self, leader: &Self, tokens: usize) {
        self.sequence.take_over(&leader.sequence, tokens);
        if let (Work::Score(ours), Work::Score(theirs)) = (&mut self.work, &leader.work) {
            ours.take_over(theirs, tokens);
        }
        self.close_if_refused();
    }

    /// Ends a job whose sum exceeds its bound.
    pub(crate) fn close_if_refused(&mut self) {
        if matches!(&self.work, Work::Score(tally) if tally.is_refused()) {
            self.sequence.state = State::Closed;
        }
    }

    /// Back to before it had computed anything; a text keeps what was drawn.
    pub(crate) fn set_back(&mut self, forwards: u64) {
        self.sequence.set_back();
        self.since = forwards;
        if let Work::Score(tally) = &mut self.work {
            tally.reset();
        }
    }

    /// The job that it waits for, and for how many tokens.
    pub(crate) fn leader(&self) -> Option<(JobId, usize)> {
        match self.sequence.state {
            State::Waiting { leader, tokens } => Some((leader, tokens)),
            _ => None,
        }
    }

    /// What came of it.
    pub(crate) fn finish(mut self, core: &mut Core) -> Finished {
        let sequence = self.sequence;
        let answer = match (&sequence.state, self.work) {
            (State::Failed(error), _) => Err(error.clone()),
            (_, Work::Extend) => {
                Ok(Answer::Extended(sequence.ends(core).pop().expect("an extension has a border at its end")))
            }
            (_, Work::Score(tally)) => {
                let refused = u64::from(tally.is_refused());
                core.stats.refused_jobs += refused;
                self.spent.refused_jobs += refused;
                self.spent.scored_tokens += tally.seen() as u64;
                Ok(Answer::Scored(tally.report(|| sequence.ends(core))))
            }
            (_, Work::Write(Draft { ids, finish, .. })) => {
                self.spent.generated_tokens = ids.len() as u64;
                let finish = finish.ok_or_else(|| Error::Engine("a text was left before its end".into()));
                finish.map(|finish| Answer::Written { ids, finish })
            }
        };
        Finished { request: self.request, slot: self.slot, answer, spent: self.spent }
    }
}
