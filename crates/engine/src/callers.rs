//! Many callers, one model: whoever waits for an answer does the work of all.
//!
//! A caller leaves its request and waits. One of those who wait takes the service (the model, its
//! cache, the schedule) and makes forwards, each over the jobs of everyone, until its own request
//! is answered; then it puts the service back, and another goes on. There is no thread of the
//! engine's own, so its kernels run where the caller's would.
//!
//! Back-pressure is that a call returns when it is answered: what waits is at most one request a
//! caller.
//!
//! Invariant: a request that was left is answered, also where the caller that makes the forwards
//! panics; then by an error.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use recon_lm::{Error, Result};

use crate::core::Core;
use crate::job::{Answer, Finished};
use crate::options::Stats;
use crate::schedule::{Asked, Schedule};

/// The model, its cache, and the jobs that are being worked on.
pub(crate) struct Service {
    pub(crate) core: Core,
    schedule: Schedule,
}

/// Where callers leave requests and find answers.
pub(crate) struct Desk {
    state: Mutex<State>,
    /// An answer was left, or the service was put back.
    changed: Condvar,
}

struct State {
    /// None while a caller works with it.
    service: Option<Box<Service>>,
    /// Callers that wait for the service itself.
    wanting: usize,
    inbox: Vec<Request>,
    open: HashMap<u64, Open>,
    next: u64,
    stats: Stats,
}

struct Request {
    id: u64,
    caller: u64,
    asked: Vec<Asked>,
}

/// A request that is being answered.
struct Open {
    answers: Vec<Option<Result<Answer>>>,
    missing: usize,
    spent: Stats,
}

/// What a request gave: one answer a job, in order, and what they cost together.
pub(crate) struct Answered {
    pub(crate) answers: Vec<Result<Answer>>,
    pub(crate) spent: Stats,
}

impl Desk {
    pub(crate) fn new(core: Core) -> Self {
        let service = Some(Box::new(Service { core, schedule: Schedule::default() }));
        let (inbox, open, stats) = (Vec::new(), HashMap::new(), Stats::default());
        let state = State { service, wanting: 0, inbox, open, next: 0, stats };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is done under the lock between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a caller or a request that nothing else has.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        state.next
    }

    /// What was done so far.
    pub(crate) fn stats(&self) -> Stats {
        self.lock().stats
    }

    /// Has every job done; returns when all are.
    pub(crate) fn ask(&self, caller: u64, asked: Vec<Asked>) -> Answered {
        if asked.is_empty() {
            return Answered { answers: Vec::new(), spent: Stats::default() };
        }
        let id = self.number();
        let mut state = self.lock();
        let (missing, answers) = (asked.len(), asked.iter().map(|_| None).collect());
        state.open.insert(id, Open { answers, missing, spent: Stats::default() });
        state.inbox.push(Request { id, caller, asked });
        loop {
            if let Some(answered) = state.answered(id) {
                return answered;
            }
            match if state.wanting > 0 { None } else { state.service.take() } {
                Some(service) => {
                    drop(state);
                    Leading { desk: self, service: Some(service) }.until_answered(id);
                    state = self.lock();
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Calls with the service, between two forwards.
    pub(crate) fn with_core<T>(&self, call: impl FnOnce(&mut Core) -> T) -> T {
        let mut state = self.lock();
        state.wanting += 1;
        let service = loop {
            match state.service.take() {
                Some(service) => break service,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        state.wanting -= 1;
        drop(state);
        let mut leading = Leading { desk: self, service: Some(service) };
        call(&mut leading.service().core)
    }
}

impl State {
    /// The answers of a request, once they are all there.
    fn answered(&mut self, id: u64) -> Option<Answered> {
        if self.open.get(&id)?.missing > 0 {
            return None;
        }
        let Open { answers, spent, .. } = self.open.remove(&id)?;
        Some(Answered { answers: answers.into_iter().flatten().collect(), spent })
    }

    /// Answers what was taken from the inbox and is not answered with an error.
    fn refuse_taken(&mut self, error: &Error) {
        let waiting: Vec<u64> = self.inbox.iter().map(|request| request.id).collect();
        for (_, open) in self.open.iter_mut().filter(|(id, _)| !waiting.contains(id)) {
            for answer in open.answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = Some(Err(error.clone()));
            }
            open.missing = 0;
        }
    }

    /// Leaves answers where their callers find them; whether a request is answered by them.
    fn deliver(&mut self, finished: Vec<Finished>) -> bool {
        let mut is_one_answered = false;
        for Finished { request, slot, answer, spent } in finished {
            let Some(open) = self.open.get_mut(&request) else { continue };
            open.answers[slot] = Some(answer);
            open.missing -= 1;
            open.spent.add(&spent);
            is_one_answered |= open.missing == 0;
        }
        is_one_answered
    }
}

/// A caller that works with the service.
struct Leading<'a> {
    desk: &'a Desk,
    /// None only once it was put back.
    service: Option<Box<Service>>,
}

impl Leading<'_> {
    fn service(&mut self) -> &mut Service {
        self.service.as_mut().expect("it is put back at the end only")
    }

    /// Makes forwards until the request is answered, or somebody needs the service between two of them.
    fn until_answered(mut self, id: u64) {
        loop {
            let inbox = std::mem::take(&mut self.desk.lock().inbox);
            let Service { core, schedule } = self.service();
            for Request { id, caller, asked } in inbox {
                schedule.add((id, caller), asked, core);
            }
            let finished = schedule.step(core);
            let stats = core.stats;
            let mut state = self.desk.lock();
            state.stats = stats;
            if state.deliver(finished) {
                self.desk.changed.notify_all();
            }
            if state.wanting > 0 || state.open.get(&id).is_none_or(|open| open.missing == 0) {
                return;
            }
        }
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let Some(mut service) = self.service.take() else { return };
        // Jobs give up their pages; nothing half-done is readable, since branches are made only after their forward.
        let error = Error::Engine("a fault of the program ended the forwards of all callers".into());
        let lost = if std::thread::panicking() {
            let Service { core, schedule } = &mut *service;
            schedule.abandon(core, &error)
        } else {
            Vec::new()
        };
        let mut state = self.desk.lock();
        state.deliver(lost);
        if std::thread::panicking() {
            state.refuse_taken(&error);
        }
        state.service = Some(service);
        self.desk.changed.notify_all();
    }
}
