//! The steps of a trajectory: agents told apart, what is trained marked, thoughts with their candidates.

use maud::{Markup, html};
use recon_schema::trajectory::{
    Action, Agent, Body, Candidate, Continuation, InitialThought, Leak, Observed, Outcome, Search, Step,
};

/// One step.
pub(crate) fn step(at: usize, it: &Step) -> Markup {
    let agent = String::from(it.agent.clone());
    let (kind, text) = shown(&it.body);
    let is_main = it.agent == Agent::Main;
    html! {
        section.step.main[is_main].sub[!is_main].trained[it.trained] {
            header {
                span.number { (at) } " " b { (kind) } " " span.agent { (agent) }
                " " span.author { "by " (it.author) }
                @if it.trained { " " span.mark { "trained" } }
            }
            @if let Some(text) = text { pre { (text) } }
            @if let Body::Think { search: Some(search), .. } = &it.body { (searched(search)) }
        }
    }
}

/// What kind of step it is, and its text.
fn shown(body: &Body) -> (String, Option<&str>) {
    match body {
        Body::Opening { text } => ("opening".into(), Some(text)),
        Body::Continuation(Continuation { written, earlier, .. }) => {
            (format!("continued after {} files", written.len() as u64 + earlier), None)
        }
        Body::Think { text, .. } => ("thought".into(), Some(text)),
        Body::Action { action: Action::Write(file) } => (format!("write {}", file.path), Some(&file.text)),
        Body::Action { action: Action::Draft { path, text } } => (format!("draft of {path}"), Some(text)),
        Body::Action { action } => (format!("{} {}", action.tool(), action.path().unwrap_or_default()), None),
        Body::Observation { observed: Observed::Text(text) } => ("result".into(), Some(text)),
        Body::Observation { observed: Observed::Content(file) } => {
            (format!("content of {}", file.path), Some(&file.text))
        }
    }
}

fn searched(search: &Search) -> Markup {
    let per_token = |nats: f64| format!("{:.4}", nats / search.target_tokens.max(1) as f64);
    let InitialThought { author, text, replaced } = &search.initial;
    let gained = search.initial_nats - search.final_nats;
    html! {
        details {
            summary {
                "for " (search.targets.join(", ")) ": "
                (per_token(search.initial_nats)) " → " (per_token(search.final_nats)) " nats a token, "
                b { (format!("{gained:.2}")) } " nats gained"
            }
            table.candidates {
                thead { tr { th { "round" } th { "author" } th { "outcome" } th { "nats a token" } th { "thought" } } }
                tbody {
                    tr { td { "–" } td {} td { "without a thought" } td { (per_token(search.baseline_nats)) } td {} }
                    tr {
                        td { "0" } td { (author) }
                        td { @if let Some(leak) = replaced { "first; a leak stood here (" (leaked(leak)) ")" } @else { "first" } }
                        td { (per_token(search.initial_nats)) } td { pre { (text) } }
                    }
                    @for (round, candidate) in rounds(search) { (tried(round, candidate, &per_token)) }
                    @if let Some(control) = &search.control {
                        tr {
                            td { "–" } td {} td { "control: the thought found for " (control.path) }
                            td { (per_token(control.nats)) } td {}
                        }
                    }
                }
            }
        }
    }
}

fn rounds(search: &Search) -> impl Iterator<Item = (usize, &Candidate)> {
    search.rounds.iter().enumerate().flat_map(|(at, round)| round.candidates.iter().map(move |it| (at + 1, it)))
}

fn tried(round: usize, Candidate { author, text, outcome }: &Candidate, per_token: &impl Fn(f64) -> String) -> Markup {
    let (fate, nats) = match outcome {
        Outcome::Scored { nats, accepted: true } => ("accepted".to_owned(), per_token(*nats)),
        Outcome::Scored { nats, accepted: false } => ("not better".to_owned(), per_token(*nats)),
        Outcome::Refused { nats_at_least, tokens_seen } => {
            (format!("dropped after {tokens_seen} tokens"), format!("≥ {}", per_token(*nats_at_least)))
        }
        Outcome::Leaked { leak } => (format!("a leak: {}", leaked(leak)), String::new()),
        Outcome::Invalid { reason, .. } => (format!("invalid: {reason}"), String::new()),
    };
    let is_accepted = matches!(outcome, Outcome::Scored { accepted: true, .. });
    html! {
        tr.accepted[is_accepted] {
            td { (round) } td { (author) } td { (fate) } td { (nats) } td { pre { (text) } }
        }
    }
}

fn leaked(leak: &Leak) -> String {
    match leak {
        Leak::Run { bytes } => format!("a run of {bytes} bytes of the code"),
        Leak::Coverage { fraction } => format!("{:.0} % of the code", 100.0 * fraction),
    }
}
