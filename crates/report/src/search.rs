//! The sums over the searches of a run: likelihood and length by round, fates by author.

use maud::{Markup, html};
use recon_schema::trajectory::{Body, Outcome, Trajectory};

use crate::charts::{Series, lines};
use crate::{Fates, Search};

impl Search {
    /// Adds the searches of one trajectory. Those with fewer rounds keep their last thought.
    pub fn add(&mut self, trajectory: &Trajectory) {
        for step in &trajectory.steps {
            let Body::Think { search: Some(search), .. } = &step.body else { continue };
            let mut nats = vec![search.initial_nats];
            let mut bytes = vec![search.initial.text.len() as u64];
            for round in &search.rounds {
                let mut length = *bytes.last().expect("the first thought has one");
                for candidate in &round.candidates {
                    let fates = self.authors.entry(candidate.author.to_string()).or_default();
                    let count = match candidate.outcome {
                        Outcome::Scored { accepted: true, .. } => {
                            length = candidate.text.len() as u64;
                            &mut fates.accepted
                        }
                        Outcome::Scored { accepted: false, .. } => &mut fates.beaten,
                        Outcome::Refused { .. } => &mut fates.refused,
                        Outcome::Leaked { .. } => &mut fates.leaked,
                        Outcome::Invalid { .. } => &mut fates.invalid,
                    };
                    *count += 1;
                }
                nats.push(round.incumbent_nats);
                bytes.push(length);
            }
            add_padded(&mut self.nats, &nats, self.searches);
            add_padded(&mut self.thought_bytes, &bytes, self.searches);
            self.searches += 1;
            self.tokens += search.target_tokens;
            self.baseline_nats += search.baseline_nats;
            if let Some(control) = &search.control {
                self.control.0 += search.target_tokens;
                let [none, own, other] = &mut self.control.1;
                *none += search.baseline_nats;
                *own += search.final_nats;
                *other += control.nats;
            }
        }
    }

    /// Nats by which the searches lowered the likelihood sum.
    pub(crate) fn gained_nats(&self) -> f64 {
        match (self.nats.first(), self.nats.last()) {
            (Some(first), Some(last)) => first - last,
            _ => 0.0,
        }
    }
}

/// Adds `more` place by place; where one of the two is shorter its last value goes on.
fn add_padded<T: Copy + Default + std::ops::AddAssign>(sums: &mut Vec<T>, more: &[T], earlier: u64) {
    let last_sum = if earlier == 0 { T::default() } else { sums.last().copied().unwrap_or_default() };
    let length = sums.len().max(more.len());
    sums.resize(length, last_sum);
    let last = *more.last().expect("a search has a first thought");
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum += more.get(at).copied().unwrap_or(last);
    }
}

/// The section of all searches together.
pub(crate) fn section(search: &Search) -> Markup {
    if search.searches == 0 {
        return html! { p { "No thought was searched for." } };
    }
    let per_token = |nats: f64| nats / search.tokens.max(1) as f64;
    let by_round = |values: Vec<f64>| values.into_iter().enumerate().map(|(round, y)| (round as f64, y)).collect();
    let nats: Vec<f64> = search.nats.iter().map(|nats| per_token(*nats)).collect();
    let bytes: Vec<f64> = search.thought_bytes.iter().map(|bytes| *bytes as f64 / search.searches as f64).collect();
    let without = vec![per_token(search.baseline_nats); nats.len()];
    html! {
        p { (search.searches) " thoughts were searched for, over " (search.tokens) " target tokens." }
        div.charts {
            (lines("Likelihood of the code by round", ("round", "nats a token"), &[
                Series { name: "with the thought that stands", points: by_round(nats.clone()) },
                Series { name: "without a thought", points: by_round(without) },
            ]))
            (lines("Length of thoughts by round", ("round", "bytes"), &[
                Series { name: "the thought that stands", points: by_round(bytes.clone()) },
            ]))
        }
        table {
            caption { "By round; round 0 is the first thought" }
            thead { tr { th { "round" } th { "nats a token" } th { "bytes a thought" } } }
            tbody {
                @for (round, (nats, bytes)) in nats.iter().zip(&bytes).enumerate() {
                    tr { td { (round) } td { (format!("{nats:.4}")) } td { (format!("{bytes:.0}")) } }
                }
            }
        }
        @if search.control.0 > 0 { (control(search)) }
        table {
            caption { "Candidates by author" }
            thead { tr {
                th { "author" } th { "accepted" } th { "not better" } th { "dropped early" } th { "leaks" } th { "invalid" }
            } }
            tbody {
                @for (author, Fates { accepted, beaten, refused, leaked, invalid }) in &search.authors {
                    tr {
                        td { (author) } td { (accepted) } td { (beaten) } td { (refused) } td { (leaked) } td { (invalid) }
                    }
                }
            }
        }
    }
}

fn control(search: &Search) -> Markup {
    let (tokens, [none, own, other]) = search.control;
    let per_token = |nats: f64| format!("{:.4}", nats / tokens.max(1) as f64);
    html! {
        table {
            caption { "Control: the same search for another file must not help as much" }
            thead { tr { th { "thought" } th { "nats a token" } } }
            tbody {
                tr { td { "none" } td { (per_token(none)) } }
                tr { td { "another file's" } td { (per_token(other)) } }
                tr { td { "its own" } td { (per_token(own)) } }
            }
        }
    }
}
