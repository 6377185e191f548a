//! The steps of which trajectories are made: who acts, who composed the text, what is trained.
//!
//! Openings and observations are never trained. Choices made from the dependency graph (which
//! file next, what to read) are the outline's, those of the model its own; files are the
//! repository's; results are the tool's.

use recon_schema::trajectory::{Action, Agent, Author, Body, Continuation, FileContent, Observed, Step, Subject};
use recon_thought::Thought;
use recon_thought::outline::Project;

/// The opening of every document: the repository's name and the tree of its files, folded where
/// it would take more than `max_chars` characters.
pub(crate) fn opening(project: &Project<'_>, max_chars: usize) -> Step {
    let text = format!("Repository: {}\nFiles:\n{}\n", project.name(), project.tree(max_chars));
    Step { agent: Agent::Main, body: Body::Opening { text }, author: Author::Repository, trained: false }
}

/// The second opening of a later part: where the work stands.
pub(crate) fn continuation(continuation: Continuation) -> Step {
    Step { agent: Agent::Main, body: Body::Continuation(continuation), author: Author::Tool, trained: false }
}

pub(crate) fn thought(agent: Agent, subject: Subject, Thought { text, author }: Thought) -> Step {
    Step { agent, body: Body::Think { text, subject, search: None }, author, trained: true }
}

pub(crate) fn delegate(path: &str) -> Step {
    action(Agent::Main, Action::Delegate { path: path.into() })
}

pub(crate) fn read(agent: &Agent, path: &str, author: Author) -> Step {
    Step { author, ..action(agent.clone(), Action::Read { path: path.into() }) }
}

/// What the model believes a file to be: context, never trained.
pub(crate) fn draft(agent: &Agent, path: &str, text: String) -> Step {
    let action = action(agent.clone(), Action::Draft { path: path.into(), text });
    Step { author: Author::Model, trained: false, ..action }
}

pub(crate) fn done(agent: Agent) -> Step {
    action(agent, Action::Done)
}

fn action(agent: Agent, action: Action) -> Step {
    Step { agent, body: Body::Action { action }, author: Author::Outline, trained: true }
}

pub(crate) fn write(agent: Agent, file: FileContent) -> Step {
    Step { author: Author::Repository, ..action(agent, Action::Write(file)) }
}

pub(crate) fn content(agent: Agent, file: FileContent) -> Step {
    let body = Body::Observation { observed: Observed::Content(file) };
    Step { agent, body, author: Author::Repository, trained: false }
}

pub(crate) fn wrote(agent: Agent, file: &FileContent) -> Step {
    let lines = file.text.lines().count();
    let plural = if lines == 1 { "" } else { "s" };
    result(agent, format!("wrote {}, {lines} line{plural}", file.path))
}

pub(crate) fn delegated(path: &str) -> Step {
    result(Agent::Main, format!("{path} is done"))
}

pub(crate) fn result(agent: Agent, text: String) -> Step {
    let body = Body::Observation { observed: Observed::Text(text) };
    Step { agent, body, author: Author::Tool, trained: false }
}
