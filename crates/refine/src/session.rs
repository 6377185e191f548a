//! One trajectory, refined in document order.

use std::collections::BTreeMap;

use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{
    Action, Agent, Arm, Author, Body, Control, Observed, Search, Step, Subject, Trajectory, trajectory_id,
};
use recon_text::{action_line, continuation_text};
use recon_thought::leak::Context;
use recon_thought::outline::{Detail, Project};
use recon_thought::{Gate, Proposals, Thought, Writer};

use crate::budget::Learnt;
use crate::cursor::Cursor;
use crate::place::{Models, Place};
use crate::report::{Failure, Likelihood, Report};
use crate::score::{Attempt, document, in_full, score};
use crate::search::{Found, search};
use crate::target::{self, Target};
use crate::{Error, RefineOptions, Result};

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
///
/// # Errors
/// Where options or trajectory cannot be used; see [`Error`].
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
    let project = Project::new(graph);
    let writer = Writer {
        project: &project,
        renderer: models.renderer,
        seed: trajectory.seed,
        budget: options.budget(),
        temperature: options.temperature,
        top_p: options.top_p,
    };
    let mut session = Session::new(&trajectory, &writer, models, options);
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
    writer: &'a Writer<'a>,
    models: &'a Models<'a>,
    options: &'a RefineOptions,
    steps: Vec<Step>,
    cursor: Cursor<'a>,
    context: Context,
    /// Length of the whole document as it stands, tokens.
    document_tokens: usize,
    searched: usize,
    controlled: usize,
    learnt: Learnt,
    report: Report,
}

/// A thought about to be searched for.
struct Task {
    at: usize,
    subject: Subject,
    first: Thought,
    targets: Vec<Target>,
}

impl Task {
    /// Whether it is the last thought before its target.
    fn is_last(&self) -> bool {
        !matches!(self.subject, Subject::Design { .. } | Subject::Reading { .. })
    }
}

impl<'a> Session<'a> {
    fn new(
        trajectory: &Trajectory,
        writer: &'a Writer<'a>,
        models: &'a Models<'a>,
        options: &'a RefineOptions,
    ) -> Self {
        Self {
            id: trajectory.id.clone(),
            writer,
            models,
            options,
            steps: trajectory.steps.clone(),
            cursor: Cursor::new(models.scorer, models.renderer.begin()),
            context: Context::default(),
            document_tokens: models.renderer.document(trajectory).ids.len(),
            searched: 0,
            controlled: 0,
            learnt: Learnt::default(),
            report: Report { trajectories: 1, ..Report::default() },
        }
    }

    fn visit(&mut self, at: usize) {
        let jumped = self.task(at).is_some_and(|task| self.think(&task));
        let step = &self.steps[at];
        if !jumped {
            self.cursor.push(&self.models.renderer.step(step).ids);
        }
        for text in texts(step) {
            self.context.push(self.models.renderer.tokenizer(), &text);
        }
        self.report.add_step(step);
    }

    /// The thought `at`, if the step is one.
    fn task(&self, at: usize) -> Option<Task> {
        let step = &self.steps[at];
        let Body::Think { text, subject, .. } = &step.body else { return None };
        let first = Thought { text: text.clone(), author: step.author };
        let targets = target::of_thought(self.models.renderer, &self.steps, at, self.options.plan_files);
        Some(Task { at, subject: subject.clone(), first, targets })
    }

    /// Searches for a thought, or holds it against the gate; whether the cursor stands behind it now.
    fn think(&mut self, task: &Task) -> bool {
        let within = self.options.max_steps.is_none_or(|limit| self.searched < limit);
        let wanted = within && (task.is_last() || self.options.early_thoughts) && !task.targets.is_empty();
        if wanted {
            self.searched += 1;
            match self.search(task) {
                Ok(found) => {
                    self.accept(task, found);
                    return true;
                }
                Err(error) => self.fail(task.at, &format!("the thought was not searched for: {error}")),
            }
        }
        self.gate_alone(task);
        false
    }

