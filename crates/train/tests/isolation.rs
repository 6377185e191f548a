//! Documents of a packed row do not see each other, and the proof of it can fail.

use candle_core::{DType, Device};
use recon_llama::{Config, FlatParams, Llama, Packed};
use recon_train::compare_exchanged;

fn model() -> (Llama, FlatParams) {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
        "max_position_embeddings": 64, "tie_word_embeddings": false,
    });
    let config = Config::from_json(&config.to_string()).unwrap();
    let params = FlatParams::random(&config, &Device::Cpu, DType::F32, 3).unwrap().with_grads().unwrap();
    (Llama::new(config, &Device::Cpu, DType::F32).unwrap(), params)
}

fn row(spans: Vec<std::ops::Range<usize>>) -> Packed {
    let ids = (0..40_u32).map(|at| (at * at * 7 + 11) % 96).collect();
    Packed { ids, mask: vec![1; 40], spans }
}

#[test]
fn no_bit_of_another_document_moves() {
    let (model, params) = model();
    let row = row(vec![0..13, 13..14, 14..31, 31..40]);
    let compared = compare_exchanged(&model, &params, &row, &row.spans).unwrap();
    assert_eq!(compared.exchanged, 4);
    assert_eq!(compared.logits, 3 * 40 * 96, "each logit is compared with each other document exchanged");
    assert!(!compared.moved(), "{compared:?}");
}

#[test]
fn documents_that_do_see_each_other_are_found() {
    let (model, params) = model();
    let joined = row(vec![0..13, 13..40]);
    // The second and the third are one to the model.
    let compared = compare_exchanged(&model, &params, &joined, &[13..20]).unwrap();
    assert!(compared.logits_moved > 19 * 96, "what comes after sees it: {compared:?}");
    assert!(compared.gradients_moved > compared.gradients / 2, "{compared:?}");
    // What comes before does not: attention is causal, so only gradients may tell.
    let later = compare_exchanged(&model, &params, &joined, &[30..40]).unwrap();
    assert_eq!((later.logits_moved, later.moved()), (0, false), "{later:?}");
}
