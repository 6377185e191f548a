//! Training on a device: the loss of every step is that of the CPU within a bound.
//!
//! With the feature `cuda`: a Llama of 28 million parameters for 100 steps on the first GPU (without one the test
//! fails). With `emulated`: a tiny one for a few steps through the same kernels and the same code, on the CPU.
//! Bounds, nats a token at any step: f32 0.01, bf16 0.05. A control shows that half the learning rate breaks both.

#![cfg(any(feature = "cuda", feature = "emulated"))]

use std::path::Path;

use recon_checkpoint::ModelFiles;
use recon_llama::{Packed, Precision};
use recon_train::{
    Duration, Init, MemoryRows, ModelOverrides, Observer, OptimizerState, StepMetrics, TrainOptions, TrainPlan, Warmup,
    run_on,
};

struct Size {
    hidden: usize,
    layers: usize,
    vocabulary: usize,
    row_tokens: usize,
    steps: u64,
    device: &'static str,
}

#[cfg(feature = "emulated")]
const SIZE: Size = Size { hidden: 64, layers: 2, vocabulary: 96, row_tokens: 48, steps: 8, device: "cpu" };
#[cfg(not(feature = "emulated"))]
const SIZE: Size = Size { hidden: 512, layers: 6, vocabulary: 8192, row_tokens: 256, steps: 100, device: "cuda" };

fn on_device<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(feature = "emulated")]
    return recon_kernels::device::emulate(recon_kernels::device::Order::Ascending, f);
    #[cfg(not(feature = "emulated"))]
    f()
}

/// Two runs, which must be equal; side by side where one processor emulates.
fn twice<R: Send>(run: impl Fn() -> R + Sync) -> [R; 2] {
    #[cfg(feature = "emulated")]
    return std::thread::scope(|threads| {
        let other = threads.spawn(&run);
        [run(), other.join().unwrap()]
    });
    #[cfg(not(feature = "emulated"))]
    [run(), run()]
}

fn model(directory: &Path) -> ModelFiles {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": SIZE.vocabulary,
        "hidden_size": SIZE.hidden, "intermediate_size": 11 * SIZE.hidden / 4, "num_hidden_layers": SIZE.layers,
        "num_attention_heads": SIZE.hidden / 32, "num_key_value_heads": SIZE.hidden / 64, "head_dim": 32,
        "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "max_position_embeddings": SIZE.row_tokens,
        "tie_word_embeddings": false, "hidden_act": "silu", "bos_token_id": 0, "eos_token_id": 1,
    });
    recon_schema::file::write_json(&directory.join("config.json"), &config).unwrap();
    std::fs::write(directory.join("tokenizer.json"), "{}").unwrap();
    ModelFiles::Directory(directory.into())
}

/// Rows that can be learned: the next token follows from the last one, in documents of unequal length.
fn rows() -> MemoryRows {
    let row = |at: usize| {
        let ids = (0..SIZE.row_tokens).map(|i| ((at * 31 + i * (at % 5 + 1)) % SIZE.vocabulary) as u32).collect();
        let cut = SIZE.row_tokens / 3 + at % 7;
        let mask = (0..SIZE.row_tokens).map(|i| u8::from(i % 5 != 2)).collect();
        Packed { ids, mask, spans: vec![0..cut, cut..SIZE.row_tokens] }
    };
    MemoryRows::new((0..16).map(row).collect()).unwrap()
}

#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn step(&mut self, metrics: &StepMetrics) -> std::ops::ControlFlow<()> {
        self.0.push(metrics.loss_nats);
        std::ops::ControlFlow::Continue(())
    }
}

fn options() -> TrainOptions {
    TrainOptions {
        duration: Duration::Steps(SIZE.steps),
        init: Init::Random,
        micro_batch_rows: 2.try_into().unwrap(),
        accumulation: 2.try_into().unwrap(),
        lr: 1e-3,
        min_lr: 1e-4,
        warmup: Warmup::Steps(3),
        seed: 7,
        ..TrainOptions::default()
    }
}

fn losses(options: TrainOptions) -> Vec<f64> {
    let directory = tempfile::tempdir().unwrap();
    let plan = TrainPlan {
        model: model(directory.path()),
        overrides: ModelOverrides::default(),
        data: None,
        out: directory.path().join("run"),
        options,
        resume: false,
    };
    let mut losses = Losses::default();
    run_on(&plan, &rows(), &mut losses).unwrap();
    losses.0
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn the_loss_series_on_the_device_is_that_of_the_cpu() {
    let there = |precision, optimizer_state| {
        on_device(|| {
            let precision = Some(precision);
            losses(TrainOptions { device: SIZE.device.into(), precision, optimizer_state, ..options() })
        })
    };
    let settings = [
        (Precision::F32, OptimizerState::Masters, 0.01),
        (Precision::Bf16, OptimizerState::Masters, 0.05),
        (Precision::Bf16, OptimizerState::Stochastic, 0.05),
    ];
    // The device first: without one the CPU's minutes would be for nothing.
    let on_device = settings.map(|(precision, state, _)| twice(|| there(precision, state)));
    let cpu = losses(options());
    assert!(cpu.last().unwrap() < &(cpu[0] - 0.1), "nothing is learned: {cpu:?}");
    let slower = losses(TrainOptions { lr: 5e-4, ..options() });
    for ((precision, state, bound), [series, again]) in settings.into_iter().zip(on_device) {
        let difference = largest_difference(&cpu, &series);
        eprintln!("{precision:?} {state:?}: at most {difference:.2e} nats from the CPU in {} steps", series.len());
        assert!(difference <= bound, "{precision:?} {state:?}: {difference}\ncpu {cpu:?}\ndevice {series:?}");
        assert!(largest_difference(&slower, &series) > bound, "the bound does not see half the learning rate");
        assert!(again == series, "two runs of {precision:?} {state:?} differ");
    }
}
