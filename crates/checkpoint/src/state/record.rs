//! What `state.json` of a training state says: the run's own record, and where each tensor lies and of which type.

use candle_core::DType;
use serde::{Deserialize, Serialize};

/// The schema of `state.json`.
pub const SCHEMA: &str = "recon.state/1";
/// The stage that the manifest of a training state names.
pub(super) const STAGE: &str = "training-state";
/// The file of the record.
pub(super) const RECORD: &str = "state.json";

/// `state.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) schema: String,
    pub(super) step: u64,
    pub(super) record: serde_json::Value,
    pub(super) tensors: Vec<Entry>,
}

/// One tensor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Stored,
    pub(super) shape: Vec<usize>,
    pub(super) file: String,
}

/// The types a state may hold.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stored {
    F32,
    F64,
    Bf16,
    U32,
    I64,
}

impl Stored {
    pub(super) fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F64 => Some(Self::F64),
            DType::BF16 => Some(Self::Bf16),
            DType::U32 => Some(Self::U32),
            DType::I64 => Some(Self::I64),
            _ => None,
        }
    }

    pub(super) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
            Self::Bf16 => DType::BF16,
            Self::U32 => DType::U32,
            Self::I64 => DType::I64,
        }
    }
}
