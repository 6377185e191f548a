//! Where the trained tokens of a document come from: repository, commit, path, licence, author.

use std::ops::Range;

use recon_schema::trajectory::{Author, Trajectory};
use recon_text::Renderer;
use serde::Serialize;

/// A document's trained tokens, run by run.
#[derive(Debug, Serialize)]
pub struct Provenance<'t> {
    /// The trajectory it is the document of.
    pub trajectory: &'t str,
    /// Its repository.
    pub repository: &'t str,
    /// The commit the files stand at, when known.
    pub commit: Option<&'t str>,
    /// SPDX expression, when one was found.
    pub licence: Option<&'t str>,
    /// Tokens of the document.
    pub tokens: u64,
    /// The trained ones, ascending: together they are the document's mask.
    pub trained: Vec<Run<'t>>,
}

/// Trained tokens that belong together.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Run<'t> {
    /// Their places in the document.
    pub tokens: Range<usize>,
    /// Index of the step.
    pub step: usize,
    /// Who composed them. Only what the repository composed is under its licence as it stands.
    pub author: Author,
    /// The file whose text they are, or that they are about; none for the main agent's.
    pub path: Option<&'t str>,
}

/// The provenance of a trajectory's document.
pub fn record<'t>(trajectory: &'t Trajectory, renderer: &Renderer<'_>) -> Provenance<'t> {
    let mut start = renderer.begin().len();
    let mut trained = Vec::new();
    for (at, step) in trajectory.steps.iter().enumerate() {
        let turn = renderer.step(step);
        let run = |tokens: Range<usize>, author| Run {
            tokens: start + tokens.start..start + tokens.end,
            step: at,
            author,
            path: path(trajectory, at),
        };
        let all = turn.trained.clone();
        if step.written().is_some() && !all.is_empty() {
            // The line that names the file and the end of the turn are ours, its content is the repository's.
            trained.push(run(all.start..turn.body.start, Author::Outline));
            trained.push(run(turn.body.clone(), step.author));
            trained.push(run(turn.body.end..all.end, Author::Outline));
        } else {
            trained.push(run(all, step.author));
        }
        start += turn.ids.len();
    }
    trained.retain(|run| !run.tokens.is_empty());
    let repository = &trajectory.repository;
    Provenance {
        trajectory: &trajectory.id,
        repository: &repository.name,
        commit: repository.commit.as_deref(),
        licence: repository.licence.as_deref(),
        tokens: start as u64,
        trained,
    }
}

fn path(trajectory: &Trajectory, at: usize) -> Option<&str> {
    use recon_schema::trajectory::{Agent, Body};
    let step = &trajectory.steps[at];
    match (&step.body, &step.agent) {
        (Body::Action { action }, _) if action.path().is_some() => action.path(),
        (_, Agent::File(path)) => Some(path),
        (_, Agent::Main) => None,
    }
}
