//! The golden cases of `tests/goldens/llama` and how tensors are compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use recon_llama::{Config, FlatParams, Packed};

/// Every case `scripts/goldens/llama.py` writes.
pub(crate) const CASES: [&str; 5] = ["gqa", "llama3-rope", "tied", "head-dim", "linear-rope"];

/// One golden case.
pub(crate) struct Case {
    /// Its configuration, from the `config.json` transformers wrote.
    pub(crate) config: Config,
    /// Its weights by name, f32.
    pub(crate) weights: BTreeMap<String, Tensor>,
    /// The packed row.
    pub(crate) packed: Packed,
    /// What transformers computed in float64: `logits`, `nats`, `grad.NAME`.
    pub(crate) golden: BTreeMap<String, Tensor>,
}

impl Case {
    /// Reads the case `name`.
    pub(crate) fn read(name: &str) -> Self {
        // What cargo sets when the test runs, and `gpu-day` where there is no cargo.
        let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("the runner of the test sets it");
        let directory = Path::new(&crate_folder).join("../../tests/goldens/llama").join(name);
        let text = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap();
        let tensors = |file: &str| -> BTreeMap<String, Tensor> {
            let path: PathBuf = directory.join(file);
            candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
        };
        let row: serde_json::Value = serde_json::from_str(&text("row.json")).unwrap();
        let list = |key: &str| -> Vec<u32> { serde_json::from_value(row[key].clone()).unwrap() };
        let spans: Vec<[usize; 2]> = serde_json::from_value(row["spans"].clone()).unwrap();
        let packed = Packed {
            ids: list("ids"),
            mask: list("mask").into_iter().map(|bit| bit as u8).collect(),
            spans: spans.into_iter().map(|[start, end]| start..end).collect(),
        };
        assert_eq!(packed.trained_tokens(), row["trained_tokens"].as_u64().unwrap());
        Self {
            config: Config::from_json(&text("config.json")).unwrap(),
            weights: tensors("model.safetensors"),
            packed,
            golden: tensors("golden.safetensors"),
        }
    }

    /// The weights in `dtype` with gradient buffers.
    pub(crate) fn params(&self, dtype: DType) -> FlatParams {
        params_of(&self.config, &self.weights, dtype)
    }

    /// One over the trained tokens.
    pub(crate) fn token_weight(&self) -> f32 {
        (self.packed.trained_tokens() as f32).recip()
    }
}

/// `weights` in `dtype` with gradient buffers.
pub(crate) fn params_of(config: &Config, weights: &BTreeMap<String, Tensor>, dtype: DType) -> FlatParams {
    let read = |name: &str, _: &[usize]| weights.get(name).cloned().ok_or_else(|| format!("no tensor `{name}`"));
    FlatParams::load(config, &Device::Cpu, dtype, read).unwrap().with_grads().unwrap()
}

/// The values of `tensor`, widened to f64.
pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// ‖got − want‖ / ‖want‖; infinite where a value is not finite.
pub(crate) fn norm_ratio(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.dims(), want.dims());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let (got, want) = (values(got), values(want));
    let ratio = norm(&mut got.iter().zip(&want).map(|(g, w)| g - w)) / norm(&mut want.iter().copied());
    if ratio.is_finite() { ratio } else { f64::INFINITY }
}
