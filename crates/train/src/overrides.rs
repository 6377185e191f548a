//! What a run says of its model's configuration beside the model itself.

use recon_llama::Config;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Error, Init, Result};

/// What replaces values of the model's `config.json`; the export carries them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelOverrides {
    /// Keys of `config.json`. Fresh weights (`train.init = "random"`) are of this shape; a model that brings its
    /// weights must have it.
    pub shape: Option<Map<String, Value>>,
    /// Base of the rotary frequencies, e.g. 8e6 for 64k tokens (ProLong).
    pub rope_theta: Option<f64>,
    /// Longest document the model is meant for, in tokens.
    pub max_position_embeddings: Option<usize>,
}

impl ModelOverrides {
    /// `config_json` under these.
    ///
    /// # Errors
    /// [`Error::Shape`] where the model has its own weights and another shape.
    pub fn over(&self, config_json: &str, init: Init) -> Result<Config> {
        let own = Config::from_json(config_json)?;
        let Some(shape) = &self.shape else { return self.constants(own) };
        let mut map: Map<String, Value> = serde_json::from_str(config_json).map_err(recon_llama::Error::NotJson)?;
        map.extend(shape.clone());
        let shaped = Config::from_json(&Value::Object(map).to_string())?;
        if init == Init::Model {
            let value = |config: &Config| -> Value { serde_json::from_str(&config.to_json()).expect("it is JSON") };
            let (own, shaped) = (value(&own), value(&shaped));
            if let Some(key) = shape.keys().find(|key| own[*key] != shaped[*key]) {
                let (key, own, given) = (key.clone(), own[key].to_string(), shaped[key].to_string());
                return Err(Error::Shape { key, own, given });
            }
        }
        self.constants(shaped)
    }

    /// A configuration of the shape alone, where no model is at hand; none without a shape.
    ///
    /// # Errors
    /// A shape that lacks a size, or has one that is not meant.
    pub fn alone(&self) -> Result<Option<Config>> {
        let Some(shape) = &self.shape else { return Ok(None) };
        let mut map = shape.clone();
        map.entry("model_type").or_insert_with(|| json!("llama"));
        self.constants(Config::from_json(&Value::Object(map).to_string())?).map(Some)
    }

    fn constants(&self, mut config: Config) -> Result<Config> {
        config.rope.theta = self.rope_theta.unwrap_or(config.rope.theta);
        config.max_position_embeddings = self.max_position_embeddings.unwrap_or(config.max_position_embeddings);
        config.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "eos_token_id": 1}"#;

    fn shape(text: &str) -> ModelOverrides {
        ModelOverrides { shape: serde_json::from_str(text).unwrap(), rope_theta: Some(8e6), ..Default::default() }
    }

    #[test]
    fn a_shape_is_that_of_fresh_weights_and_must_be_that_of_the_models_own() {
        let larger = shape(r#"{"hidden_size": 64, "num_hidden_layers": 3}"#);
        let config = larger.over(CONFIG, Init::Random).unwrap();
        assert_eq!((config.vocab_size, config.hidden_size, config.num_hidden_layers, config.head_dim), (96, 64, 3, 16));
        assert_eq!((config.rope.theta, config.other("eos_token_id")), (8e6, Some(&json!(1))));
        let error = larger.over(CONFIG, Init::Model).unwrap_err();
        assert!(matches!(&error, Error::Shape { key, .. } if key == "hidden_size"), "{error}");
        assert_eq!(shape(r#"{"hidden_size": 32}"#).over(CONFIG, Init::Model).unwrap().hidden_size, 32);
    }

    #[test]
    fn a_whole_shape_needs_no_model() {
        let whole = shape(&CONFIG.replace(r#""model_type": "llama", "#, ""));
        assert_eq!(whole.alone().unwrap().unwrap().hidden_size, 32);
        assert!(shape(r#"{"hidden_size": 64}"#).alone().is_err(), "the other sizes are not known");
        assert_eq!(ModelOverrides::default().alone().unwrap(), None);
    }
}
