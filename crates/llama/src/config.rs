//! `config.json` of a Hugging Face Llama: read, checked, overridden, written back.
//!
//! Both spellings of the rotary embedding are read and written: `rope_theta` and `rope_scaling`
//! (transformers 4) and `rope_parameters` (transformers 5). Keys this program does not know are
//! kept as they were. A [`Config`] that came out of [`Config::from_json`] is valid; after changing
//! a field, [`Config::validate`] says whether it still is.

use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// Shape and constants of a model; field names are those of `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream (`D`).
    pub hidden_size: usize,
    /// Width of the feed-forward (`F`).
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads (`H`).
    pub num_attention_heads: usize,
    /// Key/value heads (`KH`), a divisor of the query heads.
    pub num_key_value_heads: usize,
    /// Width of a head; `hidden_size / num_attention_heads` where the file does not give it.
    pub head_dim: usize,
    /// Added to the mean square under the root of the normalisations.
    pub rms_norm_eps: f64,
    /// Rotary position embedding.
    pub rope: Rope,
    /// Longest document the model is meant for, in tokens.
    pub max_position_embeddings: usize,
    /// Whether the embedding table is the output projection too.
    pub tie_word_embeddings: bool,
    /// The file as it was read, for the keys that are none of the above.
    raw: Map<String, Value>,
}

/// Rotary position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Scaling of the frequencies; `None` is `rope_type: "default"`.
    pub scaling: Option<Scaling>,
}

/// How frequencies are scaled for contexts longer than those first trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    /// `rope_type: "linear"`: every frequency is divided by the factor (DeepSeek-Coder).
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// `rope_type: "llama3"`.
    Llama3(Llama3Scaling),
}

/// Constants of `rope_type: "llama3"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Llama3Scaling {
    /// Low frequencies are divided by this.
    pub factor: f64,
    /// Wavelengths above `original / low_freq_factor` are divided.
    pub low_freq_factor: f64,
    /// Wavelengths below `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// Context length before the extension, in tokens.
    pub original_max_position_embeddings: usize,
}

/// Largest value of any size: beyond it a product of two no longer fits the address space.
const MAX_SIZE: usize = 1 << 31;

/// Most layers: every layer has a layout in memory before any weight is read.
const MAX_LAYERS: usize = 1 << 12;

