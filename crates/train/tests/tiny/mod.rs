//! A tiny random model, rows it can learn, and runs on them, which the tests of this crate share.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use recon_checkpoint::ModelFiles;
use recon_checkpoint::state::SavedState;
use recon_llama::Packed;
use recon_train::{
    Duration, Init, MemoryRows, ModelOverrides, Observer, Quiet, StepMetrics, TrainOptions, TrainPlan, TrainReport,
    Warmup, run_on,
};

pub(crate) const VOCABULARY: u32 = 96;

/// A model directory without weights: configuration and a tokenizer file that nothing here reads.
pub(crate) fn model(directory: &Path, hidden: usize) -> ModelFiles {
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY,
        "hidden_size": hidden, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
        "max_position_embeddings": 64, "tie_word_embeddings": true, "hidden_act": "silu",
        "bos_token_id": 0, "eos_token_id": [1, 2],
    });
    recon_schema::file::write_json(&directory.join("config.json"), &config).unwrap();
    std::fs::write(directory.join("tokenizer.json"), "{}").unwrap();
    ModelFiles::Directory(directory.into())
}

/// Rows whose next token follows from the last two, in documents of unequal length.
pub(crate) fn rows(count: u64) -> Vec<Packed> {
    let row = |at: u64| {
        let ids: Vec<u32> = (0..24).map(|i| ((at * 31 + i * i * 7 + i * 3) % u64::from(VOCABULARY)) as u32).collect();
        Packed { ids, mask: vec![1; 24], spans: vec![0..5 + (at % 7) as usize, 5 + (at % 7) as usize..24] }
    };
    (0..count).map(row).collect()
}

pub(crate) fn options(steps: u64) -> TrainOptions {
    TrainOptions {
        duration: Duration::Steps(steps),
        init: Init::Random,
        micro_batch_rows: 2.try_into().unwrap(),
        lr: 1e-2,
        min_lr: 1e-3,
        warmup: Warmup::Steps(2),
        seed: 7,
        ..TrainOptions::default()
    }
}

pub(crate) struct Run {
    pub(crate) directory: tempfile::TempDir,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn plan(&self, name: &str, options: TrainOptions) -> TrainPlan {
        let base = self.directory.path().join("base");
        std::fs::create_dir_all(&base).unwrap();
        TrainPlan {
            model: model(&base, 32),
            overrides: ModelOverrides::default(),
            data: None,
            out: self.out(name),
            options,
            resume: false,
        }
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn train(
        &self,
        name: &str,
        options: TrainOptions,
        rows: Vec<Packed>,
    ) -> (TrainReport, Vec<StepMetrics>) {
        let report = run_on(&self.plan(name, options), &MemoryRows::new(rows).unwrap(), &mut Quiet).unwrap();
        (report, metrics(&self.out(name)))
    }
}

pub(crate) fn metrics(run: &Path) -> Vec<StepMetrics> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn tensors(checkpoint: &Path) -> Vec<(String, Vec<u32>)> {
    let bits = |tensor: Tensor| tensor.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
    let state = SavedState::open(checkpoint).unwrap();
    state.names().map(|name| (name.to_owned(), bits(state.tensor(name).unwrap()))).collect()
}

pub(crate) struct StopAfter(pub(crate) u64);

impl Observer for StopAfter {
    fn step(&mut self, metrics: &StepMetrics) -> ControlFlow<()> {
        if metrics.step == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
