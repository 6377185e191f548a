//! Who computes attention in a run: what the options say, or what is faster on the machine the run is on.
//!
//! `auto` times a forward and a backward pass of each way over one document as long as a micro-batch, once before the
//! first step, and takes cuDNN's only where it gives our own kernels' results within the rounding of bf16. On the CPU,
//! in f32 and in a program without cuDNN there is one way and nothing is timed.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use recon_kernels::attention::Backend;
use recon_llama::Config;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Who computes attention on a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// The faster one, timed where the run is.
    #[default]
    Auto,
    /// Our own kernels.
    Own,
    /// cuDNN's: bf16, head dimensions up to 128.
    Cudnn,
}

impl Attention {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Two ways that both compute attention may differ by this much of the norm: the rounding of bf16 is a tenth of it.
const LARGEST_DIFFERENCE: f64 = 3e-2;

/// Who computes attention in a run of `config` in `dtype` on `device`, in micro-batches of `rows` tokens: what is asked for,
/// and whether its gradients must have the same bits every time.
///
/// # Errors
/// cuDNN was asked for and cannot be had; what goes wrong on the device.
pub(crate) fn choose(
    (asked, deterministic): (Attention, bool),
    config: &Config,
    (device, dtype): (&Device, DType),
    rows: usize,
) -> Result<Backend> {
    let cudnn = Backend::Cudnn { deterministic };
    match asked {
        Attention::Own => return Ok(Backend::Own),
        Attention::Cudnn => {
            cudnn.check().map_err(recon_llama::Error::from)?;
            return Ok(cudnn);
        }
        Attention::Auto if !device.is_cuda() || dtype != DType::BF16 => return Ok(Backend::Own),
        Attention::Auto => {}
    }
    if let Err(reason) = cudnn.check() {
        tracing::info!(%reason, "attention by our own kernels");
        return Ok(Backend::Own);
    }
    let own = Trial::of(Backend::Own, config, device, dtype, rows)?;
    // cuDNN may refuse shapes of which it says nothing before.
    let other = match Trial::of(cudnn, config, device, dtype, rows) {
        Ok(trial) => trial,
        Err(error) => {
            tracing::warn!(%error, "attention by our own kernels: cuDNN does not compute this model's");
            return Ok(Backend::Own);
        }
    };
    let (apart, ms) = (other.differs_from(&own)?, |trial: &Trial| trial.took.as_secs_f64() * 1e3);
    let chosen = if faster(own.took, other.took, apart) { cudnn } else { Backend::Own };
    let (own_ms, cudnn_ms) = (ms(&own), ms(&other));
    if apart > LARGEST_DIFFERENCE || apart.is_nan() {
        tracing::warn!(apart, "cuDNN's attention differs from ours on this machine and is not used");
    }
    tracing::info!(rows, own_ms, cudnn_ms, ?chosen, "attention timed, forward and backward of one layer");
    Ok(chosen)
}

/// Whether the other way is to be taken.
fn faster(own: Duration, other: Duration, apart: f64) -> bool {
    other < own && apart <= LARGEST_DIFFERENCE
}

/// One way, tried.
struct Trial {
    took: Duration,
    /// o, dq, dk, dv.
    results: [Tensor; 4],
}

impl Trial {
    /// Twice, of which the second is timed: the first opens libraries and builds plans.
    fn of(by: Backend, config: &Config, device: &Device, dtype: DType, rows: usize) -> Result<Self> {
        // Functions of the place, so that both ways see the same numbers.
        let numbers = |heads: usize, step: f64| {
            let places = Tensor::arange(0_f32, (rows * heads * config.head_dim) as f32, device)?;
            places.affine(step, 0.3)?.sin()?.reshape((rows, heads, config.head_dim))?.to_dtype(dtype)
        };
        let (heads, kv) = (config.num_attention_heads, config.num_key_value_heads);
        let (q, k, v, d_o) = (numbers(heads, 0.71)?, numbers(kv, 1.37)?, numbers(kv, 0.59)?, numbers(heads, 1.91)?);
        let (spans, scale) = ([0..rows], (config.head_dim as f64).sqrt().recip());
        let once = || -> Result<[Tensor; 4]> {
            let (o, lse) = by.forward(&q, &k, &v, &spans, scale)?;
            let (dq, dk, dv) = by.backward(&d_o, &q, &k, &v, &o, &lse, &spans, scale)?;
            device.synchronize()?;
            Ok([o, dq, dk, dv])
        };
        drop(once()?);
        let start = Instant::now();
        let results = once()?;
        Ok(Self { took: start.elapsed(), results })
    }

    /// The largest relative difference of a result, as norms.
    fn differs_from(&self, other: &Self) -> Result<f64> {
        let apart = |a: &Tensor, b: &Tensor| -> candle_core::Result<f64> {
            let (a, b) = (a.to_dtype(DType::F32)?, b.to_dtype(DType::F32)?);
            let square = |x: Tensor| x.sqr()?.sum_all()?.to_scalar::<f32>().map(f64::from);
            Ok((square((a - &b)?)? / square(b)?).sqrt())
        };
        let mut largest = 0.0_f64;
        for (a, b) in self.results.iter().zip(&other.results) {
            let apart = apart(a, b)?;
            // NaN stays.
            largest = if apart.is_nan() || apart > largest { apart } else { largest };
        }
        Ok(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_faster_and_right_is_taken() {
        let [long, short] = [3, 1].map(Duration::from_millis);
        assert!(faster(long, short, 4e-3));
        assert!(!faster(short, long, 4e-3));
        for apart in [0.1, f64::NAN, f64::INFINITY] {
            assert!(!faster(long, short, apart), "{apart}");
        }
    }

    #[test]
    fn a_wrong_result_is_seen() {
        let config = crate::memory::tests::llama3_8b();
        let of = || Trial::of(Backend::Own, &config, &Device::Cpu, DType::F32, 5).unwrap();
        let (one, mut other) = (of(), of());
        assert_eq!(one.differs_from(&other).unwrap(), 0.0);
        let wrong = (&other.results[2] * 1.1).unwrap();
        other.results[2] = wrong;
        assert!(other.differs_from(&one).unwrap() > LARGEST_DIFFERENCE);
        other.results[3] = (&other.results[3] * f64::NAN).unwrap();
        assert!(other.differs_from(&one).unwrap().is_nan());
    }
}
