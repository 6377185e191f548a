//! `recon convert`: trajectories in the formats that other programs read.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use recon_formats::{atif, axolotl, messages, preferences, provenance};
use recon_pipeline::{Failure, Outcome, model};
use recon_schema::file::{AtomicFile, each_json_line};
use recon_schema::trajectory::{SCHEMA, Trajectory};
use recon_text::{Renderer, Rendering, Tokenizer};
use serde::Serialize;
use serde_json::Value;

use super::check::files;

/// Write trajectories in a format that other programs read, JSON Lines.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  recon convert out --to messages --out messages.jsonl
  recon convert out --to axolotl --model meta-llama/Llama-3.2-1B --out segments.jsonl
  recon convert out/recon/shards/00000/refine/trajectories.jsonl.zst --to preferences --out pairs.jsonl")]
pub struct ConvertArgs {
    /// Trajectories, JSON Lines, plain or zstd; or a run, of which the last ones made are meant.
    trajectories: PathBuf,
    /// What to write.
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Target,
    /// The file to write; it appears when all of it is written.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The model whose tokens are meant: for `axolotl` and `provenance`.
    #[arg(long, default_value = "nano", value_name = "NAME")]
    model: String,
    /// How turns are marked, as `rendering` in the configuration: for `axolotl` and `provenance`.
    #[arg(long, default_value = "chat", value_name = "RENDERING")]
    rendering: String,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Chat messages with tool calls, one record an agent.
    Messages,
    /// Segments of text, trained or not: Axolotl's `input_output`.
    Axolotl,
    /// Harbor's Agent Trajectory Interchange Format, sub-agents inside.
    Atif,
    /// Accepted against refused thoughts, for TRL.
    Preferences,
    /// Where every trained token comes from: repository, commit, path, licence.
    Provenance,
}

/// Runs the command.
pub fn run(arguments: &ConvertArgs) -> Outcome {
    let found = files(&arguments.trajectories)?;
    let tokens = match arguments.to {
        Target::Axolotl | Target::Provenance => Some(Tokens::find(arguments)?),
        Target::Messages | Target::Atif | Target::Preferences => None,
    };
    let mut lines = Lines { file: AtomicFile::create(&arguments.out)?, out: &arguments.out, count: 0 };
    let (mut trajectories, mut left_out) = (0_u64, 0_u64);
    for file in found {
        for trajectory in each_json_line::<Trajectory>(&file, SCHEMA)? {
            let trajectory = trajectory?;
            trajectories += 1;
            left_out += u64::from(!convert(&trajectory, arguments.to, tokens.as_ref(), &mut lines)?);
        }
    }
    if trajectories == 0 {
        return Err(Failure::input_because(format!("{}: holds no trajectory", arguments.trajectories.display())));
    }
    let Lines { file, count, .. } = lines;
    file.finish()?;
    tracing::info!(trajectories, records = count, left_out, out = %arguments.out.display(), "converted");
    Ok(())
}

/// A tokenizer and how turns are marked with it.
struct Tokens {
    tokenizer: Tokenizer,
    rendering: Rendering,
}

impl Tokens {
    fn find(arguments: &ConvertArgs) -> Outcome<Self> {
        let rendering = serde_json::from_value(Value::from(arguments.rendering.as_str()))
            .map_err(|error| Failure::input_because(format!("--rendering: {error}")))?;
        let tokenizer = model::tokenizer(&model::files(&arguments.model)?)?;
        Renderer::find(&tokenizer, rendering).map_err(Failure::input)?;
        Ok(Self { tokenizer, rendering })
    }

    fn renderer(&self) -> Renderer<'_> {
        Renderer::new(&self.tokenizer, self.rendering)
    }
}

/// Writes the records of one trajectory; false where the format cannot say it.
fn convert(trajectory: &Trajectory, to: Target, tokens: Option<&Tokens>, lines: &mut Lines<'_>) -> Outcome<bool> {
    let renderer = || tokens.expect("it was found for these formats").renderer();
    let records = match to {
        Target::Messages => messages::records(trajectory),
        Target::Atif => vec![atif::record(trajectory)],
        Target::Preferences => preferences::records(trajectory),
        Target::Axolotl => match axolotl::record(trajectory, &renderer()) {
            Ok(record) => vec![record],
            Err(refused) => {
                tracing::warn!(trajectory = trajectory.id, %refused, "a document is left out");
                return Ok(false);
            }
        },
        Target::Provenance => {
            lines.push(&provenance::record(trajectory, &renderer()))?;
            return Ok(true);
        }
    };
    records.iter().try_for_each(|record| lines.push(record))?;
    Ok(true)
}

struct Lines<'a> {
    file: AtomicFile,
    out: &'a std::path::Path,
    count: u64,
}

impl Lines<'_> {
    fn push(&mut self, record: &impl Serialize) -> Outcome {
        let mut line = serde_json::to_vec(record).map_err(Failure::run)?;
        line.push(b'\n');
        self.count += 1;
        self.file.write_all(&line).map_err(|error: io::Error| Failure::of_file("failed to write", self.out)(error))
    }
}
