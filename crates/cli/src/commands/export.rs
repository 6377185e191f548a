//! `recon export`: a checkpoint, or a model by name, as a directory in Hugging Face layout.

use std::path::{Path, PathBuf};

use candle_core::DType;
use clap::{ArgGroup, Args, ValueEnum};
use recon_train::export_model;

use recon_pipeline::{Failure, Outcome, export_trained, model};

/// Export a checkpoint for transformers and vLLM.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recon export --checkpoint out/recon/train --out model --dtype bf16")]
#[command(group = ArgGroup::new("from").required(true).args(["checkpoint", "model"]))]
pub struct ExportArgs {
    /// A run or a training run (its newest checkpoint), or one `step-N` folder of it.
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// A model by name, to copy or convert.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The directory to make.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Form of the weights; the model's own if absent: what its configuration says.
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
}

/// Form of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dtype {
    /// 16 bits, as the checkpoints on the hub.
    Bf16,
    /// 32 bits, exactly as trained.
    F32,
}

impl From<Dtype> for DType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Bf16 => Self::BF16,
            Dtype::F32 => Self::F32,
        }
    }
}

/// Refuses a folder in which something lies.
pub(super) fn require_free(out: &Path) -> Outcome {
    let empty = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if out.exists() && !empty {
        return Err(Failure::input_because(format!("{} exists and is not an empty folder", out.display()))
            .hint("choose another with --out"));
    }
    Ok(())
}

/// Runs the command.
pub fn run(arguments: &ExportArgs) -> Outcome {
    let dtype = arguments.dtype.map(DType::from);
    let out = &arguments.out;
    require_free(out)?;
    match (&arguments.checkpoint, &arguments.model) {
        (Some(run), _) => {
            let checkpoint = export_trained(run, out, dtype)?;
            tracing::info!(checkpoint = %checkpoint.display(), "exported");
            Ok(())
        }
        (None, Some(name)) => Ok(export_model(&model::files(name)?, out, dtype)?),
        (None, None) => unreachable!("one of the two is required"),
    }
}
