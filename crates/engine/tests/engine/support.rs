//! A small Llama whose weights are a function of their names, and short ways to ask it.

use std::num::NonZeroU32;

use candle_core::{DType, Device, Tensor};
use recon_engine::{Engine, EngineOptions};
use recon_llama::{Config, FlatParams, Llama};
use recon_lm::{Branch, RandomKey, RandomStream, Run, ScoreJob, Scored, Scorer};
use recon_schema::Sha256;
use recon_schema::trajectory::ModelRef;
use recon_text::Tokenizer;

/// Positions of the small model.
pub(crate) const CONTEXT_TOKENS: usize = 160;

pub(crate) fn tokenizer() -> Tokenizer {
    recon_text::fake::tokenizer()
}

/// Two layers, grouped queries, a few rows more than the tokenizer has ids.
pub(crate) fn config_json(vocabulary: usize) -> String {
    format!(
        r#"{{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": {vocabulary},
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "max_position_embeddings": {CONTEXT_TOKENS}, "tie_word_embeddings": false}}"#
    )
}

pub(crate) fn config() -> Config {
    Config::from_json(&config_json(tokenizer().vocabulary() + 3)).unwrap()
}

/// Weights large enough that attention and the next token's distribution are far from uniform.
pub(crate) fn weight(name: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
    let stream = RandomStream::from_key(Sha256::of(name.as_bytes()).to_u64());
    let spread = match shape {
        [_] => 0.2,
        _ if name.contains("embed") || name.contains("lm_head") => 1.0,
        [.., fan_in] => 2.5 / (*fan_in as f64).sqrt(),
        [] => unreachable!("no weight is a scalar"),
    };
    let middle = if shape.len() == 1 { 1.0 } else { 0.0 };
    let count = shape.iter().product::<usize>() as u64;
    let values = (0..count).map(|index| (middle + spread * (2.0 * stream.uniform(index) - 1.0)) as f32);
    Tensor::from_vec(values.collect(), shape, &Device::Cpu)
}

/// The model outside any engine.
pub(crate) fn model() -> (Llama, FlatParams) {
    model_on(&Device::Cpu, DType::F32)
}

pub(crate) fn model_on(device: &Device, dtype: DType) -> (Llama, FlatParams) {
    let params = FlatParams::load(&config(), device, dtype, weight).unwrap();
    (Llama::new(config(), device, dtype).unwrap(), params)
}

pub(crate) fn count(tokens: u32) -> NonZeroU32 {
    NonZeroU32::new(tokens).unwrap()
}

/// Small pages and chunks, so that short texts cross many borders.
pub(crate) fn small() -> EngineOptions {
    EngineOptions {
        cache_tokens: count(1024),
        page_tokens: count(4),
        prefill_tokens: count(24),
        refusal_tokens: count(5),
        ..EngineOptions::default()
    }
}

pub(crate) fn engine(options: &EngineOptions) -> Engine {
    let (llama, params) = model();
    let model = ModelRef { name: "small".into(), sha256: Sha256::of(b"small") };
    Engine::from_parts(llama, params, tokenizer(), model, options).unwrap()
}

/// `count` content ids, a function of `seed`.
pub(crate) fn ids(seed: u64, count: usize) -> Vec<u32> {
    let stream = RandomStream::from_key(seed);
    (0..count as u64).map(|index| (stream.bits(index) % 268) as u32).collect()
}

pub(crate) fn run(ids: &[u32], scored: bool) -> Run<'_> {
    Run { ids, scored }
}

pub(crate) fn key(candidate: u32) -> RandomKey {
    RandomKey { seed: 7, repository: "r".into(), file: "f".into(), step: 1, round: 0, candidate }
}

/// The bits of a sum and of its terms.
pub(crate) type Bits = (u64, Vec<u32>);

/// What a full score says, to the bit.
pub(crate) fn bits(scored: &Scored) -> Bits {
    let Scored::Full { nats, logprobs, .. } = scored else { panic!("{scored:?}") };
    (nats.to_bits(), logprobs.iter().map(|logprob| logprob.to_bits()).collect())
}

/// The bits of `target` after `at`, alone in one job.
pub(crate) fn score(engine: &Engine, at: &Branch, target: &[u32]) -> Bits {
    let runs = [run(target, true)];
    bits(engine.score(&[ScoreJob { at, runs: &runs, refuse_above_nats: None }])[0].as_ref().unwrap())
}

/// The bits of `ids[from..]` in a document of its own, computed at once by a fresh engine.
pub(crate) fn score_from_scratch(ids: &[u32], from: usize) -> Bits {
    let engine = engine(&EngineOptions { cache_tokens: count(1024), ..EngineOptions::default() });
    let at = engine.extend(None, &ids[..1]).unwrap();
    let runs = [run(&ids[1..from], false), run(&ids[from..], true)];
    bits(engine.score(&[ScoreJob { at: &at, runs: &runs, refuse_above_nats: None }])[0].as_ref().unwrap())
}
