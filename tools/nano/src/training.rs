//! The two training runs, and the comparison of their first steps with the record.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use candle_core::DType;
use recon_checkpoint::ModelFiles;
use recon_text::Tokenizer;
use recon_text::train::train_bpe;
use recon_train::{ModelOverrides, Observer, PackedRows, RowSource as _, StepMetrics, TrainPlan};
use serde::{Deserialize, Serialize};

use crate::documents;
use crate::recipe::{self, Phase};
use crate::select::Corpus;

/// How far a loss may lie from the record on another processor. On one of the same kind the
/// losses are the same bit for bit.
const LOSS_TOLERANCE_NATS: f64 = 2e-3;

/// Losses of the first steps, and what they were computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FirstSteps {
    /// Digest over every text of the corpus.
    pub(crate) corpus_sha256: String,
    /// Digest of the tokenizer.
    pub(crate) tokenizer_sha256: String,
    /// Digest of the packed documents of the first phase.
    pub(crate) documents_sha256: String,
    /// Mean nats per trained token before each step.
    pub(crate) loss_nats: Vec<f64>,
}

impl FirstSteps {
    /// The record in the repository.
    pub(crate) fn recorded() -> anyhow::Result<Self> {
        serde_json::from_str(include_str!("../first_steps.json")).context("first_steps.json is malformed")
    }

    /// # Errors
    /// What differs, first input first.
    pub(crate) fn must_reproduce(&self, recorded: &Self) -> anyhow::Result<()> {
        ensure!(
            self.corpus_sha256 == recorded.corpus_sha256,
            "the fetched sources are not those of the record: {} is not {}",
            self.corpus_sha256,
            recorded.corpus_sha256
        );
        ensure!(self.tokenizer_sha256 == recorded.tokenizer_sha256, "the tokenizer differs from the record");
        ensure!(
            self.documents_sha256 == recorded.documents_sha256,
            "the documents differ from the record: graph, agents, renderer or packer changed; \
             if that is meant, write the record again with `--record tools/nano/first_steps.json`"
        );
        ensure!(!self.loss_nats.is_empty(), "no step was made");
        for (step, (found, expected)) in (1..).zip(self.loss_nats.iter().zip(&recorded.loss_nats)) {
            let off = (found - expected).abs();
            ensure!(off <= LOSS_TOLERANCE_NATS, "step {step}: {found} nats, the record has {expected}");
        }
        Ok(())
    }
}

/// Trains the tokenizer, packs the rows, and writes `work/model`: configuration and tokenizer.
pub(crate) fn prepare(work: &Path, corpus: &Corpus) -> anyhow::Result<Tokenizer> {
    let model = work.join("model");
    let texts = corpus.training.iter().flat_map(|project| project.files.values().cloned());
    train_bpe(texts, recipe::VOCABULARY_TOKENS).write(&model)?;
    let tokenizer = Tokenizer::from_dir(&model)?;
    let begin =
        tokenizer.special_id(recon_text::llama3::BEGIN_OF_TEXT).expect("the recipe's tokenizer is in Llama-3 form");
    let config = recipe::config(tokenizer.vocabulary(), begin);
    recon_schema::file::write_json(&model.join("config.json"), &config)?;
    let row_tokens = recipe::phases().map(|phase| phase.row_tokens);
    documents::pack_all(work, &corpus.training, &tokenizer, &row_tokens)?;
    Ok(tokenizer)
}

/// The first `steps` steps of the first phase, below `work/first-steps`.
pub(crate) fn first_steps(
    work: &Path,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    steps: u64,
) -> anyhow::Result<FirstSteps> {
    let [windows, _] = recipe::phases();
    let out = work.join("first-steps");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    let plan = plan(work, work.join("model"), &windows, out);
    let mut losses = Losses { steps, loss_nats: Vec::new() };
    recon_train::run(&plan, &mut losses)?;
    Ok(FirstSteps {
        corpus_sha256: corpus.sha256.to_string(),
        tokenizer_sha256: tokenizer.sha256().to_string(),
        documents_sha256: PackedRows::open_mix(plan.data.as_deref(), &plan.options)?.identity(),
        loss_nats: losses.loss_nats,
    })
}

/// Both phases; interrupted ones go on. Returns the last checkpoint.
pub(crate) fn train(work: &Path) -> anyhow::Result<PathBuf> {
    let [windows, long] = recipe::phases();
    let checkpoint = phase(work, work.join("model"), &windows)?;
    let between = work.join("between");
    if between.exists() {
        std::fs::remove_dir_all(&between)?;
    }
    recon_train::export(&checkpoint, &between, Some(DType::F32))?;
    phase(work, between, &long)
}

fn phase(work: &Path, model: PathBuf, phase: &Phase) -> anyhow::Result<PathBuf> {
    let plan = plan(work, model, phase, work.join("runs").join(phase.name));
    Ok(recon_train::run(&plan, &mut Log)?.checkpoint)
}

fn plan(work: &Path, model: PathBuf, phase: &Phase, out: PathBuf) -> TrainPlan {
    TrainPlan {
        model: ModelFiles::Directory(model),
        overrides: ModelOverrides::default(),
        data: Some(documents::directory(work, phase.row_tokens)),
        out,
        options: phase.options.clone(),
        resume: true,
    }
}

/// Says every 20 steps how it goes.
struct Log;

impl Observer for Log {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        if metrics.step.is_multiple_of(20) || metrics.step == 1 {
            let StepMetrics { step, loss_nats, grad_norm, lr, tokens_per_s, .. } = metrics;
            tracing::info!(step, loss_nats, grad_norm, lr, tokens_per_s);
        }
        ControlFlow::Continue(())
    }
}

/// Keeps the losses and stops.
struct Losses {
    steps: u64,
    loss_nats: Vec<f64>,
}

impl Observer for Losses {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        self.loss_nats.push(metrics.loss_nats);
        if metrics.step >= self.steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_reproduced_within_its_tolerance_and_by_its_inputs_only() {
        let recorded = FirstSteps::recorded().unwrap();
        assert_eq!(recorded.loss_nats.len(), 20);
        recorded.must_reproduce(&recorded).unwrap();
        let with = |change: fn(&mut FirstSteps)| {
            let mut found = recorded.clone();
            change(&mut found);
            found.must_reproduce(&recorded)
        };
        with(|found| found.loss_nats[19] += LOSS_TOLERANCE_NATS / 2.0).unwrap();
        let off = with(|found| found.loss_nats[19] += LOSS_TOLERANCE_NATS * 2.0).unwrap_err();
        assert!(off.to_string().starts_with("step 20:"), "{off}");
        assert!(with(|found| found.corpus_sha256.clear()).unwrap_err().to_string().contains("sources"));
        assert!(with(|found| found.documents_sha256.clear()).unwrap_err().to_string().contains("--record"));
        assert!(with(|found| found.loss_nats.clear()).is_err());
    }
}
