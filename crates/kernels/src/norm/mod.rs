//! Norm and scaling of flat buffers, for gradient clipping.
//!
//! Formula: Σ tᵢ²; t = factor · t.
//! Shapes: any contiguous tensor.
//! Accumulation: f64, over blocks of 65,536 elements, then the blocks in order.
//! Determinism: bit-equal over runs and thread counts.

mod cpu;
#[cfg(recon_device)]
mod device;

use candle_core::Tensor;

use crate::element::{Element, for_element};
use crate::error::Result;
use crate::operand::{Destination, Operand, write};

/// Σ tᵢ² over all elements.
///
/// # Errors
/// An unsupported device, element type or layout.
pub fn sum_of_squares(t: &Tensor) -> Result<f64> {
    sums_of_squares(&[t]).map(|sums| sums[0])
}

/// Σ tᵢ² of each tensor. From a device all sums come back in one copy, and this waits for it.
///
/// # Errors
/// As [`sum_of_squares`].
pub fn sums_of_squares(tensors: &[&Tensor]) -> Result<Vec<f64>> {
    #[cfg(recon_device)]
    {
        const OP: &str = "norm::sums_of_squares";
        let calls: Option<Vec<_>> = tensors.iter().map(|t| crate::device::Call::open(OP, t)).collect();
        if let Some(calls) = calls.filter(|calls| !calls.is_empty()) {
            let sums = calls.iter().zip(tensors).map(|(call, t)| device::sum_of_squares(call, t));
            let sums = sums.collect::<Result<Vec<_>>>()?;
            return Tensor::cat(&sums, 0).and_then(|sums| sums.to_vec1()).map_err(crate::error::Error::candle(OP));
        }
    }
    let on_cpu = |t: &&Tensor| {
        let t = Operand::open("norm::sum_of_squares", "t", t)?;
        for_element!(t.dtype(), T => Ok(cpu::sum_of_squares(t.slice::<T>()?)))
    };
    tensors.iter().map(on_cpu).collect()
}

/// t = factor · t, in place.
///
/// # Errors
/// An unsupported device, element type or layout.
pub fn scale(t: &Tensor, factor: f64) -> Result<()> {
    const OP: &str = "norm::scale";
    on_device!(OP, t, call => device::scale(&call, t, factor));
    let dtype = Operand::open(OP, "t", t)?.dtype();
    for_element!(dtype, T => {
        let factor = T::rounded(factor);
        write(OP, &Destination { name: "t", tensor: t, shape: t.dims() }, &[], |t: &mut [T]| cpu::scale(t, factor))
    })
}
