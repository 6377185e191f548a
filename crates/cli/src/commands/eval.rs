//! `recon eval`: likelihood of the held-out files under a model.

use clap::Args;

use super::{Format, print_json, print_line};
use crate::config::{ConfigArgs, repository};
use recon_pipeline::{Failure, Outcome, held_out, model};

/// Measure a model on the files the configuration holds out.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  recon eval --config configs/quickstart.toml --model out/recon/export/model")]
pub struct EvalArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The model to measure, instead of the configuration's.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(arguments: &EvalArgs) -> Outcome {
    let config = arguments.config.load()?;
    let files = held_out(&config, &repository(&config)?)?;
    if files.is_empty() {
        return Err(Failure::input_because("no file is held out").hint("raise `holdout.files`"));
    }
    let name = arguments.model.as_ref().unwrap_or(&config.model.name);
    let engine = model::open(&model::files(name)?, &config.engine)?;
    let renderer = model::renderer(engine.tokenizer(), config.rendering)?;
    let report = recon_eval::held_out(&engine, &renderer, &files).map_err(Failure::run)?;
    match arguments.format {
        Format::Json => print_json(&report),
        Format::Text => {
            for file in &report.files {
                let per_token = file.nats / file.tokens.max(1) as f64;
                print_line(format_args!("{}: {per_token:.4} nats/token over {} tokens", file.path, file.tokens))?;
            }
            let (nats, bits) =
                (report.nats_per_token().unwrap_or_default(), report.bits_per_byte().unwrap_or_default());
            if report.characters_left_out > 0 {
                print_line(format_args!("{} characters have no token and are left out", report.characters_left_out))?;
            }
            print_line(format_args!("all: {nats:.4} nats/token, {bits:.4} bits/byte over {} bytes", report.bytes))
        }
    }
}
