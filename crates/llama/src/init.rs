//! Fresh weights from a counter: element `i` of a tensor depends on (seed, name, i) and nothing
//! else, so any rank can make any slice and the order of making never matters.
//!
//! Distribution: normal(0, 0.02); `o_proj` and `down_proj`, which write into the residual stream,
//! are scaled by `1/√(2·layers)` (Radford et al. 2019); norms are 1.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::{Config, Result};

const STANDARD_DEVIATION: f64 = 0.02;

/// The initial value of the tensor `name`, f32 on the CPU.
pub(crate) fn tensor(name: &str, shape: &[usize], config: &Config, seed: u64) -> Result<Tensor> {
    let elements = shape.iter().product();
    let values: Vec<f32> = if shape.len() == 1 {
        vec![1.0; elements]
    } else {
        let residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let scale = if residual { (2.0 * config.num_hidden_layers as f64).sqrt().recip() } else { 1.0 };
        let key = mix(seed ^ fnv1a(name));
        (0..elements as u64).into_par_iter().map(|i| (normal(key, i) * STANDARD_DEVIATION * scale) as f32).collect()
    };
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Box and Muller's transform; elements `2j` and `2j + 1` share their two uniforms.
fn normal(key: u64, index: u64) -> f64 {
    let pair = index & !1;
    let radius = (-2.0 * uniform(key, pair).ln()).sqrt();
    let angle = std::f64::consts::TAU * uniform(key, pair + 1);
    if index == pair { radius * angle.cos() } else { radius * angle.sin() }
}

/// In (0, 1]: 53 random bits, never 0 so that the logarithm is finite.
fn uniform(key: u64, counter: u64) -> f64 {
    let bits = mix(key ^ mix(counter.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// The finaliser of SplitMix64 (Steele et al. 2014).
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_gives_standard_normals() {
        let key = mix(7);
        let sample: Vec<f64> = (0..200_000).map(|i| normal(key, i)).collect();
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let moment = |power: i32| sample.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((moment(2) - 1.0).abs() < 0.015, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.1, "{}", moment(4));
        let neighbours = sample.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / n;
        assert!(neighbours.abs() < 0.01, "{neighbours}");
    }
}
