//! Archives: told by their first bytes, read in one pass, never unpacked to disk.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use crate::{Intake, ReadOptions, Repository, TopFolder};
use flate2::read::MultiGzDecoder;
use recon_schema::graph::RepositoryRef;

use super::bounded::{Bounded, Counted, exceeded, read_up_to};
use super::limits::SourceOptions;
use super::stem::stem;
use super::{tar, zip};
use crate::{Error, Result};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
/// Largest window a zstd stream may ask for, as a power of two.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The compression of a file, by its first bytes.
pub(crate) fn compression(path: &Path) -> io::Result<Compression> {
    let mut reader = BufReader::with_capacity(16, File::open(path)?);
    let head = reader.fill_buf()?;
    Ok(match head {
        _ if head.starts_with(GZIP) => Compression::Gzip,
        _ if head.starts_with(ZSTD) => Compression::Zstd,
        _ => Compression::None,
    })
}

/// The content of a file, decompressed where it is compressed, within limits.
pub fn open(path: &Path, limits: &SourceOptions) -> io::Result<Box<dyn Read>> {
    let compression = compression(path)?;
    let (input, consumed) = Counted::new(BufReader::with_capacity(1 << 16, File::open(path)?));
    Ok(match compression {
        // Nothing comes out that did not go in.
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Bounded::new(MultiGzDecoder::new(input), consumed, limits)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::new(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(Bounded::new(decoder, consumed, limits))
        }
    })
}

pub(super) fn read(path: &Path, options: &ReadOptions, limits: &SourceOptions) -> Result<Repository> {
    let failed = |error: io::Error| match (exceeded(&error), error.kind()) {
        (Some(reason), _) => Error::TooMuch { path: path.into(), reason },
        (None, io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            Error::Read { path: path.into(), source: error }
        }
        (None, _) => Error::Archive { path: path.into(), reason: error.to_string() },
    };
    let mut intake = Intake::new(options);
    let mut file = File::open(path).map_err(failed)?;
    let mut head = [0; 4];
    let length = read_up_to(&mut file, &mut head).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    if ZIP.iter().any(|magic| head[..length].starts_with(magic)) {
        zip::read(BufReader::new(file), limits, &mut intake).map_err(failed)?;
    } else {
        let read = match compression(path).map_err(failed)? {
            Compression::None => tar::read(&mut InFile::new(file).map_err(failed)?, limits, &mut intake),
            _ => tar::read(&mut open(path, limits).map_err(failed)?, limits, &mut intake),
        };
        match read {
            Err(error) if error.kind() == tar::NOT_TAR => return Err(Error::UnknownKind { path: path.into() }),
            other => other.map_err(failed)?,
        }
    }
    let source = path.file_name().map_or_else(|| stem(path), |name| name.to_string_lossy().into_owned());
    let wrapper = intake.top_folder().filter(|top| is_wrapper(top, &stem(path), &intake)).map(String::from);
    let top = if wrapper.is_some() { TopFolder::Strip } else { TopFolder::Keep };
    let name = wrapper.unwrap_or_else(|| stem(path));
    let reference = RepositoryRef { name, source, commit: None, licence: None };
    Ok(intake.finish(reference, top))
}

/// Whether the folder around everything was put there by who packed the archive: it is called like
/// the archive, `name-1.2`, `name-main` or, as npm has it, `package`. A folder that is a package of
/// Python itself is what the paths in the code begin with.
fn is_wrapper(top: &str, stem: &str, intake: &Intake) -> bool {
    let packed = ["Cargo.toml", "pyproject.toml", "setup.py", "package.json", "go.mod", "pom.xml"];
    let is_repository = packed.iter().any(|manifest| intake.holds(&format!("{top}/{manifest}")));
    let is_package = intake.holds(&format!("{top}/__init__.py")) && !is_repository;
    let versioned = top.rsplit_once('-').is_some_and(|(_, last)| {
        let number = last.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
        let id = last.len() >= 7 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
        number || id || matches!(last, "main" | "master" | "develop" | "trunk" | "HEAD")
    });
    !is_package && (is_repository || top == stem || top == "package" || versioned)
}

/// An uncompressed archive: what is not wanted of it is not read.
struct InFile {
    reader: BufReader<File>,
    bytes_left: u64,
}

impl InFile {
    fn new(file: File) -> io::Result<Self> {
        let bytes_left = file.metadata()?.len();
        Ok(Self { reader: BufReader::with_capacity(1 << 16, file), bytes_left })
    }
}

impl Read for InFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes_left = self.bytes_left.saturating_sub(read as u64);
        Ok(read)
    }
}

impl tar::Pass for InFile {
    fn pass(&mut self, bytes: u64) -> io::Result<bool> {
        // A seek beyond the end succeeds; the length tells a file that breaks off.
        let Some(left) = self.bytes_left.checked_sub(bytes) else { return Ok(false) };
        self.bytes_left = left;
        self.reader.seek_relative(i64::try_from(bytes).map_err(io::Error::other)?)?;
        Ok(true)
    }
}

/// A decompressed stream can only be read through.
impl tar::Pass for Box<dyn Read> {
    fn pass(&mut self, mut bytes: u64) -> io::Result<bool> {
        let mut block = vec![0; bytes.min(1 << 16) as usize];
        while bytes > 0 {
            let length = bytes.min(block.len() as u64) as usize;
            match self.read(&mut block[..length])? {
                0 => return Ok(false),
                read => bytes -= read as u64,
            }
        }
        Ok(true)
    }
}
