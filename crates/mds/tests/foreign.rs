//! Datasets that others wrote: compressed shards, columns of types that are not read here, schemas that differ.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use recon_mds::{Array, Dataset, Encoding, Error, Sample, Value, Writer, WriterOptions};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

const SHARD: &str = "shard.00000.mds";

/// Three samples in one shard: ids of unequal length, a number, a text.
fn written() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let columns = [("ids", "ndarray:uint32".parse().unwrap()), ("n", Encoding::Int), ("s", Encoding::Str)];
    let mut writer = Writer::create(directory.path(), columns, WriterOptions::default()).unwrap();
    (0..3).for_each(|i| writer.write(&sample(i)).unwrap());
    writer.finish().unwrap();
    directory
}

fn sample(i: u32) -> Sample {
    let ids = Array::vector((0..400 * i + 2).collect::<Vec<u32>>());
    let values = [("ids", ids.into()), ("n", Value::Int(i64::from(i))), ("s", Value::Str("{\"k\": 1}".into()))];
    Sample::from(values.map(|(name, value)| (name.into(), value)))
}

fn edit_index(directory: &Path, edit: impl FnOnce(&mut Json)) {
    let path = directory.join("index.json");
    let mut index: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut index);
    fs::write(&path, index.to_string()).unwrap();
}

/// Leaves the shard only in its compressed form, as Python's writer does.
fn compress(directory: &Path, name: &str, compressed: &[u8]) {
    fs::remove_file(directory.join(SHARD)).unwrap();
    let basename = format!("{SHARD}.{}", name.split(':').next().unwrap());
    fs::write(directory.join(&basename), compressed).unwrap();
    edit_index(directory, |index| {
        index["shards"][0]["compression"] = name.into();
        index["shards"][0]["zip_data"] = json!({"basename": basename, "bytes": compressed.len(), "hashes": {}});
    });
}

fn packed(name: &str, raw: &[u8]) -> Vec<u8> {
    match name.split(':').next().unwrap() {
        "zstd" => zstd::encode_all(raw, 7).unwrap(),
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(raw).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut out = Vec::new();
            brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(raw).unwrap();
            out
        }
        _ => snap::raw::Encoder::new().compress_vec(raw).unwrap(),
    }
}

const COMPRESSIONS: [&str; 4] = ["zstd:7", "gz", "br:5", "snappy"];

#[test]
fn compressed_shards_are_read_as_the_others() {
    for name in COMPRESSIONS {
        let directory = written();
        let raw = fs::read(directory.path().join(SHARD)).unwrap();
        compress(directory.path(), name, &packed(name, &raw));
        let dataset = Dataset::open(directory.path()).unwrap();
        for i in (0..3).rev() {
            assert_eq!(dataset.sample(i as usize).unwrap(), sample(i), "{name}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is written into the dataset");
        // Where somebody unpacked it, that is read.
        fs::write(directory.path().join(SHARD), &raw).unwrap();
        fs::write(directory.path().join(format!("{SHARD}.{}", name.split(':').next().unwrap())), "gone").unwrap();
        assert_eq!(Dataset::open(directory.path()).unwrap().sample(1).unwrap(), sample(1), "{name}");
    }
}

#[test]
fn damaged_compressed_shards_are_errors() {
    for name in COMPRESSIONS {
        let raw = fs::read(written().path().join(SHARD)).unwrap();
        let longer = [raw.as_slice(), &[0]].concat();
        let mut flipped = raw.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let whole = packed(name, &raw);
        let damages =
            [whole[..whole.len() / 2].to_vec(), packed(name, &longer), packed(name, &flipped), vec![0xff; 40]];
        for (number, damage) in damages.into_iter().enumerate() {
            let directory = written();
            compress(directory.path(), name, &damage);
            let dataset = Dataset::open(directory.path()).unwrap();
            assert!((0..2).all(|i| dataset.sample(i).is_err()), "{name}, damage {number}");
        }
    }
}

#[test]
fn a_column_that_is_not_asked_for_is_stepped_over() {
    let directory = written();
    edit_index(directory.path(), |index| {
        index["shards"][0]["column_encodings"][2] = "json".into();
        index["shards"][0]["column_encodings"][1] = "float64x".into();
    });
    let dataset = Dataset::open(directory.path()).unwrap();
    for i in 0..3 {
        let read = dataset.read(i as usize, &["ids", "mask"]).unwrap();
        assert_eq!(read, Sample::from([("ids".to_string(), sample(i)["ids"].clone())]));
    }
    let error = dataset.read(0, &["s"]).unwrap_err();
    assert!(matches!(&error, Error::UnsupportedEncoding(name) if name == "json"), "{error}");
    assert!(dataset.sample(0).is_err());
    assert_eq!(dataset.columns(0).unwrap().collect::<Vec<_>>(), ["ids", "n", "s"]);
}

#[test]
fn lengths_are_known_without_reading_the_elements() {
    let lengths = |directory: &Path, column| {
        let mut found = Vec::new();
        Dataset::open(directory).unwrap().each_length(column, |index, length| found.push((index, length))).unwrap();
        found
    };
    let directory = written();
    let expected: Vec<_> = (0..3).map(|i| (i, Some(400 * i + 2))).collect();
    assert_eq!(lengths(directory.path(), "ids"), expected);
    assert_eq!(lengths(directory.path(), "s"), [(0, None), (1, None), (2, None)]);
    assert_eq!(lengths(directory.path(), "absent"), [(0, None), (1, None), (2, None)]);
    // What each array says of its type, and what the column says of all shapes.
    for (encoding, array) in [
        ("ndarray", Array::new(vec![2, 300], vec![1_u16; 600]).unwrap()),
        ("ndarray:int64:3,2", Array::new(vec![3, 2], vec![1_i64; 6]).unwrap()),
        ("ndarray:uint8", Array::vector(vec![7_u8])),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let columns = [("s", Encoding::Str), ("x", encoding.parse().unwrap())];
        let mut writer = Writer::create(directory.path(), columns, WriterOptions::default()).unwrap();
        let elements = array.values().len();
        writer.write(&Sample::from([("s".into(), Value::Str("text".into())), ("x".into(), array.into())])).unwrap();
        writer.finish().unwrap();
        assert_eq!(lengths(directory.path(), "x"), [(0, Some(elements))], "{encoding}");
    }
}

#[test]
fn whole_numbers_of_any_type_are_read_where_they_fit() {
    let read = |array: Array| Value::from(array).as_u32();
    assert_eq!(read(Array::vector(vec![1_i64, 70_000])), Some(vec![1, 70_000]));
    assert_eq!(read(Array::vector(vec![1_u16])), Some(vec![1]));
    assert_eq!(read(Array::vector(vec![u64::from(u32::MAX) + 1])), None);
    assert_eq!(read(Array::vector(vec![-1_i32])), None);
    assert_eq!(read(Array::vector(vec![1.0_f32])), None);
    assert_eq!(Value::Int(1).as_u32(), None);
}
