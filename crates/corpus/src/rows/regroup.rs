//! Rows of one repository together, wherever in the corpus they stand.
//!
//! Rows are dealt to files on disk by the hash of their repository's name; each file is then
//! read, sorted by name and handed on. A file that is larger than `partition_bytes` and holds
//! more than one repository is dealt again under another hash, so memory holds one part of
//! bounded size, or the rows of a single repository, which the reader bounds in its turn.
//!
//! Invariants: the order of repositories depends on their names and on the size of the corpus,
//! not on the order of rows; the rows of a repository keep their order; nothing of the spill
//! survives.
//!
//! Legend: `P` parts on disk, at most [`MAX_PARTS`]; the spill takes about the space of the
//! corpus under zstd level 1.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Row;
use crate::{Error, Result};

const MAX_PARTS: u64 = 128;
/// How often a part may be dealt again.
const MAX_DEPTH: u64 = 6;
/// Longest field read back; longer ones were never written.
const MAX_FIELD_BYTES: u64 = 1 << 31;

/// Rows on their way to disk.
pub(crate) struct Spill {
    parts: Vec<PartWriter>,
    depth: u64,
    partition_bytes: u64,
}

struct PartWriter {
    encoder: Option<zstd::Encoder<'static, BufWriter<File>>>,
    part: Part,
    directory: PathBuf,
    index: usize,
}

/// Rows on disk.
#[derive(Clone)]
pub(crate) struct Part {
    path: PathBuf,
    bytes: u64,
    /// The hash of the first repository's name, and whether another one came.
    first: Option<u64>,
    several: bool,
    depth: u64,
}

impl Spill {
    /// `corpus_bytes` decides how many parts there are; it may be an estimate.
    pub(crate) fn new(directory: &Path, corpus_bytes: u64, partition_bytes: u64) -> Self {
        let parts = corpus_bytes.div_ceil(partition_bytes.max(1)).clamp(1, MAX_PARTS);
        Self::at_depth(directory, parts, partition_bytes, 0)
    }

    fn at_depth(directory: &Path, parts: u64, partition_bytes: u64, depth: u64) -> Self {
        let writer = |index: usize| PartWriter {
            encoder: None,
            part: Part { path: PathBuf::new(), bytes: 0, first: None, several: false, depth },
            directory: directory.into(),
            index,
        };
        Self { parts: (0..parts as usize).map(writer).collect(), depth, partition_bytes }
    }

    /// Writes one row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<()> {
        let hash = xxh3_64_with_seed(row.repository.as_bytes(), self.depth);
        let count = self.parts.len() as u64;
        self.parts[(hash % count) as usize].push(row, hash)
    }

    /// The parts, in order.
    pub(crate) fn finish(self) -> Result<Spilled> {
        let partition_bytes = self.partition_bytes;
        let mut parts: Vec<Part> = self.parts.into_iter().map(PartWriter::finish).collect::<Result<_>>()?;
        parts.retain(|part| part.bytes > 0);
        parts.reverse();
        Ok(Spilled { parts, partition_bytes })
    }
}

/// A whole corpus on disk, to be read as often as needed.
pub(crate) struct Spilled {
    parts: Vec<Part>,
    partition_bytes: u64,
}

impl Spilled {
    /// Begins to read.
    pub(crate) fn read(&self) -> Parts {
        Parts { open: self.parts.clone(), partition_bytes: self.partition_bytes }
    }
}

impl PartWriter {
    fn push(&mut self, row: &Row, hash: u64) -> Result<()> {
        if self.encoder.is_none() {
            let path = self.directory.join(format!("part-{}-{:03}-{}", self.part.depth, self.index, unique()));
            let fail = |source| Error::Write { path: path.clone(), source };
            let file = File::create(&path).map_err(fail)?;
            self.encoder = Some(zstd::Encoder::new(BufWriter::new(file), 1).map_err(fail)?);
            self.part.path = path;
        }
        let encoder = self.encoder.as_mut().expect("opened just now");
        let mut write = || -> io::Result<u64> {
            let optional = |text: &Option<String>| text.clone().unwrap_or_default();
            let fields = [&row.repository, &row.path, &row.content, &optional(&row.licence), &optional(&row.commit)];
            let mut bytes = 0;
            for field in fields {
                encoder.write_all(&(field.len() as u64).to_le_bytes())?;
                encoder.write_all(field.as_bytes())?;
                bytes += 8 + field.len() as u64;
            }
            Ok(bytes)
        };
        let bytes = write().map_err(|source| Error::Write { path: self.part.path.clone(), source })?;
        self.part.bytes += bytes;
        self.part.several |= self.part.first.is_some_and(|first| first != hash);
        self.part.first.get_or_insert(hash);
        Ok(())
    }

    fn finish(self) -> Result<Part> {
        let Self { encoder, part, .. } = self;
        if let Some(encoder) = encoder {
            let finish = || encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error);
            finish().map_err(|source| Error::Write { path: part.path.clone(), source })?;
        }
        Ok(part)
    }
}

/// A number that no other part of this process has.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Rows of one repository.
pub(crate) enum Group {
    /// In memory.
    Rows(Vec<Row>),
    /// One repository larger than a part, row by row from disk.
    Large(PartReader),
}

/// The parts that are left to read, the next one last.
pub(crate) struct Parts {
    open: Vec<Part>,
    partition_bytes: u64,
}

