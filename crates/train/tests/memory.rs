//! The memory plan against the allocator's count, on the CPU.
//!
//! One test in a program of its own: the count is the process's.

use peak_alloc::PeakAlloc;
use recon_checkpoint::ModelFiles;
use recon_llama::{ActivationPolicy, Config, Packed};
use recon_train::{
    Duration, Init, MemoryPlan, MemoryRows, ModelOverrides, Quiet, SavePolicy, TrainOptions, TrainPlan, run_on,
};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const ROW_TOKENS: usize = 512;

fn rows(vocabulary: u32) -> MemoryRows {
    let row = |at: u32| Packed {
        ids: (0..ROW_TOKENS as u32).map(|i| (at * 31 + i * i * 7) % vocabulary).collect(),
        mask: vec![1; ROW_TOKENS],
        spans: vec![0..ROW_TOKENS / 3, ROW_TOKENS / 3..ROW_TOKENS],
    };
    MemoryRows::new((0..4).map(row).collect()).unwrap()
}

#[test]
fn the_plan_is_within_a_tenth_of_what_is_allocated() {
    let work = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "model_type": "llama", "rms_norm_eps": 1e-5, "max_position_embeddings": ROW_TOKENS, "vocab_size": 3000, "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 6,
        "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 32,
    });
    recon_schema::file::write_json(&work.path().join("config.json"), &config).unwrap();
    std::fs::write(work.path().join("tokenizer.json"), "{}").unwrap();
    let config = Config::from_json(&config.to_string()).unwrap();
    let rows = rows(config.vocab_size as u32);
    for activations in [ActivationPolicy::KeepAll, ActivationPolicy::KeepAttention, ActivationPolicy::BlockInputs] {
        let options = TrainOptions {
            activations,
            // The second step is made beside the copy of the first one's checkpoint.
            duration: Duration::Steps(2),
            save: SavePolicy::EverySteps(1.try_into().unwrap()),
            init: Init::Random,
            micro_batch_rows: 4.try_into().unwrap(),
            ..TrainOptions::default()
        };
        let planned = MemoryPlan::new(&config, &options, ROW_TOKENS);
        let plan = TrainPlan {
            model: ModelFiles::Directory(work.path().into()),
            overrides: ModelOverrides::default(),
            data: None,
            out: work.path().join(format!("{activations:?}")),
            options,
            resume: false,
        };
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        run_on(&plan, &rows, &mut Quiet).unwrap();
        let allocated = ALLOCATED.peak_usage() - before;
        let ratio = planned.total_bytes as f64 / allocated as f64;
        eprintln!(
            "{activations:?}: planned {} bytes, allocated {allocated}, ratio {ratio:.3}; {planned:?}",
            planned.total_bytes
        );
        assert!((0.9..=1.1).contains(&ratio), "{activations:?}: {ratio}");
    }
}
