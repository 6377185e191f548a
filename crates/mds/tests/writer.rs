//! The writer: what it accepts, where it cuts, what it leaves behind.

use std::fs;

use recon_mds::{Array, Dataset, Encoding, Error, Sample, Value, Writer, WriterOptions};

fn one(name: &str, value: Value) -> Sample {
    Sample::from([(name.into(), value)])
}

fn write_one(encoding: &str, value: Value) -> Result<Value, Error> {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(directory.path(), [("x", encoding.parse()?)], WriterOptions::default())?;
    writer.write(&one("x", value))?;
    writer.finish()?;
    Ok(Dataset::open(directory.path())?.sample(0)?.remove("x").unwrap())
}

#[test]
fn a_dimension_of_65_536_takes_four_bytes() {
    for (length, header) in [(255, 2), (256, 3), (65_535, 3), (65_536, 5)] {
        let directory = tempfile::tempdir().unwrap();
        let array = Value::from(Array::vector(vec![3_u8; length]));
        let columns = [("x", "ndarray:uint8".parse().unwrap())];
        let mut writer = Writer::create(directory.path(), columns, WriterOptions::default()).unwrap();
        writer.write(&one("x", array.clone())).unwrap();
        writer.finish().unwrap();
        assert_eq!(Dataset::open(directory.path()).unwrap().sample(0).unwrap()["x"], array);
        let shard = fs::read(directory.path().join("shard.00000.mds")).unwrap();
        let start = u32::from_le_bytes(shard[4..8].try_into().unwrap()) as usize;
        assert_eq!(shard.len() - start, 4 + header + length, "{length}");
    }
}

#[test]
fn values_that_do_not_fit_their_column_are_refused() {
    let refused = [
        ("int", Value::scalar(1_i64)),
        ("int64", Value::Int(1)),
        ("uint8", Value::scalar(1_u16)),
        ("str", Value::Bytes(vec![])),
        ("ndarray", Array::vector(Vec::<u8>::new()).into()),
        ("ndarray:uint8", Array::vector(vec![1_u32]).into()),
        ("ndarray:uint8:2", Array::vector(vec![1_u8; 3]).into()),
        ("ndarray", Array::new(vec![], vec![1_u8]).unwrap().into()),
        ("ndarray", Array::new(vec![1; 64], vec![1_u8]).unwrap().into()),
    ];
    for (encoding, value) in refused {
        let error = write_one(encoding, value.clone()).expect_err(encoding);
        assert!(matches!(error, Error::Value { .. }), "{encoding} {value:?}: {error}");
    }
    assert_eq!(Array::new(vec![2, 2], vec![0_u8; 3]), None);
    let deep = Value::from(Array::new(vec![1; 63], vec![1_u8]).unwrap());
    assert_eq!(write_one("ndarray", deep.clone()).unwrap(), deep);
}

#[test]
fn a_sample_has_exactly_the_columns() {
    let directory = tempfile::tempdir().unwrap();
    let columns = [("b", Encoding::Int), ("a", Encoding::Int)];
    let mut writer = Writer::create(directory.path(), columns, WriterOptions::default()).unwrap();
    let error = writer.write(&one("a", Value::Int(1))).unwrap_err();
    assert_eq!(error.to_string(), "column `b`: the sample has no such value");
    let error = writer.write(&one("c", Value::Int(1))).unwrap_err();
    assert_eq!(error.to_string(), "column `c`: the dataset has no such column");
    let twice =
        Writer::create(directory.path(), [("a", Encoding::Int), ("a", Encoding::Str)], WriterOptions::default());
    assert_eq!(twice.unwrap_err().to_string(), "column `a`: named twice");
}

#[test]
fn nothing_is_a_dataset_before_its_index() {
    let directory = tempfile::tempdir().unwrap();
    let options = WriterOptions { size_limit_bytes: Some(300), ..WriterOptions::default() };
    let mut writer = Writer::create(directory.path(), [("x", Encoding::Bytes)], options.clone()).unwrap();
    for _ in 0..9 {
        writer.write(&one("x", Value::Bytes(vec![1; 100]))).unwrap();
    }
    drop(writer);
    assert!(directory.path().join("shard.00003.mds").exists());
    assert!(matches!(Dataset::open(directory.path()), Err(Error::Read { .. })));
    // A second attempt replaces what the first one left.
    let mut writer = Writer::create(directory.path(), [("x", Encoding::Bytes)], options.clone()).unwrap();
    writer.write(&one("x", Value::Bytes(vec![2]))).unwrap();
    writer.finish().unwrap();
    let dataset = Dataset::open(directory.path()).unwrap();
    assert_eq!((dataset.len(), dataset.sample(0).unwrap()["x"].clone()), (1, Value::Bytes(vec![2])));
    let again = Writer::create(directory.path(), [("x", Encoding::Bytes)], options);
    assert!(matches!(again, Err(Error::Exists { .. })));
}

#[test]
fn no_samples_make_an_empty_dataset() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Writer::create(directory.path(), [("x", Encoding::Int)], WriterOptions::default()).unwrap();
    assert_eq!(writer.finish().unwrap().samples, 0);
    assert_eq!(fs::read_to_string(directory.path().join("index.json")).unwrap(), r#"{"shards": [], "version": 2}"#);
    assert!(Dataset::open(directory.path()).unwrap().is_empty());
}

#[test]
fn shards_are_cut_where_python_cuts_them() {
    // Shards of [samples] for samples of these sizes under a limit of 400 bytes, of which the
    // header takes 8 + 178 and each sample 4 + 4 + size; recorded from MDSWriter. A first sample
    // beyond the limit leaves an empty shard before it.
    let cases: [(&[usize], &[u64]); 4] =
        [(&[500, 1], &[0, 1, 1]), (&[1, 500, 500], &[1, 1, 1]), (&[99, 99, 1], &[2, 1]), (&[99, 100], &[1, 1])];
    for (sizes, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let options = WriterOptions { size_limit_bytes: Some(400), ..WriterOptions::default() };
        let mut writer = Writer::create(directory.path(), [("x", Encoding::Bytes)], options).unwrap();
        sizes.iter().for_each(|&size| writer.write(&one("x", Value::Bytes(vec![7; size]))).unwrap());
        writer.finish().unwrap();
        let index = fs::read_to_string(directory.path().join("index.json")).unwrap();
        let samples: Vec<u64> =
            index.split("\"samples\": ").skip(1).map(|rest| rest.split(',').next().unwrap().parse().unwrap()).collect();
        assert_eq!(samples, expected, "{sizes:?}");
        assert_eq!(Dataset::open(directory.path()).unwrap().len(), sizes.len());
    }
}
