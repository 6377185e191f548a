//! The search over every part of a repository, one after another, within one budget of thoughts.
//!
//! Each part is kept on disk as soon as it is refined; a run that was interrupted takes the kept
//! ones as they are and goes on with the next. What a part becomes depends on the parts before
//! it, on the plan and on the model, all of which the stage's key covers.

use std::path::Path;

use recon_engine::Engine;
use recon_refine::{Models, Progress as Step, RefineOptions, Report, carry_forward, refine};
use recon_schema::file::{read_json, write_json};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{SCHEMA, Trajectory};
use recon_text::Renderer;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::progress::Progress;

/// Refined trajectories and the sums over all their searches.
pub(super) struct Searched {
    pub(super) trajectories: Vec<Trajectory>,
    pub(super) report: Report,
}

/// One refined part, as it is kept while the others are searched.
#[derive(Serialize, Deserialize)]
struct Kept {
    trajectory: Trajectory,
    report: Report,
}

/// Refines every part, keeping each in `folder`. Requirements and plan of the first are repeated as refined in the openings
/// of the later ones; `max_steps` and `control_steps` are limits over all parts together.
pub(super) fn search(
    parts: &[Trajectory],
    graph: &RepoGraph,
    engine: &Engine,
    renderer: &Renderer<'_>,
    config: &Config,
    progress: &Progress,
    folder: &Path,
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
    for (at, part) in parts.iter().enumerate() {
        let file = folder.join(format!("{at:05}.json"));
        let kept = if file.exists() {
            progress.skip(part.steps.len() as u64);
            read_json(&file, SCHEMA)?
        } else {
            let mut part = part.clone();
            if let Some(first) = searched.trajectories.first() {
                carry_forward(&parts[0], first, &mut part, renderer, config.agents.context_tokens);
            }
            let options = remaining(&config.refine, &searched.report);
            let refined = refine(part, graph, &models, &options, &mut observe).map_err(Failure::input)?;
            let kept = Kept { trajectory: refined.trajectory, report: refined.report };
            write_json(&file, &kept)?;
            kept
        };
        searched.report.merge(&kept.report);
        searched.trajectories.push(kept.trajectory);
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
