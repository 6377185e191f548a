//! A trajectory told apart by agents: who was given what, and what each did in turn.

use std::collections::BTreeMap;

use recon_schema::trajectory::{Action, Agent, Body, Continuation, Decided, Observed, Step, Subject, Trajectory};
use recon_text::continuation_text;

/// What one agent was given and did.
pub(crate) struct Conversation {
    pub(crate) agent: Agent,
    /// The texts before its first turn, in order.
    pub(crate) given: Vec<String>,
    pub(crate) turns: Vec<Turn>,
}

/// A thought with what followed from it; at least one of the three is there.
#[derive(Default)]
pub(crate) struct Turn {
    pub(crate) thought: Option<String>,
    pub(crate) action: Option<Action>,
    pub(crate) observed: Option<String>,
    /// Whether thought or action carry loss.
    pub(crate) trained: bool,
}

/// What an observation shows.
pub(crate) fn observed_text(observed: &Observed) -> &str {
    match observed {
        Observed::Text(text) => text,
        Observed::Content(file) => &file.text,
    }
}

/// The conversations of a trajectory, the main agent's first and the others in the order of their first turns.
///
/// A sub-agent is given what the main agent was, and then what was decided and written before its turn, in the words
/// in which a later part of a long repository is told the same.
pub(crate) fn conversations(trajectory: &Trajectory) -> Vec<Conversation> {
    let mut all = vec![Conversation { agent: Agent::Main, given: Vec::new(), turns: Vec::new() }];
    let mut known: BTreeMap<Agent, usize> = BTreeMap::from([(Agent::Main, 0)]);
    let mut so_far = SoFar::default();
    for step in &trajectory.steps {
        match &step.body {
            Body::Opening { text } => all[0].given.push(text.clone()),
            Body::Continuation(continuation) => {
                so_far.continued(continuation);
                all[0].given.push(continuation_text(continuation));
            }
            _ => {
                let place = *known.entry(step.agent.clone()).or_insert_with(|| {
                    let given = vec![all[0].given[0].clone(), so_far.told()];
                    all.push(Conversation { agent: step.agent.clone(), given, turns: Vec::new() });
                    all.len() - 1
                });
                all[place].take(step);
                so_far.take(step);
            }
        }
    }
    all
}

impl Conversation {
    fn take(&mut self, step: &Step) {
        match &step.body {
            Body::Think { text, .. } => {
                self.turns.push(Turn { thought: Some(text.clone()), trained: step.trained, ..Turn::default() });
            }
            Body::Action { action } => {
                // A draft carries no loss, the thought before it does.
                let is_open =
                    |turn: &&mut Turn| turn.action.is_none() && turn.observed.is_none() && turn.trained == step.trained;
                let open = self.turns.last_mut().filter(is_open);
                match open {
                    Some(turn) => turn.action = Some(action.clone()),
                    None => {
                        let (action, trained) = (Some(action.clone()), step.trained);
                        self.turns.push(Turn { action, trained, ..Turn::default() });
                    }
                }
            }
            Body::Observation { observed } => {
                let text = observed_text(observed).to_owned();
                match self.turns.last_mut().filter(|turn| turn.observed.is_none()) {
                    Some(turn) => turn.observed = Some(text),
                    None => self.turns.push(Turn { observed: Some(text), ..Turn::default() }),
                }
            }
            Body::Opening { .. } | Body::Continuation(_) => {}
        }
    }
}

/// What has been decided and written up to some step.
#[derive(Default)]
struct SoFar {
    requirements: String,
    plan: String,
    /// Oldest first.
    written: Vec<String>,
    earlier: u64,
}

impl SoFar {
    fn continued(&mut self, Continuation { decided, written, earlier }: &Continuation) {
        if let Some(Decided { requirements, plan }) = decided {
            self.requirements.clone_from(requirements);
            self.plan.clone_from(plan);
        }
        self.written = written.iter().rev().cloned().collect();
        self.earlier = *earlier;
    }

    fn take(&mut self, step: &Step) {
        match &step.body {
            Body::Think { text, subject: Subject::Requirements, .. } => self.requirements.clone_from(text),
            Body::Think { text, subject: Subject::Plan, .. } => self.plan.clone_from(text),
            _ => self.written.extend(step.written().map(|file| file.path.clone())),
        }
    }

    fn told(&self) -> String {
        let Self { requirements, plan, written, earlier } = self;
        let is_decided = !(requirements.is_empty() && plan.is_empty());
        let decided = is_decided.then(|| Decided { requirements: requirements.clone(), plan: plan.clone() });
        let written = written.iter().rev().cloned().collect();
        continuation_text(&Continuation { decided, written, earlier: *earlier })
    }
}
