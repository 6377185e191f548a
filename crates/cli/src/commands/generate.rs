//! `recon generate`: text the model writes after a prompt.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use recon_lm::{GenJob, Generator as _, Prompt, RandomKey, Sampling, Scorer as _};
use recon_text::{Rendering, Template};
use serde::Serialize;

use super::model::{ModelArgs, model_fault};
use super::{Format, print_json, print_line};
use recon_pipeline::{Failure, Outcome};

/// Generate text after a prompt.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  recon generate --model nano --prompt-file prompt.txt --max-new-tokens 64 --temperature 0"
)]
pub struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The prompt, as plain text: control tokens written in it are text.
    #[arg(long, value_name = "FILE")]
    prompt_file: PathBuf,
    /// At most this many tokens.
    #[arg(long, default_value_t = 128)]
    max_new_tokens: usize,
    /// 0 takes the most likely token.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Smallest set of most likely tokens whose mass reaches this.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Seed of the random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Output {
    ids: Vec<u32>,
    text: String,
    stats: Stats,
}

#[derive(Debug, Serialize)]
struct Stats {
    prompt_tokens: usize,
    new_tokens: usize,
    finish: &'static str,
    seconds: f64,
}

/// Runs the command.
pub fn run(arguments: &GenerateArgs) -> Outcome {
    let sampling = sampling(arguments)?;
    let prompt = std::fs::read_to_string(&arguments.prompt_file).map_err(|error| {
        let what = format!("failed to read the prompt {}", arguments.prompt_file.display());
        Failure::input(anyhow::Error::new(error).context(what))
    })?;
    let engine = arguments.model.open()?;
    let start = Instant::now();
    let tokenizer = engine.tokenizer();
    let mut ids: Vec<u32> = tokenizer.opening().into_iter().collect();
    ids.extend(tokenizer.encode(&prompt));
    let branch = engine.extend(None, &ids).map_err(model_fault)?;
    let key = RandomKey {
        seed: arguments.seed,
        repository: String::new(),
        file: String::new(),
        step: 0,
        round: 0,
        candidate: 0,
    };
    // A model without a template writes texts as well; they end where its own files say.
    let template = Template::find(tokenizer, Rendering::Chat).ok();
    let stop_ids = template.as_ref().map(Template::stops).unwrap_or_default();
    let job = GenJob { prompt: Prompt::Branch { at: &branch, hint: &[] }, sampling, key, stop_ids };
    let generation = engine.generate(&[job]).remove(0).map_err(model_fault)?;
    match arguments.format {
        Format::Text => print_line(format_args!("{}", generation.text)),
        Format::Json => {
            let stats = Stats {
                prompt_tokens: ids.len(),
                new_tokens: generation.ids.len(),
                finish: match generation.finish {
                    recon_lm::Finish::Stop => "stop",
                    recon_lm::Finish::Length => "length",
                },
                seconds: start.elapsed().as_secs_f64(),
            };
            print_json(&Output { ids: generation.ids, text: generation.text, stats })
        }
    }
}

fn sampling(arguments: &GenerateArgs) -> Outcome<Sampling> {
    let &GenerateArgs { temperature, top_p, max_new_tokens, .. } = arguments;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(Failure::input_because(format!("--temperature {temperature}: expected 0 or more")));
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(Failure::input_because(format!("--top-p {top_p}: expected more than 0, at most 1")));
    }
    Ok(Sampling { temperature, top_p, max_new_tokens })
}
