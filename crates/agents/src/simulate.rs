//! The main loop: opening, requirements, plan, then one sub-agent after another, cut into parts.

use recon_repository::Repository;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::{
    Agent, Arm, Continuation, Decided, SCHEMA, Subject, Summary, Trajectory, trajectory_id,
};
use recon_text::Renderer;
use recon_thought::Writer;
use recon_thought::outline::Project;

use crate::document::Document;
use crate::episode::{Agents, Episode};
use crate::first::{FirstWriter, ModelWriter};
use crate::reads::Shelf;
use crate::{AgentOptions, Error, Result, steps};

/// The same graph with only the first `max_files` files in the order of development. The others
/// still exist: they are named where what is developed builds on them, and not written.
pub fn select(graph: &RepoGraph, max_files: Option<usize>) -> RepoGraph {
    let mut selected = graph.clone();
    selected.order.truncate(max_files.unwrap_or(usize::MAX));
    selected
}

/// Simulates the development of `repository`; one trajectory for each part, in order.
///
/// `model` is needed where the options [ask a model](AgentOptions::asks_model). A thought that it
/// fails to write is written from the outline, and its author says so.
///
/// # Errors
/// Where nothing can be simulated; see [`Error`].
pub fn simulate(
    repository: &Repository,
    graph: &RepoGraph,
    options: &AgentOptions,
    renderer: &Renderer<'_>,
    model: Option<ModelWriter<'_>>,
) -> Result<Vec<Trajectory>> {
    let graph = select(graph, options.max_files);
    if graph.order.is_empty() {
        return Err(Error::NoFiles { repository: graph.repository.name });
    }
    let model = model.filter(|_| options.asks_model());
    if options.asks_model() && model.is_none() {
        return Err(Error::NoModel);
    }
    let project = Project::new(&graph);
    let writer = Writer {
        project: &project,
        renderer,
        seed: options.seed,
        budget: options.budget(),
        temperature: options.temperature,
        top_p: options.top_p,
    };
    let first = FirstWriter { writer, model: model.clone().filter(|_| options.model_thinks()) };
    Simulation { agents: Agents { repository, graph: &graph, project: &project, options, renderer, first, model } }
        .run()
}

struct Simulation<'a> {
    agents: Agents<'a>,
}

impl<'a> Simulation<'a> {
    fn run(&self) -> Result<Vec<Trajectory>> {
        let agents = &self.agents;
        let mut document = Document::new(agents.renderer);
        document.push(steps::opening(agents.project, agents.options.context_tokens));
        let tokens = document.tokens;
        if tokens * 2 > agents.options.context_tokens {
            let (repository, context_tokens) = (agents.graph.repository.name.clone(), agents.options.context_tokens);
            return Err(Error::OpeningTooLong { repository, tokens, context_tokens });
        }
        let decided = agents.options.has_agents().then(|| self.decide(&mut document));
        let mut shelf = Shelf::new(agents.repository, agents.options, agents.renderer);
        let (mut parts, mut written) = (Vec::new(), Vec::new());
        for path in &agents.graph.order {
            let file = agents.repository.content(path).ok_or_else(|| Error::ForeignGraph {
                repository: agents.graph.repository.name.clone(),
                path: path.clone(),
            })?;
            let tokenizer = agents.renderer.tokenizer();
            if let Some(character) = tokenizer.unencodable(&file.text).or_else(|| tokenizer.unencodable(path)) {
                tracing::warn!(%path, ?character, "the file is left out: the model has no token for a character of it");
                document.unencodable.insert(path.clone(), character);
                continue;
            }
            let mut episode = Episode { path, reads: agents.reading(path, &shelf), drafts: agents.drafts(path), file };
            if !agents.fits(&document, &episode) && document.files > 0 {
                let next = self.continued(decided.as_ref(), &written);
                if agents.fits(&next, &episode) || agents.fits(&next, &episode.clone().at_least()) {
                    parts.push(std::mem::replace(&mut document, next));
                }
            }
            if !agents.fits(&document, &episode) {
                episode = episode.at_least();
            }
            if agents.fits(&document, &episode) {
                agents.play(&mut document, episode, &shelf);
                written.push(path.as_str());
                if agents.options.has_agents() {
                    shelf.add(path);
                }
            } else {
                let tokens = agents.tokens(&episode.file.text);
                tracing::warn!(%path, tokens, context_tokens = agents.options.context_tokens, "the file is left out");
                document.left_out.insert(path.clone(), tokens as u64);
            }
        }
        if agents.options.has_agents() {
            document.push(steps::done(Agent::Main));
        }
        parts.push(document);
        Ok(parts.into_iter().enumerate().map(|(part, document)| self.trajectory(part, document)).collect())
    }

    /// Requirements and plan.
    fn decide(&self, document: &mut Document<'_>) -> Decided {
        let agents = &self.agents;
        let requirements = agents.think(document, Subject::Requirements);
        Decided { requirements, plan: agents.think(document, Subject::Plan) }
    }

    /// A later part: the same opening, then what was decided and what exists, untrained.
    fn continued(&self, decided: Option<&Decided>, written: &[&str]) -> Document<'a> {
        let agents = &self.agents;
        let named = self.newest_named(written);
        let continuation =
            Continuation { decided: decided.cloned(), earlier: (written.len() - named.len()) as u64, written: named };
        let mut document = Document::new(agents.renderer);
        document.push(steps::opening(agents.project, agents.options.context_tokens));
        document.push(steps::continuation(continuation));
        if let Some(Decided { requirements, plan }) = decided {
            agents.reserve(&mut document, requirements, &Subject::Requirements);
            agents.reserve(&mut document, plan, &Subject::Plan);
        }
        document
    }

    /// The files written, newest first, so that a list too long for its room loses the oldest.
    fn newest_named(&self, written: &[&str]) -> Vec<String> {
        let agents = &self.agents;
        let newest: Vec<String> = written.iter().rev().map(|path| (*path).to_owned()).collect();
        let room = agents.options.context_tokens / 8;
        let fits = |named: usize| agents.tokens(&newest[..named].join("\n")) <= room;
        let (mut most, mut too_many) = (0, newest.len() + 1);
        while most + 1 < too_many {
            let middle = most.midpoint(too_many);
            if fits(middle) { most = middle } else { too_many = middle }
        }
        newest[..most].to_vec()
    }

    fn trajectory(&self, part: usize, document: Document<'_>) -> Trajectory {
        let agents = &self.agents;
        // A search comes later and names its arm.
        let arm = if agents.options.has_agents() { Arm::Agent } else { agents.options.arm };
        let repository = agents.graph.repository.clone();
        let part = u32::try_from(part).expect("a repository has fewer files than that, and no part is without one");
        let Document { left_out, unencodable, first_refused, .. } = document;
        let mut summary = Summary { left_out, unencodable, first_refused, ..Summary::default() };
        summary.recount(&document.steps);
        Trajectory {
            schema: SCHEMA.into(),
            id: trajectory_id(&repository, arm, part),
            repository,
            arm,
            part,
            model: agents.model.as_ref().map(|asked| asked.model.clone()),
            seed: agents.options.seed,
            steps: document.steps,
            summary,
        }
    }
}
