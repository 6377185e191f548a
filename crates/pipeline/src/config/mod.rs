//! The configuration of a run: one self-contained TOML file.
//!
//! Every section belongs to the crate that reads it; what is here is only what binds them.

mod load;

use std::path::{Path, PathBuf};

use clap::Args;
use recon_agents::AgentOptions;
use recon_corpus::{CleanOptions, CorpusOptions, Source, SourceOptions};
use recon_engine::EngineOptions;
use recon_graph::ReadOptions;
use recon_pack::PackOptions;
use recon_refine::RefineOptions;
use recon_text::Rendering;
use recon_train::{ModelOverrides, TrainOptions};
use serde::{Deserialize, Serialize};

pub use load::load;

use crate::failure::{Failure, Outcome};

/// A whole run: from a repository to an exported checkpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The repository: a directory, `DIR@REVISION` (a commit of the git repository there), a bare
    /// git repository, or an archive (tar, tar.gz, tar.zst, zip); the git root of the current
    /// folder if absent.
    pub repository: Option<PathBuf>,
    /// Where results go: a folder named after the repository is made in it.
    pub out: Option<PathBuf>,
    /// Packed rows to train on, for `recon-train`; `recon run` makes its own.
    pub data: Option<PathBuf>,
    /// How a trajectory becomes text.
    pub rendering: Rendering,
    /// The model.
    pub model: ModelConfig,
    /// Files kept out of training, to be measured.
    pub holdout: HoldoutOptions,
    /// Reading the repository.
    pub read: ReadOptions,
    /// What an archive or a git tree may cost to read.
    pub source: SourceOptions,
    /// What is dropped from the repository, and what is replaced in it.
    pub clean: CleanOptions,
    /// A corpus of many repositories, for `recon graph --corpus`.
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
    /// Base of the rotary frequencies, instead of the model's own; goes into the exported config.
    pub rope_theta: Option<f64>,
    /// Longest context, instead of the model's own; goes into the exported config.
    pub max_position_embeddings: Option<usize>,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: "nano".into(), rope_theta: None, max_position_embeddings: None }
    }
}

impl ModelConfig {
    /// What the trainer replaces in the model's configuration.
    pub fn overrides(&self) -> ModelOverrides {
        let &Self { rope_theta, max_position_embeddings, .. } = self;
        ModelOverrides { rope_theta, max_position_embeddings }
    }
}

/// Files kept out of every training document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldoutOptions {
    /// How many. Files that no other file imports are taken first, so that the rest stays whole.
    pub files: usize,
    /// Which ones, among those as good.
    pub seed: u64,
}

impl Default for HoldoutOptions {
    fn default() -> Self {
        Self { files: 2, seed: 0 }
    }
}

/// Flags of every command that reads a configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, over the file; may be repeated. Sections are separated by dots.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub assignments: Vec<String>,
    /// Where results go, over the file.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl ConfigArgs {
    /// The configuration with flags applied.
    pub fn load(&self) -> Outcome<Config> {
        let mut config: Config = load(self.config.as_deref(), &self.assignments)?;
        if let Some(out) = &self.out {
            config.out = Some(out.clone());
        }
        Ok(config)
    }
}

impl Config {
    /// What to read: as configured, or the git root of the current folder.
    pub fn repository(&self) -> Outcome<Source> {
        match &self.repository {
            Some(name) => Ok(Source::locate(name)),
            None => {
                let here = std::env::current_dir().map_err(Failure::run)?;
                Ok(Source::Directory(git_root(&here).unwrap_or(&here).to_path_buf()))
            }
        }
    }
}

/// The nearest folder above that holds `.git`.
fn git_root(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|it| it.join(".git").exists())
}
