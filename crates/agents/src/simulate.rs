//! The main loop: opening, requirements, plan, then one sub-agent after another, cut into parts.
//!
//! Whether a file still fits is known before anything is generated: files, reads and actions
//! have a known length, and each thought is counted as long as its limit allows.

use recon_lm::RandomKey;
use recon_repository::Repository;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{
    Agent, Arm, Author, Continuation, Decided, FileContent, SCHEMA, Step, Subject, Summary, Trajectory, trajectory_id,
};
use recon_text::Renderer;
use recon_thought::outline::Project;
use recon_thought::{Thought, Writer};

use crate::choice::Choice;
use crate::document::Document;
use crate::first::{FirstWriter, ModelWriter};
use crate::reads::{Readable, Shelf};
use crate::{AgentOptions, Error, Result, steps};

/// The same graph with only the first `max_files` files in the order of development. The others
/// still exist: they are named where what is developed builds on them, and not written.
pub fn select(graph: &RepoGraph, max_files: Option<usize>) -> RepoGraph {
    let mut selected = graph.clone();
    selected.order.truncate(max_files.unwrap_or(usize::MAX));
    selected
}

/// Simulates the development of `repository`; one trajectory for each part, in order.
///
/// `model` is needed where the options [ask a model](AgentOptions::asks_model). A thought that it
/// fails to write is written from the outline, and its author says so.
///
/// # Errors
/// Where nothing can be simulated; see [`Error`].
pub fn simulate(
    repository: &Repository,
    graph: &RepoGraph,
    options: &AgentOptions,
    renderer: &Renderer<'_>,
    model: Option<ModelWriter<'_>>,
) -> Result<Vec<Trajectory>> {
    let graph = select(graph, options.max_files);
    if graph.order.is_empty() {
        return Err(Error::NoFiles { repository: graph.repository.name });
    }
    let model = model.filter(|_| options.asks_model());
    if options.asks_model() && model.is_none() {
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
    let first = FirstWriter { writer, model: model.clone().filter(|_| options.model_thinks()) };
    Simulation { repository, graph: &graph, project: &project, options, renderer, first, model }.run()
}

struct Simulation<'a> {
    repository: &'a Repository,
    graph: &'a RepoGraph,
    project: &'a Project<'a>,
    options: &'a AgentOptions,
    renderer: &'a Renderer<'a>,
    first: FirstWriter<'a>,
    /// None where nothing is asked of it.
    model: Option<ModelWriter<'a>>,
}

/// One file's turn: what is known before anything is written.
#[derive(Clone)]
struct Episode<'g> {
    path: &'g str,
    file: FileContent,
    reads: Reading<'g>,
}

/// What a sub-agent reads.
#[derive(Clone)]
enum Reading<'g> {
    Nothing,
    /// Known before it thinks.
    Known(Vec<&'g str>),
    /// Decided behind its first thought, and kept within so many tokens.
    Decided {
        most_tokens: usize,
    },
}

