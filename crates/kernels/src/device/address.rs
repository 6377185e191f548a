//! Addresses and streams of a device, as C takes them.

use std::ffi::c_void;

/// An address on the device.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address(pub(super) *mut c_void);

impl Address {
    pub(crate) const NULL: Self = Self(std::ptr::null_mut());

    /// Its distance in bytes from the last multiple of `bytes`.
    pub(crate) fn past_multiple_of(self, bytes: usize) -> usize {
        self.0 as usize % bytes
    }

    /// So many bytes behind it, in the same tensor.
    #[cfg(feature = "cudnn")]
    pub(crate) fn plus(self, bytes: usize) -> Self {
        Self(self.0.wrapping_byte_add(bytes))
    }
}

/// A stream.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream(pub(super) *mut c_void);
