//! One shard: its columns and table, its samples, its hashes.
//!
//! Offsets and sizes are checked against the file before anything is allocated for them. A shard that is there only
//! compressed is unpacked when it is first read.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::hash::Hasher;
use crate::index::{self, FileInfo, ShardEntry};
use crate::unpack::Compression;
use crate::value::array_elements;
use crate::{Encoding, Error, HashAlgorithm, Result, Sample, Value};

/// A column as the index lists it.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    /// Its type, or the name of one that is not supported.
    encoding: Result<Encoding, String>,
    /// Bytes of every value; `None` where each sample stores them.
    fixed_bytes: Option<usize>,
}

impl Column {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Where compressed shards are unpacked, made when the first one is and removed with the dataset.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Mutex<Unpacked>);

#[derive(Debug, Default)]
struct Unpacked {
    folder: Option<TempDir>,
    files: usize,
}

#[derive(Debug)]
pub(crate) struct Shard {
    /// The file that is in the dataset.
    path: PathBuf,
    packed: Option<Compression>,
    columns: Vec<Column>,
    samples: usize,
    raw_bytes: u64,
    hashes: Vec<(HashAlgorithm, String)>,
    scratch: Arc<Scratch>,
    opened: OnceLock<Opened>,
    verified: OnceLock<()>,
}

/// A shard whose table was read.
#[derive(Debug)]
struct Opened {
    /// The uncompressed file.
    path: PathBuf,
    /// Where each sample begins, and the end of the file.
    offsets: Vec<u32>,
}

/// A sample taken apart: its columns and their bytes.
type Parts<'a> = Vec<(&'a Column, &'a [u8])>;

impl Shard {
    pub(crate) fn open(
        directory: &Path,
        entry: ShardEntry,
        scratch: &Arc<Scratch>,
        fail: &impl Fn(String) -> Error,
    ) -> Result<Self> {
        if entry.version != index::VERSION || entry.format != "mds" {
            return Err(fail(format!("shard of format `{}`, version {}", entry.format, entry.version)));
        }
        let raw = inside(directory, &entry.raw_data, fail)?;
        let columns = read_columns(&entry, fail)?;
        let known = entry.raw_data.hashes.iter();
        let hashes: Vec<_> = known
            .filter_map(|(name, digest)| HashAlgorithm::from_name(name).map(|known| (known, digest.clone())))
            .collect();
        if hashes.is_empty() && !entry.raw_data.hashes.is_empty() {
            let names: Vec<_> = entry.raw_data.hashes.keys().cloned().collect();
            return Err(fail(format!("shard has only unknown hashes: {}", names.join(", "))));
        }
        let (path, packed) = match &entry.zip_data {
            // Whoever unpacked it before left the raw file beside it.
            Some(zip) if !raw.exists() => {
                let path = inside(directory, zip, fail)?;
                let compression = entry.compression.unwrap_or_else(|| "unknown".into());
                let known = Compression::from_name(&compression);
                let known = known.ok_or_else(|| Error::Compressed { path: path.clone(), compression })?;
                check_bytes(&path, zip.bytes)?;
                (path, Some(known))
            }
            _ => (raw, None),
        };
        let fits = u32::try_from(entry.samples).is_ok_and(|samples| table_end(samples) <= entry.raw_data.bytes);
        if !fits {
            return Err(Error::Shard { path, reason: format!("no room for {} samples", entry.samples) });
        }
        let (samples, raw_bytes) = (entry.samples as usize, entry.raw_data.bytes);
        let (opened, verified, scratch) = (OnceLock::new(), OnceLock::new(), Arc::clone(scratch));
        let shard = Self { path, packed, columns, samples, raw_bytes, hashes, scratch, opened, verified };
        if shard.packed.is_none() {
            shard.opened()?;
        }
        Ok(shard)
    }

