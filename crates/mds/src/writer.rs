//! Writing: samples to shards, shards to the disk, the index last.
//!
//! Every decision that shapes the bytes is `MDSWriter`'s: columns sorted by name, a new shard
//! when `size_limit < 8 + |configuration| + Σ (|sample| + 4)`. As there, a first sample that alone
//! exceeds the limit leaves an empty shard before it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::hash::Hasher;
use crate::index::{self, Configuration, FileInfo, WrittenIndex, WrittenShard, to_python_json};
use crate::{Encoding, Error, HashAlgorithm, Result, Sample};

/// How shards are cut and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// A new shard begins where a shard would exceed this; `None` for one shard.
    pub size_limit_bytes: Option<u32>,
    /// Hashes taken of each shard, sorted by name.
    pub hashes: Vec<HashAlgorithm>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { size_limit_bytes: Some(1 << 26), hashes: vec![HashAlgorithm::Sha1, HashAlgorithm::Xxh64] }
    }
}

/// What a finished dataset holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Number of samples.
    pub samples: u64,
    /// The files written, relative to the dataset's directory; `index.json` is the last.
    pub files: Vec<PathBuf>,
}

/// Writes a dataset; nothing counts until [`finish`](Self::finish).
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    columns: Vec<(String, Encoding)>,
    configuration: Configuration,
    configuration_json: Vec<u8>,
    size_limit_bytes: Option<u64>,
    hashes: Vec<HashAlgorithm>,
    /// Samples of the shard in the making, end to end.
    pending: Vec<u8>,
    /// Their sizes.
    pending_sizes: Vec<u32>,
    shards: Vec<(u64, FileInfo)>,
}

