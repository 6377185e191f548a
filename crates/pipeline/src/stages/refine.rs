//! `refine`: the search over the thoughts of a shard's trajectories, several repositories at once,
//! and of each one part after another.
//!
//! Each part is in the journal as soon as it and those before it are refined; a stopped run goes
//! on with the next.
//! What a part becomes depends on the parts of its repository before it, on the plan and on the
//! model, all of which the stage's key covers. Budgets of thoughts hold for a repository.

use std::cell::RefCell;
use std::path::Path;

use recon_engine::{Caller, Engine};
use recon_refine::{Models, Progress as Step, RefineOptions, Report, carry_forward, refine};
use recon_schema::Sha256;
use recon_schema::file::{JsonLines, each_json_line, write_json};
use recon_schema::graph::{RepoGraph, SCHEMA as GRAPH};
use recon_schema::trajectory::{SCHEMA, Trajectory};
use recon_text::{Renderer, Rendering};
use serde::{Deserialize, Serialize};

use super::graph::{GRAPHS, GraphFacts};
use super::synth::{SynthFacts, TrajectoryFigures};
use super::{Cost, JOURNAL, SetAside, TRAJECTORIES, guarded};
use crate::failure::{Failure, Outcome};
use crate::journal::Journal;
use crate::observe::Observe;
use crate::side_by_side::side_by_side;
use crate::stage::{Finished, Key, Stage};

/// Name of the stage and of its directory.
pub(crate) const NAME: &str = "refine";
/// File of the sums over all searches.
pub(crate) const REPORT: &str = "report.json";

#[derive(Serialize)]
struct Plan<'a> {
    refine: &'a RefineOptions,
    context_tokens: usize,
    max_files: Option<usize>,
    rendering: Rendering,
}

/// What the search over a shard left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RefineFacts {
    /// The documents.
    pub figures: TrajectoryFigures,
    /// Likelihoods and counts, over all searches.
    pub likelihood: Report,
    /// What it cost, over all the runs it took.
    pub cost: Cost,
    /// Repositories whose thoughts could not be searched for.
    pub set_aside: Vec<SetAside>,
}

/// One refined part in the journal.
#[derive(Serialize, Deserialize)]
struct Done {
    outcome: Result<Part, SetAside>,
    cost: Cost,
}

#[derive(Serialize, Deserialize)]
struct Part {
    trajectory: Trajectory,
    report: Report,
}

/// What the search needs.
pub(crate) struct Refine<'a> {
    pub(crate) graph: &'a Finished<GraphFacts>,
    pub(crate) synth: &'a Finished<SynthFacts>,
    pub(crate) options: &'a RefineOptions,
    /// Longest document, in tokens.
    pub(crate) context_tokens: usize,
    /// The limit on files that the simulation had.
    pub(crate) max_files: Option<usize>,
    pub(crate) renderer: &'a Renderer<'a>,
    pub(crate) rendering: Rendering,
    pub(crate) model_sha256: Sha256,
    /// Repositories that are refined at once.
    pub(crate) callers: usize,
    pub(crate) observe: &'a dyn Observe,
}

