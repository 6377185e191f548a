//! Compressed shards, unpacked whole: the format compresses a shard as one stream, so none of it can be read alone.
//!
//! Input: the compressed file and the size the index lists. Output: a file of exactly that size. Invariant: no more than
//! that is written or held, whatever the stream says of itself.

use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

/// How a shard is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Zstd,
    Gzip,
    Brotli,
    Snappy,
}

/// The most that snappy can make of one byte: a copy of 64 bytes is written in three.
const SNAPPY_LARGEST_RATIO: u64 = 22;

impl Compression {
    /// By the name in an index, which may carry a level: `zstd:7`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name.split(':').next()? {
            "zstd" => Some(Self::Zstd),
            "gz" => Some(Self::Gzip),
            "br" => Some(Self::Brotli),
            "snappy" => Some(Self::Snappy),
            _ => None,
        }
    }

    /// Unpacks `packed` into `raw`, which must come to `bytes` bytes.
    pub(crate) fn unpack(self, packed: &Path, raw: &Path, bytes: u64) -> io::Result<()> {
        let input = BufReader::with_capacity(1 << 18, File::open(packed)?);
        match self {
            Self::Zstd => copy(zstd::Decoder::with_buffer(input)?, raw, bytes),
            Self::Gzip => copy(flate2::bufread::MultiGzDecoder::new(input), raw, bytes),
            Self::Brotli => copy(brotli::Decompressor::new(input, 1 << 16), raw, bytes),
            Self::Snappy => unpack_snappy(input, raw, bytes),
        }
    }
}

fn other_size(bytes: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it does not unpack to the {bytes} bytes that the index lists"))
}

fn copy(from: impl Read, raw: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(raw)?;
    // One byte more than there may be, to see that there is none.
    let copied = io::copy(&mut from.take(bytes.saturating_add(1)), &mut file)?;
    if copied == bytes { Ok(()) } else { Err(other_size(bytes)) }
}

/// Python writes snappy's plain form, which is one block and says its length first.
fn unpack_snappy(mut input: impl Read, raw: &Path, bytes: u64) -> io::Result<()> {
    let mut packed = Vec::new();
    input.read_to_end(&mut packed)?;
    let claimed = snap::raw::decompress_len(&packed)? as u64;
    if claimed != bytes || claimed > SNAPPY_LARGEST_RATIO.saturating_mul(packed.len() as u64) {
        return Err(other_size(bytes));
    }
    File::create(raw)?.write_all(&snap::raw::Decoder::new().decompress_vec(&packed)?)
}
