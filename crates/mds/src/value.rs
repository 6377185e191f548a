//! Values of columns, and their bytes.
//!
//! A dynamic array is stored as `[dtype code: u8, if the encoding leaves it open]`,
//! `[(ndim << 2) | k: u8][ndim dimensions in u8, u16, u32 or u64 for k = 0..3, the smallest that
//! fits the largest]` (if the shape is open), then its elements in row-major order.

use std::collections::BTreeMap;

use crate::encoding::elements;
use crate::{Dtype, Encoding};

/// One sample: a value for each column.
pub type Sample = BTreeMap<String, Value>;

/// The value of one column of one sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a `bytes` column.
    Bytes(Vec<u8>),
    /// Of a `str` column.
    Str(String),
    /// Of an `int` column.
    Int(i64),
    /// Of a scalar column: one element.
    Scalar(Values),
    /// Of an `ndarray` column.
    Array(Array),
}

/// Elements of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// A type that arrays and scalar columns are made of.
pub trait Element: Sized + Copy {
    /// Wraps elements.
    fn wrap(values: Vec<Self>) -> Values;
    /// The elements, if they are of this type.
    fn unwrap(values: &Values) -> Option<&[Self]>;
}

macro_rules! for_each_dtype {
    ($($variant:ident $type:ty),*) => {
        $(impl Element for $type {
            fn wrap(values: Vec<Self>) -> Values {
                Values::$variant(values)
            }
            fn unwrap(values: &Values) -> Option<&[Self]> {
                match values {
                    Values::$variant(values) => Some(values),
                    _ => None,
                }
            }
        })*

        impl Values {
            /// Type of the elements.
            pub fn dtype(&self) -> Dtype {
                match self { $(Self::$variant(_) => Dtype::$variant,)* }
            }

            /// Number of elements.
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(values) => values.len(),)* }
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self { $(Self::$variant(values) => values.iter().for_each(|x| out.extend(x.to_le_bytes())),)* }
            }

            /// Reads elements from `bytes`, whose length is a multiple of the element size.
            fn read(dtype: Dtype, bytes: &[u8]) -> Self {
                match dtype {
                    $(Dtype::$variant => {
                        let (chunks, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                        Self::$variant(chunks.iter().map(|chunk| <$type>::from_le_bytes(*chunk)).collect())
                    })*
                }
            }
        }
    };
}

for_each_dtype!(U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F32 f32, F64 f64);

impl Values {
    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An array: a shape and its elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

impl Array {
    /// An array of `shape`; `None` if the number of elements is another.
    pub fn new<T: Element>(shape: Vec<usize>, values: Vec<T>) -> Option<Self> {
        (elements(&shape) == Some(values.len())).then(|| Self { shape, values: T::wrap(values) })
    }

    /// An array of one dimension.
    pub fn vector<T: Element>(values: Vec<T>) -> Self {
        Self { shape: vec![values.len()], values: T::wrap(values) }
    }

    /// Length of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn values(&self) -> &Values {
        &self.values
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

impl Value {
    /// A value of a scalar column.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self::Scalar(T::wrap(vec![value]))
    }

    /// The elements of a scalar or an array, if they are of type `T`.
    pub fn elements<T: Element>(&self) -> Option<&[T]> {
        match self {
            Self::Scalar(values) | Self::Array(Array { values, .. }) => T::unwrap(values),
            _ => None,
        }
    }

    /// The elements of a scalar or an array of whole numbers of any type, if each fits 32 bits without a sign.
    pub fn as_u32(&self) -> Option<Vec<u32>> {
        fn all<T: Copy + TryInto<u32>>(values: &[T]) -> Option<Vec<u32>> {
            values.iter().map(|value| (*value).try_into().ok()).collect()
        }
        match self {
            Self::Scalar(values) | Self::Array(Array { values, .. }) => match values {
                Values::U8(values) => all(values),
                Values::U16(values) => all(values),
                Values::U32(values) => Some(values.clone()),
                Values::U64(values) => all(values),
                Values::I8(values) => all(values),
                Values::I16(values) => all(values),
                Values::I32(values) => all(values),
                Values::I64(values) => all(values),
                Values::F32(_) | Values::F64(_) => None,
            },
            _ => None,
        }
    }

    /// Appends the value's bytes. On failure says why the value does not fit `encoding`.
    pub(crate) fn encode(&self, encoding: &Encoding, out: &mut Vec<u8>) -> Result<(), String> {
        match (encoding, self) {
            (Encoding::Bytes, Self::Bytes(bytes)) => out.extend_from_slice(bytes),
            (Encoding::Str, Self::Str(text)) => out.extend_from_slice(text.as_bytes()),
            (Encoding::Int, Self::Int(number)) => out.extend(number.to_le_bytes()),
            (Encoding::Scalar(dtype), Self::Scalar(values)) if values.dtype() == *dtype && values.len() == 1 => {
                values.write(out);
            }
            (Encoding::NdArray { dtype, shape }, Self::Array(array)) => {
                return encode_array(array, *dtype, shape.as_deref(), out);
            }
            _ => return Err(format!("value is not of type `{encoding}`")),
        }
        Ok(())
    }

