//! Where a model computes, and in what type: what `[engine]` and `[train]` say with `device` and `precision`.

use candle_core::{DType, Device};
use recon_kernels::device;

use crate::Result;

/// The type of weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits; what the CPU computes in.
    F32,
    /// 16 bits with the range of f32; sums stay in f32.
    Bf16,
}

impl Precision {
    /// As candle names it.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// What `device` and `precision` ask for: bf16 on a GPU where nothing is said, f32 on the CPU.
///
/// # Errors
/// A name that names no device, bf16 on the CPU. Nothing is opened.
pub fn precision(device: &str, precision: Option<Precision>) -> Result<Precision> {
    match (device::parse(device)?, precision) {
        (None, Some(Precision::Bf16)) if !device::emulating() => Err(crate::Error::Input(
            "`precision = \"bf16\"` needs a GPU: the CPU computes in f32; leave `precision` out, or set `device`"
                .into(),
        )),
        (None, asked) => Ok(asked.unwrap_or(Precision::F32)),
        (Some(_), asked) => Ok(asked.unwrap_or(Precision::Bf16)),
    }
}

/// Opens the device of that name.
///
/// # Errors
/// Everything of [`device::DeviceError`]; bf16 on the CPU.
pub fn open(device: &str, asked: Option<Precision>) -> Result<(Device, Precision)> {
    let precision = precision(device, asked)?;
    Ok((device::open(device)?, precision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_compute_in_bf16_unless_told_otherwise_and_the_cpu_never_does() {
        assert_eq!(precision("cpu", None).unwrap(), Precision::F32);
        assert_eq!(precision("cuda", None).unwrap(), Precision::Bf16);
        assert_eq!(precision("cuda:1", Some(Precision::F32)).unwrap(), Precision::F32);
        let refused = precision("cpu", Some(Precision::Bf16)).unwrap_err().to_string();
        assert!(refused.contains("needs a GPU"), "{refused}");
        assert!(precision("tpu", None).unwrap_err().to_string().contains("`tpu` names no device"));
    }
}
