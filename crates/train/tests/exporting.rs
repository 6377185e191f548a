//! Exports of a model that is much larger than the memory they take.
//!
//! One test in a program of its own: the count of what is allocated is the process's.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use peak_alloc::PeakAlloc;
use recon_checkpoint::state::{self, Keep};
use recon_checkpoint::{HfTensors, ModelFiles};
use recon_llama::Config;
use recon_train::{Averaging, average, export, export_model};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What an export may take, a seventh of the model and a third of its largest tensor.
const BOUND: usize = 16_000_000;

/// Tables of 45 million bytes each in a model of 120.
fn config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "llama", "vocab_size": 11_000, "hidden_size": 1024, "intermediate_size": 1024,
        "num_hidden_layers": 1, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 128,
        "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "tie_word_embeddings": false,
    })
}

/// The element at `at` of a unit: a whole number that bf16 holds, so that one that is out of its place shows.
fn element(at: usize, scale: f32) -> f32 {
    scale * ((at.wrapping_mul(2_654_435_761) >> 7) % 251) as f32
}

fn checkpoint(run: &Path, step: u64, scale: f32) -> std::path::PathBuf {
    let config = Config::from_json(&config().to_string()).unwrap();
    let names = ["parameters.embed", "parameters.layer.0", "parameters.head"];
    let tensors = config.units().into_iter().zip(names).map(|(unit, name)| -> recon_checkpoint::Result<_> {
        let elements = config.layout(unit).elements;
        let values: Vec<f32> = (0..elements).map(|at| element(at, scale)).collect();
        Ok((name.to_owned(), Tensor::from_vec(values, elements, &Device::Cpu)?))
    });
    let identity = serde_json::json!({
        "model": serde_json::from_str::<serde_json::Value>(&config.to_json()).unwrap(), "options": {}, "data": "", "steps": step,
    });
    let record = serde_json::json!({"identity": identity, "position": 0, "tokens": 0, "trained_tokens": 0});
    let keep = Keep { newest: 9.try_into().unwrap(), every: None };
    state::save(&run.join("checkpoints"), step, &record, tensors, keep).unwrap();
    std::fs::create_dir_all(run.join("model")).unwrap();
    std::fs::write(run.join("model/tokenizer.json"), "{}").unwrap();
    state::path(&run.join("checkpoints"), step)
}

/// What `work` allocates at most beyond what there was.
fn peak(work: impl FnOnce()) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    work();
    ALLOCATED.peak_usage() - before
}

/// Every element of an export is that of its place, times `scale`.
fn check(directory: &Path, scale: f32) {
    let config = Config::from_json(&config().to_string()).unwrap();
    let tensors = HfTensors::open(directory).unwrap();
    for spec in config.units().into_iter().flat_map(|unit| config.layout(unit).specs) {
        let read = tensors.read_shaped(&spec.name, &spec.shape, DType::F32, &Device::Cpu).unwrap();
        let values = read.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let wrong = values.iter().zip(spec.range()).find(|(value, at)| **value != element(*at, scale));
        assert_eq!(wrong, None, "{}", spec.name);
    }
}

#[test]
fn exports_and_averages_take_a_fraction_of_the_memory_of_the_model() {
    let work = tempfile::tempdir().unwrap();
    let run = work.path().join("run");
    let (one, two) = (checkpoint(&run, 1, 1.0), checkpoint(&run, 2, 3.0));
    let size = std::fs::metadata(one.join("00000.tensor")).unwrap().len() as usize;
    assert!(size > 2 * BOUND, "the control: one tensor alone is larger than the bound");
    let to = |name: &str| work.path().join(name);
    for dtype in [DType::F32, DType::BF16] {
        let name = |what: &str| format!("{what}-{dtype:?}");
        let exported = to(&name("export"));
        let taken = peak(|| export(&one, &exported, Some(dtype)).unwrap());
        let copied =
            peak(|| export_model(&ModelFiles::Directory(exported.clone()), &to(&name("copy")), Some(dtype)).unwrap());
        let averaged = peak(|| {
            average(&[two.clone(), one.clone()], Averaging::Uniform, &to(&name("average")), Some(dtype)).unwrap();
        });
        eprintln!("{dtype:?}: export {taken} bytes, copy {copied}, average of two {averaged}; a table has {size}");
        assert!(taken < BOUND && copied < BOUND && averaged < 3 * BOUND, "{taken} {copied} {averaged}");
        check(&exported, 1.0);
        check(&to(&name("copy")), 1.0);
        check(&to(&name("average")), 2.0);
        for name in ["export", "copy", "average"].map(name) {
            std::fs::remove_dir_all(to(&name)).unwrap();
        }
    }
}
