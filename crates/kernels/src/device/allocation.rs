//! Taking memory of a device: how much there is, whether enough is free before it is taken, and what is said when it runs out.

use candle_core::{DType, Device, Shape, Tensor};

use super::error::DeviceError;
use super::name::parse;
#[cfg(feature = "cuda")]
use super::{gpu, pool};
use crate::error::{Error, Result};
use crate::memory::Memory;

/// The memory of the GPU of that name, which need not be open; `None` for the CPU.
///
/// # Errors
/// Everything of [`DeviceError`].
pub fn memory(name: &str) -> Result<Option<Memory>, DeviceError> {
    match parse(name)? {
        None => Ok(None),
        #[cfg(feature = "cuda")]
        Some(index) => gpu::memory(index).map(Some),
        #[cfg(not(feature = "cuda"))]
        Some(_) => Err(DeviceError::NotBuilt { name: name.to_owned() }),
    }
}

/// Refuses `asked_bytes` for `what` where the device of that name has fewer free; `change` says what the user can do.
///
/// # Errors
/// Everything of [`DeviceError`].
pub fn require(name: &str, what: &str, asked_bytes: u64, change: &str) -> Result<(), DeviceError> {
    let Some(memory) = memory(name)? else { return Ok(()) };
    refuse_above(memory, name, what, asked_bytes, change)
}

fn refuse_above(memory: Memory, name: &str, what: &str, asked_bytes: u64, change: &str) -> Result<(), DeviceError> {
    if asked_bytes <= memory.free_bytes {
        return Ok(());
    }
    let (name, what, change) = (name.to_owned(), what.to_owned(), change.to_owned());
    Err(DeviceError::Memory { name, what, asked_bytes, memory, change })
}

/// What `ask` gives, an operation of the tensor library that allocates `elements` of `dtype` on `device`. Where the device is
/// full, it is asked again after the memory pool has given back what nobody uses (its pieces need not fit what is asked
/// for); where that does not help, the error says what was asked for and what is free.
///
/// # Errors
/// [`Error::OutOfMemory`], or [`Error::Candle`] with what the library says.
pub fn allocated<T>(
    op: &'static str,
    elements: usize,
    dtype: DType,
    device: &Device,
    ask: impl Fn() -> candle_core::Result<T>,
) -> Result<T> {
    let asked_bytes = (elements * dtype.size_in_bytes()) as u64;
    let again = |error| if is_full(&error) && trim(device) { ask() } else { Err(error) };
    ask()
        .or_else(again)
        .map_err(|error| if is_full(&error) { full(op, asked_bytes, device, error) } else { Error::candle(op)(error) })
}

/// A tensor of zeros, of which `what` says what it is for.
///
/// # Errors
/// As [`allocated`].
pub fn zeros(what: &'static str, shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    allocated(what, shape.elem_count(), dtype, device, || Tensor::zeros(&shape, dtype, device))
}

/// The most bytes that tensors on `device` have held at one time, since it was opened or [`restart_peak`] was called;
/// `None` on the CPU.
pub fn peak_bytes(device: &Device) -> Option<u64> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => pool::peak_bytes(device),
        _ => None,
    }
}

/// Begins [`peak_bytes`] anew, from what is held now. Does nothing on the CPU.
pub fn restart_peak(device: &Device) {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => pool::restart_peak(device),
        _ => {}
    }
}

/// Whether the device's memory pool gave back anything.
fn trim(device: &Device) -> bool {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => pool::trim(device),
        _ => false,
    }
}

/// The driver's name for it, which the tensor library passes on in its text alone.
fn is_full(error: &candle_core::Error) -> bool {
    error.to_string().contains("CUDA_ERROR_OUT_OF_MEMORY")
}

fn full(op: &'static str, asked_bytes: u64, device: &Device, error: candle_core::Error) -> Error {
    let memory = match device.location() {
        candle_core::DeviceLocation::Cuda { gpu_id } => memory(&format!("cuda:{gpu_id}")).ok().flatten(),
        _ => None,
    };
    match memory {
        Some(memory) => Error::OutOfMemory { op, asked_bytes, memory },
        None => Error::candle(op)(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: Memory = Memory { free_bytes: 1 << 30, total_bytes: 4 << 30 };

    #[test]
    fn too_little_memory_is_refused_with_what_was_asked_what_is_free_and_what_to_change() {
        let refused = refuse_above(QUARTER, "cuda:0", "the cache", 3 << 30, "lower it").unwrap_err();
        assert_eq!(refused.to_string(), "the cache needs 3.00 GiB, but cuda:0 has 1.00 GiB free of 4.00 GiB; lower it");
        assert_eq!(refuse_above(QUARTER, "cuda:0", "the cache", 1 << 30, "lower it"), Ok(()));
    }

    #[test]
    fn a_full_device_is_told_from_every_other_failure() {
        let driver = |name: &str| candle_core::Error::Msg(format!("DriverError({name}, \"text\")"));
        assert!(is_full(&driver("CUDA_ERROR_OUT_OF_MEMORY")) && !is_full(&driver("CUDA_ERROR_LAUNCH_FAILED")));
        let error = Error::OutOfMemory { op: "gradients", asked_bytes: 3 << 30, memory: QUARTER }.to_string();
        assert!(error.starts_with("gradients: 3.00 GiB were asked for, 1.00 GiB of 4.00 GiB are free"), "{error}");
        // On the CPU the library's own words are all there is.
        let failed: Result<()> =
            allocated("gradients", 2, DType::F32, &Device::Cpu, || Err(driver("CUDA_ERROR_OUT_OF_MEMORY")));
        assert!(matches!(failed, Err(Error::Candle { op: "gradients", .. })));
    }
}