impl Refine<'_> {
    /// Refines the trajectories of one shard in `root`; `engine` opens the model.
    pub(crate) fn run<'e>(
        &self,
        root: &Path,
        engine: impl FnOnce() -> Outcome<&'e Engine>,
    ) -> Outcome<Finished<RefineFacts>> {
        let (refine, rendering) = (self.options, self.rendering);
        let plan = Plan { refine, context_tokens: self.context_tokens, max_files: self.max_files, rendering };
        let key = Key::new(NAME, &["refine", "agents", "engine"], &plan)
            .input("trajectories", self.synth.digest())
            .input("graphs", self.graph.digest())
            .input("model", self.model_sha256)
            .input("prompts", recon_thought::prompts_sha256());
        Stage::new(root, key).keep_leftovers().run_with(
            |_| engine(),
            |directory, engine| {
                let mut journal = Journal::open(&directory.join(JOURNAL))?;
                self.each(engine, &mut journal)?;
                self.finish(directory, journal)
            },
        )
    }

    /// Refines every part that the journal does not have.
    fn each(&self, engine: &Engine, journal: &mut Journal<Done>) -> Outcome {
        self.observe.begin(NAME, self.synth.facts.figures.steps);
        let mut graphs = each_json_line::<RepoGraph>(&self.graph.directory.join(GRAPHS), GRAPH)?;
        let parts = each_json_line::<Trajectory>(&self.synth.directory.join(TRAJECTORIES), SCHEMA)?;
        let mut parts = parts.enumerate().peekable();
        let already = journal.len();
        let journal = RefCell::new(journal);
        let items = std::iter::from_fn(|| {
            let (_, first) = parts.peek()?;
            let name = first.as_ref().map(|part| part.repository.name.clone()).unwrap_or_default();
            let is_next = |(_, part): &(usize, recon_schema::Result<Trajectory>)| {
                part.as_ref().map_or(true, |part| part.repository.name == name)
            };
            let (mut done, mut open) = (Vec::new(), Vec::new());
            while let Some((at, part)) = parts.next_if(is_next) {
                let read = part.map_err(Failure::from).and_then(|part| {
                    if at < already {
                        self.observe.skip(part.steps.len() as u64);
                        done.push(journal.borrow().get(at)?.outcome);
                    } else {
                        open.push(part);
                    }
                    Ok(())
                });
                if let Err(failure) = read {
                    return Some(Err(failure));
                }
            }
            let begin = |graph: RepoGraph| Repository::begin(&graph, self.max_files);
            Some(graph_of(&mut graphs, &name).map(|graph| (begin(graph), done, open)))
        });
        let work =
            |(mut repository, done, open): (Repository, Vec<_>, Vec<Trajectory>), give: &dyn Fn(Done)| -> Outcome {
                done.into_iter().for_each(|outcome| repository.add(&outcome));
                let caller = engine.caller();
                for part in open {
                    let (outcome, cost) = Cost::of(Some(&caller), || self.one(&repository, part, &caller));
                    let outcome = outcome?;
                    repository.add(&outcome);
                    give(Done { outcome, cost });
                }
                Ok(())
            };
        side_by_side(self.callers, items, work, |done| journal.borrow_mut().push(&done))
    }

    fn one(&self, before: &Repository, mut part: Trajectory, caller: &Caller<'_>) -> Outcome<Result<Part, SetAside>> {
        // A part repeats requirements and plan of the first: without that one there is no repository.
        if let Some(aside) = &before.set_aside {
            return Ok(Err(aside.clone()));
        }
        if let Some(first) = &before.first_refined {
            carry_forward(first, &mut part, self.renderer, self.context_tokens);
        }
        let (renderer, model) = (self.renderer, Some(caller.model_ref().clone()));
        let models = Models { scorer: caller, generator: Some(caller), renderer, model };
        let options = remaining(self.options, &before.report);
        let name = part.repository.name.clone();
        let refined = guarded(&name, || {
            refine(part, &before.graph, &models, &options, &mut |step| self.tell(step)).map_err(Failure::input)
        })?;
        Ok(refined.map(|refined| Part { trajectory: refined.trajectory, report: refined.report }))
    }

    fn tell(&self, step: &Step<'_>) {
        let message = step.search.map(|search| {
            let per_token = |nats: f64| nats / search.target_tokens.max(1) as f64;
            let agent = String::from(step.agent.clone());
            format!("{agent} {:.4} → {:.4} nats/token", per_token(search.initial_nats), per_token(search.final_nats))
        });
        self.observe.advance(&message.unwrap_or_default());
    }

    fn finish(&self, directory: &Path, journal: Journal<Done>) -> Outcome<RefineFacts> {
        let (mut facts, mut lines) = (RefineFacts::default(), JsonLines::create(&directory.join(TRAJECTORIES))?);
        for at in 0..journal.len() {
            let Done { outcome, cost } = journal.get(at)?;
            facts.cost.add(&cost);
            match outcome {
                Err(aside) if facts.set_aside.last() == Some(&aside) => {}
                Err(aside) => facts.set_aside.push(aside),
                Ok(part) => {
                    facts.figures.count(&part.trajectory, self.renderer);
                    facts.likelihood.merge(&part.report);
                    lines.push(&part.trajectory)?;
                }
            }
        }
        facts.likelihood.verify().map_err(Failure::run)?;
        lines.finish()?;
        write_json(&directory.join(REPORT), &facts.likelihood)?;
        journal.remove()?;
        Ok(facts)
    }
}

/// What is known of the repository whose parts are being refined.
struct Repository {
    graph: RepoGraph,
    /// Its first part after the search.
    first_refined: Option<Trajectory>,
    /// Over the parts so far.
    report: Report,
    set_aside: Option<SetAside>,
}

impl Repository {
    fn begin(graph: &RepoGraph, max_files: Option<usize>) -> Self {
        let graph = recon_agents::select(graph, max_files);
        Self { graph, first_refined: None, report: Report::default(), set_aside: None }
    }

    fn add(&mut self, outcome: &Result<Part, SetAside>) {
        match outcome {
            Err(aside) => self.set_aside = Some(aside.clone()),
            Ok(part) => {
                self.report.merge(&part.report);
                self.first_refined.get_or_insert_with(|| part.trajectory.clone());
            }
        }
    }
}

/// The graph of the repository `name`, which comes after those of the repositories before it.
fn graph_of(graphs: &mut impl Iterator<Item = recon_schema::Result<RepoGraph>>, name: &str) -> Outcome<RepoGraph> {
    for graph in graphs {
        let graph = graph?;
        if graph.repository.name == name {
            return Ok(graph);
        }
    }
    Err(Failure::run_because(format!("{name} has trajectories and no graph")))
}

/// What is left of the budgets of a repository after `done`.
fn remaining(options: &RefineOptions, done: &Report) -> RefineOptions {
    RefineOptions {
        max_steps: options.max_steps.map(|limit| limit.saturating_sub(done.searched as usize)),
        control_steps: options.control_steps.saturating_sub(done.control.thoughts as usize),
        ..options.clone()
    }
}