    fn gate(&self, targets: &[Target]) -> Gate<'_> {
        let targets = targets.iter().map(|target| (target.path.as_str(), target.text.as_str()));
        Gate::new(self.models.renderer.tokenizer(), &self.context, self.writer.project, targets)
    }

    fn search(&mut self, task: &Task) -> recon_lm::Result<Found> {
        let document = self.cursor.branch()?;
        let header = self.models.scorer.extend(Some(&document), &self.models.renderer.assistant_header())?;
        let turn_tokens = task.first.turn(self.models.renderer).len();
        let room_tokens = self.options.context_tokens.saturating_sub(self.document_tokens - turn_tokens);
        let (models, options, targets) = (self.models, self.options, task.targets.as_slice());
        let place = Place { models, options, document: &document, header: &header, targets, room_tokens };
        let mut learnt = std::mem::take(&mut self.learnt);
        let gate = self.gate(targets);
        let proposals = Proposals::new(self.writer, &task.subject, task.at, &gate);
        let found = search(&place, task.first.clone(), proposals, options.rounds, Some(&mut learnt));
        self.learnt = learnt;
        let mut found = found?;
        let controls = matches!(task.subject, Subject::Writing { .. });
        if controls && self.controlled < self.options.control_steps {
            match self.control(task, &place, found.search.rounds.len() as u32) {
                Ok(control) => found.search.control = control,
                Err(error) => self.fail(task.at, &format!("the control was not searched for: {error}")),
            }
            self.controlled += usize::from(found.search.control.is_some());
        }
        Ok(found)
    }

    /// The same search at the same place, as many rounds, for another file; its thought scored on this one.
    fn control(&self, task: &Task, own: &Place<'_>, rounds: u32) -> recon_lm::Result<Option<Control>> {
        let Some(other) = target::of_another(self.models.renderer, &self.steps, task.at) else { return Ok(None) };
        let (path, others) = (other.path.clone(), [other]);
        let subject = Subject::Writing { path: path.clone() };
        let gate = self.gate(&others);
        let place = Place { targets: &others, ..*own };
        let first = self.writer.outline(&subject, Detail::Brief);
        let proposals = Proposals::new(self.writer, &subject, task.at, &gate);
        let found = search(&place, first, proposals, rounds, None)?;
        let turn = found.standing.thought.turn(self.models.renderer);
        let attempt = [Attempt { at: own.header, thought: Some(&turn) }];
        let total = score(self.models.scorer, &attempt, own.targets, None).pop().expect("one result an attempt")?;
        Ok(Some(Control { path, nats: in_full(total).0 }))
    }

    fn accept(&mut self, task: &Task, Found { search, standing, exempted }: Found) {
        self.count_first(task.first.author, search.initial.replaced.is_some(), exempted);
        self.replace(task, standing.thought, Some(Box::new(search)));
        self.cursor.jump(standing.ahead);
    }

    /// A thought that is not searched for is replaced where it leaks, and else stays.
    fn gate_alone(&mut self, task: &Task) {
        let gate = self.gate(&task.targets);
        let mut proposals = Proposals::new(self.writer, &task.subject, task.at, &gate);
        let (thought, leak) = proposals.begin(task.first.clone());
        let exempted = proposals.exempted();
        self.count_first(task.first.author, leak.is_some(), exempted);
        if thought != task.first {
            self.replace(task, thought, None);
        }
    }

    fn count_first(&mut self, author: Author, leaked: bool, exempted: BTreeMap<Author, u64>) {
        for (author, count) in exempted {
            self.report.authors.entry(author).or_default().exempted += count;
        }
        let counts = self.report.authors.entry(author).or_default();
        counts.first += 1;
        counts.first_leaked += u64::from(leaked);
    }

    fn replace(&mut self, task: &Task, thought: Thought, search: Option<Box<Search>>) {
        let step = &mut self.steps[task.at];
        let before = self.models.renderer.step(step).ids.len();
        step.author = thought.author;
        step.body = Body::Think { text: thought.text, subject: task.subject.clone(), search };
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
        trajectory.arm = Arm::Search;
        trajectory.id = trajectory_id(&trajectory.repository, trajectory.arm, trajectory.part);
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
        Body::Opening { text } | Body::Think { text, .. } => vec![text.clone()],
        Body::Continuation(continuation) => vec![continuation_text(continuation)],
        Body::Action { action } => {
            let content = match action {
                Action::Draft { text, .. } => Some(text),
                _ => step.written().map(|file| &file.text),
            };
            std::iter::once(action_line(action)).chain(content.cloned()).collect()
        }
        Body::Observation { observed: Observed::Text(text) } => vec![text.clone()],
        Body::Observation { observed: Observed::Content(file) } => vec![file.text.clone()],
    }
}