impl Episode<'_> {
    /// The same with as little to read as can be.
    fn with_least_reading(mut self) -> Self {
        self.reads = match self.reads {
            Reading::Decided { .. } => Reading::Decided { most_tokens: 0 },
            Reading::Nothing | Reading::Known(_) => Reading::Nothing,
        };
        self
    }
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
        let decided = self.options.has_agents().then(|| self.decide(&mut document));
        let (mut parts, mut shelf) = (Vec::new(), Shelf::new(self.repository, self.options, self.renderer));
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
            let mut episode = Episode { path, reads: self.reading(path, &shelf), file };
            if !self.fits(&document, &episode) && document.files > 0 {
                let next = self.continued(decided.as_ref(), &shelf.paths());
                if self.fits(&next, &episode) || self.fits(&next, &episode.clone().with_least_reading()) {
                    parts.push(std::mem::replace(&mut document, next));
                }
            }
            if !self.fits(&document, &episode) {
                episode = episode.with_least_reading();
            }
            if self.fits(&document, &episode) {
                self.play(&mut document, episode, &shelf);
                shelf.add(path);
            } else {
                let tokens = self.tokens(&episode.file.text);
                tracing::warn!(%path, tokens, context_tokens = self.options.context_tokens, "the file is left out");
                document.left_out.insert(path.clone(), tokens as u64);
            }
        }
        if self.options.has_agents() {
            document.push(steps::done(Agent::Main));
        }
        parts.push(document);
        Ok(parts.into_iter().enumerate().map(|(part, document)| self.trajectory(part, document)).collect())
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
        let agent = if self.options.has_agents() { subject.agent() } else { Agent::Main };
        document.push(steps::thought(agent, subject, thought));
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

    fn reading(&self, path: &str, shelf: &Shelf<'_, 'a>) -> Reading<'a> {
        if !self.options.has_agents() {
            return Reading::Nothing;
        }
        if self.options.model_reads() {
            let most_tokens = shelf.most_tokens();
            return if most_tokens == 0 { Reading::Nothing } else { Reading::Decided { most_tokens } };
        }
        let reads = shelf.dependencies(self.graph, path);
        if reads.is_empty() { Reading::Nothing } else { Reading::Known(reads) }
    }

    fn fits(&self, document: &Document<'_>, episode: &Episode<'_>) -> bool {
        let thoughts = match (self.options.arm, &episode.reads) {
            (Arm::Raw, _) => 0,
            (_, Reading::Nothing) => 1,
            (_, Reading::Known(_) | Reading::Decided { .. }) => 2,
        };
        let decided = match &episode.reads {
            Reading::Decided { most_tokens } => *most_tokens,
            Reading::Nothing | Reading::Known(_) => 0,
        };
        let needed = self.length(&self.known_steps(episode)) + decided + thoughts * self.thought_tokens();
        needed <= self.room(document)
    }

    /// Tokens that a document takes before its last word.
    fn room(&self, document: &Document<'_>) -> usize {
        let closing = if self.options.has_agents() { self.length(&[steps::done(Agent::Main)]) } else { 0 };
        self.options.context_tokens.saturating_sub(document.tokens + document.reserved + closing)
    }

    fn length(&self, steps: &[Step]) -> usize {
        steps.iter().map(|step| self.renderer.step(step).ids.len()).sum()
    }

    /// The longest thought with its turn, tokens.
    fn thought_tokens(&self) -> usize {
        let empty = Thought { text: String::new(), author: Author::Outline };
        let turn = self.length(&[steps::thought(Agent::Main, Subject::Plan, empty)]);
        turn + self.options.budget().thought_tokens
    }

    /// Every step of the episode but its thoughts and what the model decides to read.
    fn known_steps(&self, Episode { path, file, reads }: &Episode<'_>) -> Vec<Step> {
        if !self.options.has_agents() {
            return vec![steps::write(Agent::Main, file.clone())];
        }
        let agent = Agent::File((*path).into());
        let mut known = vec![steps::delegate(path)];
        if let Reading::Known(reads) = reads {
            for read in reads {
                known.push(steps::read(&agent, read, Author::Outline));
                known.push(steps::content(agent.clone(), self.existing(read)));
            }
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
    fn play(&self, document: &mut Document<'_>, episode: Episode<'_>, shelf: &Shelf<'_, '_>) {
        let path = || episode.path.to_owned();
        let mut known = self.known_steps(&episode).into_iter();
        if self.options.has_agents() {
            document.push(known.next().expect("an episode begins with its delegation"));
        }
        match &episode.reads {
            Reading::Nothing => {}
            Reading::Known(reads) => {
                let names = reads.iter().map(|read| (*read).to_owned()).collect();
                self.think(document, Subject::Reading { path: path(), reads: names });
                known.by_ref().take(2 * reads.len()).for_each(|step| document.push(step));
            }
            Reading::Decided { .. } => {
                self.think(document, Subject::Design { path: path() });
                self.read_as_decided(document, episode.path, shelf, self.length(known.as_slice()));
            }
        }
        if self.options.arm != Arm::Raw {
            self.think(document, Subject::Writing { path: path() });
        }
        known.for_each(|step| document.push(step));
        document.files += 1;
    }

    /// One read after another, until the model decides for none or none is valid; `after` tokens
    /// and a thought are still to come.
    fn read_as_decided(&self, document: &mut Document<'_>, path: &str, shelf: &Shelf<'_, '_>, after: usize) {
        let (model, agent) = (self.model.as_ref().expect("it was asked for"), Agent::File(path.into()));
        let mut read: Vec<&Readable<'_>> = Vec::new();
        loop {
            let room = self.room(document).saturating_sub(after + self.thought_tokens());
            let valid = shelf.valid(&read, room);
            if valid.is_empty() {
                return;
            }
            match self.decide_read(document, path, model, shelf.head(), &valid) {
                Ok(Some(at)) => {
                    document.push(steps::read(&agent, valid[at].path, Author::Model));
                    document.push(steps::content(agent.clone(), self.existing(valid[at].path)));
                    read.push(valid[at]);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(repository = self.project.name(), path, %error, "the model could not decide; nothing more is read");
                    return;
                }
            }
        }
    }

    fn decide_read(
        &self,
        document: &mut Document<'_>,
        path: &str,
        model: &ModelWriter<'_>,
        head: &[u32],
        valid: &[&Readable<'_>],
    ) -> recon_lm::Result<Option<usize>> {
        let key = RandomKey {
            seed: self.options.seed,
            repository: self.project.name().into(),
            file: path.into(),
            step: document.steps.len() as u64,
            round: 0,
            candidate: 0,
        };
        let lines: Vec<&[u32]> = valid.iter().map(|file| file.line.as_slice()).collect();
        let at = document.branch(model.scorer)?;
        let choice = Choice::new(model.scorer, key.stream(), self.options.temperature);
        choice.among(at, &self.renderer.assistant_header(), head, &lines)
    }

    fn trajectory(&self, part: usize, document: Document<'_>) -> Trajectory {
        // A search comes later and names its arm.
        let arm = if self.options.has_agents() { Arm::Agent } else { self.options.arm };
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
            model: self.model.as_ref().map(|asked| asked.model.clone()),
            seed: self.options.seed,
            steps: document.steps,
            summary,
        }
    }
}
