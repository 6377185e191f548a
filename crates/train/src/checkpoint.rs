//! What a run keeps so that it can go on bit for bit, and how a checkpoint of another run is told.
//!
//! Tensors: `parameters.UNIT` and what the optimizer keeps (of AdamW `m.UNIT` and `v.UNIT`), flat. Record: the run's identity, the row
//! position and the token counts. Every random choice of a run (fresh weights, order of rows) is
//! a function of the seed and a counter, so there is no generator state to keep.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use recon_checkpoint::state::{self, SavedState};
use recon_kernels::norm;
use recon_llama::{Config, FlatParams, TensorSpec, Unit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bad_steps::Steadiness;
use crate::optimizer::{Optimizer, PARAMETERS, Slots, computed};
use crate::ranks::Ranks;
use crate::{Drawn, Error, Result, TrainOptions};

/// Options that may change between a run and its resumption: they do not change any number, or, as
/// the device, only within the bound that docs/numerics.md states. What the sources hold, and their weights, is in
/// [`Identity::data`]; where they lie is not.
const FREE: [&str; 12] = [
    "activations",
    "save",
    "keep",
    "keep_every",
    "save_in_background",
    "failed_save",
    "trace",
    "peak_tflops",
    "device",
    "sources",
    "validation",
    "parallel",
];

/// What must be the same for a run to be the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The model's configuration.
    pub(crate) model: Value,
    /// The options, less those that do not change any number.
    pub(crate) options: Value,
    /// [`crate::RowSource::identity`].
    pub(crate) data: String,
    /// All steps of the run.
    pub(crate) steps: u64,
}

impl Identity {
    pub(crate) fn new(config: &Config, options: &TrainOptions, data: String, steps: u64) -> Self {
        let model = serde_json::from_str(&config.to_json()).expect("a configuration is written as JSON");
        let mut options = serde_json::to_value(options).expect("options are numbers and names");
        let map = options.as_object_mut().expect("options are a structure");
        FREE.iter().for_each(|key| drop(map.remove(*key)));
        Self { model, options, data, steps }
    }

    /// # Errors
    /// [`Error::Mismatch`] names the first key that differs.
    fn must_equal(&self, saved: &Self, path: &Path) -> Result<()> {
        let value = |identity: &Self| serde_json::to_value(identity).expect("it was JSON before");
        match first_difference("", &value(saved), &value(self)) {
            None => Ok(()),
            Some((key, saved, current)) => Err(Error::Mismatch { path: path.into(), key, saved, current }),
        }
    }
}

/// The first key, depth first, whose values differ, and both values.
pub(crate) fn first_difference(key: &str, left: &Value, right: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(one), Value::Object(other)) = (left, right) {
        let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
        return keys.into_iter().find_map(|inner| {
            let path = if key.is_empty() { inner.clone() } else { format!("{key}.{inner}") };
            first_difference(&path, one.get(inner).unwrap_or(&Value::Null), other.get(inner).unwrap_or(&Value::Null))
        });
    }
    (left != right).then(|| (key.into(), left.to_string(), right.to_string()))
}

/// The record beside the tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) identity: Identity,
    /// Rows consumed: the position of the next one.
    pub(crate) position: u64,
    /// Tokens inside documents so far.
    pub(crate) tokens: u64,
    /// Trained tokens so far.
    pub(crate) trained_tokens: u64,
    /// Parts of a step: the order in which gradients are added.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) parts: usize,
    /// Of each source, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<Drawn>,
    /// Bad steps, and what they are told from.
    #[serde(default, skip_serializing_if = "Steadiness::is_new")]
    pub(crate) steadiness: Steadiness,
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(parts: &usize) -> bool {
    *parts == one()
}

fn unit_name(unit: Unit) -> String {
    match unit {
        Unit::Embed => "embed".into(),
        Unit::Layer(layer) => format!("layer.{layer}"),
        Unit::Head => "head".into(),
    }
}

/// Refuses weights that are not finite.
///
/// # Errors
/// [`Error::Weights`] names the first unit concerned.
pub(crate) fn require_finite(params: &FlatParams, config: &Config, step: u64) -> Result<()> {
    let units = config.units();
    let flat: Vec<&Tensor> = units.iter().map(|unit| params.unit(*unit)).collect();
    for (unit, squares) in units.into_iter().zip(norm::sums_of_squares(&flat)?) {
        if !squares.is_finite() {
            return Err(Error::Weights { step, unit });
        }
    }
    Ok(())
}

/// What a checkpoint holds of what every rank keeps: a whole tensor at a time, so the files are the same for every number
/// of ranks. Every rank goes through all of them; they are of use on the rank that leads.
pub(crate) fn tensors<'a>(
    (slots, params, config): (&'a Slots, &'a FlatParams, &'a Config),
    ranks: &'a Ranks<'_>,
) -> impl Iterator<Item = Result<(String, Tensor)>> {
    slots.saved(params).into_iter().map(move |saved| {
        let elements = config.layout(saved.unit).elements;
        let whole = if saved.kept { ranks.whole(saved.flat, elements)? } else { saved.flat.clone() };
        Ok((name(saved.kind, saved.unit), whole))
    })
}

