//! Who may act when: openings first, delegations that are closed, files that exist when read,
//! thoughts about what follows.

use std::collections::BTreeSet;

use recon_schema::trajectory::{Action, Agent, Arm, Body, Observed, Step, Subject, Trajectory};

use crate::{Before, Fault, Violation};

pub(crate) fn check(trajectory: &Trajectory, before: &Before) -> Vec<Violation> {
    let mut walk = Walk {
        arm: trajectory.arm,
        is_later: trajectory.part > 0,
        before,
        written: before.written.iter().cloned().collect(),
        at: Place::Opening,
        awaits: Awaits::Nothing,
        thinks_of: None,
        read: BTreeSet::new(),
        drafted: false,
        violations: Vec::new(),
        step: 0,
    };
    for (at, step) in trajectory.steps.iter().enumerate() {
        walk.step = at;
        walk.take(step, &trajectory.steps[at + 1..]);
    }
    walk.step = trajectory.steps.len().saturating_sub(1);
    walk.finish(trajectory);
    walk.violations
}

/// Where the document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Only openings so far.
    Opening,
    /// Only openings and the main agent's thoughts so far.
    Deciding,
    /// Something was written.
    Main,
    /// Inside the sub-agent of a file.
    File { path: String, wrote: bool },
    /// After the main agent's last word.
    End,
}

/// The observation that must come next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Awaits {
    Nothing,
    Content(Agent, String),
    Text(Agent),
}

struct Walk<'a> {
    arm: Arm,
    is_later: bool,
    before: &'a Before,
    written: BTreeSet<String>,
    at: Place,
    awaits: Awaits,
    /// What the acting agent thought of last: the main agent from the beginning, a sub-agent
    /// since its delegation; in the `thought` arm, since the last file.
    thinks_of: Option<Subject>,
    /// What the sub-agent has read.
    read: BTreeSet<String>,
    /// Whether it has drafted its file.
    drafted: bool,
    violations: Vec<Violation>,
    step: usize,
}

