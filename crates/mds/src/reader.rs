//! Reading: the index and the shards' tables at once, samples on demand, in any order.
//!
//! Each shard is decoded by its own columns, which may differ between the shards of a dataset.
//! Offsets and sizes are checked against the file before anything is allocated for them.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use crate::hash::Hasher;
use crate::index::{self, Index, ShardEntry};
use crate::{Encoding, Error, HashAlgorithm, Result, Sample, Value};

/// A dataset on the disk.
#[derive(Debug)]
pub struct Dataset {
    shards: Vec<Shard>,
    /// Number of samples before each shard, and in all.
    starts: Vec<usize>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    columns: Vec<(String, Encoding)>,
    /// Where each sample begins, and the end of the file.
    offsets: Vec<u32>,
    hashes: Vec<(HashAlgorithm, String)>,
    verified: OnceLock<()>,
}

impl Dataset {
    /// Reads the index of `directory` and every shard's table of offsets.
    ///
    /// # Errors
    /// If a file is missing, damaged in structure, compressed, or of a column type that is not
    /// supported. Hashes are checked later, before a shard's first sample is returned.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(index::FILE_NAME);
        let fail = |reason: String| Error::Index { path: path.clone(), reason };
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
        if index.version != index::VERSION {
            return Err(fail(format!("version {}, expected {}", index.version, index::VERSION)));
        }
        let (mut shards, mut starts) = (Vec::new(), vec![0]);
        for entry in index.shards {
            let shard = Shard::open(directory, entry, &fail)?;
            starts.push(starts[starts.len() - 1] + shard.samples());
            shards.push(shard);
        }
        Ok(Self { shards, starts })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.starts[self.shards.len()]
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns of the shard that holds sample `index`, by name.
    pub fn columns(&self, index: usize) -> Result<&[(String, Encoding)]> {
        self.locate(index).map(|(shard, _)| shard.columns.as_slice())
    }

    /// Reads one sample. The first read from a shard checks the shard's hashes.
    pub fn sample(&self, index: usize) -> Result<Sample> {
        let (shard, within) = self.locate(index)?;
        shard.verify()?;
        shard.sample(within)
    }

    /// Checks the hashes of every shard that was not checked yet.
    pub fn verify(&self) -> Result<()> {
        self.shards.iter().try_for_each(Shard::verify)
    }

    fn locate(&self, index: usize) -> Result<(&Shard, usize)> {
        if index >= self.len() {
            return Err(Error::OutOfRange { index, samples: self.len() });
        }
        let shard = self.starts.partition_point(|&start| start <= index) - 1;
        Ok((&self.shards[shard], index - self.starts[shard]))
    }
}

impl Shard {
    fn open(directory: &Path, entry: ShardEntry, fail: &impl Fn(String) -> Error) -> Result<Self> {
        let basename = Path::new(&entry.raw_data.basename);
        if basename.components().any(|part| !matches!(part, Component::Normal(_))) || basename.as_os_str().is_empty() {
            return Err(fail(format!("`{}` is no path inside the dataset", basename.display())));
        }
        let path = directory.join(basename);
        if entry.version != index::VERSION || entry.format != "mds" {
            return Err(fail(format!("shard of format `{}`, version {}", entry.format, entry.version)));
        }
        if entry.compression.is_some() || entry.zip_data.is_some() {
            return Err(Error::Compressed { path, compression: entry.compression.unwrap_or_else(|| "unknown".into()) });
        }
        let columns = read_columns(&entry, fail)?;
        let offsets = read_offsets(&path, &entry)?;
        let known = entry.raw_data.hashes.iter();
        let hashes: Vec<_> = known
            .filter_map(|(name, digest)| HashAlgorithm::from_name(name).map(|known| (known, digest.clone())))
            .collect();
        if hashes.is_empty() && !entry.raw_data.hashes.is_empty() {
            let names: Vec<_> = entry.raw_data.hashes.keys().cloned().collect();
            return Err(fail(format!("shard has only unknown hashes: {}", names.join(", "))));
        }
        Ok(Self { path, columns, offsets, hashes, verified: OnceLock::new() })
    }

    fn samples(&self) -> usize {
        self.offsets.len() - 1
    }

