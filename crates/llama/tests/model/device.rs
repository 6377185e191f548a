//! The model on a device: a GPU (feature `cuda`; without one these tests fail), or the same kernels run on the CPU
//! (feature `emulated`).
//!
//! Bounds: in f32 that of the CPU's goldens. In bf16, weights and activations carry 8 bits; the distance to the CPU in
//! f32 with the same rounded weights is held below 3 %, and a control shows that the bound notices one changed weight
//! matrix and a lost residual sum's worth of error.

use candle_core::{DType, Device, Tensor};
use recon_llama::{ActivationPolicy, AttentionCtx, Config, FlatParams, Llama, Packed, PagedKv, PagedRun};

use crate::cases::{CASES, Case, norm_ratio, values};

fn on_device<R>(f: impl FnOnce(&Device) -> R) -> R {
    #[cfg(feature = "emulated")]
    return recon_kernels::device::emulate(recon_kernels::device::Order::Ascending, || f(&Device::Cpu));
    #[cfg(not(feature = "emulated"))]
    f(&recon_kernels::device::open("cuda").unwrap_or_else(|error| panic!("{error}")))
}

fn here(t: &Tensor) -> Tensor {
    t.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap()
}

/// nats, gradients by name, logits.
struct Results {
    nats: f64,
    grads: Vec<(String, Tensor)>,
    logits: Tensor,
}

fn results(config: &Config, packed: &Packed, params: &FlatParams, device: &Device, dtype: DType) -> Results {
    let llama = Llama::new(config.clone(), device, dtype).unwrap();
    let weight = (packed.trained_tokens() as f32).recip();
    let nats = llama.loss_and_grads(params, packed, ActivationPolicy::BlockInputs, weight).unwrap().nats;
    let spans = &packed.spans;
    let positions: Vec<u32> = spans.iter().flat_map(|span| 0..span.len() as u32).collect();
    let ids = &packed.ids[..spans.last().unwrap().end];
    let hidden = llama.hidden(params, ids, &positions, &AttentionCtx::Packed { spans }).unwrap();
    let grads = params.named_grads().map(|named| named.map(|(name, grad)| (name.to_owned(), here(&grad))).unwrap());
    Results { nats, grads: grads.collect(), logits: here(&llama.logits(params, &hidden).unwrap()) }
}

fn load(config: &Config, weights: &dyn Fn(&str) -> Tensor, device: &Device, dtype: DType) -> FlatParams {
    let read = |name: &str, _: &[usize]| Ok::<_, candle_core::Error>(weights(name));
    FlatParams::load(config, device, dtype, read).unwrap().with_grads().unwrap()
}

fn worst(got: &Results, want: &Results) -> (f64, String) {
    let mut errors = vec![((got.nats / want.nats - 1.0).abs(), "nats".to_owned())];
    errors.push((norm_ratio(&got.logits, &want.logits), "logits".into()));
    for ((name, got), (_, want)) in got.grads.iter().zip(&want.grads) {
        errors.push((norm_ratio(got, want), name.clone()));
    }
    errors.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap()
}

#[test]
fn every_golden_case_agrees_in_f32() {
    for name in CASES {
        let case = Case::read(name);
        let got = on_device(|device| {
            let params = load(&case.config, &|name| case.weights[name].clone(), device, DType::F32);
            results(&case.config, &case.packed, &params, device, DType::F32)
        });
        let grads = got.grads.iter().map(|(name, _)| (name.clone(), case.golden[&format!("grad.{name}")].clone()));
        let nats = values(&case.golden["nats"])[0];
        let golden = Results { nats, grads: grads.collect(), logits: case.golden["logits"].clone() };
        let (error, at) = worst(&got, &golden);
        assert!(error <= 1e-5, "{name}: {error:.2e} at {at}");
    }
}

