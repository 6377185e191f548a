//! `export`: the trained checkpoint in Hugging Face layout.

use std::path::{Path, PathBuf};

use candle_core::DType;
use recon_schema::manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::train::{self, TrainFacts};
use crate::failure::{Failure, Outcome};
use crate::stage::{Finished, Key, Stage};

/// Name of the stage and of its directory.
pub(crate) const NAME: &str = "export";
/// Folder of the model in it.
pub(crate) const MODEL: &str = "model";

#[derive(Serialize)]
struct Plan {
    dtype: &'static str,
}

/// An export is its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportFacts {}

/// Exports what was trained.
pub(crate) fn run(root: &Path, trained: &Finished<TrainFacts>) -> Outcome<Finished<ExportFacts>> {
    let key = Key::new(NAME, &["train"], &Plan { dtype: "f32" }).input("train", trained.digest());
    Stage::new(root, key).run(|directory| {
        recon_train::export(&newest(&trained.directory)?, &directory.join(MODEL), Some(DType::F32))?;
        Ok(ExportFacts {})
    })
}

/// The newest checkpoint of a finished training, whose files are those that its manifest lists.
fn newest(training: &Path) -> Outcome<PathBuf> {
    let missing = || Failure::run_because(format!("{} has no checkpoint", training.display()));
    if let Some(manifest) = Manifest::read(training)? {
        manifest.verify(training)?;
    }
    recon_checkpoint::state::latest(&training.join("checkpoints"))?.ok_or_else(missing)
}

/// Exports the newest checkpoint of a training run that is whole, also where the training is a stage of a whole run;
/// else the folder itself, as a checkpoint. Each checkpoint that is damaged is warned of. Returns what was exported.
///
/// # Errors
/// Where there is no such folder, or no checkpoint in it is whole.
pub fn export_trained(run: &Path, out: &Path, dtype: Option<DType>) -> Outcome<PathBuf> {
    if !run.is_dir() {
        return Err(Failure::input_because(format!("there is no folder {}", run.display())));
    }
    for training in [run.to_path_buf(), run.join("train")] {
        if let Ok(Some(manifest)) = Manifest::read(&training)
            && manifest.stage == train::NAME
            && let Err(error) = manifest.verify(&training)
        {
            tracing::warn!(%error, "this training is not as it was finished");
        }
        if let Some(checkpoint) = recon_train::export_newest(&training.join("checkpoints"), out, dtype)? {
            return Ok(checkpoint);
        }
    }
    recon_train::export(run, out, dtype)?;
    Ok(run.to_path_buf())
}
