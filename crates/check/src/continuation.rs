//! What a later part says of the parts before it, against what they decided and wrote.

use recon_schema::trajectory::{Arm, Body, Continuation, Subject, Trajectory};

use crate::{Before, Fault};

/// The texts in which a part may repeat a thought of the first: as it stands, and as its search
/// began, for a part that has no room for the refined one.
pub(crate) fn versions(trajectory: &Trajectory, subject: &Subject) -> Vec<String> {
    let thoughts = trajectory.steps.iter().filter_map(|step| match &step.body {
        Body::Think { text, subject: about, search } if about == subject => Some((text, search)),
        _ => None,
    });
    let texts = thoughts.flat_map(|(text, search)| {
        let initial = search.as_deref().map(|search| &search.initial.text);
        std::iter::once(text).chain(initial)
    });
    texts.cloned().collect()
}

/// What is wrong with a continuation. What earlier parts said is only known if all were seen.
pub(crate) fn check(trajectory: &Trajectory, continuation: &Continuation, before: &Before) -> Vec<Fault> {
    let mut reasons: Vec<String> = Vec::new();
    match (&continuation.decided, trajectory.arm) {
        (Some(_), arm @ (Arm::Raw | Arm::Thought)) => reasons.push(format!("the `{arm}` arm decides nothing")),
        (None, Arm::Agent | Arm::Search) => reasons.push("it names neither requirements nor plan".into()),
        (Some(decided), _) if before.complete => {
            let both =
                [("requirements", &decided.requirements, &before.requirements), ("plan", &decided.plan, &before.plan)];
            let other = both.into_iter().filter(|(_, text, versions)| !versions.contains(text));
            reasons.extend(other.map(|(name, ..)| format!("{name}: not what the first part decided")));
        }
        _ => {}
    }
    if before.complete {
        reasons.extend(files(continuation, before));
    }
    reasons.into_iter().map(|reason| Fault::Continuation { reason }).collect()
}

/// The files named are the newest ones written, newest first, and the rest are counted.
fn files(continuation: &Continuation, before: &Before) -> Option<String> {
    let mut newest = before.written.iter().rev();
    if let Some(path) = continuation.written.iter().find(|path| newest.next() != Some(path)) {
        let exists = before.written.contains(path);
        let reason = if exists { "stands in another place than it was written in" } else { "was not written before" };
        return Some(format!("{path} {reason}"));
    }
    let left = newest.count() as u64;
    (left != continuation.earlier)
        .then(|| format!("{left} files are older than those it names, {} are recorded", continuation.earlier))
}