    pub(crate) fn samples(&self) -> usize {
        self.samples
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The table, read and checked once.
    fn opened(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let path = match self.packed {
            None => self.path.clone(),
            Some(compression) => self.unpack(compression)?,
        };
        let offsets = self.read_offsets(&path)?;
        // Another thread may have been here in the meantime; the answer is the same.
        Ok(self.opened.get_or_init(|| Opened { path, offsets }))
    }

    fn unpack(&self, compression: Compression) -> Result<PathBuf> {
        let fail = |source| Error::Read { path: self.path.clone(), source };
        // What a panic leaves is a folder and a count, which are whole.
        let mut unpacked = self.scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
        unpacked.files += 1;
        let name = format!("{:05}.mds", unpacked.files);
        let folder = match &unpacked.folder {
            Some(folder) => folder,
            None => {
                let made = tempfile::Builder::new().prefix("recon-mds-").tempdir().map_err(fail)?;
                unpacked.folder.insert(made)
            }
        };
        let raw = folder.path().join(name);
        compression.unpack(&self.path, &raw, self.raw_bytes).map_err(fail)?;
        Ok(raw)
    }

    /// Checks the hashes, once.
    pub(crate) fn verify(&self) -> Result<()> {
        if self.verified.get().is_some() {
            return Ok(());
        }
        let path = &self.opened()?.path;
        let fail = |source| Error::Read { path: self.path.clone(), source };
        let mut hashers: Vec<Hasher> = self.hashes.iter().map(|(algorithm, _)| Hasher::new(*algorithm)).collect();
        let mut file = File::open(path).map_err(fail)?;
        let mut block = vec![0; 1 << 18];
        loop {
            let length = file.read(&mut block).map_err(fail)?;
            if length == 0 {
                break;
            }
            hashers.iter_mut().for_each(|hasher| hasher.update(&block[..length]));
        }
        for (hasher, (algorithm, expected)) in hashers.into_iter().zip(&self.hashes) {
            if hasher.finish() != *expected {
                return Err(Error::HashMismatch { path: self.path.clone(), algorithm: *algorithm });
            }
        }
        // Another thread may have been here in the meantime; the answer is the same.
        let _ = self.verified.set(());
        Ok(())
    }

    /// The columns of sample `index` that `wanted` names.
    pub(crate) fn sample(&self, index: usize, wanted: impl Fn(&str) -> bool) -> Result<Sample> {
        self.verify()?;
        let Opened { path, offsets } = self.opened()?;
        let fail = |source| Error::Read { path: self.path.clone(), source };
        let (start, end) = (offsets[index], offsets[index + 1]);
        let mut bytes = vec![0; (end - start) as usize];
        let mut file = File::open(path).map_err(fail)?;
        file.seek(SeekFrom::Start(u64::from(start))).and_then(|_| file.read_exact(&mut bytes)).map_err(fail)?;
        let mut sample = Sample::new();
        for (column, value) in self.parts(index, &bytes)?.into_iter().filter(|(column, _)| wanted(&column.name)) {
            let encoding = column.encoding.as_ref().map_err(|name| Error::UnsupportedEncoding(name.clone()))?;
            let value = Value::decode(encoding, value).map_err(|reason| Error::Column {
                path: self.path.clone(),
                sample: index,
                column: column.name.clone(),
                reason,
            })?;
            sample.insert(column.name.clone(), value);
        }
        Ok(sample)
    }

    /// Takes the bytes of a sample apart: the sizes of its variable columns, then every column's data.
    fn parts<'a>(&'a self, index: usize, bytes: &'a [u8]) -> Result<Parts<'a>> {
        let too_short = || Error::Shard { path: self.path.clone(), reason: format!("sample {index} is cut short") };
        let (sizes, mut data) = bytes.split_at_checked(4 * self.variable_columns()).ok_or_else(too_short)?;
        let mut sizes = sizes.as_chunks().0.iter().map(|size| u32::from_le_bytes(*size) as usize);
        let mut parts = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let size = column.fixed_bytes.or_else(|| sizes.next()).unwrap_or_default();
            parts.push((column, data.split_off(..size).ok_or_else(too_short)?));
        }
        if !data.is_empty() {
            let reason = format!("sample {index} has {} bytes too many", data.len());
            return Err(Error::Shard { path: self.path.clone(), reason });
        }
        Ok(parts)
    }

    fn variable_columns(&self) -> usize {
        self.columns.iter().filter(|column| column.fixed_bytes.is_none()).count()
    }

