//! What can go wrong in a kernel call: every variant names the operation.

use candle_core::{DType, Device, DeviceLocation};

use crate::memory::{Bytes, Memory};

/// A refused or failed kernel call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operation has no implementation for the device its operand lives on.
    #[error("{op}: {operand} lives on {device:?}, for which there is no implementation")]
    Device {
        /// The operation.
        op: &'static str,
        /// The operand's name in the operation's signature.
        operand: &'static str,
        /// Where the operand lives.
        device: Box<Device>,
    },
    /// An operand has an element type the operation does not compute in, or one that differs from the first operand's.
    #[error("{op}: {operand} has element type {found:?}, expected {expected}")]
    DType {
        /// The operation.
        op: &'static str,
        /// The operand's name in the operation's signature.
        operand: &'static str,
        /// Its element type.
        found: DType,
        /// What the operation takes.
        expected: &'static str,
    },
    /// Two operands live on different devices.
    #[error("{op}: {operand} lives on {}, the first operand on {}", place(*.found), place(*.expected))]
    MixedDevices {
        /// The operation.
        op: &'static str,
        /// The operand's name in the operation's signature.
        operand: &'static str,
        /// Where it lives.
        found: DeviceLocation,
        /// Where the first operand lives.
        expected: DeviceLocation,
    },
    /// The device has no memory left for a result.
    #[error(
        "{op}: {} were asked for, {} of {} are free on the device; shorten rows, keep fewer activations, or make the cache \
         smaller", Bytes(*.asked_bytes), Bytes(.memory.free_bytes), Bytes(.memory.total_bytes)
    )]
    OutOfMemory {
        /// The operation.
        op: &'static str,
        /// The size of the result.
        asked_bytes: u64,
        /// What the device has.
        memory: Memory,
    },
    /// The device refused to run a kernel.
    #[error("{op}: the device refused (code {code}: {reason})")]
    Launch {
        /// The operation.
        op: &'static str,
        /// CUDA's error number.
        code: i32,
        /// CUDA's reason.
        reason: String,
    },
    /// An operand is not contiguous.
    #[error("{op}: {operand} is not contiguous (shape {shape:?}, stride {stride:?})")]
    Layout {
        /// The operation.
        op: &'static str,
        /// The operand's name in the operation's signature.
        operand: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// Its strides, in elements.
        stride: Vec<usize>,
    },
    /// An operand's shape contradicts the others'.
    #[error("{op}: {operand} has shape {found:?}, expected {expected}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The operand's name in the operation's signature.
        operand: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the other operands ask for.
        expected: String,
    },
    /// An index (token id, position, slot, page, row) lies outside what it points into.
    #[error("{op}: {operand} holds {index}, outside 0..{limit}")]
    Index {
        /// The operation.
        op: &'static str,
        /// The operand's name in the operation's signature.
        operand: &'static str,
        /// The offending value.
        index: usize,
        /// The first value that is too large.
        limit: usize,
    },
    /// An argument that is no tensor contradicts the tensors.
    #[error("{op}: {message}")]
    Argument {
        /// The operation.
        op: &'static str,
        /// What contradicts what.
        message: String,
    },
    /// The tensor to be written shares its storage with one that is read or also written.
    #[error("{op}: {operand} is written, but shares its storage with {other}")]
    Aliased {
        /// The operation.
        op: &'static str,
        /// The written operand.
        operand: &'static str,
        /// The operand it shares its storage with.
        other: &'static str,
    },
    /// Candle refused.
    #[error("{op}: tensor library")]
    Candle {
        /// The operation.
        op: &'static str,
        /// Candle's reason.
        source: Box<candle_core::Error>,
    },
}

/// The result of a kernel call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A device as configurations name it.
fn place(location: DeviceLocation) -> String {
    match location {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

impl Error {
    pub(crate) fn mixed(op: &'static str, operand: &'static str, found: &Device, expected: &Device) -> Self {
        Self::MixedDevices { op, operand, found: found.location(), expected: expected.location() }
    }

    pub(crate) fn candle(op: &'static str) -> impl FnOnce(candle_core::Error) -> Self {
        move |source| Self::Candle { op, source: Box::new(source) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_as_configurations_name_them() {
        let found = DeviceLocation::Cuda { gpu_id: 1 };
        let error = Error::MixedDevices { op: "product", operand: "w", found, expected: DeviceLocation::Cpu };
        assert_eq!(error.to_string(), "product: w lives on cuda:1, the first operand on cpu");
    }
}