fn name(kind: &str, unit: Unit) -> String {
    format!("{kind}.{}", unit_name(unit))
}

/// A checkpoint's parameters, optimizer slots, step and progress.
pub(crate) struct Restored {
    pub(crate) step: u64,
    pub(crate) progress: Progress,
    pub(crate) params: FlatParams,
    pub(crate) slots: Slots,
}

/// The newest checkpoint below a directory that is whole.
pub(crate) struct Found {
    state: SavedState,
    pub(crate) progress: Progress,
}

impl Found {
    /// Step and digest, by which two ranks know that they found the same one.
    pub(crate) fn name(&self) -> Result<String> {
        let manifest = recon_schema::file::hash_file(&self.state.path().join(recon_schema::manifest::FILE_NAME))?;
        Ok(format!("step {} with digest {}", self.state.step, manifest.sha256))
    }

    /// The step it was saved at.
    pub(crate) fn step(&self) -> u64 {
        self.state.step
    }

    /// Parts of a step of the run that saved it.
    pub(crate) fn parts(&self) -> usize {
        self.progress.parts
    }
}

/// The newest checkpoint below `directory` that is whole; `None` where there is none at all.
///
/// # Errors
/// [`Error::Mismatch`] where it belongs to another run, and where there are some and none is whole.
pub(crate) fn find(directory: &Path, identity: &Identity) -> Result<Option<Found>> {
    let Some(state) = state::open_newest(directory)? else { return Ok(None) };
    let progress = progress(&state)?;
    identity.must_equal(&progress.identity, state.path())?;
    Ok(Some(Found { state, progress }))
}

/// What `found` holds, of the slots what this rank keeps.
pub(crate) fn restore(
    found: Found,
    config: &Config,
    (device, dtype): (&Device, DType),
    optimizer: &dyn Optimizer,
    ranks: &Ranks<'_>,
) -> Result<Restored> {
    let Found { state, progress } = found;
    let to = (device, optimizer.master().unwrap_or(dtype));
    let masters = parameters(&state, config, to, |whole| ranks.weights(whole))?;
    let slots = Slots::new(optimizer, config, &masters, ranks, |unit, kind, dtype| {
        let name = require(&state, kind, unit, config.layout(unit).elements)?;
        let moment = state.read(&name, ranks.own(config.layout(unit).elements))?;
        Ok(moment.to_device(device)?.to_dtype(dtype)?)
    })?;
    let params = computed(optimizer, masters, dtype)?;
    Ok(Restored { step: state.step, progress, params, slots })
}

pub(crate) fn progress(state: &SavedState) -> Result<Progress> {
    serde_json::from_value(state.record.clone()).map_err(|error| Error::Incomplete {
        path: state.path().into(),
        what: format!("record of a training run ({error})"),
    })
}

/// The parameters of a checkpoint; of every unit what `keep` makes of it.
fn parameters(
    state: &SavedState,
    config: &Config,
    (device, dtype): (&Device, DType),
    keep: impl Fn(Tensor) -> recon_llama::Result<Tensor>,
) -> Result<FlatParams> {
    let mut places = places(state, config)?.into_iter();
    let read = |name: &str, shape: &[usize]| {
        // It is asked in the order of the layouts.
        let place = places.next().expect("one place was listed for each tensor");
        debug_assert_eq!(place.spec.name, name);
        state.read(&place.stored, place.spec.range())?.reshape(shape).map_err(recon_checkpoint::Error::from)
    };
    Ok(FlatParams::load_kept(config, device, dtype, read, keep)?)
}

/// Where a tensor of the model lies in a checkpoint.
pub(crate) struct Place {
    /// The checkpoint's tensor, flat, of a whole unit.
    pub(crate) stored: String,
    /// The tensor's range in it.
    pub(crate) spec: TensorSpec,
}

/// Where the tensors of a model of `config` lie in `state`, in the order of the layouts.
///
/// # Errors
/// [`Error::Incomplete`] where it lacks one.
pub(crate) fn places(state: &SavedState, config: &Config) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for unit in config.units() {
        let layout = config.layout(unit);
        let stored = require(state, PARAMETERS, unit, layout.elements)?;
        places.extend(layout.specs.into_iter().map(|spec| Place { stored: stored.clone(), spec }));
    }
    Ok(places)
}

/// The name of a tensor that must be there, with so many elements.
fn require(state: &SavedState, kind: &str, unit: Unit, elements: usize) -> Result<String> {
    let name = name(kind, unit);
    if state.shape(&name) == Some(&[elements]) {
        return Ok(name);
    }
    Err(Error::Incomplete { path: state.path().into(), what: format!("{name} of {elements} elements") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_differing_key_is_named() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let left = json(r#"{"a": {"b": 1, "c": [1]}, "d": 2}"#);
        assert_eq!(first_difference("", &left, &left), None);
        let differing = |text| first_difference("", &left, &json(text)).unwrap().0;
        assert_eq!(differing(r#"{"a": {"b": 2, "c": [1]}, "d": 2}"#), "a.b");
        assert_eq!(differing(r#"{"a": {"b": 1, "c": [1], "e": 0}, "d": 2}"#), "a.e");
        assert_eq!(differing(r#"{"a": {"b": 1, "c": [1]}}"#), "d");
    }
}