/// A model with heads of 64 and a row of three documents, one of a single token.
fn mid_size() -> (Config, Packed) {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 211, "hidden_size": 128, "intermediate_size": 192,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
        "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "max_position_embeddings": 256, "tie_word_embeddings": true,
    });
    let ids = (0..90_u32).map(|i| (i * i * 7 + i) % 211).collect();
    let mask = (0..90).map(|i| u8::from(i % 7 != 3)).collect();
    (Config::from_json(&config.to_string()).unwrap(), Packed { ids, mask, spans: vec![0..70, 70..71, 71..88] })
}

#[test]
fn bf16_stays_within_its_rounding_of_the_cpu() {
    let (config, packed) = mid_size();
    let random = FlatParams::random(&config, &Device::Cpu, DType::F32, 3).unwrap();
    let rounded: std::collections::BTreeMap<String, Tensor> = random
        .named()
        .map(|named| {
            let (name, tensor) = named.unwrap();
            // Weights of a trained model's size, so that every layer matters.
            let scaled = if name.contains("norm") { tensor } else { (tensor * 3.0).unwrap() };
            (name.to_owned(), scaled.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap())
        })
        .collect();
    let params = load(&config, &|name| rounded[name].clone(), &Device::Cpu, DType::F32);
    let cpu = results(&config, &packed, &params, &Device::Cpu, DType::F32);
    let device = |change: Option<&str>, dtype| {
        on_device(|device| {
            let weight = |name: &str| {
                let weight = rounded[name].clone();
                if Some(name) == change { (weight * 1.1).unwrap() } else { weight }
            };
            results(&config, &packed, &load(&config, &weight, device, dtype), device, dtype)
        })
    };
    let (error, at) = worst(&device(None, DType::F32), &cpu);
    assert!(error <= 1e-5, "f32: {error:.2e} at {at}");
    let (error, at) = worst(&device(None, DType::BF16), &cpu);
    assert!(error <= 3e-2, "bf16: {error:.2e} at {at}");
    assert!(error >= 1e-4, "bf16 rounds less than it can: {error:.2e}");
    let (error, _) = worst(&device(Some("model.layers.0.self_attn.v_proj.weight"), DType::BF16), &cpu);
    assert!(error > 3e-2, "a weight changed by a tenth gives {error:.2e}");
}

#[test]
fn pages_in_pieces_agree_with_a_whole_pass() {
    let (config, packed) = mid_size();
    for (dtype, bound) in [(DType::F32, 1e-5), (DType::BF16, 2e-2)] {
        on_device(|device| {
            let llama = Llama::new(config.clone(), device, dtype).unwrap();
            let params = FlatParams::random(&config, device, dtype, 3).unwrap();
            let ids = &packed.ids[..40];
            let positions: Vec<u32> = (0..40).collect();
            let one = [0..40];
            let whole = llama.hidden(&params, ids, &positions, &AttentionCtx::Packed { spans: &one }).unwrap();
            let cache = PagedKv::new(&config, 8, 16, device, dtype).unwrap();
            let mut parts = Vec::new();
            for piece in [0..25, 25..26, 26..39, 39..40] {
                let runs = [PagedRun { rows: 0..piece.len(), first_position: piece.start, pages: vec![5, 0, 3] }];
                let ctx = AttentionCtx::Paged { cache: &cache, runs: &runs };
                parts.push(here(&llama.hidden(&params, &ids[piece.clone()], &positions[piece], &ctx).unwrap()));
            }
            let pieces = Tensor::cat(&parts, 0).unwrap();
            let error = norm_ratio(&pieces, &here(&whole));
            assert!(error <= bound, "{dtype:?}: {error:.2e}");
            let log_probs = llama.log_probs(&params, &whole, &[7; 40]).unwrap();
            let logits = here(&llama.logits(&params, &whole).unwrap());
            for (row, log_prob) in values(&logits).chunks(211).zip(log_probs) {
                let max = row.iter().copied().fold(f64::MIN, f64::max);
                let want = row[7] - max - row.iter().map(|z| (z - max).exp()).sum::<f64>().ln();
                assert!((want - f64::from(log_prob)).abs() < 1e-4, "{dtype:?}: {want} {log_prob}");
            }
        });
    }
}
