//! Column types, by the names the index gives them.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Type of a scalar column, or of an array's elements. Little-endian on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// `uint8`
    U8,
    /// `uint16`
    U16,
    /// `uint32`
    U32,
    /// `uint64`
    U64,
    /// `int8`
    I8,
    /// `int16`
    I16,
    /// `int32`
    I32,
    /// `int64`
    I64,
    /// `float32`
    F32,
    /// `float64`
    F64,
}

/// Every dtype with its name and the byte that stands for it in a dynamic array.
const DTYPES: [(Dtype, &str, u8); 10] = [
    (Dtype::U8, "uint8", 8),
    (Dtype::I8, "int8", 9),
    (Dtype::U16, "uint16", 16),
    (Dtype::I16, "int16", 17),
    (Dtype::U32, "uint32", 32),
    (Dtype::I32, "int32", 33),
    (Dtype::F32, "float32", 34),
    (Dtype::U64, "uint64", 64),
    (Dtype::I64, "int64", 65),
    (Dtype::F64, "float64", 66),
];

impl Dtype {
    /// The name in an index.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    pub(crate) fn code(self) -> u8 {
        self.row().2
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        DTYPES.iter().find(|row| row.2 == code).map(|row| row.0)
    }

    fn from_name(name: &str) -> Option<Self> {
        DTYPES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, u8) {
        DTYPES.iter().find(|row| row.0 == self).expect("the table lists every dtype")
    }
}

/// Type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// `bytes`
    Bytes,
    /// `str`: UTF-8.
    Str,
    /// `int`: 64-bit, signed. Python's `int`, where `int64` is NumPy's.
    Int,
    /// One number.
    Scalar(Dtype),
    /// `ndarray[:dtype[:shape]]`; what the name leaves open is stored with each array.
    NdArray {
        /// Element type, if it is that of every array.
        dtype: Option<Dtype>,
        /// Shape, if it is that of every array.
        shape: Option<Vec<usize>>,
    },
}

impl Encoding {
    /// Bytes of every value, where that is fixed: such columns store no size.
    pub fn fixed_bytes(&self) -> Option<usize> {
        match self {
            Self::Bytes | Self::Str => None,
            Self::Int => Some(8),
            Self::Scalar(dtype) => Some(dtype.bytes()),
            Self::NdArray { dtype, shape } => {
                // `from_str` refuses shapes whose size overflows.
                shape.as_deref().and_then(elements).zip(*dtype).map(|(n, dtype)| n * dtype.bytes())
            }
        }
    }
}

/// Number of elements of `shape`; `None` if it, eight bytes each, exceeds the address space.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1_usize, |count, &dimension| count.checked_mul(dimension))?;
    count.checked_mul(8).map(|_| count)
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let unsupported = || Error::UnsupportedEncoding(name.into());
        match name {
            "bytes" => return Ok(Self::Bytes),
            "str" => return Ok(Self::Str),
            "int" => return Ok(Self::Int),
            _ => {}
        }
        if let Some(dtype) = Dtype::from_name(name) {
            return Ok(Self::Scalar(dtype));
        }
        let mut parts = name.split(':');
        if parts.next() != Some("ndarray") {
            return Err(unsupported());
        }
        let dtype = parts.next().map(|name| Dtype::from_name(name).ok_or_else(unsupported)).transpose()?;
        let shape = parts.next().map(|list| {
            let shape: Option<Vec<usize>> =
                list.split(',').map(|number| number.parse().ok().filter(|&dimension| dimension > 0)).collect();
            shape.filter(|shape| elements(shape).is_some()).ok_or_else(unsupported)
        });
        match parts.next() {
            Some(_) => Err(unsupported()),
            None => Ok(Self::NdArray { dtype, shape: shape.transpose()? }),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes => f.write_str("bytes"),
            Self::Str => f.write_str("str"),
            Self::Int => f.write_str("int"),
            Self::Scalar(dtype) => f.write_str(dtype.name()),
            Self::NdArray { dtype, shape } => {
                f.write_str("ndarray")?;
                if let Some(dtype) = dtype {
                    write!(f, ":{}", dtype.name())?;
                }
                if let Some(shape) = shape {
                    let list: Vec<String> = shape.iter().map(ToString::to_string).collect();
                    write!(f, ":{}", list.join(","))?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let mut names = vec!["bytes", "str", "int", "ndarray", "ndarray:uint8", "ndarray:float64:3,4"];
        names.extend(DTYPES.iter().map(|row| row.1));
        for name in names {
            assert_eq!(name.parse::<Encoding>().unwrap().to_string(), name);
        }
        for name in ["", "pkl", "jpeg", "float16", "ndarray:", "ndarray:float16", "ndarray:uint8:", "ndarray:uint8:0"] {
            assert!(matches!(name.parse::<Encoding>(), Err(Error::UnsupportedEncoding(_))), "{name}");
        }
        for name in ["ndarray:uint8:1:2", "ndarray:uint8:4294967296,4294967296", "ndarrays", "Str"] {
            assert!(name.parse::<Encoding>().is_err(), "{name}");
        }
    }

    #[test]
    fn only_scalars_and_static_arrays_have_a_fixed_size() {
        let bytes = |name: &str| name.parse::<Encoding>().unwrap().fixed_bytes();
        assert_eq!(bytes("int"), Some(8));
        assert_eq!(bytes("uint16"), Some(2));
        assert_eq!(bytes("ndarray:float32:3,4"), Some(48));
        assert_eq!((bytes("ndarray:float32"), bytes("ndarray"), bytes("str")), (None, None, None));
    }
}
