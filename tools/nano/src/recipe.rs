//! The constants of the recipe: sizes, schedules, and how long it takes.
//!
//! Chosen for about an hour on two CPU cores: at this size more steps are worth more than larger
//! batches, and short windows give more of them.

use std::num::{NonZeroU64, NonZeroUsize};

use recon_train::{Duration, Init, SavePolicy, TrainOptions, Warmup};
use serde_json::{Value, json};

/// Byte-level tokens; the 256 control tokens of Llama 3 come on top.
pub(crate) const VOCABULARY_TOKENS: usize = 4096;
/// Longest document of the second phase, and the model's context.
pub(crate) const CONTEXT_TOKENS: usize = 8192;
/// Windows of the first phase.
pub(crate) const WINDOW_TOKENS: usize = 1024;
/// Share of the projects rendered with thoughts and reading; the others are bare code.
pub(crate) const AGENT_SHARE: f64 = 0.6;
/// Seed of every choice.
pub(crate) const SEED: u64 = 1;

/// One training run.
pub(crate) struct Phase {
    /// Directory of the run below the work directory.
    pub(crate) name: &'static str,
    /// Tokens of a packed row.
    pub(crate) row_tokens: usize,
    /// How.
    pub(crate) options: TrainOptions,
}

/// Short windows first, then a short phase at the full context.
pub(crate) fn phases() -> [Phase; 2] {
    let rows = |rows| NonZeroUsize::new(rows).expect("a step has rows");
    let common = TrainOptions {
        betas: [0.9, 0.95],
        weight_decay: 0.1,
        seed: SEED,
        save: SavePolicy::EverySteps(NonZeroU64::new(200).expect("200 is not 0")),
        ..TrainOptions::default()
    };
    let windows = TrainOptions {
        duration: Duration::Steps(2200),
        init: Init::Random,
        micro_batch_rows: rows(4),
        lr: 3e-3,
        min_lr: 2e-4,
        warmup: Warmup::Steps(100),
        ..common.clone()
    };
    let long = TrainOptions {
        duration: Duration::Steps(280),
        init: Init::Model,
        micro_batch_rows: rows(1),
        lr: 1e-3,
        min_lr: 1e-5,
        warmup: Warmup::Steps(15),
        save: SavePolicy::EverySteps(NonZeroU64::new(50).expect("50 is not 0")),
        ..common
    };
    [
        Phase { name: "windows", row_tokens: WINDOW_TOKENS, options: windows },
        Phase { name: "long", row_tokens: CONTEXT_TOKENS, options: long },
    ]
}

/// `config.json`, for `vocabulary` tokens of which the control tokens begin at `control`.
pub(crate) fn config(vocabulary: usize, control: u32) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": 256,
        "intermediate_size": 640,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "attention_dropout": 0.0,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500_000.0,
        "rope_scaling": null,
        "max_position_embeddings": CONTEXT_TOKENS,
        "tie_word_embeddings": true,
        "initializer_range": 0.02,
        "use_cache": true,
        "bos_token_id": control,
        "eos_token_id": [control + 1, control + 9],
    })
}
