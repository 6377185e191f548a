//! The main loop: opening, requirements, plan, then one sub-agent after another, cut into parts.
//!
//! Whether a file still fits is known before anything is generated: files, reads and actions
//! have a known length, and each thought is counted as long as its limit allows.

use std::collections::{BTreeMap, BTreeSet};

use recon_repository::Repository;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Agent, Arm, Author, FileContent, SCHEMA, Step, Summary, Trajectory};
use recon_text::Renderer;
use recon_thought::subject::Topic;
use recon_thought::usable::shorten;

use crate::document::Document;
use crate::writer::{ModelWriter, Writer};
use crate::{AgentOptions, Error, FirstAuthor, Result, steps};

/// The graph of the first `max_files` files in development order: what takes part in a run with
/// this limit. Files that do not take part are in no outline, no plan and no file tree.
pub fn select(graph: &RepoGraph, max_files: Option<usize>) -> RepoGraph {
    let mut selected = graph.clone();
    selected.order.truncate(max_files.unwrap_or(usize::MAX));
    let kept: BTreeSet<&str> = selected.order.iter().map(String::as_str).collect();
    selected.files.retain(|node| kept.contains(node.path.as_str()));
    selected.edges.retain(|edge| kept.contains(edge.from.as_str()) && kept.contains(edge.to.as_str()));
    selected.unresolved.retain(|unresolved| kept.contains(unresolved.from.as_str()));
    selected.cycles.retain(|cycle| cycle.iter().all(|path| kept.contains(path.as_str())));
    selected.diagnostics.retain(|diagnostic| kept.contains(diagnostic.path.as_str()));
    selected
}

/// Simulates the development of `repository`; one trajectory for each part, in order.
///
/// `writer` is needed where the options ask for a model's thoughts. A thought that the model
/// fails to write is written from the outline, and its author says so.
pub fn simulate(
    repository: &Repository,
    graph: &RepoGraph,
    options: &AgentOptions,
    renderer: &Renderer<'_>,
    writer: Option<ModelWriter<'_>>,
) -> Result<Vec<Trajectory>> {
    let graph = select(graph, options.max_files);
    if graph.order.is_empty() {
        return Err(Error::NoFiles { repository: graph.repository.name });
    }
    let asks_model = options.first_author == FirstAuthor::Model && options.arm != Arm::Raw;
    let model = writer.filter(|_| asks_model);
    if asks_model && model.is_none() {
        return Err(Error::NoModel);
    }
    let writer = Writer { renderer, graph: &graph, options, model };
    Simulation { repository, graph: &graph, options, renderer, writer }.run()
}

struct Simulation<'a> {
    repository: &'a Repository,
    graph: &'a RepoGraph,
    options: &'a AgentOptions,
    renderer: &'a Renderer<'a>,
    writer: Writer<'a>,
}

/// What a later part has to repeat.
#[derive(Default)]
struct Foundation {
    requirements: String,
    plan: String,
}

/// One file's turn: what is known before anything is written.
#[derive(Clone)]
struct Episode<'g> {
    path: &'g str,
    file: FileContent,
    reads: Vec<&'g str>,
}

impl<'a> Simulation<'a> {
    fn run(&self) -> Result<Vec<Trajectory>> {
        let mut document = Document::new(self.renderer);
        document.push(steps::opening(self.graph, self.options.context_tokens));
        let tokens = document.tokens;
        if tokens * 2 > self.options.context_tokens {
            let (repository, context_tokens) = (self.graph.repository.name.clone(), self.options.context_tokens);
            return Err(Error::OpeningTooLong { repository, tokens, context_tokens });
        }
        let foundation = if self.is_raw() { Foundation::default() } else { self.found(&mut document) };
        let (mut parts, mut written) = (Vec::new(), Vec::new());
        for path in &self.graph.order {
            let file = steps::file(self.repository, path).ok_or_else(|| Error::ForeignGraph {
                repository: self.graph.repository.name.clone(),
                path: path.clone(),
            })?;
            let mut episode = Episode { path, reads: self.reads(path, &written), file };
            if !self.fits(&document, &episode) && document.files > 0 {
                let next = self.continued(&foundation, &written);
                if self.fits(&next, &episode) || self.fits(&next, &Episode { reads: Vec::new(), ..episode.clone() }) {
                    parts.push(std::mem::replace(&mut document, next));
                }
            }
            if !self.fits(&document, &episode) {
                episode.reads.clear();
            }
            if self.fits(&document, &episode) {
                self.play(&mut document, episode);
                written.push(path.as_str());
            } else {
                let tokens = self.renderer.tokenizer().encode(&episode.file.text).len();
                tracing::warn!(%path, tokens, context_tokens = self.options.context_tokens, "the file is left out");
                document.left_out.insert(path.clone(), tokens as u64);
            }
        }
        if !self.is_raw() {
            document.push(steps::done(Agent::Main));
        }
        parts.push(document);
        Ok(parts.into_iter().enumerate().map(|(part, document)| self.trajectory(part, document)).collect())
    }

    fn is_raw(&self) -> bool {
        self.options.arm == Arm::Raw
    }

    /// Requirements and plan.
    fn found(&self, document: &mut Document<'_>) -> Foundation {
        let (thought_limit, plan_limit) = self.options.thought_limits();
        let requirements = self.think(document, &Topic::Requirements, thought_limit);
        let plan = self.think(document, &Topic::Plan, plan_limit);
        Foundation { requirements, plan }
    }

    fn think(&self, document: &mut Document<'_>, topic: &Topic<'_>, limit_tokens: usize) -> String {
        let (text, author) = self.writer.write(document, topic, limit_tokens);
        document.push(steps::thought(topic.agent(), text.clone(), author));
        self.reserve(document, &text, limit_tokens);
        text
    }