    /// Calls `each` with the number of elements of the array `wanted` in every sample.
    pub(crate) fn each_length(&self, wanted: &str, mut each: impl FnMut(usize, Option<usize>)) -> Result<()> {
        let at = self.columns.iter().position(|column| column.name == wanted);
        let Some((at, encoding)) = at.and_then(|at| Some((at, self.columns[at].encoding.as_ref().ok()?))) else {
            (0..self.samples).for_each(|index| each(index, None));
            return Ok(());
        };
        let Opened { path, offsets } = self.opened()?;
        let fail = |source| Error::Read { path: self.path.clone(), source };
        let too_short =
            |index| Error::Shard { path: self.path.clone(), reason: format!("sample {index} is cut short") };
        let mut file = File::open(path).map_err(fail)?;
        let mut sizes = vec![0; 4 * self.variable_columns()];
        for (index, bounds) in offsets.windows(2).enumerate() {
            let length = (bounds[1] - bounds[0]) as usize;
            if sizes.len() > length {
                return Err(too_short(index));
            }
            let read = file.seek(SeekFrom::Start(u64::from(bounds[0]))).and_then(|_| file.read_exact(&mut sizes));
            read.map_err(fail)?;
            let mut stored = sizes.as_chunks().0.iter().map(|size| u32::from_le_bytes(*size) as usize);
            let mut size_of = |column: &Column| column.fixed_bytes.or_else(|| stored.next()).unwrap_or_default();
            let before = sizes.len() + self.columns[..at].iter().map(&mut size_of).sum::<usize>();
            let bytes = size_of(&self.columns[at]);
            if before + bytes > length {
                return Err(too_short(index));
            }
            let mut head = [0; 2];
            let head = &mut head[..bytes.min(2)];
            let place = u64::from(bounds[0]) + before as u64;
            file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(head)).map_err(fail)?;
            each(index, array_elements(encoding, head, bytes));
        }
        Ok(())
    }

    /// Reads the table of offsets of the uncompressed file and checks that it is sound and agrees with the index.
    fn read_offsets(&self, raw: &Path) -> Result<Vec<u32>> {
        let fail = |source| Error::Read { path: self.path.clone(), source };
        let damaged = |reason: String| Error::Shard { path: self.path.clone(), reason };
        let bytes = self.raw_bytes;
        check_bytes(raw, bytes)?;
        let mut reader = BufReader::new(File::open(raw).map_err(fail)?);
        let mut read_u32 = || {
            let mut word = [0; 4];
            reader.read_exact(&mut word).map_err(fail).map(|()| u32::from_le_bytes(word))
        };
        let samples = read_u32()?;
        if samples as usize != self.samples {
            return Err(damaged(format!("{samples} samples, the index lists {}", self.samples)));
        }
        let mut offsets = Vec::with_capacity(self.samples + 1);
        for _ in 0..=samples {
            offsets.push(read_u32()?);
        }
        let ends = (u64::from(offsets[0]), u64::from(offsets[self.samples]));
        if ends.0 < table_end(samples) || ends.1 != bytes || !offsets.is_sorted() {
            return Err(damaged("offsets are not ascending inside the file".into()));
        }
        Ok(offsets)
    }
}

/// Where the table of offsets ends.
fn table_end(samples: u32) -> u64 {
    4 * (u64::from(samples) + 2)
}

/// The path of a file of the index, which must lie inside the dataset.
fn inside(directory: &Path, file: &FileInfo, fail: &impl Fn(String) -> Error) -> Result<PathBuf> {
    let basename = Path::new(&file.basename);
    if basename.components().any(|part| !matches!(part, Component::Normal(_))) || basename.as_os_str().is_empty() {
        return Err(fail(format!("`{}` is no path inside the dataset", basename.display())));
    }
    Ok(directory.join(basename))
}

fn check_bytes(path: &Path, listed: u64) -> Result<()> {
    let bytes = path.metadata().map_err(|source| Error::Read { path: path.into(), source })?.len();
    if bytes == listed {
        return Ok(());
    }
    Err(Error::Shard { path: path.into(), reason: format!("{bytes} bytes, the index lists {listed}") })
}

fn read_columns(entry: &ShardEntry, fail: &impl Fn(String) -> Error) -> Result<Vec<Column>> {
    let count = entry.column_names.len();
    if entry.column_encodings.len() != count || entry.column_sizes.len() != count {
        return Err(fail("columns, encodings and sizes differ in number".into()));
    }
    let mut columns: Vec<Column> = Vec::with_capacity(count);
    for ((name, encoding), &size) in entry.column_names.iter().zip(&entry.column_encodings).zip(&entry.column_sizes) {
        let known = encoding.parse::<Encoding>().map_err(|_| encoding.clone());
        let fixed_bytes = size.map(usize::try_from).transpose().map_err(|error| fail(error.to_string()))?;
        if known.as_ref().is_ok_and(|known| known.fixed_bytes() != fixed_bytes) {
            return Err(fail(format!("column `{name}` of type `{encoding}` is listed with size {size:?}")));
        }
        if columns.iter().any(|other| other.name == *name) {
            return Err(fail(format!("column `{name}` is listed twice")));
        }
        columns.push(Column { name: name.clone(), encoding: known, fixed_bytes });
    }
    Ok(columns)
}