impl Writer {
    /// Begins a dataset in `directory`, creating it if need be.
    ///
    /// # Errors
    /// If the directory holds a finished dataset, or two columns share a name.
    pub fn create<N: Into<String>>(
        directory: &Path,
        columns: impl IntoIterator<Item = (N, Encoding)>,
        options: WriterOptions,
    ) -> Result<Self> {
        if directory.join(index::FILE_NAME).exists() {
            return Err(Error::Exists { directory: directory.into() });
        }
        fs::create_dir_all(directory).map_err(|source| Error::Write { path: directory.into(), source })?;
        let mut columns: Vec<(String, Encoding)> =
            columns.into_iter().map(|(name, encoding)| (name.into(), encoding)).collect();
        columns.sort_by(|left, right| left.0.cmp(&right.0));
        if let Some(twice) = columns.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::Value { column: twice[0].0.clone(), reason: "named twice".into() });
        }
        let mut hashes = options.hashes;
        hashes.sort_by_key(|algorithm| algorithm.name());
        hashes.dedup();
        let configuration = Configuration {
            column_encodings: columns.iter().map(|(_, encoding)| encoding.to_string()).collect(),
            column_names: columns.iter().map(|(name, _)| name.clone()).collect(),
            column_sizes: columns.iter().map(|(_, encoding)| encoding.fixed_bytes().map(|size| size as u64)).collect(),
            compression: None,
            format: "mds",
            hashes: hashes.iter().map(|algorithm| algorithm.name()).collect(),
            size_limit: options.size_limit_bytes.map(u64::from),
            version: index::VERSION,
        };
        Ok(Self {
            directory: directory.into(),
            columns,
            configuration_json: to_python_json(&configuration),
            configuration,
            size_limit_bytes: options.size_limit_bytes.map(u64::from),
            hashes,
            pending: Vec::new(),
            pending_sizes: Vec::new(),
            shards: Vec::new(),
        })
    }

    /// Adds a sample. It must have exactly the dataset's columns.
    pub fn write(&mut self, sample: &Sample) -> Result<()> {
        let encoded = self.encode(sample)?;
        let size = u32::try_from(encoded.len()).map_err(|_| Error::ShardTooLarge)?;
        let with_sample = self.shard_bytes(self.pending.len(), self.pending_sizes.len()) + u64::from(size) + 4;
        if self.size_limit_bytes.is_some_and(|limit| limit < with_sample) {
            self.flush()?;
        }
        self.pending.extend_from_slice(&encoded);
        self.pending_sizes.push(size);
        Ok(())
    }

    /// Writes the last shard and then `index.json`.
    pub fn finish(mut self) -> Result<Summary> {
        if !self.pending_sizes.is_empty() {
            self.flush()?;
        }
        let shards = self.shards.iter().map(|(samples, raw_data)| self.written_shard(*samples, raw_data)).collect();
        let index = to_python_json(&WrittenIndex { shards, version: index::VERSION });
        write_atomically(&self.directory.join(index::FILE_NAME), &index)?;
        let names = self.shards.iter().map(|(_, file)| file.basename.as_str()).chain([index::FILE_NAME]);
        Ok(Summary {
            samples: self.shards.iter().map(|(samples, _)| samples).sum(),
            files: names.map(PathBuf::from).collect(),
        })
    }

    fn encode(&self, sample: &Sample) -> Result<Vec<u8>> {
        if let Some(unknown) = sample.keys().find(|&name| self.columns.iter().all(|(column, _)| column != name)) {
            return Err(Error::Value { column: unknown.clone(), reason: "the dataset has no such column".into() });
        }
        let (mut sizes, mut data) = (Vec::new(), Vec::new());
        for (name, encoding) in &self.columns {
            let fail = |reason: String| Error::Value { column: name.clone(), reason };
            let value = sample.get(name).ok_or_else(|| fail("the sample has no such value".into()))?;
            let start = data.len();
            value.encode(encoding, &mut data).map_err(fail)?;
            if encoding.fixed_bytes().is_none() {
                let size = u32::try_from(data.len() - start).map_err(|_| fail("value exceeds 4 GiB".into()))?;
                sizes.extend(size.to_le_bytes());
            }
        }
        sizes.extend(data);
        Ok(sizes)
    }

    /// Size of a shard with `samples` samples of `sample_bytes` bytes in all.
    fn shard_bytes(&self, sample_bytes: usize, samples: usize) -> u64 {
        (8 + self.configuration_json.len() + sample_bytes + 4 * samples) as u64
    }

    fn flush(&mut self) -> Result<()> {
        let total = self.shard_bytes(self.pending.len(), self.pending_sizes.len());
        u32::try_from(total).map_err(|_| Error::ShardTooLarge)?;
        let samples = self.pending_sizes.len() as u32;
        let mut shard = Vec::with_capacity(total as usize);
        shard.extend(samples.to_le_bytes());
        let mut offset = (total - self.pending.len() as u64) as u32;
        shard.extend(offset.to_le_bytes());
        for size in self.pending_sizes.drain(..) {
            offset += size;
            shard.extend(offset.to_le_bytes());
        }
        shard.extend_from_slice(&self.configuration_json);
        shard.append(&mut self.pending);

        let basename = format!("shard.{:05}.mds", self.shards.len());
        write_atomically(&self.directory.join(&basename), &shard)?;
        let hash = |&algorithm: &HashAlgorithm| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&shard);
            (algorithm.name().to_string(), hasher.finish())
        };
        let hashes = self.hashes.iter().map(hash).collect();
        self.shards.push((u64::from(samples), FileInfo { basename, bytes: shard.len() as u64, hashes }));
        Ok(())
    }

    fn written_shard<'a>(&'a self, samples: u64, raw_data: &'a FileInfo) -> WrittenShard<'a> {
        let configuration = &self.configuration;
        WrittenShard {
            column_encodings: &configuration.column_encodings,
            column_names: &configuration.column_names,
            column_sizes: &configuration.column_sizes,
            compression: &configuration.compression,
            format: configuration.format,
            hashes: &configuration.hashes,
            raw_data,
            samples,
            size_limit: configuration.size_limit,
            version: configuration.version,
            zip_data: None,
        }
    }
}

/// Writes under a temporary name in the same directory, flushes to the disk, renames.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |source| Error::Write { path: path.into(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&temporary, path).map_err(fail)
}
