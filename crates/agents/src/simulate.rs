//! The main loop: opening, requirements, plan, then one sub-agent after another, cut into parts.
//!
//! Whether a file still fits is known before anything is generated: files, reads and actions
//! have a known length, and each thought is counted as long as its limit allows.

use std::collections::BTreeMap;

use recon_repository::Repository;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{
    Agent, Arm, Author, Continuation, Decided, FileContent, SCHEMA, Step, Subject, Summary, Trajectory, trajectory_id,
};
use recon_text::Renderer;
use recon_thought::outline::Project;
use recon_thought::{Thought, Writer};

use crate::document::Document;
use crate::first::{FirstWriter, ModelWriter};
use crate::{AgentOptions, Error, FirstAuthor, Result, steps};

/// The same graph with only the first `max_files` files in the order of development. The others
/// still exist: they are named where what is developed builds on them, and not written.
pub fn select(graph: &RepoGraph, max_files: Option<usize>) -> RepoGraph {
    let mut selected = graph.clone();
    selected.order.truncate(max_files.unwrap_or(usize::MAX));
    selected
}

/// Simulates the development of `repository`; one trajectory for each part, in order.
///
/// `writer` is needed where the options ask for a model's thoughts. A thought that the model
/// fails to write is written from the outline, and its author says so.
///
/// # Errors
/// Where nothing can be simulated; see [`Error`].
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
    let project = Project::new(&graph);
    let writer = Writer {
        project: &project,
        renderer,
        seed: options.seed,
        budget: options.budget(),
        temperature: options.temperature,
        top_p: options.top_p,
    };
    let first = FirstWriter { writer, model };
    Simulation { repository, graph: &graph, project: &project, options, renderer, first }.run()
}

struct Simulation<'a> {
    repository: &'a Repository,
    graph: &'a RepoGraph,
    project: &'a Project<'a>,
    options: &'a AgentOptions,
    renderer: &'a Renderer<'a>,
    first: FirstWriter<'a>,
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
        document.push(steps::opening(self.project, self.options.context_tokens));
        let tokens = document.tokens;
        if tokens * 2 > self.options.context_tokens {
            let (repository, context_tokens) = (self.graph.repository.name.clone(), self.options.context_tokens);
            return Err(Error::OpeningTooLong { repository, tokens, context_tokens });
        }
        let decided = if self.is_raw() { None } else { Some(self.decide(&mut document)) };
        let (mut parts, mut written) = (Vec::new(), Vec::new());
        for path in &self.graph.order {
            let file = self.repository.content(path).ok_or_else(|| Error::ForeignGraph {
                repository: self.graph.repository.name.clone(),
                path: path.clone(),
            })?;
            let tokenizer = self.renderer.tokenizer();
            if let Some(character) = tokenizer.unencodable(&file.text).or_else(|| tokenizer.unencodable(path)) {
                tracing::warn!(%path, ?character, "the file is left out: the model has no token for a character of it");
                document.unencodable.insert(path.clone(), character);
                continue;
            }
            let mut episode = Episode { path, reads: self.reads(path, &written), file };
            if !self.fits(&document, &episode) && document.files > 0 {
                let next = self.continued(decided.as_ref(), &written);
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
                let tokens = self.tokens(&episode.file.text);
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
    fn decide(&self, document: &mut Document<'_>) -> Decided {
        let requirements = self.think(document, Subject::Requirements);
        Decided { requirements, plan: self.think(document, Subject::Plan) }
    }

    fn think(&self, document: &mut Document<'_>, subject: Subject) -> String {
        let thought = self.first.write(document, &subject);
        let text = thought.text.clone();
        self.reserve(document, &text, &subject);
        document.push(steps::thought(subject, thought));
        text
    }

    /// Keeps room for `text` to be refined to its limit, where it will be refined.
    fn reserve(&self, document: &mut Document<'_>, text: &str, subject: &Subject) {
        if self.options.arm == Arm::Search {
            document.reserved += self.options.budget().of(subject).saturating_sub(self.tokens(text));
        }
    }

    /// A later part: the same opening, then what was decided and what exists, untrained.
    fn continued(&self, decided: Option<&Decided>, written: &[&str]) -> Document<'a> {
        let named = self.newest_named(written);
        let continuation =
            Continuation { decided: decided.cloned(), earlier: (written.len() - named.len()) as u64, written: named };
        let mut document = Document::new(self.renderer);
        document.push(steps::opening(self.project, self.options.context_tokens));
        document.push(steps::continuation(continuation));
        if let Some(Decided { requirements, plan }) = decided {
            self.reserve(&mut document, requirements, &Subject::Requirements);
            self.reserve(&mut document, plan, &Subject::Plan);
        }
        document
    }

    /// The files written, newest first, so that a list too long for its room loses the oldest.
    fn newest_named(&self, written: &[&str]) -> Vec<String> {
        let newest: Vec<String> = written.iter().rev().map(|path| (*path).to_owned()).collect();
        let room = self.options.context_tokens / 8;
        let fits = |named: usize| self.tokens(&newest[..named].join("\n")) <= room;
        let (mut most, mut too_many) = (0, newest.len() + 1);
        while most + 1 < too_many {
            let middle = most.midpoint(too_many);
            if fits(middle) { most = middle } else { too_many = middle }
        }
        newest[..most].to_vec()
    }

    fn tokens(&self, text: &str) -> usize {
        self.renderer.tokenizer().encode(text).len()
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
            let length = self.tokens(&self.repository.files[path]);
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
        let empty = steps::thought(Subject::Plan, Thought { text: String::new(), author: Author::Outline });
        let thought = tokens(&empty) + self.options.budget().thought_tokens;
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
        self.repository.content(path).expect("only files that were written are read")
    }

    /// Writes the episode down: the known steps, with thoughts before the first read and before
    /// the write.
    fn play(&self, document: &mut Document<'_>, episode: Episode<'_>) {
        let path = || episode.path.to_owned();
        let mut known = self.known_steps(&episode).into_iter();
        if !self.is_raw() {
            document.push(known.next().expect("an episode begins with its delegation"));
            if !episode.reads.is_empty() {
                let reads = episode.reads.iter().map(|read| (*read).to_owned()).collect();
                self.think(document, Subject::Reading { path: path(), reads });
                known.by_ref().take(2 * episode.reads.len()).for_each(|step| document.push(step));
            }
            self.think(document, Subject::Writing { path: path() });
        }
        known.for_each(|step| document.push(step));
        document.files += 1;
    }

    fn trajectory(&self, part: usize, document: Document<'_>) -> Trajectory {
        let arm = if self.is_raw() { Arm::Raw } else { Arm::Agent };
        let repository = self.graph.repository.clone();
        let part = u32::try_from(part).expect("a repository has fewer files than that, and no part is without one");
        let Document { left_out, unencodable, first_refused, .. } = document;
        let mut summary = Summary { left_out, unencodable, first_refused, ..Summary::default() };
        summary.recount(&document.steps);
        Trajectory {
            schema: SCHEMA.into(),
            id: trajectory_id(&repository, arm, part),
            repository,
            arm,
            part,
            model: self.first.model.as_ref().map(|writer| writer.model.clone()),
            seed: self.options.seed,
            steps: document.steps,
            summary,
        }
    }
}