impl Walk<'_> {
    fn fault(&mut self, fault: Fault) {
        self.violations.push(Violation { step: Some(self.step), fault });
    }

    fn order(&mut self, reason: impl Into<String>) {
        self.fault(Fault::Order { reason: reason.into() });
    }

    fn take(&mut self, step: &Step, rest: &[Step]) {
        if self.at == Place::End {
            self.order("nothing may follow the main agent's `done`");
        }
        let is_opening = matches!(step.body, Body::Opening { .. });
        if is_opening != (self.step == 0) {
            self.order("an opening begins a document, and nothing else does");
        }
        self.answer(step);
        match &step.body {
            Body::Continuation(_) if !self.is_later || self.step != 1 => {
                self.order("only a later part is continued, right after its opening");
            }
            Body::Opening { .. } | Body::Continuation(_) if step.agent != Agent::Main => {
                self.order("an opening belongs to the main agent");
            }
            Body::Opening { .. } | Body::Continuation(_) | Body::Observation { .. } => {}
            Body::Think { subject, .. } => self.think(step, subject, rest),
            Body::Action { action } => self.act(step, action),
        }
    }

    /// Holds a step against what must come next.
    fn answer(&mut self, step: &Step) {
        let given = match &step.body {
            Body::Observation { observed: Observed::Content(file) } => {
                Awaits::Content(step.agent.clone(), file.path.clone())
            }
            Body::Observation { observed: Observed::Text(_) } => Awaits::Text(step.agent.clone()),
            _ => Awaits::Nothing,
        };
        let awaited = std::mem::replace(&mut self.awaits, Awaits::Nothing);
        if given == awaited {
            return;
        }
        match (awaited, given) {
            (Awaits::Nothing, _) => self.order("an observation answers no tool call"),
            (Awaits::Content(_, path), _) => self.order(format!("the read of {path} is not answered by that file")),
            (Awaits::Text(_), _) => self.order("a tool call is not answered by its result"),
        }
    }

    fn think(&mut self, step: &Step, subject: &Subject, rest: &[Step]) {
        match (&self.at, &step.agent) {
            _ if self.arm == Arm::Raw => self.order("the `raw` arm has no thoughts"),
            _ if self.arm == Arm::Thought => return self.think_alone(step, subject),
            (Place::Opening | Place::Deciding, Agent::Main) => self.at = Place::Deciding,
            (Place::File { path, wrote: false }, Agent::File(own)) if path == own => {}
            (Place::Main, Agent::Main) => self.order("the main agent thinks before its first delegation"),
            (Place::File { wrote: true, .. }, Agent::File(_)) => self.order("the sub-agent thinks before it writes"),
            _ => self.order("a thought of an agent whose turn it is not"),
        }
        if subject.agent() != step.agent {
            self.order("a thought about what another agent does");
        }
        if matches!(subject, Subject::Revising { .. }) && !self.drafted {
            self.order("a thought about a draft that was not made");
        }
        // Requirements, then plan; design, reads, what is written, what a draft changed: the order of the variants.
        if self.thinks_of.as_ref().is_some_and(|before| before >= subject) {
            self.order("a thought comes again, or after the one it should precede");
        }
        if let Subject::Reading { reads, .. } = subject {
            let read = rest.iter().take_while(|step| !matches!(step.body, Body::Think { .. }));
            let read = read.filter_map(|step| match &step.body {
                Body::Action { action: Action::Read { path } } => Some(path),
                _ => None,
            });
            if !read.eq(reads) {
                self.order("the thought names other files than those that are read next");
            }
        }
        self.thinks_of = Some(subject.clone());
    }

    /// In the `thought` arm there is one thought before each file, by whoever writes it.
    fn think_alone(&mut self, step: &Step, subject: &Subject) {
        if step.agent != Agent::Main || !matches!(subject, Subject::Writing { .. }) {
            self.order("the `thought` arm thinks of the file it writes, and has no agents");
        }
        if self.thinks_of.replace(subject.clone()).is_some() {
            self.order("a thought comes again, or after the one it should precede");
        }
    }

    fn act(&mut self, step: &Step, action: &Action) {
        match (action, &step.agent) {
            (Action::Write(file), Agent::Main) if self.has_no_agents() => {
                let thought = self.thinks_of.take();
                if self.arm == Arm::Thought && thought.as_ref().and_then(Subject::path) != Some(&file.path) {
                    self.order("a file is written after a thought about it");
                }
                self.at = Place::Main;
                self.write(&file.path);
            }
            _ if self.has_no_agents() => self.order(format!("the `{}` arm only writes", self.arm)),
            (Action::Delegate { path }, Agent::Main) => self.delegate(path),
            (Action::Done, Agent::Main) => self.end(),
            (_, Agent::Main) => self.order("the main agent only delegates and finishes"),
            (action, Agent::File(own)) => self.act_in_file(step, action, own),
        }
    }

    fn delegate(&mut self, path: &str) {
        if matches!(self.at, Place::File { .. }) {
            self.order("a delegation inside a delegation");
        }
        self.thinks_of = None;
        self.read.clear();
        self.drafted = false;
        self.at = Place::File { path: path.into(), wrote: false };
    }

    fn end(&mut self) {
        if matches!(self.at, Place::File { .. }) {
            self.order("the main agent finishes before its sub-agent");
        }
        self.at = Place::End;
    }

    fn act_in_file(&mut self, step: &Step, action: &Action, own: &str) {
        let Place::File { path: delegated, wrote } = self.at.clone() else {
            return self.order("a sub-agent acts without a delegation");
        };
        if delegated != own {
            self.order(format!("the sub-agent of {own} acts while {delegated} is delegated"));
        }
        match action {
            Action::Read { path } => self.read(step, path),
            Action::Write(file) if file.path != own => self.order("a sub-agent writes its own file only"),
            Action::Draft { path, .. } => {
                if path != own || self.drafted || !matches!(self.thinks_of, Some(Subject::Writing { .. })) {
                    self.order("a sub-agent drafts its own file, once, after a thought about it");
                }
                self.drafted = true;
                self.awaits = Awaits::Text(step.agent.clone());
            }
            Action::Write(file) => {
                let about = match self.thinks_of {
                    Some(Subject::Revising { .. }) => true,
                    Some(Subject::Writing { .. }) => !self.drafted,
                    _ => false,
                };
                if !about {
                    self.order("a file is written after a thought about it, and about its draft where there is one");
                }
                self.write(&file.path);
                self.awaits = Awaits::Text(step.agent.clone());
                self.at = Place::File { path: delegated, wrote: true };
            }
            Action::Done => {
                if !wrote {
                    self.order("a sub-agent finishes after it has written");
                }
                self.awaits = Awaits::Text(Agent::Main);
                self.at = Place::Main;
            }
            Action::Delegate { .. } => self.order("a sub-agent does not delegate"),
        }
    }

    fn has_no_agents(&self) -> bool {
        matches!(self.arm, Arm::Raw | Arm::Thought)
    }

    fn read(&mut self, step: &Step, path: &str) {
        if !matches!(self.thinks_of, Some(Subject::Design { .. } | Subject::Reading { .. })) {
            self.order("a sub-agent reads after a thought about it, and before it thinks of what it writes");
        }
        if !self.read.insert(path.into()) {
            self.order(format!("{path} is read again"));
        }
        self.awaits = Awaits::Content(step.agent.clone(), path.into());
        if self.before.complete && !self.written.contains(path) {
            self.fault(Fault::ReadTooEarly { path: path.into() });
        }
    }

    fn write(&mut self, path: &str) {
        if !self.written.insert(path.into()) {
            self.fault(Fault::WrittenTwice { path: path.into() });
        }
    }

    fn finish(&mut self, trajectory: &Trajectory) {
        if self.has_no_agents() && self.thinks_of.is_some() {
            self.order("the document ends before the file that was thought of");
        }
        if self.awaits != Awaits::Nothing {
            self.order("the document ends before a tool call is answered");
        }
        if matches!(self.at, Place::File { .. }) {
            self.order("the document ends inside a delegation");
        }
        self.step = 0;
        let named = trajectory.steps.first().is_some_and(|step| match &step.body {
            Body::Opening { text } => text.contains(&trajectory.repository.name),
            _ => false,
        });
        if !named {
            self.order("the opening does not name the repository");
        }
        let continued = trajectory.steps.iter().any(|step| matches!(step.body, Body::Continuation(_)));
        if self.is_later && !continued {
            self.order("a later part does not say where the work stands");
        }
        let thinks =
            trajectory.steps.iter().any(|step| matches!(step.body, Body::Think { .. }) && step.agent == Agent::Main);
        if self.is_later && thinks && !self.has_no_agents() {
            self.order("requirements and plan are decided in the first part");
        }
    }
}
