//! Tar: ustar, GNU long names and pax headers, in one pass over a stream of any length.
//!
//! Why a loop of our own: names and attributes stand in entries whose size the archive chooses;
//! here every such entry has a limit, and a file's content is read up to the reading limit and
//! skipped beyond it. Source: POSIX.1-2017 `pax`, GNU tar manual, "Basic Tar Format".

use std::io::{self, Read};

use crate::Intake;
use ::tar::{EntryType, Header};
use recon_schema::graph::SkipReason;

use super::bounded::{Exceeded, read_up_to};
use super::limits::SourceOptions;
use super::link::link_message;

const BLOCK: usize = 512;
/// Longest GNU name or pax header taken.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// The kind of the error for a stream that does not begin with a tar header.
pub(super) const NOT_TAR: io::ErrorKind = io::ErrorKind::Unsupported;

/// A stream of which parts are passed over.
pub(super) trait Pass: Read {
    /// Passes over so many bytes; false where the stream has fewer.
    fn pass(&mut self, bytes: u64) -> io::Result<bool>;
}

/// What extension entries say of the entry that follows them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    /// Holes were left out of the content, which is no file's bytes then (GNU tar, "Sparse Formats").
    sparse: bool,
}

/// Hands every file of the archive to `intake`.
pub(super) fn read(stream: &mut impl Pass, limits: &SourceOptions, intake: &mut Intake) -> io::Result<()> {
    let mut block = [0; BLOCK];
    let mut extension = Extension::default();
    let mut entries = 0;
    loop {
        match read_up_to(stream, &mut block)? {
            BLOCK => {}
            0 if entries > 0 => return Ok(()),
            _ if entries == 0 => return Err(NOT_TAR.into()),
            _ => return Err(damaged("breaks off inside a header")),
        }
        // The end is marked by zeros; what follows it is padding.
        if block.iter().all(|byte| *byte == 0) {
            return if entries == 0 { Err(NOT_TAR.into()) } else { Ok(()) };
        }
        let header = Header::from_byte_slice(&block);
        if !checksum_holds(header, &block) {
            return Err(if entries == 0 { NOT_TAR.into() } else { damaged("a header's checksum is wrong") });
        }
        entries += 1;
        if entries > limits.max_entries {
            let reason = format!("holds more than {} entries (source.max_entries)", limits.max_entries);
            return Err(io::Error::other(Exceeded(reason)));
        }
        let size = extension.size.unwrap_or(header.entry_size()?);
        match header.entry_type() {
            EntryType::GNULongName => extension.path = Some(without_nul(small(stream, size)?)),
            EntryType::GNULongLink => extension.link = Some(without_nul(small(stream, size)?)),
            EntryType::XHeader => extension = attributes(&small(stream, size)?)?,
            EntryType::XGlobalHeader => drop(small(stream, size)?),
            kind => {
                let name = extension.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
                let target =
                    extension.link.take().or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
                let sparse = extension.sparse || kind == EntryType::GNUSparse;
                extension = Extension::default();
                // The map of holes of the old format goes on in blocks that no size counts.
                let mut more = kind == EntryType::GNUSparse && block[482] != 0;
                while more {
                    let mut map = [0; BLOCK];
                    if read_up_to(stream, &mut map)? < BLOCK {
                        return Err(damaged("breaks off inside a header"));
                    }
                    more = map[504] != 0;
                }
                entry(stream, Entry { kind, name, target, size, sparse }, intake)?;
            }
        }
    }
}

struct Entry {
    kind: EntryType,
    name: Vec<u8>,
    target: Option<Vec<u8>>,
    size: u64,
    sparse: bool,
}

fn entry(stream: &mut impl Pass, entry: Entry, intake: &mut Intake) -> io::Result<()> {
    let Entry { kind, name, target, size, sparse } = entry;
    let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
    // Before POSIX a directory was a file whose name ends in a slash.
    if kind == EntryType::Directory || is_file && name.ends_with(b"/") {
        return skip(stream, padded(size));
    }
    let Some(path) = intake.path(&name) else { return skip(stream, padded(size)) };
    match kind {
        _ if sparse => {
            intake.skip(path, size, SkipReason::Unreadable, "a sparse file; its holes were not filled");
            skip(stream, padded(size))
        }
        _ if is_file && size > intake.options().max_file_bytes => {
            intake.too_large(path, size);
            skip(stream, padded(size))
        }
        _ if is_file => {
            let content = exactly(stream, size)?;
            intake.take(path, content);
            skip(stream, padded(size) - size)
        }
        EntryType::Symlink | EntryType::Link => {
            let message = link_message(&path, &target.unwrap_or_default(), kind == EntryType::Link);
            intake.skip(path, 0, SkipReason::Link, message);
            skip(stream, padded(size))
        }
        _ => {
            intake.skip(path, 0, SkipReason::Unreadable, "a device, a pipe or an entry of an unknown kind; left out");
            skip(stream, padded(size))
        }
    }
}

fn checksum_holds(header: &Header, block: &[u8; BLOCK]) -> bool {
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    // The field itself counts as eight blanks.
    let field: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    header.cksum().is_ok_and(|recorded| recorded == sum - field + 8 * u32::from(b' '))
}

/// The whole of an extension entry.
fn small(stream: &mut impl Pass, size: u64) -> io::Result<Vec<u8>> {
    if size > MAX_EXTENSION_BYTES {
        return Err(damaged("a name or a header of more than a megabyte"));
    }
    let content = exactly(stream, size)?;
    skip(stream, padded(size) - size)?;
    Ok(content)
}

/// `size` bytes; memory grows with what arrives, not with what is claimed.
fn exactly(stream: &mut impl Pass, size: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    stream.take(size).read_to_end(&mut content)?;
    if content.len() as u64 == size { Ok(content) } else { Err(damaged("breaks off inside an entry")) }
}

fn skip(stream: &mut impl Pass, bytes: u64) -> io::Result<()> {
    if stream.pass(bytes)? { Ok(()) } else { Err(damaged("breaks off inside an entry")) }
}

fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64)
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    name.truncate(end);
    name
}

/// Records of a pax header: `length key=value\n`, the length counting itself.
fn attributes(mut records: &[u8]) -> io::Result<Extension> {
    let malformed = || damaged("a malformed pax header");
    let mut extension = Extension::default();
    while !records.is_empty() {
        let blank = records.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length: usize =
            std::str::from_utf8(&records[..blank]).ok().and_then(|text| text.parse().ok()).ok_or_else(malformed)?;
        let record = records.get(blank + 1..length.saturating_sub(1)).ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], record[equals + 1..].to_vec());
        match key {
            b"GNU.sparse.name" => (extension.path, extension.sparse) = (Some(value), true),
            _ if key.starts_with(b"GNU.sparse.") => extension.sparse = true,
            // The plain path of a sparse file is a name made up for older programs.
            b"path" if extension.sparse && extension.path.is_some() => {}
            b"path" => extension.path = Some(value),
            b"linkpath" => extension.link = Some(value),
            b"size" => {
                let number = String::from_utf8(value).ok().and_then(|text| text.parse().ok());
                extension.size = Some(number.ok_or_else(malformed)?);
            }
            _ => {}
        }
        records = &records[length..];
    }
    Ok(extension)
}

fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
