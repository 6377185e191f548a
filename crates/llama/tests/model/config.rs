//! Reading, refusing, overriding and writing `config.json`; shapes and initial weights.

use crate::cases::values;
use candle_core::{DType, Device};
use recon_llama::{Config, FlatParams, Params as _, Scaling, TensorKind, Unit};
use serde_json::{Value, json};

fn llama_3_1_8b() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu",
        "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
        "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "pretraining_tp": 1,
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": false,
        "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 128256
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut config = llama_3_1_8b();
    config[key] = value;
    config
}

fn read(value: &Value) -> recon_llama::Result<Config> {
    Config::from_json(&value.to_string())
}

#[test]
fn both_spellings_of_rope_are_the_same_configuration() {
    let old = read(&llama_3_1_8b()).unwrap();
    let mut new = llama_3_1_8b();
    let mut parameters = new["rope_scaling"].take();
    parameters["rope_theta"] = new["rope_theta"].take();
    new["rope_parameters"] = parameters;
    let new = read(&new).unwrap();
    assert_eq!((&old.rope, old.rope.theta), (&new.rope, 500_000.0));
    assert_eq!(old.parameters(), 8_030_261_248);
    assert_eq!(old.head_dim, 128);
}

#[test]
fn what_is_written_reads_the_same_keeps_unknown_keys_and_carries_overrides() {
    let mut config = read(&llama_3_1_8b()).unwrap();
    config.rope.theta = 8e6;
    config.max_position_embeddings = 65_536;
    let text = config.to_json();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&written["rope_theta"], &written["rope_parameters"]["rope_theta"]), (&json!(8e6), &json!(8e6)));
    assert_eq!(written["rope_scaling"]["rope_type"], "llama3");
    assert_eq!(written["rope_parameters"]["factor"], 8.0);
    assert_eq!(written["eos_token_id"], json!([128_001, 128_008, 128_009]));
    assert_eq!(written["max_position_embeddings"], 65_536);
    let again = Config::from_json(&text).unwrap();
    assert_eq!((&again.rope, again.max_position_embeddings), (&config.rope, 65_536));
    assert_eq!(again.to_json(), text);

    config.rope.scaling = None;
    let written: Value = serde_json::from_str(&config.to_json()).unwrap();
    assert_eq!((&written["rope_scaling"], &written["rope_parameters"]["rope_type"]), (&Value::Null, &json!("default")));
}

#[test]
fn linear_scaling_is_read_in_both_spellings_and_written_in_both() {
    let scalings = [
        ("rope_scaling", json!({"type": "linear", "factor": 4.0})),
        ("rope_scaling", json!({"rope_type": "linear", "factor": 4.0})),
        ("rope_parameters", json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 500000.0})),
    ];
    for (key, scaling) in scalings {
        let mut json = with("rope_scaling", Value::Null);
        json[key] = scaling;
        let config = read(&json).unwrap();
        assert_eq!(config.rope.scaling, Some(Scaling::Linear { factor: 4.0 }), "{key}");
        let written: Value = serde_json::from_str(&config.to_json()).unwrap();
        assert_eq!(written["rope_scaling"]["type"], "linear");
        assert_eq!(written["rope_parameters"]["factor"], 4.0);
        assert_eq!(read(&written).unwrap().rope, config.rope);
    }
    let error = read(&with("rope_scaling", json!({"type": "linear"}))).unwrap_err().to_string();
    assert!(error.contains("`rope_scaling.factor`"), "{error}");
}

#[test]
fn what_cannot_run_is_refused_by_the_name_of_its_key() {
    let scaling = |key: &str, value: Value| {
        let mut scaling = llama_3_1_8b()["rope_scaling"].clone();
        scaling[key] = value;
        with("rope_scaling", scaling)
    };
    let cases = [
        ("num_key_value_heads", with("num_key_value_heads", json!(5))),
        ("head_dim", with("head_dim", json!(127))),
        ("model_type", with("model_type", json!("mistral"))),
        ("model_type", with("model_type", Value::Null)),
        ("attention_bias", with("attention_bias", json!(true))),
        ("mlp_bias", with("mlp_bias", json!(true))),
        ("hidden_act", with("hidden_act", json!("gelu"))),
        ("quantization_config", with("quantization_config", json!({"bits": 4}))),
        ("num_attention_heads", with("num_attention_heads", json!(33))),
        ("hidden_size", with("hidden_size", Value::Null)),
        ("hidden_size", with("hidden_size", json!("4096"))),
        ("vocab_size", with("vocab_size", json!(0))),
        ("vocab_size", with("vocab_size", json!(-1))),
        ("vocab_size", with("vocab_size", json!(u64::MAX))),
        ("num_hidden_layers", with("num_hidden_layers", json!(1_u64 << 40))),
        ("num_hidden_layers", with("num_hidden_layers", json!(1_000_000_000))),
        ("intermediate_size", with("intermediate_size", json!(1.5))),
        ("rms_norm_eps", with("rms_norm_eps", json!(0.0))),
        ("rope_theta", with("rope_theta", json!(-1.0))),
        ("rope_scaling.rope_type", scaling("rope_type", json!("yarn"))),
        ("rope_scaling.factor", scaling("factor", json!(0.0))),
        ("rope_scaling.low_freq_factor", scaling("low_freq_factor", Value::Null)),
        ("rope_scaling.high_freq_factor", scaling("high_freq_factor", json!(1.0))),
        ("rope_parameters.rope_theta", with("rope_parameters", json!({"rope_type": "llama3", "rope_theta": 1e4}))),
        ("rope_parameters", with("rope_parameters", json!({"rope_type": "default", "rope_theta": 5e5}))),
    ];
    for (key, config) in cases {
        let error = read(&config).expect_err(key).to_string();
        assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
    }
    let mut huge = llama_3_1_8b();
    for key in ["vocab_size", "hidden_size", "intermediate_size"] {
        huge[key] = json!(1_u64 << 31);
    }
    let error = read(&huge).unwrap_err().to_string();
    assert!(error.contains("fit in memory"), "{error}");
    huge["num_hidden_layers"] = json!(1_u64 << 31);
    let error = read(&huge).unwrap_err().to_string();
    assert!(error.contains("num_hidden_layers"), "{error}");
    assert!(Config::from_json("[]").is_err() && Config::from_json("{").is_err());
}

