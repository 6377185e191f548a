//! What `kernels/common/attend.cuh`, which copies 16 bytes at a time, asks of operands.

use candle_core::DType;

use crate::device::Address;
use crate::error::{Error, Result};

/// Refuses heads too wide, or not made of groups of 16 bytes.
pub(crate) fn check_dim(op: &'static str, dim: usize, dtype: DType) -> Result<()> {
    let group = 16 / dtype.size_in_bytes();
    if dim > 128 || !dim.is_multiple_of(group) {
        let message = format!("head dimension {dim} on the device: expected a multiple of {group}, at most 128");
        return Err(Error::Argument { op, message });
    }
    Ok(())
}

/// Refuses addresses that 16-byte copies cannot take.
pub(crate) fn check_aligned(op: &'static str, addresses: &[Address]) -> Result<()> {
    if addresses.iter().any(|address| address.past_multiple_of(16) != 0) {
        let message = "an operand on the device does not begin at a multiple of 16 bytes".to_owned();
        return Err(Error::Argument { op, message });
    }
    Ok(())
}
