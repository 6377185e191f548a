//! `synth`: the unrefined trajectories of a shard's repositories.
//!
//! Several repositories are simulated at once, and ask the model together. What is done of a
//! repository is in the journal as soon as it and those before it are done; a stopped run goes on
//! with the next one.

use std::collections::BTreeMap;
use std::path::Path;

use recon_agents::{AgentOptions, ModelWriter, simulate};
use recon_corpus::{CorpusReport, Entry, Store};
use recon_engine::{Caller, Engine};
use recon_schema::Sha256;
use recon_schema::file::{JsonLines, each_json_line};
use recon_schema::graph::{RepoGraph, SCHEMA as GRAPH};
use recon_schema::trajectory::{Author, Fault, Trajectory};
use recon_text::{Renderer, Rendering};
use serde::{Deserialize, Serialize};

use super::graph::{GRAPHS, GraphFacts};
use super::{Cost, JOURNAL, SetAside, TRAJECTORIES, guarded};
use crate::failure::{Failure, Outcome};
use crate::journal::Journal;
use crate::observe::Observe;
use crate::side_by_side::side_by_side;
use crate::stage::{Finished, Key, Stage};

/// Name of the stage and of its directory.
pub(crate) const NAME: &str = "synth";

#[derive(Serialize)]
struct Plan<'a> {
    agents: &'a AgentOptions,
    rendering: Rendering,
}

/// The training documents of a set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryFigures {
    /// Documents.
    pub documents: u64,
    /// Files written in them.
    pub files: u64,
    /// Steps.
    pub steps: u64,
    /// Steps by author.
    pub steps_by_author: BTreeMap<Author, u64>,
    /// Tokens.
    pub tokens: u64,
    /// Tokens that carry loss.
    pub trained_tokens: u64,
    /// Files left out because they alone exceed the context.
    pub left_out: u64,
    /// First thoughts of the model that were none, by what was wrong.
    pub first_refused: BTreeMap<Fault, u64>,
}

impl TrajectoryFigures {
    pub(crate) fn count(&mut self, trajectory: &Trajectory, renderer: &Renderer<'_>) {
        let document = renderer.document(trajectory);
        self.documents += 1;
        self.tokens += document.ids.len() as u64;
        self.trained_tokens += document.mask.iter().map(|bit| u64::from(*bit)).sum::<u64>();
        self.steps += trajectory.steps.len() as u64;
        let summary = &trajectory.summary;
        self.left_out += (summary.left_out.len() + summary.unencodable.len()) as u64;
        self.files += trajectory.summary.files;
        for (author, count) in &trajectory.summary.steps_by_author {
            *self.steps_by_author.entry(*author).or_default() += count;
        }
        for (fault, count) in &trajectory.summary.first_refused {
            *self.first_refused.entry(*fault).or_default() += count;
        }
    }

    /// Adds the figures of another shard.
    pub(crate) fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.files += other.files;
        self.steps += other.steps;
        self.tokens += other.tokens;
        self.trained_tokens += other.trained_tokens;
        self.left_out += other.left_out;
        for (author, count) in &other.steps_by_author {
            *self.steps_by_author.entry(*author).or_default() += count;
        }
        for (fault, count) in &other.first_refused {
            *self.first_refused.entry(*fault).or_default() += count;
        }
    }
}

/// What the simulation of a shard left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SynthFacts {
    /// The documents.
    pub figures: TrajectoryFigures,
    /// What it cost, over all the runs it took.
    pub cost: Cost,
    /// Repositories that could not be simulated.
    pub set_aside: Vec<SetAside>,
}

/// One repository in the journal.
#[derive(Serialize, Deserialize)]
struct Done {
    outcome: Result<Vec<Trajectory>, SetAside>,
    cost: Cost,
}

/// What a simulation needs.
pub(crate) struct Synth<'a> {
    pub(crate) store: &'a Store,
    pub(crate) graph: &'a Finished<GraphFacts>,
    pub(crate) agents: &'a AgentOptions,
    pub(crate) renderer: &'a Renderer<'a>,
    pub(crate) rendering: Rendering,
    pub(crate) model_sha256: Sha256,
    /// Repositories that are simulated at once.
    pub(crate) callers: usize,
    pub(crate) observe: &'a dyn Observe,
}

