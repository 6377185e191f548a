//! Devices: opening them by name, how much memory they have, and the path of every operation on one.
//!
//! A device is named `cpu`, `cuda` (the first GPU) or `cuda:N`. All tensors of a GPU live on one stream: operations,
//! allocations, frees and copies run in the order they were asked for, so nothing else orders them. A GPU is opened once
//! in a process; asking again gives the same device.
//!
//! Where `kernels/*.cu` are compiled (features `cuda` and `emulated`), an operation whose first operand lives on the
//! device launches them. The arithmetic there is f32 or bf16 with f32 accumulation; gradients of parameters, moments,
//! inverse norms and log-sum-exps are f32 whatever the type of the weights. Indices that only the device holds are not
//! checked: one outside its range gives NaN, or is not written, and never touches memory outside.

use candle_core::{DType, Device};

#[cfg(recon_device)]
mod address;
mod allocation;
#[cfg(recon_device)]
mod call;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "emulated")]
mod emulated;
mod error;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(recon_device)]
pub(crate) mod matmul;
mod name;
#[cfg(feature = "cuda")]
mod pool;
#[cfg(recon_device)]
mod uploads;

pub use crate::memory::Memory;
#[cfg(recon_device)]
pub(crate) use address::{Address, Stream};
pub use allocation::{allocated, memory, peak_bytes, require, restart_peak, zeros};
#[cfg(recon_device)]
pub(crate) use call::{Call, FLOATS, dtype_code, extent};
#[cfg(feature = "emulated")]
pub use emulated::{Order, emulate};
pub use error::DeviceError;
pub use name::parse;
#[cfg(recon_device)]
pub(crate) use uploads::upload;

/// The device of that name.
///
/// # Errors
/// Everything of [`DeviceError`]: what is missing, and what to do about it.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    match parse(name)? {
        None => Ok(Device::Cpu),
        #[cfg(feature = "cuda")]
        Some(index) => gpu::open(index),
        #[cfg(not(feature = "cuda"))]
        Some(_) => Err(DeviceError::NotBuilt { name: name.to_owned() }),
    }
}

/// Whether this thread's operations on the CPU are computed by the device's kernels; never without the feature
/// `emulated`.
pub fn emulating() -> bool {
    #[cfg(feature = "emulated")]
    return emulated::emulating();
    #[cfg(not(feature = "emulated"))]
    false
}

/// The type in which gradients of `weights` are summed: f32 for narrower ones.
pub fn gradient_dtype(weights: DType) -> DType {
    match weights {
        DType::BF16 => DType::F32,
        other => other,
    }
}

/// Waits until everything asked of the device is done.
///
/// # Errors
/// What went wrong on the device since it was last waited for.
pub fn synchronize(device: &Device) -> candle_core::Result<()> {
    device.synchronize()
}

#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_cuda_says_so() {
        let error = open("cuda:1").unwrap_err();
        assert_eq!(error, DeviceError::NotBuilt { name: "cuda:1".to_owned() });
        assert!(error.to_string().contains("--features cuda"), "{error}");
    }
}
