//! What a thought is about: its outline, and the hint for a model that writes it.

use crate::outline::{self, Detail};
use crate::usable::{fill, shorten};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::Agent;

use crate::prompts;

/// First thoughts are brief: refinement starts from them and goes into detail where that pays.
const FIRST_DETAIL: Detail = Detail::Brief;

/// What a thought is about.
#[derive(Debug, Clone, Copy)]
pub enum Topic<'g> {
    /// What the project is for.
    Requirements,
    /// Which file does what, in which order.
    Plan,
    /// What a sub-agent will read, and why.
    Reading { path: &'g str, reads: &'g [&'g str] },
    /// What a sub-agent is about to write.
    Writing { path: &'g str },
}

impl<'g> Topic<'g> {
    pub fn path(&self) -> Option<&'g str> {
        match self {
            Self::Requirements | Self::Plan => None,
            Self::Reading { path, .. } | Self::Writing { path } => Some(path),
        }
    }

    pub fn agent(&self) -> Agent {
        self.path().map_or(Agent::Main, |path| Agent::File(path.into()))
    }

    /// The outline author's thought, at most `limit` tokens long.
    pub fn outline(&self, graph: &RepoGraph, limit: usize, tokens: impl Fn(&str) -> usize) -> String {
        let text = match self {
            Self::Requirements => outline::requirements(graph, FIRST_DETAIL),
            Self::Plan => outline::plan(graph, FIRST_DETAIL),
            Self::Reading { path, reads } => reading(path, reads),
            Self::Writing { path } => outline::file_thought(graph, path, FIRST_DETAIL),
        };
        shorten(&text, limit, tokens).to_string()
    }

    /// What the model that writes the thought is shown, its outline at most `limit` tokens long.
    pub fn hint(&self, graph: &RepoGraph, limit: usize, tokens: impl Fn(&str) -> usize) -> String {
        let (template, outline, reads) = match self {
            Self::Requirements => (prompts::REQUIREMENTS, outline::hint_plan(graph), String::new()),
            Self::Plan => (prompts::PLAN, outline::hint_plan(graph), String::new()),
            Self::Reading { path, reads } => (prompts::READING, outline::hint_file(graph, path), listed(reads)),
            Self::Writing { path } => (prompts::WRITING, outline::hint_file(graph, path), String::new()),
        };
        let values = [
            ("repository", graph.repository.name.as_str()),
            ("path", self.path().unwrap_or_default()),
            ("outline", shorten(&outline, limit, tokens)),
            ("reads", reads.as_str()),
        ];
        fill(template, &values)
    }
}

fn reading(path: &str, reads: &[&str]) -> String {
    let before = if reads.len() == 1 { "it" } else { "them" };
    format!("`{path}` builds on {}. I read {before} before I write it.", listed(reads))
}

fn listed(paths: &[&str]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_prose() {
        assert_eq!(listed(&["a"]), "`a`");
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(reading("x", &["a"]), "`x` builds on `a`. I read it before I write it.");
    }
}
