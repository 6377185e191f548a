//! `recon synth`, `recon refine`, `recon run`: the path up to a stage, or all of it.

use clap::{Args, ValueEnum};
use recon_pipeline::{Ended, Outcome, Until, run as run_pipeline};
use serde_json::json;

use super::graph::account;
use super::{Format, print_json, print_line};
use crate::config::{ConfigArgs, SetArgs};
use crate::progress::Progress;

/// Run the path up to one stage; stages that are complete are reused.
#[derive(Debug, Args)]
pub struct StageArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    #[command(flatten)]
    set: SetArgs,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Run the whole path, from repositories to a trained, exported checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  recon run --config configs/quickstart.toml --set repository=PATH
  recon run --config configs/corpus.toml --corpus shards/ --out out
  recon run --config configs/corpus.toml --corpus shards/ --out out --until refine --shard 2/8    one of eight workers")]
pub struct RunArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// The last stage.
    #[arg(long, value_enum, default_value_t)]
    until: Last,
}

/// The last stage of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Last {
    /// The repositories, cleaned, in a store by shards.
    Read,
    /// Their graphs.
    Graph,
    /// Unrefined trajectories.
    Synth,
    /// Trajectories after the search over thoughts.
    Refine,
    /// Rows to train on.
    Pack,
    /// A trained and exported model.
    #[default]
    Export,
}

impl From<Last> for Until {
    fn from(last: Last) -> Self {
        match last {
            Last::Read => Self::Read,
            Last::Graph => Self::Graph,
            Last::Synth => Self::Synth,
            Last::Refine => Self::Refine,
            Last::Pack => Self::Pack,
            Last::Export => Self::Export,
        }
    }
}

/// Runs the stages up to `last` and says where everything lies.
pub fn run_until(arguments: &StageArgs, last: Until) -> Outcome {
    let config = arguments.config.load()?;
    let progress = Progress::new();
    let ended = run_pipeline(&config, arguments.set.members(&config)?, arguments.set.shard, last, &progress)?;
    progress.finish();
    match (ended, arguments.format) {
        (Ended::Whole(summary), Format::Json) => print_json(&summary),
        (Ended::Whole(summary), Format::Text) => print_line(format_args!("{summary}")),
        (Ended::Stage { root, read, generated_tokens, .. }, Format::Json) => {
            print_json(&json!({ "out": root, "read": read, "generated_tokens": generated_tokens }))
        }
        (Ended::Stage { root, read, .. }, Format::Text) => {
            let account = if arguments.set.corpus.is_empty() { String::new() } else { account(&read) };
            print_line(format_args!("{account}{}", root.display()))
        }
    }
}

/// Runs everything, or up to the stage asked for.
pub fn run(arguments: &RunArgs) -> Outcome {
    run_until(&arguments.stage, arguments.until.into())
}