    fn verify(&self) -> Result<()> {
        if self.verified.get().is_some() {
            return Ok(());
        }
        let fail = |source| Error::Read { path: self.path.clone(), source };
        let mut hashers: Vec<Hasher> = self.hashes.iter().map(|(algorithm, _)| Hasher::new(*algorithm)).collect();
        let mut file = File::open(&self.path).map_err(fail)?;
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

    fn sample(&self, index: usize) -> Result<Sample> {
        let fail = |source| Error::Read { path: self.path.clone(), source };
        let (start, end) = (self.offsets[index], self.offsets[index + 1]);
        let mut bytes = vec![0; (end - start) as usize];
        let mut file = File::open(&self.path).map_err(fail)?;
        file.seek(SeekFrom::Start(u64::from(start))).and_then(|_| file.read_exact(&mut bytes)).map_err(fail)?;
        self.decode(index, &bytes)
    }

    fn decode(&self, index: usize, bytes: &[u8]) -> Result<Sample> {
        let fail = |column: &str, reason: String| Error::Column {
            path: self.path.clone(),
            sample: index,
            column: column.into(),
            reason,
        };
        let variable = self.columns.iter().filter(|(_, encoding)| encoding.fixed_bytes().is_none()).count();
        let too_short = || Error::Shard { path: self.path.clone(), reason: format!("sample {index} is cut short") };
        let (sizes, mut data) = bytes.split_at_checked(4 * variable).ok_or_else(too_short)?;
        let mut sizes = sizes.as_chunks().0.iter().map(|size| u32::from_le_bytes(*size) as usize);
        let mut sample = Sample::new();
        for (name, encoding) in &self.columns {
            let size = encoding.fixed_bytes().or_else(|| sizes.next()).unwrap_or_default();
            let value = data.split_off(..size).ok_or_else(too_short)?;
            sample.insert(name.clone(), Value::decode(encoding, value).map_err(|reason| fail(name, reason))?);
        }
        if !data.is_empty() {
            let reason = format!("sample {index} has {} bytes too many", data.len());
            return Err(Error::Shard { path: self.path.clone(), reason });
        }
        Ok(sample)
    }
}

fn read_columns(entry: &ShardEntry, fail: &impl Fn(String) -> Error) -> Result<Vec<(String, Encoding)>> {
    let count = entry.column_names.len();
    if entry.column_encodings.len() != count || entry.column_sizes.len() != count {
        return Err(fail("columns, encodings and sizes differ in number".into()));
    }
    let mut columns = Vec::with_capacity(count);
    for ((name, encoding), size) in entry.column_names.iter().zip(&entry.column_encodings).zip(&entry.column_sizes) {
        let encoding: Encoding = encoding.parse()?;
        if encoding.fixed_bytes().map(|size| size as u64) != *size {
            return Err(fail(format!("column `{name}` of type `{encoding}` is listed with size {size:?}")));
        }
        if columns.iter().any(|(other, _)| other == name) {
            return Err(fail(format!("column `{name}` is listed twice")));
        }
        columns.push((name.clone(), encoding));
    }
    Ok(columns)
}

/// Reads the table of offsets and checks that it is sound and agrees with the index.
fn read_offsets(path: &Path, entry: &ShardEntry) -> Result<Vec<u32>> {
    let fail = |source| Error::Read { path: path.into(), source };
    let damaged = |reason: String| Error::Shard { path: path.into(), reason };
    let file = File::open(path).map_err(fail)?;
    let bytes = file.metadata().map_err(fail)?.len();
    if bytes != entry.raw_data.bytes {
        return Err(damaged(format!("{bytes} bytes, the index lists {}", entry.raw_data.bytes)));
    }
    let mut reader = BufReader::new(file);
    let mut read_u32 = || {
        let mut word = [0; 4];
        reader.read_exact(&mut word).map_err(fail).map(|()| u32::from_le_bytes(word))
    };
    if bytes < 8 {
        return Err(damaged("no room for a header".into()));
    }
    let samples = read_u32()?;
    if u64::from(samples) != entry.samples {
        return Err(damaged(format!("{samples} samples, the index lists {}", entry.samples)));
    }
    let table_end = 4 * (u64::from(samples) + 2);
    if table_end > bytes {
        return Err(damaged(format!("no room for {samples} samples")));
    }
    let mut offsets = Vec::with_capacity(samples as usize + 1);
    for _ in 0..=samples {
        offsets.push(read_u32()?);
    }
    let ends = (u64::from(offsets[0]), u64::from(offsets[samples as usize]));
    if ends.0 < table_end || ends.1 != bytes || !offsets.is_sorted() {
        return Err(damaged("offsets are not ascending inside the file".into()));
    }
    Ok(offsets)
}
