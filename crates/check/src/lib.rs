//! The checker: holds a finished trajectory against its repository and against its own rules.
//!
//! Input: trajectories, and the repository's bytes by path. Output: every [`Violation`]; none
//! means the trajectory is grounded: each file it shows equals the repository's bytes after the
//! recorded redactions, replayed. One changed byte in any file is found. The rules checked
//! beside that: who may act when, who composed what, what is trained, which files exist when
//! they are read, and likelihoods that agree with the rule of acceptance.
//!
//! The checker shares no code with what makes trajectories, and reads no graph: a lookup is all
//! it asks of a repository. The leak gate is not repeated here; its verdicts are in the record.
//!
//! Source: PAPER.md, definitions 1, 6, 10, 11, 12.

mod fault;
mod grounding;
mod likelihood;
mod order;
mod record;

use std::collections::{BTreeMap, BTreeSet};

use recon_schema::trajectory::{Body, FileContent, Observed, Step, Trajectory};

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

/// Checks trajectories one after another and remembers what earlier parts wrote.
pub struct Checker<'a> {
    lookup: &'a Lookup<'a>,
    /// By id without its part: how many parts were seen, and what they wrote.
    seen: BTreeMap<String, (usize, BTreeSet<String>)>,
}

/// What is known before a trajectory begins.
pub(crate) struct Before {
    /// Files that exist.
    pub(crate) written: BTreeSet<String>,
    /// Whether all earlier parts were seen.
    pub(crate) complete: bool,
}

impl<'a> Checker<'a> {
    /// A checker that has seen nothing yet.
    pub fn new(lookup: &'a Lookup<'a>) -> Self {
        Self { lookup, seen: BTreeMap::new() }
    }

    /// Everything that is wrong with `trajectory`, in order of its steps.
    pub fn check(&mut self, trajectory: &Trajectory) -> Vec<Violation> {
        let (stem, part) = record::part(&trajectory.id).unwrap_or((trajectory.id.as_str(), 0));
        let (parts, written) = self.seen.entry(stem.to_string()).or_default();
        let before = Before { complete: part == *parts, written: written.clone() };
        *parts = part + 1;
        written.extend(trajectory.steps.iter().filter_map(written_file).map(|file| file.path.clone()));
        let mut violations = record::check(trajectory);
        violations.extend(order::check(trajectory, &before));
        for (at, step) in trajectory.steps.iter().enumerate() {
            let faults = content(step).into_iter().flat_map(|file| grounding::check(file, self.lookup));
            let faults = faults.chain(likelihood::check(trajectory, at));
            violations.extend(faults.map(|fault| Violation { step: Some(at), fault }));
        }
        violations.sort_by_key(|violation| violation.step);
        violations
    }
}

/// The file a step shows, written or read.
fn content(step: &Step) -> Option<&FileContent> {
    match &step.body {
        Body::Observation { observed: Observed::Content(file) } => Some(file),
        _ => written_file(step),
    }
}

/// The file a `write` carries.
pub(crate) fn written_file(step: &Step) -> Option<&FileContent> {
    match &step.body {
        Body::Action { content, .. } => content.as_ref(),
        _ => None,
    }
}
