//! Damaged and hostile datasets: errors that say what is wrong, never a panic, never a value
//! that was not written.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use recon_mds::{Array, Dataset, Encoding, Error, HashAlgorithm, Sample, Value, Writer, WriterOptions};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A dataset of three samples in one shard, without hashes: nothing but the structure protects it.
fn unhashed() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let columns = [("a", Encoding::NdArray { dtype: None, shape: None }), ("n", Encoding::Int), ("s", Encoding::Str)];
    let options = WriterOptions { hashes: vec![], ..WriterOptions::default() };
    let mut writer = Writer::create(directory.path(), columns, options).unwrap();
    for i in 0..3_i64 {
        let array = Array::new(vec![2, 2], vec![i as u16; 4]).unwrap();
        let sample = [("a", array.into()), ("n", Value::Int(i)), ("s", Value::Str("é".repeat(3)))];
        writer.write(&Sample::from(sample.map(|(name, value)| (name.into(), value)))).unwrap();
    }
    writer.finish().unwrap();
    directory
}

fn read_all(directory: &Path) -> Result<usize, Error> {
    let dataset = Dataset::open(directory)?;
    (0..dataset.len()).try_for_each(|index| dataset.sample(index).map(drop))?;
    Ok(dataset.len())
}

fn edit_index(directory: &Path, edit: impl FnOnce(&mut Json)) -> Error {
    let path = directory.join("index.json");
    let mut index: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut index);
    fs::write(&path, index.to_string()).unwrap();
    read_all(directory).unwrap_err()
}