impl Parts {
    /// The next repositories, sorted by name; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Group>>> {
        while let Some(part) = self.open.pop() {
            let groups = if part.bytes <= self.partition_bytes || part.depth >= MAX_DEPTH {
                Some(part.load()?)
            } else if part.several {
                self.deal_again(&part)?;
                None
            } else {
                Some(vec![Group::Large(part.read()?)])
            };
            if part.depth > 0 {
                // Dealt again by the next pass, should there be one; an open file stays readable.
                fs::remove_file(&part.path).ok();
            }
            if groups.is_some() {
                return Ok(groups);
            }
        }
        Ok(None)
    }

    fn deal_again(&mut self, part: &Part) -> Result<()> {
        let directory = part.path.parent().expect("parts lie in the spill's folder");
        let count = part.bytes.div_ceil(self.partition_bytes.max(1)).clamp(2, MAX_PARTS);
        let mut spill = Spill::at_depth(directory, count, self.partition_bytes, part.depth + 1);
        for row in part.read()? {
            spill.push(&row?)?;
        }
        self.open.extend(spill.finish()?.parts);
        Ok(())
    }
}

impl Part {
    fn read(&self) -> Result<PartReader> {
        let fail = |source| Error::Read { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(fail)?;
        let decoder = zstd::Decoder::new(file).map_err(fail)?;
        Ok(PartReader { reader: BufReader::new(decoder), path: self.path.clone() })
    }

    fn load(&self) -> Result<Vec<Group>> {
        let mut rows: Vec<Row> = self.read()?.collect::<Result<_>>()?;
        rows.sort_by(|a, b| a.repository.cmp(&b.repository));
        let mut groups: Vec<Vec<Row>> = Vec::new();
        for row in rows {
            match groups.last_mut().filter(|group| group[0].repository == row.repository) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        Ok(groups.into_iter().map(Group::Rows).collect())
    }
}

/// Rows of a part, in the order they were written.
pub(crate) struct PartReader {
    reader: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    path: PathBuf,
}

impl PartReader {
    fn field(&mut self) -> io::Result<Option<String>> {
        let mut length = [0; 8];
        match self.reader.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let length = u64::from_le_bytes(length);
        if length > MAX_FIELD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut field = String::new();
        self.reader.by_ref().take(length).read_to_string(&mut field)?;
        Ok(Some(field))
    }

    fn row(&mut self) -> io::Result<Option<Row>> {
        let Some(repository) = self.field()? else { return Ok(None) };
        let mut rest = || self.field()?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        let (path, content, licence, commit) = (rest()?, rest()?, rest()?, rest()?);
        let optional = |text: String| (!text.is_empty()).then_some(text);
        Ok(Some(Row { repository, path, content, licence: optional(licence), commit: optional(commit) }))
    }
}

impl Iterator for PartReader {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = self.path.clone();
        self.row().map_err(|source| Error::Read { path, source }).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(repository: u32, file: u32, bytes: usize) -> Row {
        Row {
            repository: format!("r{repository}"),
            path: format!("f{file}.py"),
            content: "x".repeat(bytes),
            licence: repository.is_multiple_of(2).then(|| "MIT".into()),
            commit: None,
        }
    }

    fn groups(rows: &[Row], corpus_bytes: u64, partition_bytes: u64) -> Vec<(String, Vec<Row>)> {
        let directory = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(directory.path(), corpus_bytes, partition_bytes);
        rows.iter().for_each(|row| spill.push(row).unwrap());
        let mut parts = spill.finish().unwrap().read();
        let mut groups = Vec::new();
        while let Some(some) = parts.next().unwrap() {
            for group in some {
                let rows = match group {
                    Group::Rows(rows) => rows,
                    Group::Large(reader) => reader.collect::<Result<Vec<_>>>().unwrap(),
                };
                groups.push((rows[0].repository.clone(), rows));
            }
        }
        groups
    }

    #[test]
    fn scattered_rows_come_together_in_their_order() {
        let rows: Vec<Row> = (0..40).flat_map(|file| (0..25).map(move |at| row(at, file, 10))).collect();
        // One part, several, and so many bytes for so small parts that they are dealt again.
        for (corpus_bytes, partition_bytes) in [(1, 1 << 20), (60_000, 8_000), (1, 4_000)] {
            let groups = groups(&rows, corpus_bytes, partition_bytes);
            let by_name: BTreeMap<&str, &Vec<Row>> = groups.iter().map(|(name, rows)| (name.as_str(), rows)).collect();
            assert_eq!((groups.len(), by_name.len()), (25, 25), "each repository once");
            for (at, rows) in (0..25).map(|at| (at, by_name[format!("r{at}").as_str()])) {
                assert_eq!(*rows, (0..40).map(|file| row(at, file, 10)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_show() {
        let mut rows: Vec<Row> = (0..50).map(|at| row(at, 0, 100)).collect();
        let names = |rows: &[Row]| groups(rows, 6_000, 2_000).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let expected = names(&rows);
        rows.reverse();
        assert_eq!(names(&rows), expected);
    }

    #[test]
    fn one_large_repository_is_not_loaded() {
        let rows: Vec<Row> = (0..20).map(|file| row(7, file, 1_000)).collect();
        let directory = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(directory.path(), 1, 4_000);
        rows.iter().for_each(|row| spill.push(row).unwrap());
        let groups = spill.finish().unwrap().read().next().unwrap().unwrap();
        let [Group::Large(_)] = groups.as_slice() else { panic!("held in memory") };
    }
}
