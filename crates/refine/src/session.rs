//! One trajectory, refined in document order.

use std::collections::{BTreeMap, HashSet};

use recon_lm::{Branch, Generator, Scorer};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Agent, Arm, Author, Body, Control, ModelRef, Observed, Search, Step, Trajectory};
use recon_text::{Renderer, action_line};
use recon_thought::outline::{self, Detail};

use crate::authors::{Proposals, Subject};
use crate::cursor::Cursor;
use crate::report::{Failure, Likelihood, Report};
use crate::score::{Attempt, document, in_full, score};
use crate::search::{Found, Gate, Place, Thought, admit, search};
use crate::target::{self, Target};
use crate::{Error, RefineOptions, Result};
use recon_thought::leak::Context;

/// The model that scores, and where there is one, the model that proposes.
pub struct Models<'a> {
    /// Computes likelihoods.
    pub scorer: &'a dyn Scorer,
    /// Proposes thoughts; needed where the options name the model as an author.
    pub generator: Option<&'a dyn Generator>,
    /// Turns steps into tokens, the same here as in packing and training.
    pub renderer: &'a Renderer<'a>,
    /// Which model it is.
    pub model: Option<ModelRef>,
}

/// A step was reached.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The step.
    pub step: usize,
    /// Steps in the trajectory.
    pub steps: usize,
    /// Whose step it is.
    pub agent: &'a Agent,
    /// The search that was made for it, if any.
    pub search: Option<&'a Search>,
}

/// A trajectory of the `search` arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// The trajectory.
    pub trajectory: Trajectory,
    /// What the search cost and gained.
    pub report: Report,
}

/// Refines the thoughts of `trajectory`, one after another.
///
/// `graph` is the one it was simulated from. The observer hears of every step, in order. A
/// failing model never stops a run: the thought stays, the failure is recorded.
pub fn refine(
    trajectory: Trajectory,
    graph: &RepoGraph,
    models: &Models<'_>,
    options: &RefineOptions,
    observer: &mut dyn FnMut(&Progress<'_>),
) -> Result<Refined> {
    options.check(models.generator.is_some())?;
    if trajectory.arm != Arm::Agent {
        return Err(Error::Arm { id: trajectory.id, arm: trajectory.arm });
    }
    let mut session = Session::new(&trajectory, graph, models, options);
    session.report.documents_before = session.rescore();
    for at in 0..session.steps.len() {
        session.visit(at);
        let step = &session.steps[at];
        let search = match &step.body {
            Body::Think { search, .. } => search.as_deref(),
            _ => None,
        };
        observer(&Progress { step: at, steps: session.steps.len(), agent: &step.agent, search });
    }
    session.report.documents_after = session.rescore();
    Ok(session.finish(trajectory))
}

struct Session<'a> {
    id: String,
    seed: u64,
    graph: &'a RepoGraph,
    models: &'a Models<'a>,
    options: &'a RefineOptions,
    steps: Vec<Step>,
    cursor: Cursor<'a>,
    context: Context,
    /// Length of the whole document as it stands, tokens.
    document_tokens: usize,
    searched: usize,
    controlled: usize,
    report: Report,
}

/// A thought about to be searched for.
struct Task {
    at: usize,
    subject: Subject,
    targets: Vec<Target>,
    /// Whether it is the last thought before its target.
    is_last: bool,
}

impl<'a> Session<'a> {
    fn new(trajectory: &Trajectory, graph: &'a RepoGraph, models: &'a Models<'a>, options: &'a RefineOptions) -> Self {
        Self {
            id: trajectory.id.clone(),
            seed: trajectory.seed,
            graph,
            models,
            options,
            steps: trajectory.steps.clone(),
            cursor: Cursor::new(models.scorer, models.renderer.begin()),
            context: Context::default(),
            document_tokens: models.renderer.document(trajectory).ids.len(),
            searched: 0,
            controlled: 0,
            report: Report { trajectories: 1, ..Report::default() },
        }
    }