impl Synth<'_> {
    /// Simulates the repositories of one shard in `root`; `engine` opens the model where it is asked.
    pub(crate) fn run<'e>(
        &self,
        root: &Path,
        (shard, read): (u32, &Finished<CorpusReport>),
        engine: impl FnOnce() -> Outcome<&'e Engine>,
    ) -> Outcome<Finished<SynthFacts>> {
        let plan = Plan { agents: self.agents, rendering: self.rendering };
        let asks_model = self.agents.asks_model();
        let crates: &[&str] = if asks_model { &["agents", "corpus", "engine"] } else { &["agents", "corpus"] };
        let key = Key::new(NAME, crates, &plan)
            .input("repositories", super::read::shard_digest(read, self.store, shard))
            .input("graphs", self.graph.digest())
            .input("model", self.model_sha256)
            .input("prompts", recon_thought::prompts_sha256());
        let open = |_: &Path| asks_model.then(engine).transpose();
        Stage::new(root, key).keep_leftovers().run_with(open, |directory, engine| {
            let mut journal = Journal::open(&directory.join(JOURNAL))?;
            self.each(shard, engine, &mut journal)?;
            self.finish(directory, journal)
        })
    }

    fn each(&self, shard: u32, engine: Option<&Engine>, journal: &mut Journal<Done>) -> Outcome {
        let entries = self.store.entries(shard)?;
        let mut by_name: BTreeMap<&str, &Entry> = entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        self.observe.begin(NAME, self.graph.facts.repositories);
        self.observe.skip(journal.len() as u64);
        let graphs = each_json_line::<RepoGraph>(&self.graph.directory.join(GRAPHS), GRAPH)?;
        let items = graphs.skip(journal.len()).map(|graph| -> Outcome<(&Entry, RepoGraph)> {
            let graph = graph?;
            let name = graph.repository.name.as_str();
            let entry = by_name.remove(name).ok_or_else(|| {
                Failure::run_because(format!("{name} has a graph and is not in the store of shard {shard}"))
            })?;
            Ok((entry, graph))
        });
        let work = |(entry, graph): (&Entry, RepoGraph), give: &dyn Fn(Done)| -> Outcome {
            let caller = engine.map(Engine::caller);
            let (outcome, cost) = Cost::of(caller.as_ref(), || self.one(shard, entry, &graph, caller.as_ref()));
            give(Done { outcome: outcome?, cost });
            self.observe.advance(&graph.repository.name);
            Ok(())
        };
        side_by_side(self.callers, items, work, |done| journal.push(&done))
    }

    fn one(
        &self,
        shard: u32,
        entry: &Entry,
        graph: &RepoGraph,
        caller: Option<&Caller<'_>>,
    ) -> Outcome<Result<Vec<Trajectory>, SetAside>> {
        // Everything of it may be held out.
        if graph.order.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let model = |caller: &Caller<'_>| caller.model_ref().clone();
        let writer = caller.map(|caller| ModelWriter { generator: caller, scorer: caller, model: model(caller) });
        let aside = |reason: String| SetAside { repository: entry.name.clone(), reason };
        let simulated = guarded(&entry.name, || {
            let repository = self.store.repository(shard, entry)?;
            Ok(simulate(&repository, graph, self.agents, self.renderer, writer))
        })?;
        match simulated {
            Err(panicked) => Ok(Err(panicked)),
            // An option that asks for what is not there is the same for every repository.
            Ok(Err(error @ recon_agents::Error::NoModel)) => Err(Failure::input(error)),
            Ok(simulated) => Ok(simulated.map_err(|error| aside(error.to_string()))),
        }
    }

    fn finish(&self, directory: &Path, journal: Journal<Done>) -> Outcome<SynthFacts> {
        let (mut facts, mut lines) = (SynthFacts::default(), JsonLines::create(&directory.join(TRAJECTORIES))?);
        for at in 0..journal.len() {
            let Done { outcome, cost } = journal.get(at)?;
            facts.cost.add(&cost);
            match outcome {
                Err(aside) => facts.set_aside.push(aside),
                Ok(trajectories) => {
                    for trajectory in &trajectories {
                        facts.figures.count(trajectory, self.renderer);
                        lines.push(trajectory)?;
                    }
                }
            }
        }
        lines.finish()?;
        journal.remove()?;
        Ok(facts)
    }
}
