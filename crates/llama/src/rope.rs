//! Inverse frequencies of the rotary position embedding, with linear scaling and Llama 3's.
//!
//! Output: `inv_freq[hd / 2]`. Computed in f32, operation by operation as `transformers` does,
//! because every checkpoint was trained and is served with those roundings.
//!
//! Source: Su et al. 2021; `_compute_linear_scaling_rope_parameters` and `_compute_llama3_parameters` of transformers 5 (the formula Meta
//! published with Llama 3.1 for the second).

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device};
use recon_kernels::rope::Table;

use crate::config::{Llama3Scaling, Rope, Scaling};
use crate::{Config, Error, Result};

/// Rows of the first table made; it doubles from there as longer documents come.
const FIRST_POSITIONS: usize = 1024;

/// The frequencies of a model, and the table of sines and cosines made so far.
///
/// A model meant for 128k tokens would need 64 MB of table; most runs never see that position.
/// The values do not depend on the table's length.
pub(crate) struct Frequencies {
    inv_freq: Vec<f64>,
    limit: usize,
    table: Mutex<Option<Arc<Table>>>,
}

impl Frequencies {
    pub(crate) fn new(config: &Config) -> Self {
        let inv_freq = inverse_frequencies(&config.rope, config.head_dim);
        let inv_freq = inv_freq.into_iter().map(f64::from).collect();
        Self { inv_freq, limit: config.max_position_embeddings, table: Mutex::new(None) }
    }

    /// A table that covers `positions`; every call of one model names the same type and device.
    pub(crate) fn table(&self, positions: &[u32], dtype: DType, device: &Device) -> Result<Arc<Table>> {
        let needed = positions.iter().max().map_or(0, |last| *last as usize + 1);
        if needed > self.limit {
            let limit = self.limit;
            return Err(Error::Input(format!("position {} is beyond `max_position_embeddings` {limit}", needed - 1)));
        }
        // A panic elsewhere leaves the old table or none: both are valid.
        let mut held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = held.as_ref().filter(|table| table.max_positions() >= needed) {
            return Ok(table.clone());
        }
        let length = needed.next_power_of_two().max(FIRST_POSITIONS).min(self.limit);
        let table = Arc::new(Table::new(&self.inv_freq, length, dtype, device)?);
        *held = Some(table.clone());
        Ok(table)
    }
}

/// `θ^(-2i/hd)` for every pair `i`, scaled where the configuration says so.
fn inverse_frequencies(rope: &Rope, head_dim: usize) -> Vec<f32> {
    let theta = rope.theta as f32;
    let pair = |i: usize| 1.0 / theta.powf(i as f32 / head_dim as f32);
    let plain = (0..head_dim).step_by(2).map(pair);
    match &rope.scaling {
        None => plain.collect(),
        Some(Scaling::Linear { factor }) => plain.map(|frequency| frequency / *factor as f32).collect(),
        Some(Scaling::Llama3(scaling)) => plain.map(|frequency| stretch(frequency, scaling)).collect(),
    }
}

/// Low frequencies are divided by `factor`, high ones kept, those between interpolated.
fn stretch(frequency: f32, scaling: &Llama3Scaling) -> f32 {
    let factor = scaling.factor as f32;
    let original = scaling.original_max_position_embeddings as f64;
    let longest_kept = (original / scaling.high_freq_factor) as f32;
    let shortest_divided = (original / scaling.low_freq_factor) as f32;
    let wavelength = 2.0 * std::f32::consts::PI / frequency;
    if wavelength < longest_kept {
        return frequency;
    }
    if wavelength > shortest_divided {
        return frequency / factor;
    }
    let smooth = (original as f32 / wavelength - scaling.low_freq_factor as f32)
        / (scaling.high_freq_factor - scaling.low_freq_factor) as f32;
    (1.0 - smooth) * frequency / factor + smooth * frequency
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From transformers 5.17, `ROPE_INIT_FUNCTIONS["llama3"]`, Llama 3.1's values, head_dim 128,
    /// at pairs 0, 24, 28, 30, 36, 40, 63.
    #[test]
    fn llama_3_1_frequencies_are_those_of_transformers() {
        let scaling = Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let got = inverse_frequencies(&Rope { theta: 500_000.0, scaling: Some(Scaling::Llama3(scaling)) }, 128);
        let plain = inverse_frequencies(&Rope { theta: 500_000.0, scaling: None }, 128);
        assert_eq!(got.len(), 64);
        let want: [(usize, f32); 7] = [
            (0, 1.0),
            (24, 7.292665e-3),
            (28, 3.211446e-3),
            (30, 1.3718937e-3),
            (36, 7.7846555e-5),
            (40, 3.4281024e-5),
            (63, 3.068926e-7),
        ];
        for (pair, want) in want {
            assert!((got[pair] / want - 1.0).abs() < 1e-6, "pair {pair}: {} is not {want}", got[pair]);
        }
        assert_ne!(plain[36], got[36], "the scaling must show");
    }
}