fn edit_shard(edit: impl FnOnce(&mut Vec<u8>)) -> Result<usize, Error> {
    let directory = unhashed();
    let path = directory.path().join("shard.00000.mds");
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    // The index admits the new size: the reader has to find the damage itself.
    let index = directory.path().join("index.json");
    let mut json: Json = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    json["shards"][0]["raw_data"]["bytes"] = bytes.len().into();
    fs::write(&index, json.to_string()).unwrap();
    read_all(directory.path())
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

#[test]
fn an_untouched_dataset_is_read() {
    assert_eq!(edit_shard(|_| {}).unwrap(), 3);
}

#[test]
fn offsets_and_sizes_out_of_range_are_errors() {
    type Damage = (&'static str, fn(&mut Vec<u8>));
    let damage: [Damage; 9] = [
        ("more samples than the index lists", |bytes| put(bytes, 0, 4)),
        ("first offset inside the table", |bytes| put(bytes, 4, 3)),
        ("offsets that descend", |bytes| put(bytes, 8, 5000)),
        ("offsets beyond the file", |bytes| put(bytes, 16, u32::MAX)),
        ("an offset at the top of the range", |bytes| put(bytes, 8, u32::MAX)),
        ("a cut file", |bytes| bytes.truncate(bytes.len() - 1)),
        ("a cut table", |bytes| bytes.truncate(12)),
        ("an empty file", Vec::clear),
        ("trailing bytes", |bytes| bytes.push(0)),
    ];
    for (what, edit) in damage {
        let error = edit_shard(edit).expect_err(what);
        assert!(matches!(error, Error::Shard { .. }), "{what}: {error}");
    }
}

#[test]
fn a_sample_whose_sizes_exceed_it_is_an_error() {
    let first = |bytes: &[u8]| u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    for size in [0, 1, 7, 13, 15, 1000, u32::MAX] {
        let error = edit_shard(|bytes| {
            let at = first(bytes);
            put(bytes, at, size);
        });
        assert!(error.is_err(), "array of {size} bytes");
        let error = edit_shard(|bytes| {
            let at = first(bytes);
            put(bytes, at + 4, size);
        });
        assert!(error.is_err(), "text of {size} bytes");
    }
}

#[test]
fn a_changed_byte_is_found_by_the_hash() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(directory.path(), [("n", Encoding::Int)], WriterOptions::default()).unwrap();
    writer.write(&Sample::from([("n".into(), Value::Int(7))])).unwrap();
    writer.finish().unwrap();
    let path = directory.path().join("shard.00000.mds");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(read_all(directory.path()).is_err(), "byte {at}");
    }
    fs::write(&path, &whole).unwrap();
    for algorithm in [HashAlgorithm::Sha1, HashAlgorithm::Xxh64] {
        let other = tempfile::tempdir().unwrap();
        fs::copy(&path, other.path().join("shard.00000.mds")).unwrap();
        fs::copy(directory.path().join("index.json"), other.path().join("index.json")).unwrap();
        let error = edit_index(other.path(), |index| {
            index["shards"][0]["raw_data"]["hashes"][algorithm.name()] = "0".into();
        });
        assert!(matches!(error, Error::HashMismatch { algorithm: found, .. } if found == algorithm), "{error}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let packed = unhashed();
    fs::rename(packed.path().join("shard.00000.mds"), packed.path().join("shard.00000.mds.bz2")).unwrap();
    let error = edit_index(packed.path(), |index| {
        index["shards"][0]["compression"] = "bz2:9".into();
        index["shards"][0]["zip_data"] =
            serde_json::json!({"basename": "shard.00000.mds.bz2", "bytes": 1, "hashes": {}});
    });
    assert!(error.to_string().contains("compressed with `bz2:9`"), "{error}");
    let error = edit_index(unhashed().path(), |index| index["shards"][0]["column_encodings"][2] = "pkl".into());
    assert_eq!(error.to_string(), "unsupported column encoding `pkl`");
    let error = edit_index(unhashed().path(), |index| index["shards"][0]["format"] = "json".into());
    assert!(error.to_string().contains("format `json`"), "{error}");
    let error = edit_index(unhashed().path(), |index| index["version"] = 3.into());
    assert!(error.to_string().contains("version 3"), "{error}");
    let error = edit_index(unhashed().path(), |index| {
        index["shards"][0]["raw_data"]["hashes"] = serde_json::json!({"blake3": "00"});
    });
    assert!(error.to_string().contains("blake3"), "{error}");
}

#[test]
fn an_index_cannot_lead_out_of_its_directory() {
    for name in ["../shard.00000.mds", "/etc/passwd", "", "a/../../b", "."] {
        let error = edit_index(unhashed().path(), |index| index["shards"][0]["raw_data"]["basename"] = name.into());
        assert!(matches!(error, Error::Index { .. }), "{name}: {error}");
    }
    // Folders below the dataset are part of the format.
    let directory = unhashed();
    fs::create_dir(directory.path().join("part")).unwrap();
    fs::rename(directory.path().join("shard.00000.mds"), directory.path().join("part/x.mds")).unwrap();
    let path = directory.path().join("index.json");
    let index = fs::read_to_string(&path).unwrap().replace("shard.00000.mds", "part/x.mds");
    fs::write(&path, index).unwrap();
    assert_eq!(read_all(directory.path()).unwrap(), 3);
}

#[test]
fn an_index_that_contradicts_itself_is_an_error() {
    let edits: [fn(&mut Json); 6] = [
        |shard| shard["column_sizes"][1] = 4.into(),
        |shard| shard["column_sizes"][1] = Json::Null,
        |shard| drop(shard["column_names"].as_array_mut().unwrap().pop()),
        |shard| shard["column_names"][0] = "n".into(),
        |shard| shard["samples"] = 2.into(),
        |shard| shard["samples"] = u64::MAX.into(),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let directory = unhashed();
        edit_index(directory.path(), |index| edit(&mut index["shards"][0])).to_string();
        assert!(Dataset::open(directory.path()).is_err(), "edit {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_change_of_bytes_makes_the_reader_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let _ = edit_shard(|bytes| {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
        });
    }

    #[test]
    fn no_index_makes_the_reader_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let directory = unhashed();
        let path = directory.path().join("index.json");
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fs::write(&path, bytes).unwrap();
        let _ = read_all(directory.path());
    }
}
