//! Later parts of a long repository repeat requirements and plan; refined ones are carried over.

use recon_schema::trajectory::{Agent, Body, Step, Trajectory};
use recon_text::Renderer;

/// Puts the refined requirements and plan of a repository's first part (`before` and `after` its
/// refinement) into the openings of a later `part`, as far as it stays within `context_tokens`.
pub fn carry_forward(
    before: &Trajectory,
    after: &Trajectory,
    part: &mut Trajectory,
    renderer: &Renderer<'_>,
    context_tokens: usize,
) {
    let decided = |trajectory: &Trajectory| trajectory.steps.iter().filter_map(decision).collect::<Vec<_>>();
    for (old, new) in decided(before).into_iter().zip(decided(after)).filter(|(old, new)| old != new) {
        let mut changed = part.clone();
        for step in &mut changed.steps {
            match &mut step.body {
                Body::Prompt { text } => *text = text.replacen(&format!(":\n{old}\n"), &format!(":\n{new}\n"), 1),
                _ => break,
            }
        }
        if renderer.document(&changed).ids.len() <= context_tokens {
            *part = changed;
        } else {
            tracing::warn!(id = %part.id, "no room for the refined text; the part opens with the first one");
        }
    }
}

fn decision(step: &Step) -> Option<String> {
    match &step.body {
        Body::Think { text, .. } if step.agent == Agent::Main => Some(text.clone()),
        _ => None,
    }
}
