//! A search record against the rule of acceptance, and against the thought that stands.

use recon_schema::trajectory::{Agent, Arm, Body, Candidate, Outcome, Search, Step, Trajectory};

use crate::Fault;

/// What is wrong with the search recorded at step `at`, if there is one.
pub(crate) fn check(trajectory: &Trajectory, at: usize) -> Option<Fault> {
    let step = &trajectory.steps[at];
    let Body::Think { text, search: Some(search), .. } = &step.body else { return None };
    let arm = (trajectory.arm != Arm::Search).then(|| format!("the `{}` arm has no search", trajectory.arm));
    let reason = arm
        .or_else(|| numbers(search))
        .or_else(|| targets(trajectory, at, search))
        .or_else(|| rounds(search, text, step));
    reason.map(|reason| Fault::Likelihood { reason })
}

/// Sums of −log p are finite and not negative.
fn numbers(search: &Search) -> Option<String> {
    let rounds = search.rounds.iter();
    let scored = rounds.clone().flat_map(|round| &round.candidates).filter_map(|candidate| match candidate.outcome {
        Outcome::Scored { nats, .. } => Some(nats),
        Outcome::Refused { nats_at_least, .. } => Some(nats_at_least),
        _ => None,
    });
    let named = [search.baseline_nats, search.initial_nats, search.final_nats];
    let control = search.control.iter().map(|control| control.nats);
    let all = named.into_iter().chain(rounds.map(|round| round.incumbent_nats)).chain(scored).chain(control);
    let wrong = all.into_iter().find(|nats| !(nats.is_finite() && *nats >= 0.0))?;
    Some(format!("{wrong} nats is no likelihood"))
}

/// Targets are written later in the same document, and the bytes are theirs.
fn targets(trajectory: &Trajectory, at: usize, search: &Search) -> Option<String> {
    if search.targets.is_empty() || search.target_tokens == 0 {
        return Some("it has no target".into());
    }
    match &trajectory.steps[at].agent {
        Agent::File(path) if search.targets != [path.clone()] => {
            return Some(format!("the thought before {path} is scored on {}", search.targets.join(", ")));
        }
        _ => {}
    }
    let later = |path: &String| {
        let mut files = trajectory.steps[at..].iter().filter_map(Step::written);
        files.find(|file| file.path == *path).map(|file| file.text.len() as u64).ok_or_else(|| path.clone())
    };
    match search.targets.iter().map(later).sum::<Result<u64, String>>() {
        Err(path) => Some(format!("its target {path} is not written afterwards")),
        Ok(bytes) if bytes != search.target_bytes => {
            Some(format!("its targets have {bytes} bytes, {} are recorded", search.target_bytes))
        }
        Ok(_) => None,
    }
}

/// Each round's incumbent follows from its candidates, and the last one is the thought.
fn rounds(search: &Search, text: &str, step: &Step) -> Option<String> {
    let (mut nats, mut stands) = (search.initial_nats, (search.initial.text.as_str(), search.initial.author));
    for (round, number) in search.rounds.iter().zip(1..) {
        let accepted: Vec<(&Candidate, f64)> = round.candidates.iter().filter_map(accepted).collect();
        match accepted[..] {
            [] => {}
            [(candidate, better)] if better < nats => {
                (nats, stands) = (better, (candidate.text.as_str(), candidate.author));
            }
            [(_, worse)] => return Some(format!("round {number} accepts {worse} nats against {nats}")),
            _ => return Some(format!("round {number} accepts {} candidates", accepted.len())),
        }
        if round.incumbent_nats != nats {
            return Some(format!("round {number} ends at {} nats, its candidates say {nats}", round.incumbent_nats));
        }
        if let Some(seen) = round.candidates.iter().find_map(|candidate| too_many(candidate, search)) {
            return Some(format!("{seen} of {} target tokens were seen", search.target_tokens));
        }
    }
    if search.final_nats != nats {
        return Some(format!("it ends at {} nats, the rounds say {nats}", search.final_nats));
    }
    (stands != (text, step.author)).then(|| "the thought that stands is not the last one accepted".into())
}

fn accepted(candidate: &Candidate) -> Option<(&Candidate, f64)> {
    match candidate.outcome {
        Outcome::Scored { nats, accepted: true } => Some((candidate, nats)),
        _ => None,
    }
}

fn too_many(candidate: &Candidate, search: &Search) -> Option<u64> {
    match candidate.outcome {
        Outcome::Refused { tokens_seen, .. } if tokens_seen > search.target_tokens => Some(tokens_seen),
        _ => None,
    }
}
