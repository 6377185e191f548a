//! A worker's way through its shards: graph, simulation, search, one shard after another.
//!
//! A shard belongs to one worker at a time. One that another worker has is left for the end; what
//! is still taken then is that worker's.

use std::path::PathBuf;

use recon_schema::Sha256;
use recon_schema::trajectory::Arm;

use crate::failure::{Failure, Outcome};
use crate::lock::Lock;
use crate::place::sweep_here;
use crate::share::Share;
use crate::shared::Shared;
use crate::stage::Finished;
use crate::stages::graph::{self, GraphFacts};
use crate::stages::refine::{Refine, RefineFacts};
use crate::stages::synth::{Synth, SynthFacts, TrajectoryFigures};
use crate::stages::{SetAside, read};
use crate::until::Until;

/// The stages of one shard, as far as they were asked for.
pub(crate) struct Shard {
    pub(crate) graph: Finished<GraphFacts>,
    pub(crate) synth: Option<Finished<SynthFacts>>,
    pub(crate) refine: Option<Finished<RefineFacts>>,
}

/// The work on shards, and how far it goes.
pub(crate) struct Shards<'r, 'a> {
    pub(crate) run: &'r Shared<'a>,
    pub(crate) until: Until,
}

impl Shards<'_, '_> {
    /// Does the share; the finished shards come in order.
    pub(crate) fn work(&self, share: Share) -> Outcome<Done> {
        let mine: Vec<u32> = self.run.store.shards().iter().copied().filter(|shard| share.holds(*shard)).collect();
        let (mut done, mut taken) = (Vec::new(), Vec::new());
        for &shard in &mine {
            match Lock::take(&self.root(shard)) {
                Ok(lock) => done.push((shard, self.shard(shard, lock)?)),
                Err(_) => taken.push(shard),
            }
        }
        for shard in taken {
            done.push((shard, self.shard(shard, Lock::take(&self.root(shard))?)?));
        }
        done.sort_by_key(|(shard, _)| *shard);
        Ok(Done(done.into_iter().map(|(_, shard)| shard).collect()))
    }

    fn root(&self, shard: u32) -> PathBuf {
        self.run.root.join("shards").join(recon_corpus::shard_name(shard))
    }

    fn shard(&self, shard: u32, _lock: Lock) -> Outcome<Shard> {
        let Self { run, until } = self;
        let (root, config) = (self.root(shard), run.config);
        sweep_here(&root)?;
        let sha256 = read::shard_digest(run.read, &run.store, shard);
        let graph = graph::run(
            &root,
            &run.store,
            (shard, sha256),
            &config.holdout,
            &config.corpus,
            run.set_of_one,
            run.observe,
        )?;
        self.refuse_alone(&graph.facts.set_aside)?;
        if *until < Until::Synth {
            return Ok(Shard { graph, synth: None, refine: None });
        }
        let (renderer, model_sha256) = (run.renderer(), run.model().sha256);
        let synth = Synth {
            store: &run.store,
            graph: &graph,
            agents: &config.agents,
            renderer: &renderer,
            rendering: config.rendering,
            model_sha256,
            callers: run.callers(),
            observe: run.observe,
        };
        let synth = synth.run(&root, (shard, run.read), || run.engine())?;
        self.refuse_alone(&synth.facts.set_aside)?;
        if *until < Until::Refine || config.agents.arm != Arm::Search {
            return Ok(Shard { graph, synth: Some(synth), refine: None });
        }
        let refine = Refine {
            graph: &graph,
            synth: &synth,
            options: &config.refine,
            context_tokens: config.agents.context_tokens,
            max_files: config.agents.max_files,
            renderer: &renderer,
            rendering: config.rendering,
            model_sha256,
            callers: run.callers(),
            observe: run.observe,
        };
        let refine = refine.run(&root, || run.engine())?;
        self.refuse_alone(&refine.facts.set_aside)?;
        Ok(Shard { graph, synth: Some(synth), refine: Some(refine) })
    }

    /// Of a set of one, what is set aside is all; of more, a shard alone may not exceed what is accepted of the set.
    fn refuse_alone(&self, set_aside: &[SetAside]) -> Outcome {
        let repositories = self.run.read.facts.kept_repositories;
        within(set_aside.iter(), repositories, self.run.config.corpus.max_skipped_fraction)
    }
}

/// Refuses a set of which too much was set aside.
fn within<'s>(set_aside: impl Iterator<Item = &'s SetAside>, repositories: u64, limit: f64) -> Outcome {
    let all: Vec<&SetAside> = set_aside.collect();
    let Some(first) = all.first() else { return Ok(()) };
    if repositories == 1 {
        return Err(Failure::input_because(&first.reason));
    }
    if all.len() as f64 <= limit * repositories as f64 {
        return Ok(());
    }
    let message = format!(
        "{} of {repositories} repositories were set aside, above {limit:.3} (corpus.max_skipped_fraction); the first: {}: {}",
        all.len(),
        first.repository,
        first.reason
    );
    Err(Failure::run_because(message).hint("raise `corpus.max_skipped_fraction`, or mend the corpus"))
}

/// Finished shards, in order.
pub(crate) struct Done(Vec<Shard>);

impl Done {
    /// Refuses the set if too much of it was set aside over all shards.
    pub(crate) fn within(&self, repositories: u64, limit: f64) -> Outcome {
        within(self.set_aside(), repositories, limit)
    }

    /// Every repository that a stage could not work on.
    pub(crate) fn set_aside(&self) -> impl Iterator<Item = &SetAside> {
        self.0.iter().flat_map(|shard| {
            let synth = shard.synth.iter().flat_map(|synth| &synth.facts.set_aside);
            let refine = shard.refine.iter().flat_map(|refine| &refine.facts.set_aside);
            shard.graph.facts.set_aside.iter().chain(synth).chain(refine)
        })
    }

    /// Directory and digest of the last stage that made trajectories, of each shard.
    pub(crate) fn trajectories(&self) -> Vec<(PathBuf, Sha256)> {
        let last = |shard: &Shard| match (&shard.refine, &shard.synth) {
            (Some(refine), _) => Some((refine.directory.clone(), refine.digest())),
            (None, Some(synth)) => Some((synth.directory.clone(), synth.digest())),
            (None, None) => None,
        };
        self.0.iter().filter_map(last).collect()
    }

    /// Directory of the graph stage of each shard, and the digest of the held-out files in it.
    pub(crate) fn held_out(&self) -> Vec<(PathBuf, Sha256)> {
        let of = |shard: &Shard| (shard.graph.directory.clone(), shard.graph.outputs[graph::HELD_OUT].sha256);
        self.0.iter().map(of).collect()
    }

    /// The training documents of all shards.
    pub(crate) fn figures(&self) -> TrajectoryFigures {
        let mut figures = TrajectoryFigures::default();
        for shard in &self.0 {
            match (&shard.refine, &shard.synth) {
                (Some(refine), _) => figures.add(&refine.facts.figures),
                (None, Some(synth)) => figures.add(&synth.facts.figures),
                (None, None) => {}
            }
        }
        figures
    }

    /// The graphs of all shards.
    pub(crate) fn graphs(&self) -> GraphFacts {
        let mut facts = GraphFacts::default();
        self.0.iter().for_each(|shard| facts.add(&shard.graph.facts));
        facts
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shard> {
        self.0.iter()
    }
}
