//! `recon generate`: text the model writes after a prompt, or in answer to a conversation.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use recon_engine::conversation;
use recon_lm::{GenJob, Generator as _, Message, Prompt, RandomKey, Role, Sampling, Scorer as _};
use recon_text::{Rendering, Template, Tokenizer};
use serde::{Deserialize, Serialize};

use super::model::{ModelArgs, model_fault};
use super::{Format, print_json, print_line};
use recon_pipeline::{Failure, Outcome, model};

/// Generate text after a prompt.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  recon generate --model nano --prompt-file prompt.txt --max-new-tokens 64 --temperature 0\n  \
                  recon generate --model DIR --messages chat.json      [{\"role\": \"user\", \"content\": \"…\"}]"
)]
pub struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The prompt, as plain text: control tokens written in it are text.
    #[arg(long, value_name = "FILE", required_unless_present = "messages")]
    prompt_file: Option<PathBuf>,
    /// Instead, a conversation to be answered, in the model's own template: a JSON list of objects
    /// with `role` (`system`, `user` or `assistant`) and `content`.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt_file")]
    messages: Option<PathBuf>,
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
    let prompt = Prompted::read(arguments)?;
    let engine = arguments.model.open()?;
    let start = Instant::now();
    let tokenizer = engine.tokenizer();
    let ids = prompt.ids(tokenizer)?;
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

/// What is answered, as it was read.
enum Prompted {
    Text(String),
    Messages(Vec<Message>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken {
    role: Speaker,
    content: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    System,
    User,
    Assistant,
}

impl Prompted {
    fn read(arguments: &GenerateArgs) -> Outcome<Self> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| {
                let what = format!("failed to read the prompt {}", path.display());
                Failure::input(anyhow::Error::new(error).context(what))
            })
        };
        match (&arguments.messages, &arguments.prompt_file) {
            (Some(path), _) => {
                let messages: Vec<Spoken> = serde_json::from_str(&read(path)?).map_err(|error| {
                    let what = format!("{} is no conversation", path.display());
                    Failure::input(anyhow::Error::new(error).context(what))
                        .hint("a JSON list of objects with `role` (system, user, assistant) and `content`")
                })?;
                Ok(Self::Messages(messages.into_iter().map(Message::from).collect()))
            }
            (None, Some(path)) => read(path).map(Self::Text),
            (None, None) => unreachable!("one of the two is required"),
        }
    }

    fn ids(&self, tokenizer: &Tokenizer) -> Outcome<Vec<u32>> {
        match self {
            Self::Text(text) => Ok(tokenizer.opening().into_iter().chain(tokenizer.encode(text)).collect()),
            Self::Messages(messages) => {
                model::renderer(tokenizer, Rendering::Chat)?;
                conversation(tokenizer, messages).map_err(model_fault)
            }
        }
    }
}

impl From<Spoken> for Message {
    fn from(Spoken { role, content }: Spoken) -> Self {
        let role = match role {
            Speaker::System => Role::System,
            Speaker::User => Role::User,
            Speaker::Assistant => Role::Assistant,
        };
        Self { role, text: content }
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
