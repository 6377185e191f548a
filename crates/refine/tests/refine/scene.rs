//! A small repository, simulated, and scripted models to refine it with.

use std::cell::{Cell, RefCell};

use recon_agents::{AgentOptions, simulate};
use recon_graph::{Repository, build};
use recon_lm::fake::TableModel;
use recon_lm::{Branch, GenJob, Generation, Generator, Limits, RandomKey, Result, ScoreJob, Scored, Scorer};
use recon_refine::{Models, Proposer, RefineOptions, Refined, refine};
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{Body, Search, Step, Trajectory};
use recon_text::{Renderer, Rendering, Tokenizer, fake};

pub(crate) const LIMITS: Limits = Limits { context_tokens: 1 << 16, vocabulary: 1024 };

/// What the tests refine: three files, one building on both others.
pub(crate) struct Scene {
    pub(crate) repository: Repository,
    pub(crate) graph: RepoGraph,
    pub(crate) trajectory: Trajectory,
    pub(crate) tokenizer: Tokenizer,
}

pub(crate) fn scene() -> Scene {
    let files = [
        (
            "cart.py",
            "from price import total\n\ndef pay(cart):\n    if not cart:\n        raise ValueError('nothing')\n    return total(cart)\n",
        ),
        (
            "price.py",
            "RATE = 3\n\ndef total(items):\n    kept = [item for item in items if item.kept]\n    return sum(kept) * RATE\n",
        ),
        ("app.py", "from cart import pay\nfrom price import RATE\n\ndef main(argv):\n    print(pay(argv[1:]), RATE)\n"),
    ];
    let repository = Repository::from_files("shop", files);
    let graph = build(&repository);
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let options = AgentOptions { context_tokens: 1 << 15, ..AgentOptions::default() };
    let trajectory = simulate(&repository, &graph, &options, &renderer, None).unwrap().remove(0);
    Scene { repository, graph, trajectory, tokenizer }
}

impl Scene {
    pub(crate) fn refine(&self, model: &TableModel, options: &RefineOptions) -> Refined {
        self.refine_with(model, model, options)
    }

    pub(crate) fn refine_with(
        &self,
        scorer: &dyn Scorer,
        generator: &dyn Generator,
        options: &RefineOptions,
    ) -> Refined {
        let renderer = Renderer::new(&self.tokenizer, Rendering::Chat);
        let models = Models { scorer, generator: Some(generator), renderer: &renderer, model: None };
        let refined = refine(self.trajectory.clone(), &self.graph, &models, options, &mut |_| {}).unwrap();
        refined.report.verify().unwrap();
        refined
    }

    /// A model whose likelihood is a function of the text before a token.
    pub(crate) fn model(
        &self,
        nats: impl Fn(&str, u32) -> f64 + Send + Sync + 'static,
        write: impl Fn(&RandomKey) -> String + Send + Sync + 'static,
    ) -> TableModel {
        let tokenizer = fake::tokenizer();
        let logprob = move |before: &[u32], id: u32| -nats(&tokenizer.decode(before), id) as f32;
        TableModel::new(LIMITS, logprob, move |_, _, key| write(key))
    }
}

/// The model alone proposes, and each document is scored only where the search asks.
pub(crate) fn by_model() -> RefineOptions {
    RefineOptions { authors: vec![Proposer::Model], rescore: false, ..RefineOptions::default() }
}

pub(crate) fn thoughts(trajectory: &Trajectory) -> Vec<(&Step, &str, Option<&Search>)> {
    trajectory.steps.iter().filter_map(thought).collect()
}

fn thought(step: &Step) -> Option<(&Step, &str, Option<&Search>)> {
    match &step.body {
        Body::Think { text, search, .. } => Some((step, text, search.as_deref())),
        _ => None,
    }
}

pub(crate) fn searches(trajectory: &Trajectory) -> Vec<&Search> {
    thoughts(trajectory).into_iter().filter_map(|(_, _, search)| search).collect()
}

/// Passes everything on, one job at a time and the last one first, and counts the calls.
pub(crate) struct OneByOne<'a> {
    pub(crate) model: &'a TableModel,
    pub(crate) score_calls: RefCell<Vec<usize>>,
    pub(crate) generate_calls: Cell<usize>,
}

impl<'a> OneByOne<'a> {
    pub(crate) fn new(model: &'a TableModel) -> Self {
        Self { model, score_calls: RefCell::default(), generate_calls: Cell::default() }
    }
}

impl Scorer for OneByOne<'_> {
    fn limits(&self) -> Limits {
        self.model.limits()
    }

    fn extend(&self, at: Option<&Branch>, ids: &[u32]) -> Result<Branch> {
        self.model.extend(at, ids)
    }

    fn score(&self, jobs: &[ScoreJob<'_>]) -> Vec<Result<Scored>> {
        self.score_calls.borrow_mut().push(jobs.len());
        let mut results: Vec<_> = jobs.iter().rev().flat_map(|job| self.model.score(&[*job])).collect();
        results.reverse();
        results
    }
}

impl Generator for OneByOne<'_> {
    fn generate(&self, jobs: &[GenJob<'_>]) -> Vec<Result<Generation>> {
        self.generate_calls.set(self.generate_calls.get() + 1);
        let mut results: Vec<_> =
            jobs.iter().rev().flat_map(|job| self.model.generate(std::slice::from_ref(job))).collect();
        results.reverse();
        results
    }
}
