//! Amounts of memory, and how they are said.

use std::fmt;

/// Memory of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Held by nobody.
    pub free_bytes: u64,
    /// In all.
    pub total_bytes: u64,
}

/// A number of bytes as people read it: `17.31 GiB`, below one GiB in MiB, below one MiB in bytes.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = |shift: u32| self.0 as f64 / 2.0_f64.powi(shift.cast_signed());
        match self.0 {
            0..0x10_0000 => write!(f, "{} bytes", self.0),
            0x10_0000..0x4000_0000 => write!(f, "{:.2} MiB", units(20)),
            _ => write!(f, "{:.2} GiB", units(30)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_the_unit_that_shows_them() {
        for (bytes, said) in
            [(0, "0 bytes"), ((1 << 20) - 1, "1048575 bytes"), (3 << 19, "1.50 MiB"), (5 << 29, "2.50 GiB")]
        {
            assert_eq!(Bytes(bytes).to_string(), said);
        }
    }
}
