//! Byte-identity with Python's `MDSWriter`: `golden/` was written by `scripts/parity/mds.py --golden`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use recon_mds::{Dataset, Writer};

mod samples;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn files_are_those_python_writes() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(directory.path(), samples::columns(), samples::options()).unwrap();
    (0..samples::SAMPLES).for_each(|i| writer.write(&samples::sample(i)).unwrap());
    let summary = writer.finish().unwrap();
    let (ours, theirs) = (files(directory.path()), files(&golden()));
    assert!(theirs.len() > 3, "the golden dataset has several shards");
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, bytes) in &theirs {
        assert!(ours[name] == *bytes, "{name} differs");
    }
    assert_eq!(summary.samples, 7);
    assert_eq!(summary.files.len(), theirs.len());
    assert_eq!(summary.files.last().unwrap(), Path::new("index.json"));
}

#[test]
fn what_python_wrote_is_read_value_by_value() {
    let dataset = Dataset::open(&golden()).unwrap();
    assert_eq!(dataset.len(), 7);
    dataset.verify().unwrap();
    // Backwards, so that no order of reading is taken for granted.
    for i in (0..samples::SAMPLES).rev() {
        assert_eq!(dataset.sample(i as usize).unwrap(), samples::sample(i), "sample {i}");
    }
    let error = dataset.sample(7).unwrap_err();
    assert_eq!(error.to_string(), "sample 7 was asked for, the dataset has 7");
}
