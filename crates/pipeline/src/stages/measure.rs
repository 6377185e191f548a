//! `before` and `after`: likelihood of the held-out files under a model.

use std::path::{Path, PathBuf};

use recon_engine::{Engine, EngineOptions};
use recon_eval::{HeldOutFile, held_out};
use recon_schema::Sha256;
use recon_schema::file::{JsonLines, each_json_line};
use recon_text::{Renderer, Rendering};
use serde::{Deserialize, Serialize};

use super::Cost;
use super::graph::{HELD_OUT, HeldOutRecord};
use crate::failure::{Failure, Outcome};
use crate::observe::Observe;
use crate::stage::{Finished, Key, Stage};

/// File of the figures of each file, one a line.
pub(crate) const FILES: &str = "files.jsonl.zst";
/// Files in memory at once.
const BATCH: usize = 256;

#[derive(Serialize)]
struct Plan<'a> {
    engine: &'a EngineOptions,
    rendering: Rendering,
}

/// Likelihood of the held-out files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MeasureFacts {
    /// How many files.
    pub files: u64,
    /// Sum of −log p over their content, nats.
    pub nats: f64,
    /// Tokens of content.
    pub tokens: u64,
    /// Bytes they stand for.
    pub bytes: u64,
    /// What it cost.
    pub cost: Cost,
}

/// A model that is measured.
pub(crate) struct Measure<'a> {
    /// Name of the stage and of its directory.
    pub(crate) name: &'a str,
    pub(crate) model_sha256: Sha256,
    pub(crate) options: &'a EngineOptions,
    pub(crate) rendering: Rendering,
    pub(crate) observe: &'a dyn Observe,
}

impl Measure<'_> {
    /// Measures the model on the held-out files of `shards` (directory and digest of each graph stage).
    pub(crate) fn run<'e>(
        &self,
        root: &Path,
        shards: &[(PathBuf, Sha256)],
        engine: impl FnOnce() -> Outcome<&'e Engine>,
    ) -> Outcome<Finished<MeasureFacts>> {
        let digests: Vec<String> = shards.iter().map(|(_, digest)| digest.to_string()).collect();
        let key = Key::new(self.name, &["eval", "engine"], &Plan { engine: self.options, rendering: self.rendering })
            .input("held_out", Sha256::of_fields(digests.iter().map(String::as_bytes)))
            .input("model", self.model_sha256);
        Stage::new(root, key).run_with(
            |_| engine(),
            |directory, engine| {
                self.observe.begin(self.name, 0);
                let renderer = Renderer::new(engine.tokenizer(), self.rendering);
                let mut lines = JsonLines::create(&directory.join(FILES))?;
                let mut facts = MeasureFacts::default();
                let caller = engine.caller();
                let (measured, cost) = Cost::of(Some(&caller), || -> Outcome {
                    for (graph, _) in shards {
                        let mut files = each_json_line::<HeldOutRecord>(&graph.join(HELD_OUT), "held-out")?;
                        loop {
                            let batch: Result<Vec<HeldOutRecord>, _> = files.by_ref().take(BATCH).collect();
                            let batch: Vec<HeldOutFile> = batch?.into_iter().map(HeldOutFile::from).collect();
                            if batch.is_empty() {
                                break;
                            }
                            let report = held_out(&caller, &renderer, &batch).map_err(Failure::run)?;
                            facts.files += report.files.len() as u64;
                            facts.nats += report.nats;
                            facts.tokens += report.tokens;
                            facts.bytes += report.bytes;
                            report.files.iter().try_for_each(|file| lines.push(file))?;
                        }
                    }
                    Ok(())
                });
                measured?;
                lines.finish()?;
                facts.cost = cost;
                Ok(facts)
            },
        )
    }
}
