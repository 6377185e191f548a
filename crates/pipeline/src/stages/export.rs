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
        recon_train::export(&newest(&trained.directory)?, &directory.join(MODEL), DType::F32)?;
        Ok(ExportFacts {})
    })
}

/// The newest checkpoint of a training run, also where it is a stage of a whole run; else the folder itself, as a
/// checkpoint. What a finished training lists in its manifest is held against its digests.
///
/// # Errors
/// Where there is no such folder, or a file of it is not what was written.
pub fn newest(run: &Path) -> Outcome<PathBuf> {
    if !run.is_dir() {
        return Err(Failure::input_because(format!("there is no folder {}", run.display())));
    }
    for training in [run.to_path_buf(), run.join("train")] {
        let found = recon_checkpoint::state::latest(&training.join("checkpoints"))?;
        if let Some(checkpoint) = found {
            if let Ok(Some(manifest)) = Manifest::read(&training)
                && manifest.stage == train::NAME
            {
                manifest.verify(&training)?;
            }
            return Ok(checkpoint);
        }
    }
    Ok(run.to_path_buf())
}
