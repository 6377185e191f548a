//! The memory pool of a GPU, from which all of its tensors come.
//!
//! Freed memory goes back to the pool in the order of the stream, and stays there for the next tensor.

use candle_core::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::result::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys;
use sys::CUmemPool_attribute as Attribute;

/// A device's default pool, which lives as long as the device.
pub(super) struct Pool(sys::CUmemoryPool);

impl Pool {
    pub(super) fn of(index: usize) -> Result<Self, DriverError> {
        let mut pool = std::ptr::null_mut();
        #[expect(unsafe_code, reason = "a C function")]
        // SAFETY: it writes one pointer; a number that is no device's is refused.
        unsafe { sys::cuDeviceGetDefaultMemPool(&raw mut pool, i32::try_from(index).unwrap_or(-1)) }.result()?;
        Ok(Self(pool))
    }

    /// Of an attribute that is a size.
    fn get(&self, size: Attribute) -> Result<u64, DriverError> {
        let mut value = 0_u64;
        #[expect(unsafe_code, reason = "a C function")]
        // SAFETY: it writes one value, of 64 bits for every size.
        unsafe { sys::cuMemPoolGetAttribute(self.0, size, (&raw mut value).cast()) }.result()?;
        Ok(value)
    }

    fn set(&self, size: Attribute, mut value: u64) -> Result<(), DriverError> {
        #[expect(unsafe_code, reason = "a C function")]
        // SAFETY: it reads one value, of 64 bits for every size.
        unsafe { sys::cuMemPoolSetAttribute(self.0, size, (&raw mut value).cast()) }.result()
    }

    /// Freed memory stays with the process: giving it back at every wait and taking it again is slow.
    pub(super) fn keep(&self) -> Result<(), DriverError> {
        self.set(Attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX)
    }

    /// Bytes taken from the device and lent to nobody.
    pub(super) fn idle_bytes(&self) -> Result<u64, DriverError> {
        let reserved = self.get(Attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
        Ok(reserved.saturating_sub(self.get(Attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?))
    }

    /// Gives back everything that is lent to nobody.
    fn trim(&self) -> Result<(), DriverError> {
        #[expect(unsafe_code, reason = "a C function")]
        // SAFETY: the pool is the device's own; what an allocation uses stays.
        unsafe { sys::cuMemPoolTrimTo(self.0, 0) }.result()
    }
}

fn of(device: &CudaDevice) -> Option<Pool> {
    Pool::of(device.cuda_stream().context().ordinal()).ok()
}

pub(super) fn peak_bytes(device: &CudaDevice) -> Option<u64> {
    of(device)?.get(Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH).ok()
}

pub(super) fn restart_peak(device: &CudaDevice) {
    if let Some(pool) = of(device) {
        // Zero is the one value the driver takes: it counts on from what is in use. A refusal leaves the old peak.
        let _ = pool.set(Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0);
    }
}

/// Whether there was idle memory, and it went back to the device. Waits: until then, freed memory is still in use.
pub(super) fn trim(device: &CudaDevice) -> bool {
    let Some(pool) = of(device) else { return false };
    let waited = device.cuda_stream().synchronize().is_ok();
    waited && pool.idle_bytes().is_ok_and(|bytes| bytes > 0) && pool.trim().is_ok()
}
