//! The stages, one file each: what decides it (its plan), what it leaves (its facts), what it does.
//!
//! `read`, `graph`, `synth` and `refine` go over the repositories of a set; the last three of them
//! one shard at a time, each in a directory of its shard. `pack`, `train`, `export` and `measure`
//! work on the whole set. A stage reads what the stage before wrote, never what it kept in memory.

pub(crate) mod export;
pub(crate) mod graph;
pub(crate) mod measure;
pub(crate) mod pack;
pub(crate) mod read;
pub(crate) mod refine;
pub(crate) mod synth;
pub(crate) mod train;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use recon_engine::Caller;
use serde::{Deserialize, Serialize};

use crate::failure::Outcome;

/// File of the trajectories in the stages that make them.
pub(crate) const TRAJECTORIES: &str = "trajectories.jsonl.zst";
/// File of what a stage that can be stopped has done so far.
pub(crate) const JOURNAL: &str = "journal";

/// A repository that a stage could not work on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Its name.
    pub repository: String,
    /// Why, in one line.
    pub reason: String,
}

/// What some work cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Seconds.
    pub seconds: f64,
    /// Tokens that the model drew.
    pub generated_tokens: u64,
    /// Tokens that the model computed, drawn ones included.
    pub fresh_tokens: u64,
}

impl Cost {
    /// Does `work`, which asks the model through `caller` alone, and says what it cost: of the time in the engine its
    /// share, since others ride in the same forwards.
    pub(crate) fn of<T>(caller: Option<&Caller<'_>>, work: impl FnOnce() -> T) -> (T, Self) {
        let spent = || caller.map(|caller| (caller.stats(), caller.waited())).unwrap_or_default();
        let (start, (before, waited_before)) = (Instant::now(), spent());
        let done = work();
        let (after, waited) = spent();
        let own = start.elapsed().saturating_sub(waited - waited_before);
        let cost = Self {
            seconds: own.as_secs_f64() + after.seconds - before.seconds,
            generated_tokens: after.generated_tokens - before.generated_tokens,
            fresh_tokens: after.fresh_tokens - before.fresh_tokens,
        };
        (done, cost)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.generated_tokens += other.generated_tokens;
        self.fresh_tokens += other.fresh_tokens;
    }
}

/// Does `work` on one repository; a broken invariant sets it aside and does not end the set.
pub(crate) fn guarded<T>(repository: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<Result<T, SetAside>> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map(Ok),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            Ok(Err(SetAside { repository: repository.into(), reason: format!("a fault of the program: {text}") }))
        }
    }
}
