//! What a model was found to be worth: the likelihood of each held-out file, and of general texts.

use std::path::{Path, PathBuf};

use recon_eval::{FileReport, HeldOutFile, held_out};
use recon_schema::file::each_json_line;
use recon_train::StepMetrics;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::stages::measure::FILES;

/// The likelihood of texts under one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The held-out files.
    pub code: Vec<FileReport>,
    /// General texts.
    pub general: Vec<FileReport>,
}

impl Measured {
    /// What the stage `name` of the run in `root` measured.
    pub(super) fn read(root: &Path, name: &str) -> Outcome<Self> {
        let code: Result<Vec<FileReport>, _> = each_json_line(&root.join(name).join(FILES), "measured")?.collect();
        Ok(Self { code: code?, general: Vec::new() })
    }

    /// The same with `texts` measured under the model of that name.
    pub(super) fn with_general(mut self, name: &str, config: &Config, texts: &[PathBuf]) -> Outcome<Self> {
        if texts.is_empty() {
            return Ok(self);
        }
        let file = |path: &PathBuf| -> Outcome<HeldOutFile> {
            let text = text(path)?;
            let path = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(HeldOutFile { repository: "general".into(), path, text })
        };
        let files: Vec<HeldOutFile> = texts.iter().map(file).collect::<Outcome<_>>()?;
        let engine = model::open(&model::files(name)?, &config.engine)?;
        let renderer = model::renderer(engine.tokenizer(), config.rendering)?;
        self.general = held_out(&engine, &renderer, &files).map_err(Failure::run)?.files;
        Ok(self)
    }
}

/// A general text.
pub(super) fn text(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::input(anyhow::Error::new(error).context(format!("failed to read the text {}", path.display())))
    })
}

/// Tokens that carried loss in the training of the run in `root`.
pub(super) fn trained_tokens(root: &Path) -> Outcome<u64> {
    let metrics = each_json_line::<StepMetrics>(&root.join("train/metrics.jsonl"), "metrics")?;
    let last = metrics.last().ok_or_else(|| Failure::run_because("the training left no metrics"))??;
    Ok(last.trained_tokens)
}
