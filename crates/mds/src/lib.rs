//! Reader and writer of MosaicML Streaming's MDS format, version 2.
//!
//! A dataset is a directory of shards and an `index.json`. A shard is
//!
//! ```text
//! u32 n | u32 offset[n + 1] | configuration as JSON | samples      (little-endian, absolute offsets)
//! ```
//!
//! and a sample is one `u32` size for each column of variable size, then the columns' data, in
//! column order. What [`Writer`] writes is byte for byte what Python's `MDSWriter` writes for the
//! same samples, and an unmodified `StreamingDataset` reads it.
//!
//! ```
//! use recon_mds::{Array, Dataset, Encoding, Sample, Value, Writer, WriterOptions};
//!
//! # let directory = tempfile::tempdir()?;
//! # let out = directory.path();
//! let columns = [("ids", "ndarray:uint32".parse()?), ("name", Encoding::Str)];
//! let mut writer = Writer::create(out, columns, WriterOptions::default())?;
//! let ids = Array::vector(vec![1_u32, 2, 3]);
//! writer.write(&Sample::from([("ids".into(), ids.into()), ("name".into(), Value::Str("a".into()))]))?;
//! writer.finish()?;
//!
//! let dataset = Dataset::open(out)?;
//! assert_eq!(dataset.sample(0)?["name"], Value::Str("a".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: a shard appears under its name only when it is complete, and `index.json` last;
//! no input makes the reader panic or allocate more than the files' own size; a shard's hashes
//! are checked before its first sample is returned; a column that is not asked for is stepped over,
//! whatever its type.
//!
//! Shards compressed with zstd, gzip, Brotli or snappy are unpacked once, on their first read, into a temporary folder.
//! Not supported, and refused by name where they are asked for: bzip2, image, pickle and JSON columns, `float16`.

mod encoding;
mod hash;
mod index;
mod reader;
mod shard;
mod unpack;
mod value;
mod writer;

use std::path::PathBuf;

pub use encoding::{Dtype, Encoding};
pub use hash::HashAlgorithm;
pub use reader::Dataset;
pub use value::{Array, Element, Sample, Value, Values};
pub use writer::{Summary, Writer, WriterOptions};

/// What went wrong while reading or writing a dataset.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The directory holds a finished dataset already.
    #[error("{} already holds a dataset", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
    /// `index.json` is not an index of MDS version 2.
    #[error("{} is no MDS index: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A shard's structure is not what the format and the index say.
    #[error("shard {} is damaged: {reason}", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A shard's bytes have changed since its hash was taken.
    #[error("shard {} does not have the {algorithm} that the index lists", path.display())]
    HashMismatch {
        /// The shard.
        path: PathBuf,
        /// Which hash.
        algorithm: HashAlgorithm,
    },
    /// A shard is compressed in a way that is not read here.
    #[error("shard {} is compressed with `{compression}`; zstd, gz, br and snappy are read", path.display())]
    Compressed {
        /// The shard.
        path: PathBuf,
        /// As the index names it.
        compression: String,
    },
    /// A column type that this library does not know.
    #[error("unsupported column encoding `{0}`")]
    UnsupportedEncoding(String),
    /// One column of one sample does not have the form of its encoding.
    #[error("sample {sample} of shard {}, column `{column}`: {reason}", path.display())]
    Column {
        /// The shard.
        path: PathBuf,
        /// Index in the shard.
        sample: usize,
        /// The column.
        column: String,
        /// What was found.
        reason: String,
    },
    /// There is no such sample.
    #[error("sample {index} was asked for, the dataset has {samples}")]
    OutOfRange {
        /// The index asked for.
        index: usize,
        /// Number of samples.
        samples: usize,
    },
    /// A sample given to the writer does not fit the columns.
    #[error("column `{column}`: {reason}")]
    Value {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A shard cannot hold more: offsets are 32-bit.
    #[error("a shard would exceed 4 GiB")]
    ShardTooLarge,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
