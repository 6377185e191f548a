//! The search over every part of a repository, one after another, within one budget of thoughts.

use recon_engine::Engine;
use recon_refine::{Models, Progress as Step, RefineOptions, Report, carry_forward, refine};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::Trajectory;
use recon_text::Renderer;

use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::progress::Progress;

/// Refined trajectories and the sums over all their searches.
pub(super) struct Searched {
    pub(super) trajectories: Vec<Trajectory>,
    pub(super) report: Report,
}

/// Refines every part. Requirements and plan of the first are repeated as refined in the openings
/// of the later ones; `max_steps` and `control_steps` are limits over all parts together.
pub(super) fn search(
    parts: &[Trajectory],
    graph: &RepoGraph,
    engine: &Engine,
    renderer: &Renderer<'_>,
    config: &Config,
    progress: &Progress,
) -> Outcome<Searched> {
    let models = Models { scorer: engine, generator: Some(engine), renderer, model: Some(engine.model_ref().clone()) };
    progress.begin("refine", parts.iter().map(|part| part.steps.len() as u64).sum());
    let mut observe = |step: &Step<'_>| {
        let message = step.search.map(|search| {
            let per_token = |nats: f64| nats / search.target_tokens.max(1) as f64;
            let agent = String::from(step.agent.clone());
            format!("{agent} {:.4} → {:.4} nats/token", per_token(search.initial_nats), per_token(search.final_nats))
        });
        progress.advance(message.unwrap_or_default());
    };
    let mut searched = Searched { trajectories: Vec::new(), report: Report::default() };
    for part in parts {
        let mut part = part.clone();
        if let Some(first) = searched.trajectories.first() {
            carry_forward(&parts[0], first, &mut part, renderer, config.agents.context_tokens);
        }
        let options = remaining(&config.refine, &searched.report);
        let refined = refine(part, graph, &models, &options, &mut observe).map_err(Failure::input)?;
        searched.report.merge(&refined.report);
        searched.trajectories.push(refined.trajectory);
    }
    searched.report.verify().map_err(Failure::run)?;
    Ok(searched)
}

/// What is left of the budgets after `done`.
fn remaining(options: &RefineOptions, done: &Report) -> RefineOptions {
    RefineOptions {
        max_steps: options.max_steps.map(|limit| limit.saturating_sub(done.searched as usize)),
        control_steps: options.control_steps.saturating_sub(done.control.thoughts as usize),
        ..options.clone()
    }
}
