//! `recon run`: every stage in order, each in its directory, each reused while its manifest holds.
//!
//! `OUT/NAME/{graph,synth,refine,pack,before,train,export,after}` and `summary.json`, NAME the
//! repository's. The held-out files are measured under the model before and after training.

mod search;
mod stages;

use std::path::PathBuf;

use recon_checkpoint::ModelFiles;
use recon_engine::Engine;
use recon_schema::Sha256;
use recon_schema::trajectory::Arm;
use recon_text::{Renderer, Tokenizer};

use crate::commands::export::train_fault;
use crate::commands::model;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::lock::Lock;
use crate::progress::Progress;
use crate::repository::{Prepared, prepare};
use crate::stage::Finished;
use crate::summary::{StageFigures, Summary};

/// One run: what every stage needs.
struct Run<'a> {
    config: &'a Config,
    prepared: Prepared,
    files: ModelFiles,
    /// Over every file of the model.
    model_sha256: Sha256,
    tokenizer: Tokenizer,
    root: PathBuf,
    _lock: Lock,
    progress: &'a Progress,
    /// Opened by the first stage that needs it: a run that reuses everything opens no model.
    engine: Option<Engine>,
    generated_tokens: u64,
}

/// Runs every stage.
pub fn run(config: &Config, progress: &Progress) -> Outcome<Summary> {
    Run::new(config, progress)?.all()
}

/// The last stage of a shortened run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Unrefined trajectories.
    Synth,
    /// Trajectories after the search.
    Refine,
    /// Rows.
    Pack,
}

/// Runs the stages up to and including `last`; gives the directory and facts of that stage.
pub fn run_until(config: &Config, progress: &Progress, last: Until) -> Outcome<Finished> {
    let mut run = Run::new(config, progress)?;
    run.graph()?;
    let synth = run.synth()?;
    if last == Until::Synth {
        return Ok(synth);
    }
    let searches = config.agents.arm == Arm::Search;
    if last == Until::Refine && !searches {
        return Err(Failure::input_because(format!("the `{}` arm has no search", config.agents.arm))
            .hint("set `agents.arm = \"search\"`"));
    }
    let trajectories = if searches { run.refine(&synth)? } else { synth };
    if last == Until::Refine { Ok(trajectories) } else { run.pack(&trajectories) }
}

impl<'a> Run<'a> {
    fn new(config: &'a Config, progress: &'a Progress) -> Outcome<Self> {
        // Before any work: these would be found out in the last stages.
        config.train.validate().map_err(train_fault)?;
        config.pack.validate().map_err(Failure::input)?;
        let prepared = prepare(config)?;
        if prepared.graph.order.is_empty() {
            return Err(Failure::input_because("no file is left to train on").hint("lower `holdout.files`"));
        }
        let files = model::files(&config.model.name)?;
        let model_sha256 = files.sha256().map_err(Failure::input)?;
        let tokenizer = model::tokenizer(&files)?;
        let out = config.out.clone().unwrap_or_else(|| "out".into());
        let root = out.join(folder_name(&prepared.whole.repository.name));
        let lock = Lock::take(&root)?;
        let (engine, generated_tokens) = (None, 0);
        Ok(Self {
            config,
            prepared,
            files,
            model_sha256,
            tokenizer,
            root,
            _lock: lock,
            progress,
            engine,
            generated_tokens,
        })
    }
}

/// A repository's name as the name of one folder: nothing in it may lead elsewhere.
fn folder_name(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    match name.trim_start_matches('.') {
        "" => "repository".into(),
        visible => visible.into(),
    }
}

impl Run<'_> {
    fn all(&mut self) -> Outcome<Summary> {
        let graph = self.graph()?;
        let synth = self.synth()?;
        let searches = self.config.agents.arm == Arm::Search;
        let refined = if searches { Some(self.refine(&synth)?) } else { None };
        let trajectories = refined.as_ref().unwrap_or(&synth);
        let pack = self.pack(trajectories)?;
        let before = self.measure("before", &self.files.clone(), None)?;
        let train = self.train(&pack)?;
        let export = self.export(&train)?;
        let after = self.measure("after", &ModelFiles::Directory(export.directory.join("model")), Some(&export))?;
        let summary = self.summary(&Stages { graph, synth, refined, pack, before, train, export, after })?;
        self.save(&summary)?;
        Ok(summary)
    }

    fn renderer(&self) -> Renderer<'_> {
        Renderer::new(&self.tokenizer, self.config.rendering)
    }
}

/// Every finished stage.
struct Stages {
    graph: Finished,
    synth: Finished,
    refined: Option<Finished>,
    pack: Finished,
    before: Finished,
    train: Finished,
    export: Finished,
    after: Finished,
}

impl Stages {
    fn in_order(&self) -> impl Iterator<Item = &Finished> {
        let Self { graph, synth, refined, pack, before, train, export, after } = self;
        [Some(graph), Some(synth), refined.as_ref(), Some(pack), Some(before), Some(train), Some(export), Some(after)]
            .into_iter()
            .flatten()
    }

    fn figures(&self) -> Vec<StageFigures> {
        let figures = |stage: &Finished| StageFigures {
            name: stage.manifest.stage.clone(),
            reused: stage.reused,
            seconds: stage.number("/seconds").unwrap_or_default(),
            tokens: stage.number("/tokens_worked").map(|tokens| tokens as u64),
        };
        self.in_order().map(figures).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::folder_name;

    #[test]
    fn a_repository_cannot_choose_another_folder() {
        assert_eq!(folder_name("recon"), "recon");
        assert_eq!(folder_name("../../etc"), "-..-etc");
        assert_eq!(folder_name(".."), "repository");
        assert_eq!(folder_name("a/b\\c\n"), "a-b-c-");
    }
}
