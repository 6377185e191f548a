//! A few tensors as one safetensors file in memory, for results an outside program compares with.

use candle_core::Tensor;

use crate::{Error, Result};

/// The bytes of a safetensors file that holds `tensors`, each in its own type.
///
/// # Errors
/// [`Error::Encode`] where the header would be too long.
pub fn tensors_to_bytes(tensors: &[(&str, Tensor)]) -> Result<Vec<u8>> {
    safetensors::serialize(tensors.iter().map(|(name, tensor)| (*name, tensor)), None).map_err(Error::Encode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HfTensors;
    use candle_core::{DType, Device};

    #[test]
    fn what_is_written_is_read_whatever_its_type() {
        let logits = Tensor::new(&[[0.25_f32, -1.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let ids = Tensor::new(&[7_i64, -1], &Device::Cpu).unwrap();
        // A transposed view: the bytes follow the shape, not the storage.
        let bytes = tensors_to_bytes(&[("ids", ids), ("logits", logits.t().unwrap())]).unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("model.safetensors"), bytes).unwrap();
        let tensors = HfTensors::open(root.path()).unwrap();
        assert_eq!(tensors.shape("ids").unwrap(), [2]);
        let read = tensors.read("logits", DType::F32, &Device::Cpu).unwrap();
        assert_eq!(read.to_vec2::<f32>().unwrap(), [[0.25, 3.0], [-1.0, 4.0]]);
    }
}
