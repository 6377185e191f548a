//! Tensors of a GPU: their addresses, fresh ones, the stream that orders them, the driver's reasons.

use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::{CudaStorage, DType, Device, Shape, Storage, Tensor};

use super::address::{Address, Stream};
use super::allocation::allocated;
use crate::error::{Error, Result};

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
