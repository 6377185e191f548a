//! `recon pack`: rows to train on, and what they hold when decoded.

use std::path::PathBuf;

use clap::Args;
use recon_pack::Loader;

use super::print_text;
use super::stages::{StageArgs, run_until};
use recon_pipeline::{Failure, Outcome, Until, model};

/// Pack trajectories into rows; or show rows.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  recon pack --config configs/quickstart.toml\n  \
    recon pack --show 2 out/recon/pack/rows")]
pub struct PackArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// Print the first N rows decoded, with masks and document borders.
    #[arg(long, value_name = "N", requires = "rows")]
    show: Option<u64>,
    /// A directory of rows, for --show.
    #[arg(value_name = "DIR", requires = "show")]
    rows: Option<PathBuf>,
    /// The model whose tokenizer made the rows, for --show.
    #[arg(long, default_value = "nano", value_name = "NAME")]
    tokenizer: String,
}

/// Runs the command.
pub fn run(arguments: &PackArgs) -> Outcome {
    let (Some(count), Some(directory)) = (arguments.show, &arguments.rows) else {
        return run_until(&arguments.stage, Until::Pack);
    };
    let tokenizer = model::tokenizer(&model::files(&arguments.tokenizer)?)?;
    let loader = Loader::open(directory, 0).map_err(Failure::input)?;
    for at in 0..count.min(loader.rows()) {
        let row = loader.row(0, at).map_err(Failure::input)?;
        if let Some(id) = row.ids.iter().find(|id| **id as usize >= tokenizer.vocabulary()) {
            let message = format!(
                "{}: row {at} holds id {id}, which `{}` does not have",
                directory.display(),
                arguments.tokenizer
            );
            return Err(Failure::input_because(message).hint("name the model the rows were made for with --tokenizer"));
        }
        print_text(&row.show(&tokenizer))?;
    }
    Ok(())
}
