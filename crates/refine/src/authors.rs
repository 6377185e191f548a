//! Who proposes what: the outline its next level of detail, the model an answer to a hint.
//!
//! The hint shows outline and incumbent; neither proposer ever sees the target's text.

use std::collections::HashSet;

use recon_lm::{Branch, GenJob, Prompt, RandomKey, Sampling};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::Author;
use recon_thought::outline::{self, Detail};
use recon_thought::usable::{fill, shorten, usable};
use recon_thought::{BETTER_FILE as FILE, BETTER_PLAN as PLAN, BETTER_REQUIREMENTS as REQUIREMENTS};

use crate::session::Models;
use crate::{Proposer, RefineOptions};

/// What a thought is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Requirements,
    Plan,
    File(String),
}

impl Subject {
    fn path(&self) -> &str {
        match self {
            Self::Requirements | Self::Plan => "",
            Self::File(path) => path,
        }
    }

    /// The outline author's thought.
    pub(crate) fn outline(&self, graph: &RepoGraph, detail: Detail) -> String {
        match self {
            Self::Requirements => outline::requirements(graph, detail),
            Self::Plan => outline::plan(graph, detail),
            Self::File(path) => outline::file_thought(graph, path, detail),
        }
    }

    /// A thought that says next to nothing, where even the briefest outline leaks.
    pub(crate) fn least(&self, graph: &RepoGraph) -> String {
        match self {
            Self::Requirements => format!("The project is {}.", graph.repository.name),
            Self::Plan => "Each file is written after those it builds on.".into(),
            Self::File(_) => "This file is next.".into(),
        }
    }

    /// Longest thought about it, tokens.
    pub(crate) fn max_tokens(&self, options: &RefineOptions) -> usize {
        if *self == Self::Plan { options.max_plan_tokens } else { options.max_thought_tokens }
    }

    fn hint(&self, graph: &RepoGraph, incumbent: &str, limit: usize, tokens: impl Fn(&str) -> usize) -> String {
        let (template, outline) = match self {
            Self::Requirements => (REQUIREMENTS, outline::hint_plan(graph)),
            Self::Plan => (PLAN, outline::hint_plan(graph)),
            Self::File(path) => (FILE, outline::hint_file(graph, path)),
        };
        let values = [
            ("repository", graph.repository.name.as_str()),
            ("path", self.path()),
            ("outline", shorten(&outline, limit, tokens)),
            ("incumbent", incumbent),
        ];
        fill(template, &values)
    }
}

/// A proposed thought, or why there is none.
pub(crate) type Proposal = (Author, Result<String, String>);

/// Proposes thoughts about one subject, round after round.
pub(crate) struct Proposals<'a> {
    pub(crate) models: &'a Models<'a>,
    pub(crate) graph: &'a RepoGraph,
    pub(crate) options: &'a RefineOptions,
    pub(crate) subject: &'a Subject,
    pub(crate) seed: u64,
    /// Index of the thought in its trajectory.
    pub(crate) step: u64,
    /// Every text that was proposed, the first thought included.
    pub(crate) tried: HashSet<String>,
    /// Levels of detail the outline has given.
    pub(crate) levels: usize,
}

impl Proposals<'_> {
    /// The candidates of round `round` (from 1), written after `document`. All the model's are
    /// generated in one call.
    pub(crate) fn round(&mut self, document: &Branch, incumbent: &str, round: u32) -> Vec<Proposal> {
        let authors = &self.options.authors;
        let proposer = |candidate: u32| authors[candidate as usize % authors.len()];
        let candidates = 0..self.options.candidates;
        let asked: Vec<u32> = candidates.clone().filter(|&it| proposer(it) == Proposer::Model).collect();
        let mut answers = self.ask(document, incumbent, round, &asked).into_iter();
        let propose = |candidate| {
            let (author, text) = match proposer(candidate) {
                Proposer::Model => (Author::Model, answers.next().expect("one answer for each candidate asked")),
                Proposer::Outline => (Author::Outline, self.next_outline()),
            };
            let is_new = |text: String| match self.tried.insert(text.clone()) {
                true => Ok(text),
                false => Err("a repetition".to_string()),
            };
            (author, text.and_then(is_new))
        };
        candidates.map(propose).collect()
    }

    fn tokens(&self, text: &str) -> usize {
        self.models.renderer.tokenizer().encode(text).len()
    }

    fn ask(&self, document: &Branch, incumbent: &str, round: u32, candidates: &[u32]) -> Vec<Result<String, String>> {
        let Some(generator) = self.models.generator.filter(|_| !candidates.is_empty()) else { return Vec::new() };
        let renderer = self.models.renderer;
        let text = self.subject.hint(self.graph, incumbent, self.options.max_outline_tokens, |text| self.tokens(text));
        let hint = renderer.hint(&text);
        let stop_ids = [renderer.end_of_turn(), vec![renderer.tokenizer().specials().end_of_text]].concat();
        let (temperature, top_p) = (self.options.temperature, self.options.top_p);
        let max_new_tokens = self.subject.max_tokens(self.options);
        let job = |&candidate: &u32| GenJob {
            prompt: Prompt::Branch { at: document, hint: &hint },
            sampling: Sampling { temperature, top_p, max_new_tokens },
            key: self.key(round, candidate),
            stop_ids: &stop_ids,
        };
        let jobs: Vec<GenJob<'_>> = candidates.iter().map(job).collect();
        let text = |answer: recon_lm::Result<recon_lm::Generation>| -> Result<String, String> {
            let text = usable(&answer.map_err(|error| error.to_string())?.text).map_err(|error| error.to_string())?;
            Ok(shorten(&text, max_new_tokens, |piece| self.tokens(piece)).to_string())
        };
        generator.generate(&jobs).into_iter().map(text).collect()
    }

    fn key(&self, round: u32, candidate: u32) -> RandomKey {
        let (repository, file) = (self.graph.repository.name.clone(), self.subject.path().to_string());
        RandomKey { seed: self.seed, repository, file, step: self.step, round, candidate }
    }

    /// The next level of detail that says something new.
    fn next_outline(&mut self) -> Result<String, String> {
        let limit = self.subject.max_tokens(self.options);
        while let Some(&detail) = Detail::ALL.get(self.levels) {
            self.levels += 1;
            let text = self.subject.outline(self.graph, detail);
            let text = shorten(&text, limit, |piece| self.tokens(piece));
            if !text.is_empty() && !self.tried.contains(text) {
                return Ok(text.to_string());
            }
        }
        Err("the outline has nothing more to say".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_one_the_code_fills() {
        for (template, names) in [
            (REQUIREMENTS, ["repository", "outline", "incumbent"]),
            (PLAN, ["repository", "outline", "incumbent"]),
            (FILE, ["path", "outline", "incumbent"]),
        ] {
            let values: Vec<(&str, &str)> = names.iter().map(|name| (*name, "")).collect();
            assert!(names.iter().all(|name| template.contains(&format!("{{{name}}}"))), "{template}");
            assert!(!fill(template, &values).contains(['{', '}']), "{template}");
        }
    }
}
