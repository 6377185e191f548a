//! Zip: entries by the central directory, each within the limits of the whole archive.
//!
//! Entries may share bytes of the file, so the sum over all of them is what is bounded.

use std::io::{self, Read as _};

use crate::Intake;
use ::zip::ZipArchive;
use ::zip::result::ZipError;
use recon_schema::graph::SkipReason;

use super::bounded::Exceeded;
use super::limits::SourceOptions;
use super::link::link_message;

/// Longest target of a link that is looked at.
const MAX_LINK_BYTES: u64 = 4_096;

pub(super) fn read(file: impl io::Read + io::Seek, limits: &SourceOptions, intake: &mut Intake) -> io::Result<()> {
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    if archive.len() as u64 > limits.max_entries {
        let reason = format!("holds more than {} entries (source.max_entries)", limits.max_entries);
        return Err(io::Error::other(Exceeded(reason)));
    }
    let mut expanded_bytes = 0;
    for index in 0..archive.len() {
        let name = archive.by_index_raw(index).map_err(damaged)?.name_raw().to_vec();
        if name.ends_with(b"/") {
            continue;
        }
        let Some(path) = intake.path(&name) else { continue };
        let mut entry = match archive.by_index(index) {
            Ok(entry) => entry,
            Err(ZipError::UnsupportedArchive(reason)) => {
                intake.skip(path, 0, SkipReason::Unreadable, &format!("could not be read: {reason}"));
                continue;
            }
            Err(error) => return Err(damaged(error)),
        };
        if entry.is_symlink() {
            let mut target = Vec::new();
            // A target that cannot be read is one that leaves the repository as far as we know.
            let read = (&mut entry).take(MAX_LINK_BYTES).read_to_end(&mut target);
            let message = link_message(&path, if read.is_ok() { &target } else { b"/" }, false);
            intake.skip(path, 0, SkipReason::Link, message);
            continue;
        }
        let limit = intake.options().max_file_bytes;
        if entry.size() > limit {
            let bytes = entry.size();
            intake.too_large(path, bytes);
            continue;
        }
        let mut content = Vec::new();
        // The size above is what the archive claims; the stream itself is held to the limit.
        let read = (&mut entry).take(limit.saturating_add(1)).read_to_end(&mut content);
        expanded_bytes += content.len() as u64;
        if expanded_bytes > limits.max_expanded_bytes {
            let reason =
                format!("expands to more than {} bytes (source.max_expanded_bytes)", limits.max_expanded_bytes);
            return Err(io::Error::other(Exceeded(reason)));
        }
        match read {
            Ok(_) => intake.take(path, content),
            Err(error) => intake.skip(path, 0, SkipReason::Unreadable, &format!("could not be read: {error}")),
        }
    }
    Ok(())
}

fn damaged(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}
