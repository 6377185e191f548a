//! One repository: how its files depend on one another, its plan, its trajectories.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Body, Subject, Trajectory};

use crate::Repository;
use crate::charts::matrix;
use crate::thought::step;

/// The section of one repository.
pub(crate) fn section(Repository { graph, trajectories }: &Repository) -> Markup {
    let it = &graph.repository;
    html! {
        details.repository {
            summary {
                b { (it.name) }
                @if let Some(commit) = &it.commit { " at " code { (commit) } }
                " · " (graph.order.len()) " files · "
                (it.licence.as_deref().unwrap_or("no licence found"))
            }
            @for text in thoughts(trajectories, &Subject::Requirements) { h4 { "Requirements" } pre { (text) } }
            @for text in thoughts(trajectories, &Subject::Plan) { h4 { "Plan" } pre { (text) } }
            h4 { "Dependencies" }
            (dependencies(graph))
            @for trajectory in trajectories { (document(trajectory)) }
        }
    }
}

fn thoughts<'t>(trajectories: &'t [Trajectory], about: &'t Subject) -> impl Iterator<Item = &'t str> {
    trajectories.iter().flat_map(|it| &it.steps).filter_map(move |step| match &step.body {
        Body::Think { text, subject, .. } if subject == about => Some(text.as_str()),
        _ => None,
    })
}

fn dependencies(graph: &RepoGraph) -> Markup {
    let place: BTreeMap<&str, usize> = graph.order.iter().enumerate().map(|(at, path)| (path.as_str(), at)).collect();
    let mut imports: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (place.get(edge.from.as_str()), place.get(edge.to.as_str())) {
            imports.entry(*from).or_default().insert(*to);
        }
    }
    let dots: Vec<(usize, usize)> = imports.iter().flat_map(|(from, to)| to.iter().map(|to| (*from, *to))).collect();
    html! {
        @if !dots.is_empty() {
            (matrix(
                "Each dot is an import; files are numbered in the order in which they are written, so what is below the \
                 diagonal existed already",
                ("file", "imports"),
                graph.order.len(),
                &dots,
            ))
        }
        details {
            summary { "Files in order, with what each imports" }
            ol start="0" {
                @for (at, path) in graph.order.iter().enumerate() {
                    li {
                        code { (path) }
                        @if let Some(to) = imports.get(&at) {
                            " imports "
                            @for to in to { code { (graph.order[*to]) } " " }
                        }
                    }
                }
            }
        }
    }
}

fn document(trajectory: &Trajectory) -> Markup {
    let trained = trajectory.steps.iter().filter(|step| step.trained).count();
    html! {
        details.trajectory {
            summary { "Trajectory " code { (trajectory.id) } ": " (trajectory.steps.len()) " steps, " (trained) " trained" }
            @if !trajectory.summary.left_out.is_empty() {
                p { "Left out as too long: " @for (path, tokens) in &trajectory.summary.left_out { code { (path) } " (" (tokens) " tokens) " } }
            }
            @for (at, it) in trajectory.steps.iter().enumerate() { (step(at, it)) }
        }
    }
}
