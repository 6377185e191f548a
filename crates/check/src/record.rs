//! The record as a whole and each step by itself: schema, id, summary, authors, loss.

use recon_schema::trajectory::{Action, Author, Body, Observed, SCHEMA, Step, Summary, Trajectory, trajectory_id};

use crate::{Fault, Violation};

pub(crate) fn check(trajectory: &Trajectory) -> Vec<Violation> {
    let whole = [schema(trajectory), identity(trajectory), summary(trajectory)];
    let whole = whole.into_iter().flatten().map(|fault| Violation { step: None, fault });
    let steps = trajectory.steps.iter().enumerate().flat_map(|(at, step)| {
        let faults = [author(trajectory, step), trained(step)];
        faults.into_iter().flatten().map(move |fault| Violation { step: Some(at), fault })
    });
    whole.chain(steps).collect()
}

fn schema(trajectory: &Trajectory) -> Option<Fault> {
    let found = trajectory.schema.clone();
    (found != SCHEMA).then_some(Fault::Schema { found, expected: SCHEMA })
}

fn identity(trajectory: &Trajectory) -> Option<Fault> {
    let expected = trajectory_id(&trajectory.repository, trajectory.arm, trajectory.part);
    let id = &trajectory.id;
    (*id != expected).then(|| Fault::Identity { id: id.clone(), expected })
}

fn summary(trajectory: &Trajectory) -> Option<Fault> {
    let recorded = &trajectory.summary;
    let mut counted = Summary::clone(recorded);
    counted.recount(&trajectory.steps);
    let fault = |reason| Some(Fault::Summary { reason });
    if counted.files != recorded.files {
        return fault(format!("{} files are written, {} recorded", counted.files, recorded.files));
    }
    if counted.steps_by_author != recorded.steps_by_author {
        return fault("the steps by author differ".into());
    }
    let mut written = trajectory.steps.iter().filter_map(Step::written);
    let is_left_out = |path: &str| recorded.left_out.contains_key(path) || recorded.unencodable.contains_key(path);
    let both = written.find(|file| is_left_out(&file.path))?;
    fault(format!("{} is written and recorded as left out", both.path))
}

fn name(step: &Step) -> &'static str {
    match &step.body {
        Body::Opening { .. } => "opening",
        Body::Continuation(_) => "continuation",
        Body::Think { .. } => "thought",
        Body::Action { action: Action::Write(_) } => "written file",
        Body::Action { action: Action::Draft { .. } } => "draft",
        Body::Action { .. } => "tool call",
        Body::Observation { observed: Observed::Content(_) } => "file that is read",
        Body::Observation { observed: Observed::Text(_) } => "tool's result",
    }
}

/// PAPER.md, definition 11; files are the repository's own, results the tool's.
fn author(trajectory: &Trajectory, step: &Step) -> Option<Fault> {
    let may = match &step.body {
        Body::Opening { .. }
        | Body::Action { action: Action::Write(_) }
        | Body::Observation { observed: Observed::Content(_) } => step.author == Author::Repository,
        Body::Continuation(_) | Body::Observation { observed: Observed::Text(_) } => step.author == Author::Tool,
        Body::Action { action: Action::Draft { .. } } => step.author == Author::Model && trajectory.model.is_some(),
        Body::Think { .. } | Body::Action { .. } => {
            step.author == Author::Outline || step.author == Author::Model && trajectory.model.is_some()
        }
    };
    (!may).then(|| Fault::Author { what: name(step), author: step.author })
}

fn trained(step: &Step) -> Option<Fault> {
    let is_draft = matches!(step.body, Body::Action { action: Action::Draft { .. } });
    let expected = matches!(step.body, Body::Think { .. } | Body::Action { .. }) && !is_draft;
    (step.trained != expected).then(|| Fault::Trained { what: name(step), trained: step.trained })
}
