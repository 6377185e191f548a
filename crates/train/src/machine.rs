//! The machines that a run can be planned for: how many devices of which kind, and what such a device is assumed to do.
//!
//! Memory is what a program gets of it. Rates are those that docs/training.md lists for one Hopper GPU, which H100 and
//! H200 share: published for the matrix products and cuDNN's attention, calculated for our own attention.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor of this machine.
    Cpu,
    /// NVIDIA H100 with 80 GB.
    H100,
    /// NVIDIA H200 with 141 GB.
    H200,
}

/// Devices of one kind: `8xh100`, `2x8xh100` (two nodes), `cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Nodes.
    pub nodes: u64,
    /// Devices in each.
    pub devices: u64,
    /// Their kind.
    pub kind: DeviceKind,
}

impl DeviceKind {
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::H100 => "h100",
            Self::H200 => "h200",
        }
    }

    /// Bytes that a program gets; `None` where that is not known beforehand.
    pub(crate) fn memory_bytes(self) -> Option<u64> {
        match self {
            Self::Cpu => None,
            Self::H100 => Some(78 << 30),
            Self::H200 => Some(139 << 30),
        }
    }
}

impl Machine {
    /// Devices in all.
    pub fn world(&self) -> u64 {
        self.nodes * self.devices
    }
}

impl FromStr for Machine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no machine; write cpu, 1xh200, 8xh100 or 2x8xh100 (nodes, GPUs, kind)");
        let mut parts: Vec<&str> = text.split('x').collect();
        let kind = match parts.pop() {
            Some("cpu") => DeviceKind::Cpu,
            Some("h100") => DeviceKind::H100,
            Some("h200") => DeviceKind::H200,
            _ => return Err(wrong()),
        };
        let count =
            |part: &str| part.parse::<u64>().ok().filter(|count| (1..=1 << 20).contains(count)).ok_or_else(wrong);
        let (nodes, devices) = match parts.as_slice() {
            [] => (1, 1),
            [devices] if kind != DeviceKind::Cpu => (1, count(devices)?),
            [nodes, devices] if kind != DeviceKind::Cpu => (count(nodes)?, count(devices)?),
            _ => return Err(wrong()),
        };
        Ok(Self { nodes, devices, kind })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { kind: DeviceKind::Cpu, .. } => f.write_str("cpu"),
            Self { nodes: 1, devices, kind } => write!(f, "{devices}x{}", kind.name()),
            Self { nodes, devices, kind } => write!(f, "{nodes}x{devices}x{}", kind.name()),
        }
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_read_as_they_are_written() {
        for (text, world) in [("cpu", 1), ("1xh200", 1), ("8xh100", 8), ("2x8xh100", 16)] {
            let machine: Machine = text.parse().unwrap();
            assert_eq!((machine.to_string().as_str(), machine.world()), (text, world));
        }
        assert_eq!("h100".parse::<Machine>().unwrap().to_string(), "1xh100");
        for text in ["", "8", "0xh100", "8xa100", "2xcpu", "1x2x3xh100", "-1xh100", "99999999999999999999xh100"] {
            assert!(text.parse::<Machine>().unwrap_err().contains("8xh100"), "{text}");
        }
    }
}
