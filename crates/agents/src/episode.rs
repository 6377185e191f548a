//! One file's turn: what is read, what is drafted, what is thought, and whether all of it fits.
//!
//! Whether a file still fits is known before anything is generated: files, reads and actions
//! have a known length; thoughts, drafts and what the model decides to read are counted as long as
//! their limits allow.

use recon_lm::RandomKey;
use recon_repository::Repository;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Agent, Arm, Author, FileContent, Step, Subject};
use recon_text::Renderer;
use recon_thought::Thought;
use recon_thought::outline::Project;

use crate::choice::Choice;
use crate::document::Document;
use crate::draft::Drafting;
use crate::first::{FirstWriter, ModelWriter};
use crate::reads::{Readable, Shelf};
use crate::{AgentOptions, steps};

/// The agents of one repository.
pub(crate) struct Agents<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) graph: &'a RepoGraph,
    pub(crate) project: &'a Project<'a>,
    pub(crate) options: &'a AgentOptions,
    pub(crate) renderer: &'a Renderer<'a>,
    pub(crate) first: FirstWriter<'a>,
    /// None where nothing is asked of it.
    pub(crate) model: Option<ModelWriter<'a>>,
}

/// One file's turn: what is known before anything is written.
#[derive(Clone)]
pub(crate) struct Episode<'g> {
    pub(crate) path: &'g str,
    pub(crate) file: FileContent,
    pub(crate) reads: Reading<'g>,
    /// Whether the model drafts it first.
    pub(crate) drafts: bool,
}

/// What a sub-agent reads.
#[derive(Clone)]
pub(crate) enum Reading<'g> {
    Nothing,
    /// Known before it thinks.
    Known(Vec<&'g str>),
    /// Decided behind its first thought, and kept within so many tokens.
    Decided {
        most_tokens: usize,
    },
}

impl Episode<'_> {
    /// The same with nothing that a file can be written without.
    pub(crate) fn at_least(mut self) -> Self {
        self.drafts = false;
        self.reads = match self.reads {
            Reading::Decided { .. } => Reading::Decided { most_tokens: 0 },
            Reading::Nothing | Reading::Known(_) => Reading::Nothing,
        };
        self
    }
}

impl<'a> Agents<'a> {
    pub(crate) fn think(&self, document: &mut Document<'_>, subject: Subject) -> String {
        let thought = self.first.write(document, &subject);
        let text = thought.text.clone();
        self.reserve(document, &text, &subject);
        let agent = if self.options.has_agents() { subject.agent() } else { Agent::Main };
        document.push(steps::thought(agent, subject, thought));
        text
    }

    /// Keeps room for `text` to be refined to its limit, where it will be refined.
    pub(crate) fn reserve(&self, document: &mut Document<'_>, text: &str, subject: &Subject) {
        if self.options.arm == Arm::Search {
            document.reserved += self.options.budget().of(subject).saturating_sub(self.tokens(text));
        }
    }

    pub(crate) fn tokens(&self, text: &str) -> usize {
        self.renderer.tokenizer().encode(text).len()
    }

    pub(crate) fn reading(&self, path: &str, shelf: &Shelf<'_, 'a>) -> Reading<'a> {
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

    pub(crate) fn fits(&self, document: &Document<'_>, episode: &Episode<'_>) -> bool {
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
        needed + self.draft_tokens(episode) <= self.room(document)
    }

    /// Whether there is a tool that answers a draft of `path`.
    pub(crate) fn drafts(&self, path: &str) -> bool {
        self.options.debugs().is_some() && recon_tool::parser(path, "").is_some()
    }

    /// Most tokens of a draft, its answer and the thought about it.
    fn draft_tokens(&self, episode: &Episode<'_>) -> usize {
        self.options.debugs().filter(|_| episode.drafts).map_or(0, |debug| {
            Drafting::most_tokens(self.renderer, episode.path, debug.draft_tokens) + self.thought_tokens()
        })
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
    fn known_steps(&self, Episode { path, file, reads, .. }: &Episode<'_>) -> Vec<Step> {
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
    pub(crate) fn play(&self, document: &mut Document<'_>, episode: Episode<'_>, shelf: &Shelf<'_, '_>) {
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
                let after = self.length(known.as_slice()) + self.draft_tokens(&episode);
                self.read_as_decided(document, episode.path, shelf, after);
            }
        }
        if self.options.arm != Arm::Raw {
            self.think(document, Subject::Writing { path: path() });
        }
        if episode.drafts {
            self.debug(document, &episode);
        }
        known.for_each(|step| document.push(step));
        document.files += 1;
    }

    /// The model drafts the file, a tool answers, and a thought about it follows. What is no draft,
    /// or is the file itself, is left out.
    fn debug(&self, document: &mut Document<'_>, episode: &Episode<'_>) {
        let (Some(model), Some(debug)) = (&self.model, self.options.debugs()) else { return };
        let (temperature, top_p) = (self.options.temperature, self.options.top_p);
        let drafting =
            Drafting { renderer: self.renderer, model, draft_tokens: debug.draft_tokens, temperature, top_p };
        let key = self.key(document, episode.path);
        let draft = drafting.write(document, episode.path, key).unwrap_or_else(|error| {
            tracing::warn!(repository = self.project.name(), path = episode.path, %error, "the model could not draft the file");
            None
        });
        let Some(text) = draft.filter(|text| *text != episode.file.text) else { return };
        let Some(answer) = recon_tool::parser(episode.path, &text) else { return };
        let agent = Agent::File(episode.path.into());
        document.push(steps::draft(&agent, episode.path, text));
        document.push(steps::result(agent, answer.text));
        self.think(document, Subject::Revising { path: episode.path.into(), faults: answer.faults });
    }

    /// Names the random numbers of what comes next in `document`.
    fn key(&self, document: &Document<'_>, path: &str) -> RandomKey {
        RandomKey {
            seed: self.options.seed,
            repository: self.project.name().into(),
            file: path.into(),
            step: document.steps.len() as u64,
            round: 0,
            candidate: 0,
        }
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
        let key = self.key(document, path);
        let lines: Vec<&[u32]> = valid.iter().map(|file| file.line.as_slice()).collect();
        let at = document.branch(model.scorer)?;
        let choice = Choice::new(model.scorer, key.stream(), self.options.temperature);
        choice.among(at, &self.renderer.assistant_header(), head, &lines)
    }
}