impl Config {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// [`Error::Config`] names the key that is missing, ill-typed or unsupported.
    pub fn from_json(text: &str) -> Result<Self> {
        let raw: Map<String, Value> = serde_json::from_str(text).map_err(Error::NotJson)?;
        let keys = Keys { prefix: "", map: &raw };
        refuse_unsupported(&keys)?;
        let hidden_size = keys.size("hidden_size")?;
        let num_attention_heads = keys.size("num_attention_heads")?;
        let head_dim = match keys.optional_size("head_dim")? {
            Some(head_dim) => head_dim,
            None if hidden_size.is_multiple_of(num_attention_heads) => hidden_size / num_attention_heads,
            None => {
                return Err(wrong("num_attention_heads", "does not divide `hidden_size`, and `head_dim` is not given"));
            }
        };
        let max_position_embeddings = keys.optional_size("max_position_embeddings")?.unwrap_or(2048);
        let config = Self {
            vocab_size: keys.size("vocab_size")?,
            hidden_size,
            intermediate_size: keys.size("intermediate_size")?,
            num_hidden_layers: keys.size("num_hidden_layers")?,
            num_attention_heads,
            num_key_value_heads: keys.optional_size("num_key_value_heads")?.unwrap_or(num_attention_heads),
            head_dim,
            rms_norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope: read_rope(&keys, max_position_embeddings)?,
            max_position_embeddings,
            tie_word_embeddings: keys.flag("tie_word_embeddings")?.unwrap_or(false),
            raw,
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks what the fields must satisfy together.
    pub fn validate(&self) -> Result<()> {
        for (key, size) in self.sizes() {
            let most = if key == "num_hidden_layers" { MAX_LAYERS } else { MAX_SIZE };
            if size == 0 || size > most {
                return Err(wrong(key, format!("is {size}, expected 1 to {most}")));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let problem =
                format!("is {}, not a divisor of {} query heads", self.num_key_value_heads, self.num_attention_heads);
            return Err(wrong("num_key_value_heads", problem));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(wrong("head_dim", format!("is {}, rotary embedding needs an even one", self.head_dim)));
        }
        self.check_constants()?;
        self.check_total()
    }

    /// Every size with the key it has in `config.json`.
    fn sizes(&self) -> [(&'static str, usize); 8] {
        [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ]
    }

    fn check_constants(&self) -> Result<()> {
        let mut constants = vec![("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope.theta)];
        if let Some(Scaling::Linear { factor }) = self.rope.scaling {
            constants.push(("rope_scaling.factor", factor));
        }
        if let Some(Scaling::Llama3(scaling)) = &self.rope.scaling {
            constants.push(("rope_scaling.factor", scaling.factor));
            constants.push(("rope_scaling.low_freq_factor", scaling.low_freq_factor));
            constants.push(("rope_scaling.high_freq_factor", scaling.high_freq_factor));
            if scaling.high_freq_factor <= scaling.low_freq_factor {
                return Err(wrong("rope_scaling.high_freq_factor", "is not above `low_freq_factor`"));
            }
            if scaling.original_max_position_embeddings == 0 {
                return Err(wrong("rope_scaling.original_max_position_embeddings", "is 0"));
            }
        }
        match constants.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            Some((key, value)) => Err(wrong(key, format!("is {value}, expected a positive number"))),
            None => Ok(()),
        }
    }

    /// The element counts of all units, and the bytes of an f64 copy, must fit the address space.
    fn check_total(&self) -> Result<()> {
        let total = || {
            let table = self.vocab_size.checked_mul(self.hidden_size)?;
            let query = self.num_attention_heads.checked_mul(self.head_dim)?.checked_mul(self.hidden_size)?;
            let mlp = self.intermediate_size.checked_mul(self.hidden_size)?;
            let layer = query.checked_mul(4)?.checked_add(mlp.checked_mul(3)?)?;
            let all = layer.checked_mul(self.num_hidden_layers)?.checked_add(table.checked_mul(2)?)?;
            all.checked_mul(size_of::<f64>()).filter(|bytes| isize::try_from(*bytes).is_ok())
        };
        total()
            .map(drop)
            .ok_or_else(|| wrong("hidden_size", "and the other sizes give more parameters than fit in memory"))
    }

    /// The file's text: what was read, with the fields of this value in both spellings.
    pub fn to_json(&self) -> String {
        let mut map = self.raw.clone();
        for (key, size) in self.sizes() {
            map.insert(key.into(), json!(size));
        }
        map.insert("rms_norm_eps".into(), json!(self.rms_norm_eps));
        map.insert("tie_word_embeddings".into(), json!(self.tie_word_embeddings));
        map.insert("model_type".into(), json!("llama"));
        map.entry("architectures").or_insert_with(|| json!(["LlamaForCausalLM"]));
        map.entry("hidden_act").or_insert_with(|| json!("silu"));
        write_rope(&mut map, &self.rope);
        let mut text = serde_json::to_string_pretty(&map).expect("a map of JSON values is JSON");
        text.push('\n');
        text
    }

    /// Width of all query heads together.
    pub fn query_dim(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn key_value_dim(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// A key this program does not interpret, e.g. `eos_token_id`.
    pub fn other(&self, key: &str) -> Option<&Value> {
        self.raw.get(key)
    }
}

/// Features that would change the numbers silently if they were ignored.
fn refuse_unsupported(keys: &Keys) -> Result<()> {
    match keys.text("model_type")? {
        Some("llama") => {}
        Some(other) => return Err(wrong("model_type", format!("is `{other}`, only `llama` is supported"))),
        None => return Err(wrong("model_type", "is missing, expected `llama`")),
    }
    if let Some(activation) = keys.text("hidden_act")?.filter(|name| *name != "silu" && *name != "swish") {
        return Err(wrong("hidden_act", format!("is `{activation}`, only `silu` is supported")));
    }
    for key in ["attention_bias", "mlp_bias"] {
        if keys.flag(key)? == Some(true) {
            return Err(wrong(key, "is true, biases are not supported"));
        }
    }
    if keys.number("attention_dropout")?.is_some_and(|rate| rate != 0.0) {
        return Err(wrong("attention_dropout", "is not 0, dropout is not supported"));
    }
    if keys.number("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return Err(wrong("partial_rotary_factor", "is not 1, only full rotary heads are supported"));
    }
    if keys.get("quantization_config").is_some() {
        return Err(wrong("quantization_config", "is set, quantised checkpoints are not supported"));
    }
    Ok(())
}

/// Reads both spellings; where both are given they must agree.
fn read_rope(keys: &Keys, max_position_embeddings: usize) -> Result<Rope> {
    let scaling = keys.section("rope_scaling")?;
    let parameters = keys.section("rope_parameters")?;
    let mut theta = keys.number("rope_theta")?;
    for section in [&scaling, &parameters].into_iter().flatten() {
        let Some(inside) = section.number("rope_theta")? else { continue };
        if theta.is_some_and(|outside| outside != inside) {
            return Err(section.wrong("rope_theta", "disagrees with the other `rope_theta`"));
        }
        theta = Some(inside);
    }
    let read = |section: &Keys| read_scaling(section, max_position_embeddings);
    let scaling = match (&scaling, &parameters) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => read(one)?,
        (Some(old), Some(new)) => {
            let (old, new) = (read(old)?, read(new)?);
            if old != new {
                return Err(wrong("rope_parameters", "disagrees with `rope_scaling`"));
            }
            new
        }
    };
    Ok(Rope { theta: theta.unwrap_or(10_000.0), scaling })
}

fn read_scaling(section: &Keys, max_position_embeddings: usize) -> Result<Option<Scaling>> {
    if section.number("partial_rotary_factor")?.is_some_and(|factor| factor != 1.0) {
        return Err(section.wrong("partial_rotary_factor", "is not 1, only full rotary heads are supported"));
    }
    let kind = match section.text("rope_type")? {
        Some(kind) => Some(kind),
        None => section.text("type")?,
    };
    let needed = |key: &str| section.number(key)?.ok_or_else(|| section.wrong(key, "is missing"));
    match kind {
        None | Some("default") => Ok(None),
        Some("linear") => Ok(Some(Scaling::Linear { factor: needed("factor")? })),
        Some("llama3") => Ok(Some(Scaling::Llama3(Llama3Scaling {
            factor: needed("factor")?,
            low_freq_factor: needed("low_freq_factor")?,
            high_freq_factor: needed("high_freq_factor")?,
            original_max_position_embeddings: section
                .optional_size("original_max_position_embeddings")?
                .unwrap_or(max_position_embeddings),
        }))),
        Some(other) => {
            Err(section
                .wrong("rope_type", format!("is `{other}`, only `default`, `linear` and `llama3` are supported")))
        }
    }
}

fn write_rope(map: &mut Map<String, Value>, rope: &Rope) {
    let constants = rope.scaling.as_ref().map(|scaling| match scaling {
        // `type` is what transformers 4 read when the models that have it were published.
        Scaling::Linear { factor } => json!({"rope_type": "linear", "type": "linear", "factor": factor}),
        Scaling::Llama3(scaling) => json!({
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_position_embeddings,
        }),
    });
    let mut parameters = constants.clone().unwrap_or_else(|| json!({"rope_type": "default"}));
    parameters["rope_theta"] = json!(rope.theta);
    map.insert("rope_theta".into(), json!(rope.theta));
    map.insert("rope_scaling".into(), constants.unwrap_or(Value::Null));
    map.insert("rope_parameters".into(), parameters);
}

fn wrong(key: &str, problem: impl Into<String>) -> Error {
    Error::Config { key: key.into(), problem: problem.into() }
}

/// Typed access to one JSON object; `null` counts as absent, as it does in transformers.
struct Keys<'a> {
    prefix: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, problem: impl Into<String>) -> Error {
        if self.prefix.is_empty() { wrong(key, problem) } else { wrong(&format!("{}.{key}", self.prefix), problem) }
    }

    fn typed<T>(&self, key: &str, expected: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, format!("is not {expected}")))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a positive integer", |value| {
            value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0)
        })
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.typed(key, "a string", Value::as_str)
    }

    fn section(&self, key: &'a str) -> Result<Option<Keys<'a>>> {
        Ok(self.typed(key, "an object", Value::as_object)?.map(|map| Keys { prefix: key, map }))
    }
}
