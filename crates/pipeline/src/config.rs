//! The configuration of a run: what is done, with which settings.
//!
//! Every section belongs to the crate that reads it; what is here is only what binds them. Where it
//! is read from is the program's business.

use std::path::PathBuf;

use recon_agents::AgentOptions;
use recon_corpus::CorpusOptions;
use recon_engine::EngineOptions;
use recon_pack::PackOptions;
use recon_refine::RefineOptions;
use recon_repository::{CleanOptions, ReadOptions, SourceOptions};
use recon_text::Rendering;
use recon_train::{ModelOverrides, TrainOptions};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
pub use crate::holdout::HoldoutOptions;

/// A whole run: from a repository to an exported checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The repository: a directory, `DIR@REVISION` (a commit of the git repository there), a bare
    /// git repository, or an archive (tar, tar.gz, tar.zst, zip); the git root of the current
    /// folder if absent.
    pub repository: Option<PathBuf>,
    /// Where results go. For one repository a folder named after it is made in it; a corpus has it for itself.
    pub out: Option<PathBuf>,
    /// Packed rows to train on, for `recon-train`; `recon run` makes its own.
    pub data: Option<PathBuf>,
    /// How a trajectory becomes text.
    pub rendering: Rendering,
    /// The model.
    pub model: ModelConfig,
    /// What is kept out of training, to be measured.
    pub holdout: HoldoutOptions,
    /// Reading the repository.
    pub read: ReadOptions,
    /// What an archive or a git tree may cost to read.
    pub source: SourceOptions,
    /// What is dropped from the repository, and what is replaced in it.
    pub clean: CleanOptions,
    /// A set of many repositories, for `--corpus`.
    pub corpus: CorpusOptions,
    /// The engine that generates and scores.
    pub engine: EngineOptions,
    /// Main agent and sub-agents.
    pub agents: AgentOptions,
    /// The search over thoughts; read when `agents.arm = "search"`.
    pub refine: RefineOptions,
    /// Packing.
    pub pack: PackOptions,
    /// Training.
    pub train: TrainOptions,
}

/// The one model that writes, scores and is trained.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// A directory in Hugging Face layout, a hub id, or `nano`.
    pub name: String,
    /// Keys of `config.json`: of fresh weights (`train.init = "random"`) instead of the model's own, and to plan with
    /// where the model is not at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<serde_json::Map<String, serde_json::Value>>,
    /// Base of the rotary frequencies, instead of the model's own; goes into the exported config.
    pub rope_theta: Option<f64>,
    /// Longest context, instead of the model's own; goes into the exported config.
    pub max_position_embeddings: Option<usize>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: "nano".into(), shape: None, rope_theta: None, max_position_embeddings: None }
    }
}

impl ModelConfig {
    /// What the trainer replaces in the model's configuration.
    pub fn overrides(&self) -> ModelOverrides {
        let Self { shape, rope_theta, max_position_embeddings, .. } = self;
        ModelOverrides {
            shape: shape.clone(),
            rope_theta: *rope_theta,
            max_position_embeddings: *max_position_embeddings,
        }
    }
}

impl Config {
    /// Refuses what cannot be meant, before any work: it would be found out in the last stages.
    ///
    /// # Errors
    /// The first option that has no meaning.
    pub fn validate(&self) -> Outcome {
        self.corpus.validate()?;
        self.holdout.validate()?;
        self.train.validate()?;
        self.pack.validate().map_err(Failure::input)
    }
}