    /// Keeps room for `text` to be refined to its limit, where it will be refined.
    fn reserve(&self, document: &mut Document<'_>, text: &str, limit_tokens: usize) {
        if self.options.arm == Arm::Search {
            document.reserved += limit_tokens.saturating_sub(self.renderer.tokenizer().encode(text).len());
        }
    }

    /// A later part: the same opening, then what was decided and what exists, untrained.
    fn continued(&self, foundation: &Foundation, written: &[&str]) -> Document<'a> {
        let mut sections = Vec::new();
        if !self.is_raw() {
            sections.push(format!("Requirements:\n{}\n", foundation.requirements));
            sections.push(format!("Plan:\n{}\n", foundation.plan));
        }
        // The most recent files first, so that a list too long for its room loses the oldest.
        let newest_first: Vec<&str> = written.iter().rev().copied().collect();
        let room = self.options.context_tokens / 8;
        let all = newest_first.join("\n");
        let kept = shorten(&all, room, |text| self.renderer.tokenizer().encode(text).len());
        let left = written.len() - kept.lines().count();
        let more = if left == 0 { String::new() } else { format!("and {left} earlier files\n") };
        sections.push(format!("Written so far, newest first:\n{kept}\n{more}"));
        let mut document = Document::new(self.renderer);
        document.push(steps::opening(self.graph, self.options.context_tokens));
        document.push(steps::continuation(sections.join("\n")));
        let (thought_limit, plan_limit) = self.options.thought_limits();
        self.reserve(&mut document, &foundation.requirements, thought_limit);
        self.reserve(&mut document, &foundation.plan, plan_limit);
        document
    }

    /// Direct dependencies that exist already: those of which most is used first, while they
    /// fit the limits; given in the order in which they were written.
    fn reads(&self, path: &str, written: &[&'a str]) -> Vec<&'a str> {
        if self.is_raw() {
            return Vec::new();
        }
        let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
        for edge in self.graph.edges.iter().filter(|edge| edge.from == path && edge.to != path) {
            *uses.entry(edge.to.as_str()).or_default() += edge.names.len().max(1);
        }
        let mut exists: Vec<(usize, &'a str)> =
            written.iter().copied().enumerate().filter(|(_, path)| uses.contains_key(path)).collect();
        exists.sort_by_key(|(at, path)| (std::cmp::Reverse(uses[path]), *at));
        let (mut chosen, mut tokens) = (Vec::new(), 0);
        for (at, path) in exists {
            let length = self.renderer.tokenizer().encode(&self.repository.files[path]).len();
            if chosen.len() < self.options.max_reads && tokens + length <= self.options.max_read_tokens {
                chosen.push((at, path));
                tokens += length;
            }
        }
        chosen.sort_unstable();
        chosen.into_iter().map(|(_, path)| path).collect()
    }

    fn fits(&self, document: &Document<'_>, episode: &Episode<'_>) -> bool {
        let tokens = |step: &Step| self.renderer.step(step).ids.len();
        let closing = if self.is_raw() { 0 } else { tokens(&steps::done(Agent::Main)) };
        let known: usize = self.known_steps(episode).iter().map(tokens).sum();
        let thoughts = match (self.is_raw(), episode.reads.is_empty()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        let empty = steps::thought(Agent::Main, String::new(), Author::Outline);
        let thought = tokens(&empty) + self.options.thought_limits().0;
        document.tokens + document.reserved + known + thoughts * thought + closing <= self.options.context_tokens
    }

    /// Every step of the episode but its thoughts.
    fn known_steps(&self, Episode { path, file, reads }: &Episode<'_>) -> Vec<Step> {
        if self.is_raw() {
            return vec![steps::write(Agent::Main, file.clone())];
        }
        let agent = Agent::File((*path).into());
        let mut known = vec![steps::delegate(path)];
        for read in reads {
            known.push(steps::read(&agent, read));
            known.push(steps::content(agent.clone(), self.existing(read)));
        }
        known.push(steps::write(agent.clone(), file.clone()));
        known.push(steps::wrote(agent.clone(), file));
        known.push(steps::done(agent));
        known.push(steps::delegated(path));
        known
    }

    fn existing(&self, path: &str) -> FileContent {
        steps::file(self.repository, path).expect("only files that were written are read")
    }

    /// Writes the episode down: the known steps, with thoughts before the first read and before
    /// the write.
    fn play(&self, document: &mut Document<'_>, episode: Episode<'_>) {
        let limit = self.options.thought_limits().0;
        let mut known = self.known_steps(&episode).into_iter();
        if !self.is_raw() {
            document.push(known.next().expect("an episode begins with its delegation"));
            if !episode.reads.is_empty() {
                self.think(document, &Topic::Reading { path: episode.path, reads: &episode.reads }, limit);
                known.by_ref().take(2 * episode.reads.len()).for_each(|step| document.push(step));
            }
            self.think(document, &Topic::Writing { path: episode.path }, limit);
        }
        known.for_each(|step| document.push(step));
        document.files += 1;
    }

    fn trajectory(&self, part: usize, document: Document<'_>) -> Trajectory {
        let arm = if self.is_raw() { Arm::Raw } else { Arm::Agent };
        let repository = self.graph.repository.clone();
        let commit = repository.commit.as_ref().map_or(String::new(), |commit| format!("@{commit}"));
        let mut summary = Summary { left_out: document.left_out, ..Summary::default() };
        summary.recount(&document.steps);
        Trajectory {
            schema: SCHEMA.into(),
            id: format!("{}{commit}/{arm}#{part}", repository.name),
            repository,
            arm,
            model: self.writer.model.as_ref().map(|writer| writer.model.clone()),
            seed: self.options.seed,
            steps: document.steps,
            summary,
        }
    }
}
