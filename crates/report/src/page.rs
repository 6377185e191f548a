//! The page: its sections, in the order in which a reader asks.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use recon_corpus::CorpusReport;

use crate::charts::{Series, lines};
use crate::{Run, Stage, repository, search};

const STYLE: &str = include_str!("page.css");

/// The page of a run, as HTML.
pub fn page(run: &Run) -> String {
    let shown = run.repositories.len();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (run.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (run.title) }
                nav {
                    a href="#corpus" { "Corpus" } " · " a href="#search" { "Search" } " · "
                    a href="#training" { "Training" } " · " a href="#cost" { "Cost" } " · "
                    a href="#repositories" { "Repositories" }
                }
                h2 id="corpus" { "Corpus" }
                @match &run.corpus { Some(report) => (corpus(report)), None => p { "It is not known how the set was read." } }
                h2 id="search" { "Search for thoughts" }
                (search::section(&run.search))
                h2 id="training" { "Training" }
                (training(run))
                h2 id="cost" { "Cost" }
                (cost(run))
                h2 id="repositories" { "Repositories" }
                @if shown < run.repository_count { p { (shown) " of " (run.repository_count) " are shown." } }
                @for it in &run.repositories { (repository::section(it)) }
            }
        }
    };
    page.into_string()
}

fn corpus(report: &CorpusReport) -> Markup {
    let CorpusReport { repositories, kept_repositories, met, kept, .. } = report;
    let drops = report.dropped_files.iter().map(|(rule, count)| ("file dropped", rule, count.files));
    let unread = report.unread_files.iter().map(|(rule, files)| ("file not read", rule, *files));
    let refused = report.refused_repositories.iter().map(|(rule, count)| ("repository refused", rule, *count));
    let unusable = report.unusable_repositories.iter().map(|(rule, count)| ("repository unusable", rule, *count));
    let redacted = report.redacted.iter().map(|(rule, redacted)| ("span replaced", rule, redacted.spans));
    html! {
        p {
            (kept_repositories) " of " (repositories) " repositories and " (kept.files) " of " (met.files)
            " files take part: " (kept.bytes) " of " (met.bytes) " bytes."
        }
        table {
            caption { "What was left out or replaced" }
            thead { tr { th { "what" } th { "rule" } th { "count" } } }
            tbody {
                @for (what, rule, count) in refused.chain(unusable).chain(drops).chain(unread).chain(redacted) {
                    tr { td { (what) } td { (rule) } td { (count) } }
                }
            }
        }
    }
}

fn training(run: &Run) -> Markup {
    if run.training.is_empty() {
        return html! { p { "There was no training." } };
    }
    let points = run.training.iter().map(|step| (step.step as f64, step.loss_nats)).collect();
    html! {
        (lines("Loss by step", ("step", "nats a token"), &[Series { name: "loss", points }]))
        @if let Some([before, after]) = run.held_out {
            p {
                "Held-out files: " (format!("{before:.4}")) " → " (format!("{after:.4}"))
                " nats a token, before and after."
            }
        }
    }
}

fn cost(run: &Run) -> Markup {
    let seconds = |name: &str| run.stages.iter().filter(|it| it.name == name).map(|it| it.seconds).sum::<f64>();
    let all: f64 = run.stages.iter().map(|it| it.seconds).sum();
    let (gained, trained) = (run.search.gained_nats(), run.training.last().map_or(0, |step| step.trained_tokens));
    let count = |tokens: Option<u64>| tokens.map_or_else(String::new, |tokens| tokens.to_string());
    html! {
        table {
            thead { tr { th { "stage" } th { "seconds" } th { "tokens computed" } th { "tokens drawn" } } }
            tbody {
                @for Stage { name, seconds, fresh_tokens, generated_tokens } in &run.stages {
                    tr {
                        td { (name) } td { (format!("{seconds:.2}")) }
                        td { (count(*fresh_tokens)) } td { (count(*generated_tokens)) }
                    }
                }
            }
        }
        @if gained > 0.0 {
            p { (format!("{:.4}", seconds("refine") / gained)) " seconds of search a nat gained (" (format!("{gained:.1}")) " nats)." }
        }
        @if trained > 0 {
            p { (format!("{:.3e}", all / trained as f64)) " seconds of everything a trained token (" (trained) " tokens)." }
        }
    }
}
