//! Tensors in the CPU's memory, given to `kernels/*.cu` compiled for the CPU: what tests use in place of a GPU.
//!
//! Invariant: only inside [`emulate`], and only on its thread, do operations take this path.

use std::cell::Cell;
use std::ffi::c_void;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Storage, Tensor};

use super::address::{Address, Stream};
use crate::error::{Error, Result};

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
}

/// In which order the emulation runs blocks and threads. A kernel that lacks a barrier gives different results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// First to last.
    Ascending,
    /// Last to first.
    Descending,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn recon_emulation_order(descending: i32);
}

/// Runs `f` with this thread's operations on CPU tensors computed by the device's kernels.
pub fn emulate<R>(order: Order, f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ACTIVE.set(self.0);
        }
    }
    let _restore = Restore(ACTIVE.replace(true));
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it sets a variable of this thread.
    unsafe {
        recon_emulation_order(i32::from(order == Order::Descending));
    }
    f()
}

pub(super) fn emulating() -> bool {
    ACTIVE.get()
}

pub(super) fn active(tensor: &Tensor) -> bool {
    emulating() && matches!(tensor.device(), Device::Cpu)
}

fn start(storage: &CpuStorage) -> *const u8 {
    match storage {
        CpuStorage::F32(data) => data.as_ptr().cast(),
        CpuStorage::F64(data) => data.as_ptr().cast(),
        CpuStorage::BF16(data) => data.as_ptr().cast(),
        CpuStorage::U32(data) => data.as_ptr().cast(),
        CpuStorage::U8(data) => data.as_ptr(),
        _ => std::ptr::null(),
    }
}

fn offset(tensor_start: *const u8, layout: &Layout, dtype: DType) -> Address {
    Address(tensor_start.wrapping_add(layout.start_offset() * dtype.size_in_bytes()).cast_mut().cast::<c_void>())
}

pub(super) fn address(op: &'static str, tensor: &Tensor) -> Result<Address> {
    match &*tensor.storage_and_layout().0 {
        Storage::Cpu(storage) => Ok(offset(start(storage), tensor.layout(), tensor.dtype())),
        _ => Err(Error::Device { op, operand: "tensor", device: Box::new(tensor.device().clone()) }),
    }
}

/// The address through exclusive access to the storage, which is given up before anything is written: the operation
/// borrows the tensor until then, and no other holds its storage.
pub(super) fn address_mut(op: &'static str, tensor: &Tensor) -> Result<Address> {
    struct Take(Cell<*mut u8>);
    impl InplaceOp1 for Take {
        fn name(&self) -> &'static str {
            "address"
        }
        fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> candle_core::Result<()> {
            self.0.set(match storage {
                CpuStorage::F32(data) => data.as_mut_ptr().cast(),
                CpuStorage::F64(data) => data.as_mut_ptr().cast(),
                CpuStorage::BF16(data) => data.as_mut_ptr().cast(),
                CpuStorage::U8(data) => data.as_mut_ptr(),
                CpuStorage::U32(data) => data.as_mut_ptr().cast(),
                _ => std::ptr::null_mut(),
            });
            Ok(())
        }
    }
    let take = Take(Cell::new(std::ptr::null_mut()));
    tensor.inplace_op1(&take).map_err(Error::candle(op))?;
    Ok(offset(take.0.get(), tensor.layout(), tensor.dtype()))
}

/// Filled with NaN patterns, so that an element nobody writes shows.
pub(super) fn alloc(op: &'static str, device: &Device, dtype: DType, shape: &[usize]) -> Result<Tensor> {
    let elements = shape.iter().product::<usize>();
    let poison = match dtype {
        DType::BF16 => Tensor::full(half_nan(), elements, device),
        DType::F64 => Tensor::full(f64::NAN, elements, device),
        DType::U8 => Tensor::full(0xff_u8, elements, device),
        DType::U32 => Tensor::full(0xfe00_00fe_u32, elements, device),
        _ => Tensor::full(f32::NAN, elements, device),
    };
    poison.and_then(|flat| flat.reshape(shape)).map_err(Error::candle(op))
}

fn half_nan() -> half::bf16 {
    half::bf16::NAN
}

#[expect(clippy::unnecessary_wraps, reason = "the GPU's stream can fail")]
pub(super) fn stream(_: &'static str, _: &Device) -> Result<Stream> {
    Ok(Stream(std::ptr::null_mut()))
}

pub(super) fn reason(code: i32) -> String {
    format!("the emulation returned {code}")
}
