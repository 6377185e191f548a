//! Later parts of a long repository repeat requirements and plan; refined ones are carried over.

use recon_schema::trajectory::{Body, Decided, Step, Subject, Trajectory};
use recon_text::Renderer;

/// Puts requirements and plan as they stand in `first`, the refined first part of a repository,
/// into the continuation of a later `part`, as far as it stays within `context_tokens`.
///
/// Where there is no room, the part opens with the thought that the search began with, which
/// the leak gate has passed as well.
pub fn carry_forward(first: &Trajectory, part: &mut Trajectory, renderer: &Renderer<'_>, context_tokens: usize) {
    for (subject, place) in
        [(Subject::Requirements, requirements as fn(&mut Decided) -> &mut String), (Subject::Plan, plan)]
    {
        let mut changed = part.clone();
        let fits = versions(first, &subject).any(|text| {
            if let Some(decided) = changed.steps.iter_mut().find_map(decided) {
                text.clone_into(place(decided));
            }
            renderer.document(&changed).ids.len() <= context_tokens
        });
        if fits {
            *part = changed;
        } else {
            tracing::warn!(id = %part.id, ?subject, "no room for what was decided; the part opens as it did");
        }
    }
}

fn requirements(decided: &mut Decided) -> &mut String {
    &mut decided.requirements
}

fn plan(decided: &mut Decided) -> &mut String {
    &mut decided.plan
}

fn decided(step: &mut Step) -> Option<&mut Decided> {
    match &mut step.body {
        Body::Continuation(continuation) => continuation.decided.as_mut(),
        _ => None,
    }
}

/// What a part thinks about `subject`: the thought that stands, then the one its search began with.
fn versions<'t>(part: &'t Trajectory, subject: &Subject) -> impl Iterator<Item = &'t str> {
    let thought = part.steps.iter().find_map(|step| match &step.body {
        Body::Think { text, subject: about, search } if about == subject => Some((text, search)),
        _ => None,
    });
    let (text, search) = thought.unzip();
    let initial = search.and_then(|search| search.as_deref()).map(|search| search.initial.text.as_str());
    text.map(String::as_str).into_iter().chain(initial)
}
