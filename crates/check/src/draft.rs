//! A tool's answer to a draft, against what the tool answers again.

use recon_schema::trajectory::{Action, Body, Observed, Step, Subject};

use crate::Fault;

/// What is wrong with the answer to the draft at step `at`, and with what is thought of it, if it is one.
pub(crate) fn check(steps: &[Step], at: usize) -> Option<Fault> {
    let Body::Action { action: Action::Draft { path, text } } = &steps[at].body else { return None };
    let fault = |reason: &str| Some(Fault::Answer { path: path.clone(), reason: reason.into() });
    let Some(answer) = recon_tool::parser(path, text) else { return fault("no tool answers such a draft") };
    let rest = &steps[at + 1..];
    match rest.first().map(|step| &step.body) {
        Some(Body::Observation { observed: Observed::Text(shown) }) if *shown != answer.text => {
            return fault("run again, the tool answers otherwise");
        }
        _ => {}
    }
    // That both follow is a question of order.
    match rest.get(1).map(|step| &step.body) {
        Some(Body::Think { subject: Subject::Revising { faults, .. }, .. }) if *faults != answer.faults => {
            fault(&format!("the tool finds {} faults, the thought speaks of {faults}", answer.faults))
        }
        _ => None,
    }
}
