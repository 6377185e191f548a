//! One safetensors file: its header checked against its length, its tensors read one at a time.
//!
//! Layout: a 64-bit little-endian header length, the JSON header, the data. Invariants: nothing is
//! allocated that the file's length does not back; every offset was checked by
//! [`File::open`](SafetensorsFile::open), before any data is read; reading needs no memory map and
//! no `unsafe`.
//!
//! Source: the format description of the `safetensors` library, whose `Metadata` does the checks.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::{Error, Result};

/// The longest header accepted, as in the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    /// On disk.
    File(PathBuf),
    /// In the program, under the name it would have on disk.
    Static(&'static str, &'static [u8]),
}

impl Bytes {
    /// The path for messages.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Static(name, _) => Path::new("<embedded>").join(name),
        }
    }

    fn length(&self) -> Result<u64> {
        match self {
            Self::File(path) => {
                let metadata = path.metadata().map_err(|source| Error::Read { path: path.clone(), source })?;
                if !metadata.is_file() {
                    return Err(Error::Malformed { path: path.clone(), problem: "it is not a file".into() });
                }
                Ok(metadata.len())
            }
            Self::Static(_, bytes) => Ok(bytes.len() as u64),
        }
    }

    /// `length` bytes from `offset`; the caller has checked that they exist.
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let fail = |source| Error::Read { path: self.path(), source };
        match self {
            Self::File(path) => {
                // A handle per tensor: safe from many threads at once, and cheap beside the read.
                let mut file = File::open(path).map_err(fail)?;
                file.seek(SeekFrom::Start(offset)).map_err(fail)?;
                let mut bytes = vec![0; length];
                file.read_exact(&mut bytes).map_err(fail)?;
                Ok(bytes)
            }
            Self::Static(_, all) => {
                let end = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                let start = usize::try_from(offset).ok();
                let range = start.and_then(|start| all.get(start..start.checked_add(length)?));
                Ok(range.ok_or_else(|| fail(end()))?.to_vec())
            }
        }
    }
}

/// A safetensors file whose header has been read and checked.
#[derive(Debug)]
pub(crate) struct SafetensorsFile {
    bytes: Bytes,
    data_start: u64,
    metadata: Metadata,
}

impl SafetensorsFile {
    /// Reads and checks the header.
    pub(crate) fn open(bytes: Bytes) -> Result<Self> {
        let malformed = |problem: String| Error::Malformed { path: bytes.path(), problem };
        let length = bytes.length()?;
        if length < 8 {
            return Err(malformed(format!("{length} bytes are too few for a safetensors header")));
        }
        let prefix = bytes.read(0, 8)?;
        let header_bytes = u64::from_le_bytes(prefix.try_into().expect("8 bytes were asked for"));
        if header_bytes > MAX_HEADER_BYTES || header_bytes > length - 8 {
            let problem = format!("it claims a header of {header_bytes} bytes, the file has {length}");
            return Err(malformed(problem));
        }
        let header = bytes.read(8, header_bytes as usize)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;
        let data_start = 8 + header_bytes;
        let (promised, present) = (metadata.data_len() as u64, length - data_start);
        if promised != present {
            return Err(malformed(format!("its header promises {promised} bytes of tensors, {present} are there")));
        }
        Ok(Self { bytes, data_start, metadata })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.bytes.path()
    }

    /// Names in the order of their data.
    pub(crate) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    pub(crate) fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(name)
    }

    /// The tensor `name` in its stored type, on the CPU.
    pub(crate) fn read(&self, name: &str) -> Result<Tensor> {
        let info = self.info(name).ok_or_else(|| self.missing(name))?;
        Ok(self.read_range(name, 0..info.shape.iter().product())?.reshape(info.shape.as_slice())?)
    }

    /// The elements `range` of the tensor `name`, row after row, in its stored type, on the CPU.
    pub(crate) fn read_range(&self, name: &str, range: Range<usize>) -> Result<Tensor> {
        let info = self.info(name).ok_or_else(|| self.missing(name))?;
        let dtype = candle_dtype(info.dtype).ok_or_else(|| Error::Dtype {
            name: name.into(),
            path: self.path(),
            dtype: info.dtype.to_string(),
            expected: "BF16, F16, F32, F64, U8, U32 or I64",
        })?;
        let (size, (start, end)) = (dtype.size_in_bytes(), info.data_offsets);
        if range.start > range.end || range.end * size > end - start {
            let problem = format!("tensor `{name}` of shape {:?} has no elements {range:?}", info.shape);
            return Err(Error::Malformed { path: self.path(), problem });
        }
        let data = self.bytes.read(self.data_start + (start + range.start * size) as u64, range.len() * size)?;
        Ok(Tensor::from_raw_buffer(&data, dtype, &[range.len()], &Device::Cpu)?)
    }

    fn missing(&self, name: &str) -> Error {
        Error::NoTensor { name: name.into(), path: self.path() }
    }
}

fn candle_dtype(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::U8 => Some(DType::U8),
        Dtype::U32 => Some(DType::U32),
        Dtype::I64 => Some(DType::I64),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F32 => Some(DType::F32),
        Dtype::F64 => Some(DType::F64),
        _ => None,
    }
}
