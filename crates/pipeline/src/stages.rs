//! What each stage of `recon run` does in its directory, and the facts it leaves.

use std::ops::ControlFlow;

use candle_core::DType;
use recon_agents::{ModelWriter, prompts_sha256, simulate};
use recon_checkpoint::ModelFiles;
use recon_engine::Engine;
use recon_pack::{PackDocument, pack};
use recon_refine::Report;
use recon_schema::Sha256;
use recon_schema::file::{read_json_lines, write_bytes, write_json, write_json_lines};
use recon_schema::manifest::FILE_NAME;
use recon_schema::trajectory::{Body, SCHEMA, Trajectory};
use recon_train::{Observer, StepMetrics, TrainPlan};
use serde_json::{Value, json};

use super::{Run, Stages};
use crate::commands::export::{newest, train_fault};
use crate::commands::model;
use crate::failure::{Failure, Outcome};
use crate::progress::Progress;
use crate::stage::{Finished, Stage};
use crate::summary::{GraphFigures, HeldOut, Summary, Training, TrajectoryFigures};

/// File of the trajectories in the stages that make them.
pub(super) const TRAJECTORIES: &str = "trajectories.jsonl.zst";

impl Run<'_> {
    fn stage(&self, name: &str, plan: &Value, inputs: &[(&str, Sha256)]) -> Stage {
        Stage::new(&self.root, name, plan, inputs)
    }

    /// The engine over the model before training.
    fn engine(&mut self) -> Outcome<&Engine> {
        if self.engine.is_none() {
            let engine = model::open(&self.files, &self.config.engine)?;
            self.engine = Some(engine.named(&self.config.model.name));
        }
        Ok(self.engine.as_ref().expect("opened just now"))
    }

    /// The graph of everything read, held-out files included.
    pub(super) fn graph(&self) -> Outcome<Finished> {
        let whole = &self.prepared.whole;
        let plan = json!({ "read": self.config.read, "source": self.config.source, "clean": self.config.clean });
        let stage = self.stage("graph", &plan, &[("repository", self.prepared.sha256)]);
        stage.run(|directory| {
            write_json(&directory.join("graph.json"), whole)?;
            write_json(&directory.join("cleaning.json"), &self.prepared.cleaned)?;
            write_bytes(&directory.join("graph.dot"), recon_graph::output::dot(whole).as_bytes())?;
            let skipped = whole.files.iter().filter(|node| node.skipped.is_some()).count();
            Ok(GraphFigures {
                files: whole.order.len() as u64,
                skipped: skipped as u64,
                dropped: self.prepared.cleaned.dropped.len() as u64,
                redacted: self.prepared.cleaned.redacted.iter().map(|file| file.spans).sum(),
                edges: whole.edges.len() as u64,
                unresolved: whole.unresolved.len() as u64,
                cycles: whole.cycles.len() as u64,
            })
        })
    }

    /// The unrefined trajectories of what is trained on.
    pub(super) fn synth(&mut self) -> Outcome<Finished> {
        let plan = json!({
            "agents": self.config.agents, "holdout": self.config.holdout, "rendering": self.config.rendering,
        });
        let inputs =
            [("repository", self.prepared.sha256), ("model", self.model_sha256), ("prompts", prompts_sha256())];
        let stage = self.stage("synth", &plan, &inputs);
        if let Some(finished) = stage.completed()? {
            return Ok(finished);
        }
        self.progress.begin("synth", 0);
        let needs_model = self.config.agents.first_author == recon_agents::FirstAuthor::Model;
        let before = if needs_model { self.engine()?.stats().generated_tokens } else { 0 };
        let engine = if needs_model { self.engine.as_ref() } else { None };
        let writer =
            engine.map(|engine| ModelWriter { generator: engine, scorer: engine, model: engine.model_ref().clone() });
        let renderer = self.renderer();
        let finished = stage.run(|directory| {
            let Run { prepared, config, .. } = &*self;
            let trajectories = simulate(&prepared.repository, &prepared.graph, &config.agents, &renderer, writer)
                .map_err(Failure::input)?;
            write_json_lines(&directory.join(TRAJECTORIES), &trajectories)?;
            Ok(trajectory_facts(&trajectories, &renderer))
        })?;
        self.generated_tokens += engine.map_or(0, |engine| engine.stats().generated_tokens - before);
        Ok(finished)
    }

    /// The trajectories after the search over thoughts.
    pub(super) fn refine(&mut self, synth: &Finished) -> Outcome<Finished> {
        let plan = json!({ "refine": self.config.refine, "rendering": self.config.rendering });
        let inputs = [
            ("trajectories", synth.digest()),
            ("model", self.model_sha256),
            ("prompts", recon_refine::prompts_sha256()),
        ];
        let stage = self.stage("refine", &plan, &inputs);
        if let Some(finished) = stage.completed()? {
            return Ok(finished);
        }
        let trajectories: Vec<Trajectory> = read_json_lines(&synth.directory.join(TRAJECTORIES), SCHEMA)?;
        self.engine()?;
        let engine = self.engine.as_ref().expect("opened just now");
        let start = engine.stats();
        let renderer = self.renderer();
        let graph = recon_agents::select(&self.prepared.graph, self.config.agents.max_files);
        let finished = stage.keep_leftovers().run(|directory| {
            let parts = directory.join("parts");
            let (config, progress) = (self.config, self.progress);
            let refined = super::search::search(&trajectories, &graph, engine, &renderer, config, progress, &parts)?;
            write_json_lines(&directory.join(TRAJECTORIES), &refined.trajectories)?;
            write_json(&directory.join("report.json"), &refined.report)?;
            std::fs::remove_dir_all(&parts).map_err(Failure::of_file("failed to remove", &parts))?;
            let mut facts = trajectory_facts(&refined.trajectories, &renderer);
            let stats = engine.stats();
            facts["likelihood"] = json!(refined.report);
            facts["generated_tokens"] = json!(stats.generated_tokens - start.generated_tokens);
            facts["tokens_worked"] = json!(stats.fresh_tokens - start.fresh_tokens);
            Ok(facts)
        })?;
        self.generated_tokens += engine.stats().generated_tokens - start.generated_tokens;
        Ok(finished)
    }

    /// Rows to train on.
    pub(super) fn pack(&self, trajectories: &Finished) -> Outcome<Finished> {
        let plan = json!({ "pack": self.config.pack, "rendering": self.config.rendering });
        let inputs = [("trajectories", trajectories.digest()), ("tokenizer", self.tokenizer.sha256())];
        self.stage("pack", &plan, &inputs).run(|directory| {
            let records: Vec<Trajectory> = read_json_lines(&trajectories.directory.join(TRAJECTORIES), SCHEMA)?;
            let renderer = self.renderer();
            let documents = records.iter().map(|record| PackDocument::from_trajectory(&renderer, record));
            let report = pack(documents, &self.config.pack, &directory.join("rows")).map_err(Failure::run)?;
            let mut facts = json!(report);
            facts["tokens_worked"] = json!(report.tokens);
            Ok(facts)
        })
    }

    /// Likelihood of the held-out files under a model; `of` is the stage that made it.
    pub(super) fn measure(&mut self, name: &str, files: &ModelFiles, of: Option<&Finished>) -> Outcome<Finished> {
        let plan = json!({
            "holdout": self.config.holdout, "rendering": self.config.rendering, "engine": self.config.engine,
        });
        let digest = of.map_or(self.model_sha256, Finished::digest);
        let stage = self.stage(name, &plan, &[("repository", self.prepared.sha256), ("model", digest)]);
        if let Some(finished) = stage.completed()? {
            return Ok(finished);
        }
        self.progress.begin(name, 0);
        let trained = of.map(|_| model::open(files, &self.config.engine)).transpose()?;
        if trained.is_none() {
            self.engine()?;
        }
        let engine = trained.as_ref().or(self.engine.as_ref()).expect("one of the two was opened");
        stage.run(|directory| {
            let start = engine.stats().fresh_tokens;
            let report =
                recon_eval::held_out(engine, &self.renderer(), &self.prepared.held_out).map_err(Failure::run)?;
            write_json(&directory.join("report.json"), &report)?;
            let (nats, tokens, bytes) = (report.nats, report.tokens, report.bytes);
            let worked = engine.stats().fresh_tokens - start;
            Ok(json!({ "nats": nats, "tokens": tokens, "bytes": bytes, "tokens_worked": worked }))
        })
    }

    /// Continued pretraining on the rows.
    pub(super) fn train(&self, pack: &Finished) -> Outcome<Finished> {
        let plan = json!({ "train": self.config.train, "model": self.config.model });
        let inputs = [("rows", pack.digest()), ("model", self.model_sha256)];
        self.stage("train", &plan, &inputs).keep_leftovers().run(|directory| {
            let plan = TrainPlan {
                model: self.files.clone(),
                overrides: self.config.model.overrides(),
                data: pack.directory.join("rows"),
                out: directory.into(),
                options: self.config.train.clone(),
                resume: true,
            };
            let report = recon_train::run(&plan, &mut Watch(self.progress)).map_err(train_fault)?;
            // From the metrics on disk: a resumed run has all of them.
            let metrics: Vec<StepMetrics> = read_json_lines(&directory.join("metrics.jsonl"), "metrics")?;
            Ok(json!({
                "steps": report.steps,
                "tokens_worked": metrics.last().map(|step| step.tokens),
                "first_loss_nats": metrics.first().map(|step| step.loss_nats),
                "last_loss_nats": metrics.last().map(|step| step.loss_nats),
            }))
        })
    }

    /// The checkpoint in Hugging Face layout.
    pub(super) fn export(&self, train: &Finished) -> Outcome<Finished> {
        self.stage("export", &json!({ "dtype": "f32" }), &[("train", train.digest())]).run(|directory| {
            let checkpoint = newest(&train.directory)?;
            recon_train::export(&checkpoint, &directory.join("model"), DType::F32).map_err(train_fault)?;
            Ok(json!({}))
        })
    }

    /// Everything the stages left, as one object.
    pub(super) fn summary(&self, stages: &Stages) -> Outcome<Summary> {
        let trajectories = stages.refined.as_ref().unwrap_or(&stages.synth);
        let facts = &trajectories.manifest.facts;
        let held_out = (!self.prepared.held_out.is_empty()).then(|| HeldOut {
            paths: self.prepared.held_out.iter().map(|file| file.path.clone()).collect(),
            tokens: stages.after.number("/tokens").unwrap_or_default() as u64,
            bytes: stages.after.number("/bytes").unwrap_or_default() as u64,
            before_nats: stages.before.number("/nats").unwrap_or_default(),
            after_nats: stages.after.number("/nats").unwrap_or_default(),
        });
        let likelihood: Option<Report> = facts.get("likelihood").map(parse).transpose()?;
        let mut trajectory: TrajectoryFigures = parse(&facts["figures"])?;
        trajectory.trained_tokens = stages.pack.number("/trained_tokens").unwrap_or_default() as u64;
        Ok(Summary {
            repository: self.prepared.whole.repository.clone(),
            model: recon_schema::trajectory::ModelRef {
                name: self.config.model.name.clone(),
                sha256: self.model_sha256,
            },
            arm: self.config.agents.arm,
            graph: parse(&stages.graph.manifest.facts)?,
            trajectory,
            likelihood,
            training: Training {
                steps: stages.train.number("/steps").unwrap_or_default() as u64,
                tokens: stages.train.number("/tokens_worked").unwrap_or_default() as u64,
                first_loss_nats: stages.train.number("/first_loss_nats").unwrap_or_default(),
                last_loss_nats: stages.train.number("/last_loss_nats").unwrap_or_default(),
            },
            held_out,
            generated_tokens: self.generated_tokens,
            stages: stages.figures(),
            out: self.root.display().to_string(),
        })
    }

    /// Writes the summary and the resolved configuration, unless every stage was reused.
    pub(super) fn save(&self, summary: &Summary) -> Outcome {
        let path = self.root.join("summary.json");
        if summary.stages.iter().all(|stage| stage.reused) && path.exists() {
            return Ok(());
        }
        let plan = toml::to_string(self.config).map_err(Failure::run)?;
        write_bytes(&self.root.join("config.toml"), plan.as_bytes())?;
        write_json(&path, summary)?;
        Ok(())
    }
}