fn small(tied: bool) -> Config {
    let mut config = with("hidden_size", json!(96));
    for (key, size) in [
        ("intermediate_size", 200),
        ("num_hidden_layers", 2),
        ("num_attention_heads", 6),
        ("num_key_value_heads", 2),
        ("vocab_size", 301),
    ] {
        config[key] = json!(size);
    }
    config["tie_word_embeddings"] = json!(tied);
    read(&config).unwrap()
}

#[test]
fn layouts_hold_every_tensor_once_matrices_before_norms() {
    for tied in [false, true] {
        let config = small(tied);
        assert_eq!(config.units().contains(&Unit::Head), !tied);
        let mut total = 0;
        let mut names = std::collections::BTreeSet::new();
        for unit in config.units() {
            let layout = config.layout(unit);
            let mut end = 0;
            for spec in &layout.specs {
                assert!(spec.offset >= end && spec.offset % recon_llama::ALIGNMENT == 0, "{spec:?}");
                end = spec.range().end;
                assert!(end <= layout.elements);
                assert_eq!(spec.kind == TensorKind::Matrix, end <= layout.decayed_elements, "{spec:?}");
                assert_eq!(spec.kind == TensorKind::Norm, spec.name.contains("norm"), "{spec:?}");
                total += spec.elements() as u64;
                assert!(names.insert(spec.name.clone()));
            }
        }
        assert_eq!(total, config.parameters());
        assert_eq!(names.contains("lm_head.weight"), !tied);
    }
}

#[test]
fn fresh_weights_follow_the_seed_and_their_distribution() {
    let config = small(false);
    let make = |seed| FlatParams::random(&config, &Device::Cpu, DType::F32, seed).unwrap();
    let (one, same, other) = (make(1), make(1), make(2));
    let deviation = |params: &FlatParams, wanted: &str| {
        let (_, tensor) = params.named().map(Result::unwrap).find(|(name, _)| *name == wanted).unwrap();
        let values = values(&tensor);
        (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
    };
    for unit in config.units() {
        let bits = |params: &FlatParams| values(params.unit(unit));
        assert_eq!(bits(&one), bits(&same));
        assert_ne!(bits(&one), bits(&other));
    }
    assert!((deviation(&one, "model.layers.0.mlp.up_proj.weight") / 0.02 - 1.0).abs() < 0.03);
    assert!((deviation(&one, "model.layers.1.mlp.down_proj.weight") / 0.01 - 1.0).abs() < 0.03);
    assert_eq!(deviation(&one, "model.layers.1.input_layernorm.weight"), 1.0);
    let q = |layer| format!("model.layers.{layer}.self_attn.q_proj.weight");
    assert_ne!(deviation(&one, &q(0)), deviation(&one, &q(1)), "layers differ");
}

#[test]
fn loading_names_the_tensor_that_is_missing_or_misshapen_and_widens_bf16_exactly() {
    let config = small(true);
    let source = FlatParams::random(&config, &Device::Cpu, DType::BF16, 3).unwrap();
    let find = |wanted: &str| source.named().map(Result::unwrap).find(|(name, _)| *name == wanted).map(|(_, t)| t);
    let read = |name: &str, _: &[usize]| find(name).ok_or("not there");
    let widened = FlatParams::load(&config, &Device::Cpu, DType::F32, read).unwrap();
    for unit in config.units() {
        assert_eq!(values(source.unit(unit)), values(widened.unit(unit)));
    }
    let missing = |name: &str, _: &[usize]| find(name).filter(|_| !name.contains("o_proj")).ok_or("not there");
    let error = FlatParams::load(&config, &Device::Cpu, DType::F32, missing).err().unwrap().to_string();
    assert!(error.contains("model.layers.0.self_attn.o_proj.weight"), "{error}");
    let wrong = |name: &str, _: &[usize]| find(name).map(|t| t.t().unwrap_or(t)).ok_or("not there");
    let error = FlatParams::load(&config, &Device::Cpu, DType::F32, wrong).err().unwrap().to_string();
    assert!(error.contains("[96, 301], the configuration asks for [301, 96]"), "{error}");
    assert!(widened.grads(Unit::Embed).is_err() && widened.lease(Unit::Head).is_err());
}
