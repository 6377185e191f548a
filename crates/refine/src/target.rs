//! What a thought is scored on: the files that follow, and what stands in between.
//!
//! A sub-agent's thought is scored on that sub-agent's `write`. Requirements and plan are
//! scored on planned files, each as a branch of its own right after the plan: the remaining
//! main-agent thoughts stand in between, then the `write` turn, nothing of any sub-agent.
//!
//! Source: PAPER.md, definitions 3 and 4.

use recon_schema::trajectory::{Agent, Body, Step};
use recon_text::Renderer;

/// One file a thought is scored on.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) path: String,
    /// The file's text, for the leak gate alone.
    pub(crate) text: String,
    /// What stands between the thought and the content: one run a step, then the `write` turn
    /// up to the content.
    pub(crate) between: Vec<Vec<u32>>,
    /// The content, whose likelihood counts.
    pub(crate) content: Vec<u32>,
}

/// The files that the thought `steps[at]` is scored on; none if nothing is written after it.
pub(crate) fn of_thought(renderer: &Renderer<'_>, steps: &[Step], at: usize, plan_files: usize) -> Vec<Target> {
    let rest = &steps[at + 1..];
    match &steps[at].agent {
        agent @ Agent::File(_) => {
            let write = rest.iter().position(|step| &step.agent == agent && step.written().is_some());
            write.map(|write| make(renderer, &rest[..write], &rest[write])).into_iter().collect()
        }
        Agent::Main => {
            let thoughts = rest.iter().take_while(|step| matches!(step.body, Body::Think { .. })).count();
            let writes: Vec<&Step> = rest.iter().filter(|step| step.written().is_some()).collect();
            spread(&writes, plan_files).map(|write| make(renderer, &rest[..thoughts], write)).collect()
        }
    }
}

/// Another file in the place of the one that the sub-agent's thought `steps[at]` precedes: of
/// the files written later, so that the document does not show it yet, the one nearest in size.
pub(crate) fn of_another(renderer: &Renderer<'_>, steps: &[Step], at: usize) -> Option<Target> {
    let own = steps[at + 1..].iter().position(|step| step.agent == steps[at].agent && step.written().is_some())?;
    let own = at + 1 + own;
    let bytes = steps[own].written()?.text.len();
    let others = steps[own + 1..].iter().filter_map(|step| step.written().map(|file| (step, file)));
    let (write, _) = others.min_by_key(|(_, file)| (file.text.len().abs_diff(bytes), file.path.clone()))?;
    Some(make(renderer, &steps[at + 1..own], write))
}

fn make(renderer: &Renderer<'_>, between: &[Step], write: &Step) -> Target {
    let file = write.written().expect("the caller chose a write");
    let turn = renderer.step(write);
    let mut runs: Vec<Vec<u32>> = between.iter().map(|step| renderer.step(step).ids).collect();
    runs.push(turn.ids[..turn.body.start].to_vec());
    Target { path: file.path.clone(), text: file.text.clone(), between: runs, content: turn.ids[turn.body].to_vec() }
}

/// At most `limit` of `items`, evenly spread, the first one among them.
fn spread<'a, T: ?Sized>(items: &'a [&'a T], limit: usize) -> impl Iterator<Item = &'a T> {
    let chosen = limit.min(items.len());
    (0..chosen).map(move |at| items[at * items.len() / chosen])
}
