//! `nano`, the model inside the program: small enough to carry, made by `cargo xtask nano`.

use crate::EmbeddedModel;

/// The files of `assets/nano`.
pub(crate) static NANO: EmbeddedModel = EmbeddedModel {
    config_json: include_str!("../../../assets/nano/config.json"),
    tokenizer_json: include_bytes!("../../../assets/nano/tokenizer.json"),
    companions: &[
        ("tokenizer_config.json", include_bytes!("../../../assets/nano/tokenizer_config.json")),
        ("special_tokens_map.json", include_bytes!("../../../assets/nano/special_tokens_map.json")),
        ("generation_config.json", include_bytes!("../../../assets/nano/generation_config.json")),
    ],
    safetensors: include_bytes!("../../../assets/nano/model.safetensors"),
};