/// Facts are read back as they were written; a manifest somebody edited is refused.
fn parse<T: serde::de::DeserializeOwned>(facts: &Value) -> Outcome<T> {
    serde_json::from_value(facts.clone()).map_err(|error| {
        Failure::run(anyhow::Error::new(error).context(format!("{FILE_NAME} holds facts of another version")))
    })
}

fn trajectory_facts(trajectories: &[Trajectory], renderer: &recon_text::Renderer<'_>) -> Value {
    let mut figures = TrajectoryFigures { documents: trajectories.len() as u64, ..TrajectoryFigures::default() };
    for trajectory in trajectories {
        let document = renderer.document(trajectory);
        figures.tokens += document.ids.len() as u64;
        figures.trained_tokens += document.mask.iter().map(|bit| u64::from(*bit)).sum::<u64>();
        figures.steps += trajectory.steps.len() as u64;
        figures.left_out += trajectory.summary.left_out.len() as u64;
        for step in &trajectory.steps {
            *figures.steps_by_author.entry(step.author).or_default() += 1;
            figures.files += u64::from(matches!(step.body, Body::Action { content: Some(_), .. }));
        }
    }
    json!({ "figures": figures, "tokens_worked": figures.tokens })
}

/// Draws the bar of the training.
struct Watch<'a>(&'a Progress);

impl Observer for Watch<'_> {
    fn start(&mut self, steps: u64, _done: u64) {
        self.0.begin("train", steps);
    }

    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.0.advance(format!("loss {:.4}", metrics.loss_nats));
        ControlFlow::Continue(())
    }
}
