//! Writing that is never visible half-done, and JSON Lines under zstd.
//!
//! A file is written under a temporary name in its own directory, flushed to the disk, and
//! renamed. A crash or a full disk leaves the old file, or none.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Digest as _;

use crate::{Error, Result, Sha256};

/// Size and digest of a finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Written {
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of the content.
    pub sha256: Sha256,
}

/// A file that appears under its name only when [`finish`](Self::finish) succeeds.
pub struct AtomicFile {
    path: PathBuf,
    temporary: BufWriter<tempfile::NamedTempFile>,
    hasher: sha2::Sha256,
    bytes: u64,
}

impl AtomicFile {
    /// Opens a temporary file beside `path`, creating missing directories.
    pub fn create(path: &Path) -> Result<Self> {
        let fail = |source| Error::Write { path: path.into(), source };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(fail)?;
        let temporary =
            tempfile::Builder::new().prefix(".partial-").suffix(".tmp").tempfile_in(parent).map_err(fail)?;
        Ok(Self { path: path.into(), temporary: BufWriter::new(temporary), hasher: sha2::Sha256::new(), bytes: 0 })
    }

    /// Flushes to the disk, then gives the file its name.
    pub fn finish(self) -> Result<Written> {
        let Self { path, temporary, hasher, bytes } = self;
        let fail = |source| Error::Write { path: path.clone(), source };
        let temporary = temporary.into_inner().map_err(|error| fail(error.into_error()))?;
        temporary.as_file().sync_all().map_err(fail)?;
        make_readable(temporary.as_file()).map_err(fail)?;
        temporary.persist(&path).map_err(|error| fail(error.error))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // The rename itself must survive a crash, not only the content.
            File::open(parent).and_then(|directory| directory.sync_all()).map_err(fail)?;
        }
        Ok(Written { bytes, sha256: Sha256::from_hasher(hasher) })
    }
}

/// Temporary files are private; a result may be read by whoever may read its directory.
#[cfg(unix)]
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_file: &File) -> io::Result<()> {
    Ok(())
}

impl Write for AtomicFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.temporary.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

/// Writes `bytes` to `path` at once.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<Written> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(|source| Error::Write { path: path.into(), source })?;
    file.finish()
}

/// Writes `value` as indented JSON with a final newline.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<Written> {
    let mut text = serde_json::to_string_pretty(value).expect("records have string keys and finite numbers");
    text.push('\n');
    write_bytes(path, text.as_bytes())
}

/// Reads one JSON record.
pub fn read_json<T: DeserializeOwned>(path: &Path, schema: &'static str) -> Result<T> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Malformed { path: path.into(), schema, line: 1, source })
}

/// Writes one record a line, compressed with zstd (level 3, fixed so that reruns are byte-identical).
pub fn write_json_lines<'a, T: Serialize + 'a>(
    path: &Path,
    records: impl IntoIterator<Item = &'a T>,
) -> Result<Written> {
    let mut lines = JsonLines::create(path)?;
    records.into_iter().try_for_each(|record| lines.push(record))?;
    lines.finish()
}

/// Records that are written one by one, in the form of [`write_json_lines`].
pub struct JsonLines {
    path: PathBuf,
    encoder: zstd::Encoder<'static, AtomicFile>,
}

impl JsonLines {
    /// Opens a file that appears when [`finish`](Self::finish) succeeds.
    pub fn create(path: &Path) -> Result<Self> {
        let fail = |source| Error::Write { path: path.into(), source };
        let mut encoder = zstd::Encoder::new(AtomicFile::create(path)?, 3).map_err(fail)?;
        encoder.include_checksum(true).map_err(fail)?;
        Ok(Self { path: path.into(), encoder })
    }

    /// Adds one record.
    pub fn push<T: Serialize>(&mut self, record: &T) -> Result<()> {
        let line = serde_json::to_vec(record).expect("records have string keys and finite numbers");
        self.push_line(line)
    }

    /// Adds one record that is JSON on one line already.
    pub fn push_line(&mut self, mut line: Vec<u8>) -> Result<()> {
        line.push(b'\n');
        self.encoder.write_all(&line).map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Flushes to the disk and gives the file its name.
    pub fn finish(self) -> Result<Written> {
        let Self { path, encoder } = self;
        encoder.finish().map_err(|source| Error::Write { path, source })?.finish()
    }
}

/// Reads records written by [`write_json_lines`]; plain JSON Lines are read too.
pub fn read_json_lines<T: DeserializeOwned>(path: &Path, schema: &'static str) -> Result<Vec<T>> {
    each_json_line(path, schema)?.collect()
}

/// As [`read_json_lines`], one record at a time: memory holds one, however many there are.
pub fn each_json_line<T: DeserializeOwned>(
    path: &Path,
    schema: &'static str,
) -> Result<impl Iterator<Item = Result<T>> + use<T>> {
    let path = path.to_path_buf();
    let fail = |source| Error::Read { path: path.clone(), source };
    let mut reader = BufReader::new(File::open(&path).map_err(fail)?);
    let compressed = reader.fill_buf().map_err(fail)?.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let lines: Box<dyn BufRead> = if compressed {
        Box::new(BufReader::new(zstd::Decoder::with_buffer(reader).map_err(fail)?))
    } else {
        Box::new(reader)
    };
    let lines = lines.split(b'\n').enumerate();
    Ok(lines.filter(|(_, line)| !line.as_ref().is_ok_and(Vec::is_empty)).map(move |(at, line)| {
        let line = line.map_err(|source| Error::Read { path: path.clone(), source })?;
        serde_json::from_slice(&line).map_err(|source| Error::Malformed {
            path: path.clone(),
            schema,
            line: at + 1,
            source,
        })
    }))
}

/// Digest and size of an existing file, read in blocks.
pub fn hash_file(path: &Path) -> Result<Written> {
    let fail = |source| Error::Read { path: path.into(), source };
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(fail)?);
    let mut hasher = sha2::Sha256::new();
    let mut bytes = 0;
    loop {
        let block = reader.fill_buf().map_err(fail)?;
        if block.is_empty() {
            return Ok(Written { bytes, sha256: Sha256::from_hasher(hasher) });
        }
        hasher.update(block);
        bytes += block.len() as u64;
        let length = block.len();
        reader.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/result.json");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn the_digest_is_that_of_the_file_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let written = write_bytes(&path, &vec![7; 3 << 20]).unwrap();
        assert_eq!(hash_file(&path).unwrap(), written);
    }

    #[test]
    fn json_lines_round_trip_and_name_the_bad_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.jsonl.zst");
        write_json_lines(&path, &[1_u32, 2, 3]).unwrap();
        assert_eq!(read_json_lines::<u32>(&path, "n/1").unwrap(), [1, 2, 3]);
        let plain = directory.path().join("records.jsonl");
        fs::write(&plain, "1\n\nx\n").unwrap();
        let error = read_json_lines::<u32>(&plain, "n/1").unwrap_err();
        assert!(matches!(error, Error::Malformed { line: 3, .. }), "{error}");
    }
}
