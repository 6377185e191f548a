//! The steps of which trajectories are made: who acts, who composed the text, what is trained.
//!
//! Prompts and observations are never trained. Choices made from the dependency graph (which
//! file next, what to read) are the outline's; files are the repository's; results are the tool's.

use recon_repository::Repository;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Agent, Author, Body, FileContent, Observed, Step, Tool, ToolArguments, ToolCall};
use recon_thought::outline;

/// The opening of every document: the repository's name and the tree of its files, folded where
/// it would take more than `max_chars` characters.
pub(crate) fn opening(graph: &RepoGraph, max_chars: usize) -> Step {
    let tree = outline::tree_within(graph, max_chars);
    prompt(format!("Repository: {}\nFiles:\n{tree}\n", graph.repository.name), Author::Repository)
}

/// The second prompt of a later part: where the work stands.
pub(crate) fn continuation(text: String) -> Step {
    prompt(text, Author::Tool)
}

fn prompt(text: String, author: Author) -> Step {
    Step { agent: Agent::Main, body: Body::Prompt { text }, author, trained: false }
}

pub(crate) fn thought(agent: Agent, text: String, author: Author) -> Step {
    Step { agent, body: Body::Think { text, search: None }, author, trained: true }
}

pub(crate) fn delegate(path: &str) -> Step {
    action(Agent::Main, Tool::Delegate, Some(path))
}

pub(crate) fn read(agent: &Agent, path: &str) -> Step {
    action(agent.clone(), Tool::Read, Some(path))
}

pub(crate) fn done(agent: Agent) -> Step {
    action(agent, Tool::Done, None)
}

fn action(agent: Agent, name: Tool, path: Option<&str>) -> Step {
    let tool = ToolCall { name, arguments: ToolArguments { path: path.map(str::to_string) } };
    Step { agent, body: Body::Action { tool, content: None }, author: Author::Outline, trained: true }
}

pub(crate) fn write(agent: Agent, file: FileContent) -> Step {
    let tool = ToolCall { name: Tool::Write, arguments: ToolArguments { path: Some(file.path.clone()) } };
    Step { agent, body: Body::Action { tool, content: Some(file) }, author: Author::Repository, trained: true }
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

fn result(agent: Agent, text: String) -> Step {
    let body = Body::Observation { observed: Observed::Text(text) };
    Step { agent, body, author: Author::Tool, trained: false }
}

/// A file of the repository as it stands in a trajectory.
pub(crate) fn file(repository: &Repository, path: &str) -> Option<FileContent> {
    repository.content(path)
}