    /// Reads a value from exactly `bytes`. On failure says what is wrong with them.
    pub(crate) fn decode(encoding: &Encoding, bytes: &[u8]) -> Result<Self, String> {
        if let Some(size) = encoding.fixed_bytes().filter(|&size| size != bytes.len()) {
            return Err(format!("{} bytes where `{encoding}` has {size}", bytes.len()));
        }
        Ok(match encoding {
            Encoding::Bytes => Self::Bytes(bytes.to_vec()),
            Encoding::Str => Self::Str(String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?),
            Encoding::Int => match Values::read(Dtype::I64, bytes) {
                Values::I64(numbers) => Self::Int(numbers[0]),
                _ => unreachable!("values are read as the type asked for"),
            },
            Encoding::Scalar(dtype) => Self::Scalar(Values::read(*dtype, bytes)),
            Encoding::NdArray { dtype, shape } => Self::Array(decode_array(bytes, *dtype, shape.as_deref())?),
        })
    }
}

/// Number of elements of an array of `encoding` that is stored in `bytes` bytes, of which `head` are the first two (or
/// all). `None` where it is no array, or none could be stored so.
pub(crate) fn array_elements(encoding: &Encoding, head: &[u8], bytes: usize) -> Option<usize> {
    let Encoding::NdArray { dtype, shape } = encoding else { return None };
    let (dtype, mut before) = match dtype {
        Some(dtype) => (*dtype, 0),
        None => (Dtype::from_code(*head.first()?)?, 1),
    };
    if shape.is_none() {
        let lead = *head.get(before)?;
        before += 1 + (usize::from(lead >> 2) << (lead & 3));
    }
    Some(bytes.checked_sub(before)? / dtype.bytes())
}

fn encode_array(array: &Array, dtype: Option<Dtype>, shape: Option<&[usize]>, out: &mut Vec<u8>) -> Result<(), String> {
    let found = array.values.dtype();
    match dtype {
        None => out.push(found.code()),
        Some(expected) if expected == found => {}
        Some(expected) => return Err(format!("elements are {}, expected {}", found.name(), expected.name())),
    }
    if array.values.is_empty() {
        return Err("arrays without elements cannot be stored".into());
    }
    match shape {
        None => encode_shape(&array.shape, out)?,
        Some(expected) if expected == array.shape => {}
        Some(expected) => return Err(format!("shape is {:?}, expected {expected:?}", array.shape)),
    }
    array.values.write(out);
    Ok(())
}

fn encode_shape(shape: &[usize], out: &mut Vec<u8>) -> Result<(), String> {
    if shape.is_empty() || shape.len() > 63 {
        return Err(format!("{} dimensions, expected 1 to 63", shape.len()));
    }
    let largest = shape.iter().copied().max().unwrap_or_default() as u64;
    let k = match largest {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    };
    out.push((shape.len() as u8) << 2 | k);
    for &dimension in shape {
        out.extend_from_slice(&(dimension as u64).to_le_bytes()[..1 << k]);
    }
    Ok(())
}

fn decode_array(bytes: &[u8], dtype: Option<Dtype>, shape: Option<&[usize]>) -> Result<Array, String> {
    let mut rest = bytes;
    let mut take = |count: usize| rest.split_off(..count).ok_or("array ends inside its header");
    let dtype = match dtype {
        Some(dtype) => dtype,
        None => {
            let code = take(1)?[0];
            Dtype::from_code(code).ok_or_else(|| format!("unknown element type {code}"))?
        }
    };
    let shape = match shape {
        Some(shape) => shape.to_vec(),
        None => {
            let head = take(1)?[0];
            let width = 1 << (head & 3);
            let dimensions = take(usize::from(head >> 2) * width)?.chunks_exact(width);
            dimensions.map(read_dimension).collect::<Option<Vec<_>>>().ok_or("dimension out of range")?
        }
    };
    let count = elements(&shape).filter(|&count| count > 0 && !shape.is_empty());
    if count.map(|count| count * dtype.bytes()) != Some(rest.len()) {
        return Err(format!("{} bytes where shape {shape:?} of {} has others", rest.len(), dtype.name()));
    }
    Ok(Array { shape, values: Values::read(dtype, rest) })
}

fn read_dimension(bytes: &[u8]) -> Option<usize> {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}
