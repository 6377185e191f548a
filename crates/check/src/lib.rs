//! The checker: holds a finished trajectory against its repository and against its own rules.
//!
//! Input: trajectories, and the repository's bytes by path. Output: every [`Violation`]; none
//! means the trajectory is grounded: each file it shows equals the repository's bytes after the
//! recorded redactions, replayed. One changed byte in any file is found. The rules checked
//! beside that: who may act when, who composed what, what is trained, which files exist when
//! they are read, that tools answer drafts as recorded, what a later part says of the earlier ones, and likelihoods that agree with the
//! rule of acceptance.
//!
//! The checker shares no code with what makes trajectories but the tools it runs again, and reads no graph: a lookup is all
//! it asks of a repository. The leak gate is not repeated here; its verdicts are in the record.
//!
//! Source: PAPER.md, definitions 1, 6, 10, 11, 12.

mod continuation;
mod draft;
mod fault;
mod grounding;
mod likelihood;
mod order;
mod record;

use std::collections::BTreeMap;

use recon_schema::trajectory::{Body, Subject, Trajectory, trajectory_id};

pub use fault::{Fault, Violation};

/// The repository's bytes by path; `None` where there is no such file.
pub type Lookup<'a> = dyn Fn(&str) -> Option<Vec<u8>> + 'a;

/// Checks one trajectory by itself.
///
/// Of a later part alone it is not known which files exist already; a [`Checker`] that sees the
/// parts in order knows.
pub fn check(trajectory: &Trajectory, lookup: &Lookup<'_>) -> Vec<Violation> {
    Checker::new(lookup).check(trajectory)
}

/// Checks trajectories one after another and remembers what earlier parts decided and wrote.
pub struct Checker<'a> {
    lookup: &'a Lookup<'a>,
    /// By the id of the first part.
    seen: BTreeMap<String, Before>,
}

/// What is known before a trajectory begins.
#[derive(Default)]
pub(crate) struct Before {
    /// How many parts were seen.
    parts: u32,
    /// Whether those are all the earlier ones.
    pub(crate) complete: bool,
    /// Files that exist, in the order in which they were written.
    pub(crate) written: Vec<String>,
    /// The requirements as a later part may repeat them.
    pub(crate) requirements: Vec<String>,
    /// The plan as a later part may repeat it.
    pub(crate) plan: Vec<String>,
}

impl<'a> Checker<'a> {
    /// A checker that has seen nothing yet.
    pub fn new(lookup: &'a Lookup<'a>) -> Self {
        Self { lookup, seen: BTreeMap::new() }
    }

    /// Everything that is wrong with `trajectory`, in order of its steps.
    pub fn check(&mut self, trajectory: &Trajectory) -> Vec<Violation> {
        let before = self.seen.entry(trajectory_id(&trajectory.repository, trajectory.arm, 0)).or_default();
        before.complete = trajectory.part == before.parts;
        let mut violations = record::check(trajectory);
        violations.extend(order::check(trajectory, before));
        for (at, step) in trajectory.steps.iter().enumerate() {
            let mut faults: Vec<Fault> =
                step.shown().into_iter().flat_map(|file| grounding::check(file, self.lookup)).collect();
            if let Body::Continuation(continuation) = &step.body {
                faults.extend(continuation::check(trajectory, continuation, before));
            }
            faults.extend(draft::check(&trajectory.steps, at));
            faults.extend(likelihood::check(trajectory, at));
            violations.extend(faults.into_iter().map(|fault| Violation { step: Some(at), fault }));
        }
        before.remember(trajectory);
        violations.sort_by_key(|violation| violation.step);
        violations
    }
}

impl Before {
    fn remember(&mut self, trajectory: &Trajectory) {
        self.parts = trajectory.part + 1;
        self.written.extend(trajectory.steps.iter().filter_map(|step| Some(step.written()?.path.clone())));
        if trajectory.part == 0 {
            self.requirements = continuation::versions(trajectory, &Subject::Requirements);
            self.plan = continuation::versions(trajectory, &Subject::Plan);
        }
    }
}
