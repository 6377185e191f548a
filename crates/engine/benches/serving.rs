//! Times scoring and decoding of a Llama with fresh weights and prints one JSON line for each.
//!
//! `serving --bench DEVICE MODEL`: `cpu`, `cuda` or `cuda:N`; `28m` (the size of `configs/llama_28m_cpu.toml`) or `8b`
//! (Llama-3-8B). A line: `op`, `sequences`, `context` (tokens before the drawn ones), `tokens`, `seconds`,
//! `tokens_per_s`. Scoring counts every token that runs through the model, decoding the drawn ones alone. What is asked
//! once before the clock starts opens libraries and fills caches. Nothing is asserted.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::num::NonZeroU32;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use recon_engine::{Document, Engine, EngineOptions};
use recon_kernels::device;
use recon_llama::{Config, FlatParams, Llama};
use recon_lm::{Branch, GenJob, Generator as _, Prompt, RandomKey, Sampling, Scorer as _};
use recon_schema::Sha256;
use recon_schema::trajectory::ModelRef;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// What is timed of one model.
struct Load {
    config: &'static str,
    cache_tokens: u32,
    /// Tokens of a document, and how many there are.
    scored: (usize, usize),
    /// Tokens before the drawn ones, the drawn ones, and how many sequences.
    drawn: (usize, usize, usize),
}

const LOADS: [(&str, Load); 2] = [
    (
        "28m",
        Load {
            config: r#"{"model_type": "llama", "vocab_size": 4352, "hidden_size": 512, "intermediate_size": 1408,
                "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64,
                "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 1e4, "max_position_embeddings": 4096,
                "tie_word_embeddings": false}"#,
            cache_tokens: 32_768,
            scored: (1024, 4),
            drawn: (128, 32, 8),
        },
    ),
    (
        "8b",
        Load {
            config: r#"{"model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
                "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu",
                "rms_norm_eps": 1e-5, "rope_theta": 5e5, "max_position_embeddings": 8192,
                "tie_word_embeddings": false}"#,
            cache_tokens: 163_840,
            scored: (4096, 64),
            drawn: (500, 2000, 64),
        },
    ),
];

fn open(load: &Load, device: &Device, prefill_tokens: u32) -> Outcome<Engine> {
    let count = |tokens| NonZeroU32::new(tokens).expect("no setting is 0");
    let config = Config::from_json(load.config)?;
    let dtype = if device.is_cuda() { DType::BF16 } else { DType::F32 };
    // On a GPU drawn there: the processor would take longer than everything that is timed.
    let weights = |_: &str, shape: &[usize]| match shape {
        [width] => Tensor::ones(*width, DType::F32, device),
        _ => Tensor::randn(0_f32, 0.02, shape, device)?.to_dtype(dtype),
    };
    let params = FlatParams::load(&config, device, dtype, weights)?;
    let options = EngineOptions {
        cache_tokens: count(load.cache_tokens),
        prefill_tokens: count(prefill_tokens),
        ..EngineOptions::default()
    };
    let model = ModelRef { name: "fresh".into(), sha256: Sha256::of(b"fresh") };
    let llama = Llama::new(config, device, dtype)?;
    Ok(Engine::from_parts(llama, params, recon_text::fake::tokenizer(), model, &options)?)
}

/// Content ids, another list for each `which`.
fn ids(which: usize, count: usize) -> Vec<u32> {
    (0..count).map(|at| ((which * 7919 + at * 104_729) % 256) as u32).collect()
}

fn told(op: &str, (sequences, context, tokens): (usize, usize, usize), seconds: f64) {
    let rate = tokens as f64 / seconds;
    println!(
        "{{\"op\":\"{op}\",\"sequences\":{sequences},\"context\":{context},\"tokens\":{tokens},\
         \"seconds\":{seconds:.3},\"tokens_per_s\":{rate:.1}}}"
    );
}

fn score(engine: &Engine, (length, count): (usize, usize), prefill_tokens: u32) -> Outcome {
    let texts: Vec<Vec<u32>> = (0..=count).map(|which| ids(which, length)).collect();
    let all: Vec<Document<'_>> = texts.iter().map(|ids| Document { ids, scored: length / 2..length }).collect();
    let (first, documents) = all.split_first().expect("there is one more than is counted");
    engine.caller().score_documents(std::slice::from_ref(first)).pop().expect("one answer each")?;
    let start = Instant::now();
    engine.caller().score_documents(documents).into_iter().collect::<Result<Vec<_>, _>>()?;
    let op = format!("score_{length}_prefill_{prefill_tokens}");
    told(&op, (count, 0, length * count), start.elapsed().as_secs_f64());
    Ok(())
}

fn decode(engine: &Engine, (context, drawn, sequences): (usize, usize, usize)) -> Outcome {
    let branch = |which| engine.extend(None, &ids(which, context));
    let branches: Vec<Branch> = (0..sequences).map(branch).collect::<Result<_, _>>()?;
    let job = |(candidate, at), max_new_tokens| GenJob {
        prompt: Prompt::Branch { at, hint: &[] },
        sampling: Sampling { temperature: 1.0, top_p: 1.0, max_new_tokens },
        key: RandomKey { seed: 7, repository: "r".into(), file: "f".into(), step: 1, round: 0, candidate },
        stop_ids: &[],
    };
    let jobs = |tokens| (0..).zip(&branches).map(|each| job(each, tokens)).collect::<Vec<_>>();
    engine.generate(&jobs(2)).into_iter().collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let texts = engine.generate(&jobs(drawn)).into_iter().collect::<Result<Vec<_>, _>>()?;
    let tokens = texts.iter().map(|text| text.ids.len()).sum();
    told("decode", (sequences, context, tokens), start.elapsed().as_secs_f64());
    Ok(())
}

fn main() -> Outcome {
    // `cargo bench` passes `--bench`; `cargo test --benches` passes nothing and must stay quick.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(name), Some(model)) = (arguments.next(), arguments.next()) else { return Ok(()) };
    let (_, load) = LOADS.iter().find(|(known, _)| *known == model).ok_or("the model is `28m` or `8b`")?;
    let device = device::open(&name)?;
    for prefill_tokens in [512, 8192] {
        let engine = open(load, &device, prefill_tokens)?;
        score(&engine, load.scored, prefill_tokens)?;
        if prefill_tokens == 512 {
            decode(&engine, load.drawn)?;
        }
    }
    Ok(())
}
