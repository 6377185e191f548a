//! The samples of `scripts/parity/mds.py`, by the same formula.

use recon_mds::{Array, Element, Encoding, HashAlgorithm, Sample, Value, WriterOptions};

/// Number of samples in the golden dataset.
pub(crate) const SAMPLES: i64 = 7;

/// Scalar columns, by the name of their type.
const SCALARS: [&str; 10] =
    ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"];

/// The columns, not in order.
pub(crate) fn columns() -> Vec<(&'static str, Encoding)> {
    let named = [
        ("bytes", "bytes"),
        ("str", "str"),
        ("int", "int"),
        ("zz é", "str"),
        ("array", "ndarray"),
        ("ids", "ndarray:uint32"),
        ("grid", "ndarray:float32:2,3"),
        ("wide", "ndarray:uint8"),
    ];
    let scalars = SCALARS.map(|name| (name, name));
    named.into_iter().chain(scalars).map(|(name, encoding)| (name, encoding.parse().unwrap())).collect()
}

/// The options of the golden dataset.
pub(crate) fn options() -> WriterOptions {
    WriterOptions { size_limit_bytes: Some(2000), hashes: vec![HashAlgorithm::Sha1, HashAlgorithm::Xxh64] }
}

/// Sample `i`.
pub(crate) fn sample(i: i64) -> Sample {
    let n = i as usize;
    let ids: Vec<u32> = (0..2 * (i as u32 + 1)).map(|k| k * 65_537).collect();
    let grid: Vec<f32> = (0..6).map(|k| (k as f32 - i as f32) / 8.0).collect();
    let half = (100 + i) as f64 / 2.0;
    Sample::from(
        [
            ("bytes", Value::Bytes((0..3 * i).map(|k| ((i * 31 + k) % 256) as u8).collect())),
            ("str", Value::Str("é東\0".repeat(n) + &i.to_string())),
            ("int", Value::Int(if i % 2 == 0 { i } else { -i } * 1_000_000_007)),
            ("zz é", Value::Str(String::new())),
            ("array", numbers(n).into()),
            ("ids", Array::new(vec![n + 1, 2], ids).unwrap().into()),
            ("grid", Array::new(vec![2, 3], grid).unwrap().into()),
            ("wide", Array::vector(vec![i as u8; 254 + n]).into()),
            ("uint8", Value::scalar(100 + i as u8)),
            ("uint16", Value::scalar(100 + i as u16)),
            ("uint32", Value::scalar(100 + i as u32)),
            ("uint64", Value::scalar(100 + i as u64)),
            ("int8", Value::scalar(100 + i as i8)),
            ("int16", Value::scalar(100 + i as i16)),
            ("int32", Value::scalar(100 + i as i32)),
            ("int64", Value::scalar(100 + i)),
            ("float32", Value::scalar(half as f32)),
            ("float64", Value::scalar(half)),
        ]
        .map(|(name, value)| (name.to_string(), value)),
    )
}

/// 0, 1, … `n` as an array of shape `[1, n + 1, 1]`, of the `n`-th scalar type.
fn numbers(n: usize) -> Array {
    fn of<T: Element + TryFrom<usize, Error: std::fmt::Debug>>(n: usize) -> Array {
        Array::new(vec![1, n + 1, 1], (0..=n).map(|k| T::try_from(k).unwrap()).collect()).unwrap()
    }
    match n {
        0 => of::<u8>(n),
        1 => of::<u16>(n),
        2 => of::<u32>(n),
        3 => of::<u64>(n),
        4 => of::<i8>(n),
        5 => of::<i16>(n),
        _ => of::<i32>(n),
    }
}