    fn visit(&mut self, at: usize) {
        let jumped = matches!(self.steps[at].body, Body::Think { .. }) && self.think(at);
        let step = &self.steps[at];
        if !jumped {
            self.cursor.push(&self.models.renderer.step(step).ids);
        }
        for text in texts(step) {
            self.context.push(self.models.renderer.tokenizer(), &text);
        }
        self.report.add_step(step);
    }

    /// Searches for the thought `at`, or holds it against the gate; whether the cursor stands
    /// behind it now.
    fn think(&mut self, at: usize) -> bool {
        let task = self.task(at);
        let within = self.options.max_steps.is_none_or(|limit| self.searched < limit);
        let wanted = within && (task.is_last || self.options.early_thoughts) && !task.targets.is_empty();
        if wanted {
            self.searched += 1;
            match self.search(&task) {
                Ok(found) => {
                    self.accept(at, found);
                    return true;
                }
                Err(error) => self.fail(at, &format!("the thought was not searched for: {error}")),
            }
        }
        self.gate_alone(&task);
        false
    }

    fn task(&self, at: usize) -> Task {
        let targets = target::of_thought(self.models.renderer, &self.steps, at, self.options.plan_files);
        let is_thought = |step: &&Step| matches!(step.body, Body::Think { .. });
        let (subject, is_last) = match &self.steps[at].agent {
            Agent::Main if self.steps[..at].iter().any(|step| is_thought(&step)) => (Subject::Plan, true),
            Agent::Main => (Subject::Requirements, true),
            agent @ Agent::File(path) => {
                let own = self.steps[at + 1..].iter().filter(|step| &step.agent == agent);
                let later = own.take_while(|step| target::written(step).is_none()).find(is_thought);
                (Subject::File(path.clone()), later.is_none())
            }
        };
        Task { at, subject, targets, is_last }
    }

    fn proposals<'s>(&'s self, subject: &'s Subject, at: usize) -> Proposals<'s> {
        let (models, graph, options) = (self.models, self.graph, self.options);
        Proposals {
            models,
            graph,
            options,
            subject,
            seed: self.seed,
            step: at as u64,
            tried: HashSet::new(),
            levels: 0,
        }
    }

