//! Who may act when: prompts first, delegations that are closed, files that exist when read.

use std::collections::BTreeSet;

use recon_schema::trajectory::{Agent, Arm, Body, Observed, Step, Tool, ToolCall, Trajectory};

use crate::{Before, Fault, Violation, record, written_file};

pub(crate) fn check(trajectory: &Trajectory, before: &Before) -> Vec<Violation> {
    let is_later = record::part(&trajectory.id).is_some_and(|(_, part)| part > 0);
    let mut walk = Walk {
        raw: trajectory.arm == Arm::Raw,
        before,
        written: before.written.clone(),
        at: Place::Opening,
        awaits: Awaits::Nothing,
        thought: false,
        violations: Vec::new(),
        step: 0,
    };
    for (at, step) in trajectory.steps.iter().enumerate() {
        walk.step = at;
        walk.take(step);
    }
    walk.step = trajectory.steps.len().saturating_sub(1);
    walk.finish(trajectory, is_later);
    walk.violations
}

/// Where the document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Only prompts so far.
    Opening,
    /// Only prompts and the main agent's thoughts so far.
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
    raw: bool,
    before: &'a Before,
    written: BTreeSet<String>,
    at: Place,
    awaits: Awaits,
    /// Whether the sub-agent has thought since its delegation.
    thought: bool,
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

    fn take(&mut self, step: &Step) {
        if self.at == Place::End {
            self.order("nothing may follow the main agent's `done`");
        }
        if self.step == 0 && !matches!(step.body, Body::Prompt { .. }) {
            self.order("a document opens with a prompt");
        }
        self.answer(step);
        match &step.body {
            Body::Prompt { .. } if self.at != Place::Opening => self.order("a prompt may only open a document"),
            Body::Prompt { .. } if step.agent != Agent::Main => self.order("a prompt belongs to the main agent"),
            Body::Prompt { .. } | Body::Observation { .. } => {}
            Body::Think { .. } => self.think(step),
            Body::Action { tool, .. } => self.act(step, tool),
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

    fn think(&mut self, step: &Step) {
        match (&self.at, &step.agent) {
            _ if self.raw => self.order("the `raw` arm has no thoughts"),
            (Place::Opening | Place::Deciding, Agent::Main) => self.at = Place::Deciding,
            (Place::File { path, wrote: false }, Agent::File(own)) if path == own => self.thought = true,
            (Place::Main, Agent::Main) => self.order("the main agent thinks before its first delegation"),
            (Place::File { wrote: true, .. }, Agent::File(_)) => self.order("the sub-agent thinks before it writes"),
            _ => self.order("a thought of an agent whose turn it is not"),
        }
    }

    fn act(&mut self, step: &Step, tool: &ToolCall) {
        if (tool.name == Tool::Write) != written_file(step).is_some() {
            self.order("a `write`, and nothing else, carries a file");
        }
        if (tool.name == Tool::Done) == tool.arguments.path.is_some() {
            self.order("every tool but `done` names a file");
        }
        let path = tool.arguments.path.clone().unwrap_or_default();
        match (tool.name, &step.agent) {
            (Tool::Write, Agent::Main) if self.raw => self.write(step, &path),
            _ if self.raw => self.order("the `raw` arm only writes"),
            (Tool::Delegate, Agent::Main) => self.delegate(path),
            (Tool::Done, Agent::Main) => self.end(),
            (_, Agent::Main) => self.order("the main agent only delegates and finishes"),
            (tool, Agent::File(own)) => self.act_in_file(step, tool, own, &path),
        }
    }

    fn delegate(&mut self, path: String) {
        if matches!(self.at, Place::File { .. }) {
            self.order("a delegation inside a delegation");
        }
        self.thought = false;
        self.at = Place::File { path, wrote: false };
    }

    fn end(&mut self) {
        if matches!(self.at, Place::File { .. }) {
            self.order("the main agent finishes before its sub-agent");
        }
        self.at = Place::End;
    }

    fn act_in_file(&mut self, step: &Step, tool: Tool, own: &str, path: &str) {
        let Place::File { path: delegated, wrote } = self.at.clone() else {
            return self.order("a sub-agent acts without a delegation");
        };
        if delegated != own {
            self.order(format!("the sub-agent of {own} acts while {delegated} is delegated"));
        }
        match tool {
            Tool::Read => self.read(step, path),
            Tool::Write if path != own => self.order("a sub-agent writes its own file only"),
            Tool::Write => {
                if !self.thought {
                    self.order("a file is written after a thought");
                }
                self.write(step, path);
                self.awaits = Awaits::Text(step.agent.clone());
                self.at = Place::File { path: delegated, wrote: true };
            }
            Tool::Done => {
                if !wrote {
                    self.order("a sub-agent finishes after it has written");
                }
                self.awaits = Awaits::Text(Agent::Main);
                self.at = Place::Main;
            }
            Tool::Delegate => self.order("a sub-agent does not delegate"),
        }
    }

    fn read(&mut self, step: &Step, path: &str) {
        self.awaits = Awaits::Content(step.agent.clone(), path.into());
        if self.before.complete && !self.written.contains(path) {
            self.fault(Fault::ReadTooEarly { path: path.into() });
        }
    }

    fn write(&mut self, step: &Step, path: &str) {
        if written_file(step).is_some_and(|file| file.path != path) {
            self.order("a `write` carries another file than it names");
        }
        if self.raw {
            self.at = Place::Main;
        }
        if !self.written.insert(path.into()) {
            self.fault(Fault::WrittenTwice { path: path.into() });
        }
    }

    fn finish(&mut self, trajectory: &Trajectory, is_later: bool) {
        if self.awaits != Awaits::Nothing {
            self.order("the document ends before a tool call is answered");
        }
        if matches!(self.at, Place::File { .. }) {
            self.order("the document ends inside a delegation");
        }
        let opening: &[Step] = trajectory.steps.get(..1).unwrap_or_default();
        let named = opening.iter().any(|step| match &step.body {
            Body::Prompt { text } => text.contains(&trajectory.repository.name),
            _ => false,
        });
        let prompts = trajectory.steps.iter().filter(|step| matches!(step.body, Body::Prompt { .. })).count();
        self.step = 0;
        if !named {
            self.order("the opening does not name the repository");
        }
        if prompts != 1 + usize::from(is_later) {
            self.order(format!("{prompts} prompts, expected {}", 1 + usize::from(is_later)));
        }
        let thinks =
            trajectory.steps.iter().any(|step| matches!(step.body, Body::Think { .. }) && step.agent == Agent::Main);
        if is_later && thinks {
            self.order("requirements and plan are decided in the first part");
        }
    }
}
