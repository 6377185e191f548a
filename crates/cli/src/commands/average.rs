//! `recon average`: several checkpoints as one model in Hugging Face layout.

use std::path::PathBuf;

use candle_core::DType;
use clap::Args;
use recon_pipeline::{Failure, Outcome};
use recon_train::{Averaging, average};

use super::export::{Dtype, require_free};

/// Average the weights of several checkpoints, and export the result for transformers and vLLM.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recon average out/training/checkpoints/step-* --out model --moving 0.9")]
pub struct AverageArgs {
    /// `step-N` folders of a training run, or of several runs of one model; they count in the order of their steps.
    #[arg(required = true, value_name = "DIR")]
    checkpoints: Vec<PathBuf>,
    /// A moving average that keeps this share at each checkpoint, instead of the mean.
    #[arg(long, value_name = "DECAY")]
    moving: Option<f64>,
    /// The directory to make.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Form of the weights; the model's own if absent: what its configuration says.
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
}

/// Runs the command.
pub fn run(arguments: &AverageArgs) -> Outcome {
    let AverageArgs { checkpoints, moving, out, dtype } = arguments;
    require_free(out)?;
    if let Some(run) = checkpoints.iter().find(|path| path.join("checkpoints").is_dir()) {
        let message = format!("{} is a run, not a checkpoint", run.display());
        return Err(Failure::input_because(message).hint("name its checkpoints: checkpoints/step-*"));
    }
    let averaging = moving.map_or(Averaging::Uniform, Averaging::Moving);
    Ok(average(checkpoints, averaging, out, dtype.map(DType::from))?)
}
