//! Pairs of thoughts at the same place: the one the search ended with, and one it refused.
//!
//! Thoughts that were leaked or invalid have no likelihood and make no pair. `delta_nats` is how
//! much less likely the refused thought made the real code, per target token; of one that was
//! dropped early it is a lower bound.
//!
//! Source: TRL, conversational preference data with an explicit prompt.

use recon_schema::trajectory::{Body, Outcome, Search, Step, Trajectory};
use recon_text::{action_line, continuation_text};
use serde_json::{Value, json};

use crate::conversation::observed_text;

/// A thought that lost, with the likelihood it gave.
struct Lost<'a> {
    text: &'a str,
    nats: f64,
    is_at_least: bool,
}

/// The pairs of a trajectory.
pub fn records(trajectory: &Trajectory) -> Vec<Value> {
    let (mut prompt, mut pairs): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for (at, step) in trajectory.steps.iter().enumerate() {
        if let Body::Think { text, search: Some(search), .. } = &step.body {
            let pair = |lost: Lost<'_>| pair(trajectory, at, &prompt, (text, search), &lost);
            pairs.extend(lost(text, search).into_iter().map(pair));
        }
        prompt.push(message(step));
    }
    pairs
}

fn pair(
    trajectory: &Trajectory,
    at: usize,
    prompt: &[Value],
    (chosen, search): (&str, &Search),
    lost: &Lost<'_>,
) -> Value {
    let answer = |text: &str| json!([{"role": "assistant", "content": text}]);
    json!({
        "prompt": prompt,
        "chosen": answer(chosen),
        "rejected": answer(lost.text),
        "delta_nats": (lost.nats - search.final_nats) / search.target_tokens.max(1) as f64,
        "is_lower_bound": lost.is_at_least,
        "target_tokens": search.target_tokens,
        "trajectory": trajectory.id,
        "step": at,
        "licence": trajectory.repository.licence,
    })
}

/// Every thought whose likelihood is known to be worse than the last one's, once each.
fn lost<'a>(chosen: &str, search: &'a Search) -> Vec<Lost<'a>> {
    let known = |text, nats, is_at_least| Lost { text, nats, is_at_least };
    let mut all = vec![known(search.initial.text.as_str(), search.initial_nats, false)];
    // A leak that was replaced was never scored: what was is the thought in its place.
    all.retain(|_| search.initial.replaced.is_none());
    for candidate in search.rounds.iter().flat_map(|round| &round.candidates) {
        match candidate.outcome {
            Outcome::Scored { nats, .. } => all.push(known(&candidate.text, nats, false)),
            Outcome::Refused { nats_at_least, .. } => all.push(known(&candidate.text, nats_at_least, true)),
            Outcome::Leaked { .. } | Outcome::Invalid { .. } => {}
        }
    }
    let mut lost: Vec<Lost<'a>> = Vec::new();
    for it in all {
        let is_new = it.text != chosen && lost.iter().all(|known| known.text != it.text);
        if is_new && it.nats > search.final_nats {
            lost.push(it);
        }
    }
    lost
}

/// A step as the document shows it.
fn message(step: &Step) -> Value {
    let (role, text) = match &step.body {
        Body::Opening { text } => ("system", text.clone()),
        Body::Continuation(continuation) => ("system", continuation_text(continuation)),
        Body::Think { text, .. } => ("assistant", text.clone()),
        Body::Action { action } => {
            let file = step.written().map(|file| format!("\n{}", file.text)).unwrap_or_default();
            ("assistant", action_line(action) + &file)
        }
        Body::Observation { observed } => ("tool", observed_text(observed).to_owned()),
    };
    json!({"role": role, "content": text})
}