    fn gate<'s>(&'s self, targets: &[Target]) -> Gate<'s> {
        let signatures = |path: &str| outline::signatures(self.graph, path);
        Gate::new(self.models.renderer.tokenizer(), &self.context, targets, signatures)
    }

    fn first(&self, at: usize) -> Thought {
        let step = &self.steps[at];
        match &step.body {
            Body::Think { text, .. } => Thought { text: text.clone(), author: step.author },
            _ => unreachable!("only thoughts are visited as thoughts"),
        }
    }

    fn search(&mut self, task: &Task) -> recon_lm::Result<Found> {
        let document = self.cursor.branch()?;
        let header = self.models.scorer.extend(Some(&document), &self.models.renderer.assistant_header())?;
        let first = self.first(task.at);
        let turn_tokens = first.turn(self.models.renderer).len();
        let room_tokens = self.options.context_tokens.saturating_sub(self.document_tokens - turn_tokens);
        let gate = self.gate(&task.targets);
        let place = Place { document: &document, header: &header, targets: &task.targets, gate: &gate, room_tokens };
        let mut found = search(&place, first, self.proposals(&task.subject, task.at))?;
        let controls = task.is_last && matches!(task.subject, Subject::File(_));
        if controls && self.controlled < self.options.control_steps {
            match self.control(task, &document, &header, room_tokens) {
                Ok(control) => found.search.control = control,
                Err(error) => self.fail(task.at, &format!("the control was not searched for: {error}")),
            }
            self.controlled += usize::from(found.search.control.is_some());
        }
        Ok(found)
    }

    /// The same search at the same place for another file; its thought scored on this one.
    fn control(
        &self,
        task: &Task,
        document: &Branch,
        header: &Branch,
        room_tokens: usize,
    ) -> recon_lm::Result<Option<Control>> {
        let Some(other) = target::of_another(self.models.renderer, &self.steps, task.at) else { return Ok(None) };
        let (path, others) = (other.path.clone(), [other]);
        let subject = Subject::File(path.clone());
        let gate = self.gate(&others);
        let place = Place { document, header, targets: &others, gate: &gate, room_tokens };
        let first = Thought { text: subject.outline(self.graph, Detail::Brief), author: Author::Outline };
        let found = search(&place, first, self.proposals(&subject, task.at))?;
        let turn = found.thought.turn(self.models.renderer);
        let attempt = [Attempt { at: header, thought: Some(&turn) }];
        let total = score(self.models.scorer, &attempt, &task.targets, None).pop().expect("one result an attempt")?;
        Ok(Some(Control { path, nats: in_full(total).0 }))
    }

    fn accept(&mut self, at: usize, Found { search, thought, ahead, exempted }: Found) {
        for (author, count) in exempted {
            self.report.authors.entry(author).or_default().exempted += count;
        }
        let counts = self.report.authors.entry(self.steps[at].author).or_default();
        counts.first += 1;
        counts.first_leaked += u64::from(search.initial.replaced.is_some());
        self.replace(at, thought, Some(Box::new(search)));
        self.cursor.jump(ahead);
    }

    /// A thought that is not searched for is replaced where it leaks, and else stays.
    fn gate_alone(&mut self, task: &Task) {
        let first = self.first(task.at);
        let author = first.author;
        let (thought, verdict) =
            admit(&self.gate(&task.targets), first.clone(), &self.proposals(&task.subject, task.at));
        let counts = self.report.authors.entry(author).or_default();
        counts.first += 1;
        counts.exempted += u64::from(verdict.exempted && verdict.leak.is_none());
        counts.first_leaked += u64::from(verdict.leak.is_some());
        if thought != first {
            self.replace(task.at, thought, None);
        }
    }

    fn replace(&mut self, at: usize, thought: Thought, search: Option<Box<Search>>) {
        let step = &mut self.steps[at];
        let before = self.models.renderer.step(step).ids.len();
        step.author = thought.author;
        step.body = Body::Think { text: thought.text, search };
        self.document_tokens = self.document_tokens + self.models.renderer.step(step).ids.len() - before;
    }

    fn fail(&mut self, at: usize, reason: &str) {
        tracing::warn!(id = %self.id, step = at, reason, "a thought stays unrefined");
        self.report.failures.push(Failure { trajectory: self.id.clone(), step: at as u64, reason: reason.into() });
    }

    /// Likelihood of every written file in the document as it stands, scored once.
    fn rescore(&mut self) -> Likelihood {
        if !self.options.rescore {
            return Likelihood::default();
        }
        match document(self.models.scorer, self.models.renderer, &self.steps) {
            Ok(likelihood) => likelihood,
            Err(error) => {
                self.fail(0, &format!("the document was not scored from end to end: {error}"));
                Likelihood::default()
            }
        }
    }

    fn finish(self, mut trajectory: Trajectory) -> Refined {
        trajectory.id = trajectory.id.replacen("/agent#", "/search#", 1);
        trajectory.arm = Arm::Search;
        trajectory.model = self.models.model.clone().or(trajectory.model);
        trajectory.steps = self.steps;
        trajectory.summary.recount(&trajectory.steps);
        let mut leaks: BTreeMap<Author, u64> = BTreeMap::new();
        for (author, counts) in &self.report.authors {
            leaks.insert(*author, counts.leaked + counts.first_leaked);
        }
        leaks.retain(|_, count| *count > 0);
        trajectory.summary.leaks_by_author = leaks;
        Refined { trajectory, report: self.report }
    }
}

/// The texts a step shows, each encoded alone.
fn texts(step: &Step) -> Vec<String> {
    match &step.body {
        Body::Prompt { text } | Body::Think { text, .. } => vec![text.clone()],
        Body::Action { tool, content } => {
            std::iter::once(action_line(tool)).chain(content.iter().map(|file| file.text.clone())).collect()
        }
        Body::Observation { observed: Observed::Text(text) } => vec![text.clone()],
        Body::Observation { observed: Observed::Content(file) } => vec![file.text.clone()],
    }
}
