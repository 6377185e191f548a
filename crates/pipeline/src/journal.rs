//! What a long stage has done so far, one record after another, so that a stopped run goes on.
//!
//! A line is the xxh3 of the record in hexadecimal, a space, and the record as JSON. Records are
//! flushed to the disk one by one. Reading stops at the first line that is torn or whose digest
//! does not hold: it and what follows is cut off and done again, since a later record may depend
//! on an earlier one.
//!
//! Invariant: memory holds the places of records, never their content.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::failure::{Failure, Outcome};

/// Hexadecimal digits of a digest, and the space behind them.
const PREFIX: usize = 17;

/// A journal of records of one type.
pub(crate) struct Journal<T> {
    path: PathBuf,
    file: File,
    records: Vec<Range<u64>>,
    of: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens the journal at `path`, with the records that hold; makes it if it is not there.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let fail = Failure::of_file("failed to open", path);
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(&fail)?;
        let (mut records, mut end) = (Vec::new(), 0_u64);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line).map_err(&fail)? as u64;
            if !holds::<T>(&line) {
                break;
            }
            records.push(end + PREFIX as u64..end + bytes - 1);
            end += bytes;
        }
        let length = file.metadata().map_err(&fail)?.len();
        if end < length {
            tracing::warn!(path = %path.display(), bytes = length - end, "the end of a journal does not hold and is done again");
            file.set_len(end).map_err(&fail)?;
        }
        Ok(Self { path: path.into(), file, records, of: PhantomData })
    }

    /// Records so far.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// One record.
    pub(crate) fn get(&self, at: usize) -> Outcome<T> {
        let fail = Failure::of_file("failed to read", &self.path);
        let place = &self.records[at];
        let mut bytes = vec![0; (place.end - place.start) as usize];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place.start)).map_err(&fail)?;
        file.read_exact(&mut bytes).map_err(&fail)?;
        serde_json::from_slice(&bytes).map_err(Failure::run)
    }

    /// Adds a record; it is on the disk when this returns.
    pub(crate) fn push(&mut self, record: &T) -> Outcome {
        let fail = Failure::of_file("failed to write", &self.path);
        let json = serde_json::to_vec(record).map_err(Failure::run)?;
        let end = self.records.last().map_or(0, |last| last.end + 1);
        let mut line = format!("{:016x} ", xxh3_64(&json)).into_bytes();
        line.extend_from_slice(&json);
        line.push(b'\n');
        let mut file = &self.file;
        file.seek(SeekFrom::Start(end)).map_err(&fail)?;
        file.write_all(&line).map_err(&fail)?;
        self.file.sync_data().map_err(&fail)?;
        self.records.push(end + PREFIX as u64..end + line.len() as u64 - 1);
        Ok(())
    }

    /// Removes the journal: what it held stands elsewhere now.
    pub(crate) fn remove(self) -> Outcome {
        fs::remove_file(&self.path).map_err(Failure::of_file("failed to remove", &self.path))
    }
}

/// Whether a line is whole, has the digest it says, and is a record of this program.
fn holds<T: DeserializeOwned>(line: &[u8]) -> bool {
    let Some(json) = line.strip_suffix(b"\n").and_then(|line| line.get(PREFIX..)) else { return false };
    let digest = format!("{:016x} ", xxh3_64(json));
    line.starts_with(digest.as_bytes()) && serde_json::from_slice::<T>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(path: &Path) {
        let mut journal = Journal::<String>::open(path).unwrap();
        ["one", "two\n", "three"].iter().for_each(|text| journal.push(&(*text).to_owned()).unwrap());
    }

    fn all(path: &Path) -> Vec<String> {
        let journal = Journal::<String>::open(path).unwrap();
        (0..journal.len()).map(|at| journal.get(at).unwrap()).collect()
    }

    #[test]
    fn records_come_back_in_order() {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("journal");
        filled(&path);
        assert_eq!(all(&path), ["one", "two\n", "three"]);
    }

    #[test]
    fn a_cut_at_any_byte_keeps_the_whole_records_before_it() {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("journal");
        filled(&path);
        let whole = fs::read(&path).unwrap();
        let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let kept = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(all(&path).len(), kept, "cut at {cut}");
            let mut journal = Journal::<String>::open(&path).unwrap();
            journal.push(&"more".to_owned()).unwrap();
            drop(journal);
            assert_eq!(all(&path).last().unwrap(), "more");
        }
    }

    #[test]
    fn a_flipped_byte_takes_its_record_and_what_follows() {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("journal");
        filled(&path);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            let before = whole[..at].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(all(&path).len(), before, "flipped at {at}");
        }
    }
}
