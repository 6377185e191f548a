//! GPUs through cudarc and candle: what a machine has, opening one, how much memory is free.
//!
//! Source of the settings: one explicit stream a device (the default one differs from thread to thread), no events
//! around single tensors (one stream needs none), and a memory pool that keeps what it has once taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{CudaContext, result, sys};
use candle_core::{CudaDevice, Device};

use super::error::DeviceError;
use super::pool::Pool;
use crate::memory::Memory;

static DEVICES: OnceLock<Mutex<HashMap<usize, Device>>> = OnceLock::new();

/// Kept once made: a context that is given up and made again costs a quarter of a second.
static CONTEXTS: OnceLock<Mutex<HashMap<usize, Arc<CudaContext>>>> = OnceLock::new();

pub(super) fn open(index: usize) -> Result<Device, DeviceError> {
    let mut devices = DEVICES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = devices.get(&index) {
        return Ok(device.clone());
    }
    check(index)?;
    let refused = |message: String| DeviceError::Cuda { index, message };
    let device = CudaDevice::new_with_stream(index).map_err(|error| refused(error.to_string()))?;
    #[expect(unsafe_code, reason = "a promise about the use of streams")]
    // SAFETY: every tensor of this device is allocated, used and freed on its one stream, in that order.
    unsafe {
        device.disable_event_tracking();
    }
    Pool::of(index).and_then(|pool| pool.keep()).map_err(|error| refused(error.to_string()))?;
    let device = Device::Cuda(device);
    devices.insert(index, device.clone());
    Ok(device)
}

/// Driver, version, number of GPUs, capability: each with its own message.
fn check(index: usize) -> Result<(), DeviceError> {
    result::init().map_err(|error| match error.0 {
        sys::CUresult::CUDA_ERROR_NO_DEVICE => DeviceError::Index { index, count: 0 },
        other => DeviceError::NoDriver { code: other as u32 },
    })?;
    let refused = |error: result::DriverError| DeviceError::Cuda { index, message: error.to_string() };
    let (mut found, needed) = (0, sys::CUDA_VERSION.cast_signed());
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it writes one integer.
    unsafe { sys::cuDriverGetVersion(&raw mut found) }.result().map_err(refused)?;
    let version = |number: i32| format!("{}.{}", number / 1000, number % 1000 / 10);
    // An older driver of the same major version runs newer machine code, but candle's kernels are PTX, which a driver
    // translates only up to its own version.
    if found < needed {
        return Err(DeviceError::OldDriver { found: version(found), needed: version(needed) });
    }
    let count = result::device::get_count().map_err(refused)?;
    let count = usize::try_from(count).unwrap_or(0);
    if index >= count {
        return Err(DeviceError::Index { index, count });
    }
    let device = result::device::get(i32::try_from(index).expect("it is below the count, an i32")).map_err(refused)?;
    let attribute = |which| {
        #[expect(unsafe_code, reason = "cudarc marks it so")]
        // SAFETY: `device` was just given out by the driver.
        unsafe {
            result::device::get_attribute(device, which)
        }
    };
    let major = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR).map_err(refused)?;
    let minor = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR).map_err(refused)?;
    let needed: i32 = env!("RECON_CUDA_CAPABILITY").trim_end_matches(char::is_alphabetic).parse().unwrap_or(80);
    if 10 * major + minor < needed {
        let gpu = result::device::get_name(device).unwrap_or_else(|_| "unknown".to_owned());
        let (found, needed) = (format!("{major}.{minor}"), format!("{}.{}", needed / 10, needed % 10));
        return Err(DeviceError::Capability { index, gpu, found, needed });
    }
    Ok(())
}

/// Takes a context of the GPU, but opens no library on it: what does not fit is refused at once.
pub(super) fn memory(index: usize) -> Result<Memory, DeviceError> {
    let refused = |error: result::DriverError| DeviceError::Cuda { index, message: error.to_string() };
    let mut contexts = CONTEXTS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let context = if let Some(context) = contexts.get(&index) {
        Arc::clone(context)
    } else {
        check(index)?;
        let context = CudaContext::new(index).map_err(refused)?;
        contexts.insert(index, Arc::clone(&context));
        context
    };
    let (free, total) = context.mem_get_info().map_err(refused)?;
    // What the pool holds but nobody uses is free too.
    let idle = Pool::of(index).and_then(|pool| pool.idle_bytes()).unwrap_or(0);
    Ok(Memory { free_bytes: free as u64 + idle, total_bytes: total as u64 })
}
