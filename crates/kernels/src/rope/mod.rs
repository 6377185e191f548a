//! Rotary position embedding, Hugging Face's "rotate half" convention.
//!
//! Formula, with E/2 frequencies f and position p: (a, b) = (x[i], x[i + E/2]), θ = p·f[i];
//! y[i] = a·cos θ − b·sin θ, y[i + E/2] = b·cos θ + a·sin θ. The backward pass rotates by −θ.
//! Shapes: x, y `[N, H, E]`, positions u32 `[N]`, table cos and sin `[positions, E/2]`, f32 for bf16 and on devices.
//! Accumulation: none. Angles, sines and cosines are computed in f64 and rounded once into the table.
//! Determinism: elementwise.
//! Source: Su et al., RoFormer, 2021; transformers' `rotate_half`.

mod cpu;
#[cfg(recon_device)]
mod device;

use candle_core::{DType, Device, Tensor};

use crate::element::{COMPUTED, Element, computed, for_element};
use crate::error::{Error, Result};
use crate::operand::{Operand, fresh};

/// Cosines and sines for every position a model may see.
#[derive(Debug, Clone)]
pub struct Table {
    cos: Tensor,
    sin: Tensor,
}

impl Table {
    /// A table for positions `0..max_positions`; `inv_freq` holds the E/2 angular frequencies, in radians a position.
    ///
    /// # Errors
    /// An unsupported device or element type.
    pub fn new(inv_freq: &[f64], max_positions: usize, dtype: DType, device: &Device) -> Result<Self> {
        const OP: &str = "rope::Table::new";
        if !matches!(device, Device::Cpu) || dtype == DType::BF16 {
            // On a device the table is f32 whatever it rotates.
            let Self { cos, sin } = Self::new(inv_freq, max_positions, DType::F32, &Device::Cpu)?;
            let there = |t: Tensor| t.to_device(device).map_err(Error::candle(OP));
            return Ok(Self { cos: there(cos)?, sin: there(sin)? });
        }
        if !computed(dtype) {
            return Err(Error::DType { op: OP, operand: "table", found: dtype, expected: COMPUTED });
        }
        let angles = |p: usize| inv_freq.iter().map(move |&f| p as f64 * f);
        for_element!(dtype, T => {
            let fill = |f: fn(f64) -> f64| -> Vec<T> {
                (0..max_positions).flat_map(angles).map(|angle| T::rounded(f(angle))).collect()
            };
            let shape = [max_positions, inv_freq.len()];
            Ok(Self { cos: fresh(OP, fill(f64::cos), &shape)?, sin: fresh(OP, fill(f64::sin), &shape)? })
        })
    }

    /// The first position the table does not hold.
    pub fn max_positions(&self) -> usize {
        self.cos.dims()[0]
    }
}

/// y `[N, H, E]`: each row of x rotated to its position.
///
/// # Errors
/// Shapes that contradict each other, a position outside the table, an unsupported device, element type or layout.
pub fn forward(x: &Tensor, table: &Table, positions: &Tensor) -> Result<Tensor> {
    rotate("rope::forward", x, table, positions, false)
}

/// dx `[N, H, E]` from dy: the inverse rotation.
///
/// # Errors
/// As [`forward`].
pub fn backward(dy: &Tensor, table: &Table, positions: &Tensor) -> Result<Tensor> {
    rotate("rope::backward", dy, table, positions, true)
}

fn rotate(op: &'static str, x: &Tensor, table: &Table, positions: &Tensor, inverse: bool) -> Result<Tensor> {
    on_device!(op, x, call => device::rotate(&call, x, (&table.cos, &table.sin), positions, inverse));
    let (x, positions) = (Operand::open(op, "x", x)?, Operand::open_indices(op, "positions", positions)?);
    let (cos, sin) = (Operand::open(op, "table", &table.cos)?, Operand::open(op, "table", &table.sin)?);
    let [max_positions, half] = cos.dims("[positions, E/2]")?;
    let [n, h, _] = x.dims("[N, H, E]")?;
    x.expect(&[n, h, 2 * half])?;
    positions.expect(&[n])?;
    let positions = positions.indices(max_positions)?;
    for_element!(x.dtype(), T => {
        let table = [cos.slice::<T>()?, sin.slice()?];
        fresh(op, cpu::rotate(x.slice()?, positions, table, [h, half], inverse), &[n, h, 2 * half])
    })
}
