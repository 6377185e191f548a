//! GPUs through candle and cudarc: opening one, its memory, addresses of tensors, its stream.
//!
//! Source of the settings: one explicit stream a device (the default one differs from thread to thread), no events
//! around single tensors (one stream needs none), and a memory pool that keeps what it has once taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaSlice, DevicePtr, result, sys};
use candle_core::{CudaDevice, CudaStorage, DType, Device, Shape, Storage, Tensor};

use super::call::{Address, Stream};
use super::pool::Pool;
use super::{DeviceError, Memory, allocated};
use crate::error::{Error, Result};

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

pub(super) fn active(tensor: &Tensor) -> bool {
    tensor.device().is_cuda()
}

pub(super) fn address(op: &'static str, tensor: &Tensor) -> Result<Address> {
    fn start<T>(slice: &CudaSlice<T>) -> u64 {
        slice.device_ptr(slice.stream()).0
    }
    let (storage, layout) = tensor.storage_and_layout();
    let wrong = || Error::Device { op, operand: "tensor", device: Box::new(tensor.device().clone()) };
    let Storage::Cuda(storage) = &*storage else { return Err(wrong()) };
    let start = match &storage.slice {
        CudaStorageSlice::F32(data) => start(data),
        CudaStorageSlice::F64(data) => start(data),
        CudaStorageSlice::BF16(data) => start(data),
        CudaStorageSlice::U32(data) => start(data),
        CudaStorageSlice::U8(data) => start(data),
        _ => return Err(wrong()),
    };
    let address = start as usize + layout.start_offset() * tensor.dtype().size_in_bytes();
    Ok(Address(std::ptr::with_exposed_provenance_mut(address)))
}

/// Device memory is not Rust's: writing needs no exclusive access, the stream orders it.
pub(super) fn address_mut(op: &'static str, tensor: &Tensor) -> Result<Address> {
    address(op, tensor)
}

pub(super) fn alloc(op: &'static str, place: &Device, dtype: DType, shape: &[usize]) -> Result<Tensor> {
    let Device::Cuda(device) = place else {
        return Err(Error::Device { op, operand: "result", device: Box::new(place.clone()) });
    };
    let shape = Shape::from(shape);
    let elements = shape.elem_count().max(1); // the driver refuses allocations of nothing
    #[expect(unsafe_code, reason = "memory that is not yet set")]
    // SAFETY: the operation that asked writes every element before anything reads them, in stream order.
    let ask = || unsafe {
        match dtype {
            DType::BF16 => device.alloc::<half::bf16>(elements).map(CudaStorageSlice::BF16),
            DType::F64 => device.alloc::<f64>(elements).map(CudaStorageSlice::F64),
            DType::U8 => device.alloc::<u8>(elements).map(CudaStorageSlice::U8),
            DType::U32 => device.alloc::<u32>(elements).map(CudaStorageSlice::U32),
            _ => device.alloc::<f32>(elements).map(CudaStorageSlice::F32),
        }
    };
    let slice = allocated(op, elements, dtype, place, ask)?;
    let storage = Storage::Cuda(CudaStorage { slice, device: device.clone() });
    Ok(Tensor::from_storage(storage, shape, candle_core::op::BackpropOp::none(), false))
}

/// Also makes the device current on this thread, which launches through the run-time library need.
pub(super) fn stream(op: &'static str, device: &Device) -> Result<Stream> {
    let Device::Cuda(device) = device else {
        return Err(Error::Device { op, operand: "first", device: Box::new(device.clone()) });
    };
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().map_err(|error| Error::candle(op)(candle_core::Error::wrap(error)))?;
    Ok(Stream(stream.cu_stream().cast()))
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn cudaGetErrorString(code: i32) -> *const std::ffi::c_char;
}

pub(super) fn reason(code: i32) -> String {
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it returns a constant string for every number.
    let text = unsafe { std::ffi::CStr::from_ptr(cudaGetErrorString(code)) };
    text.to_string_lossy().into_owned()
}
