//! The paths that git tracks, read from the index of a checkout; no git binary is run.
//!
//! Why: `.gitignore` says what is not to be added; a file that is tracked is never ignored, so a
//! folder is only what its commit is when the index has its say. Input: the bytes of `index`,
//! versions 2 to 4. Output: paths of regular files, in the order of the index. A damaged index
//! tracks nothing beyond the damage, and what cannot be read is no error.
//!
//! Source: git's `gitformat-index`.

/// Bytes of an entry before its object id: times, device, mode, owner, size.
const STAT: usize = 40;
const MODE: usize = 24;

/// Tracked regular files; `id_bytes` is the length of object ids, 20 or 32.
pub(super) fn tracked(index: &[u8], id_bytes: usize) -> Vec<String> {
    let mut paths = Vec::new();
    let number = |at: usize| Some(u32::from_be_bytes(index.get(at..at + 4)?.try_into().ok()?));
    let (Some(version @ 2..=4), Some(count)) = (number(4).filter(|_| index.starts_with(b"DIRC")), number(8)) else {
        return paths;
    };
    let (mut at, mut before) = (12, Vec::new());
    for _ in 0..count {
        let Some((name, next)) = entry(index, at, version, id_bytes, &before) else { break };
        let regular = number(at + MODE).is_some_and(|mode| mode & 0o170_000 == 0o100_000);
        if regular && let Ok(path) = std::str::from_utf8(&name) {
            paths.push(path.to_owned());
        }
        (at, before) = (next, name);
    }
    paths
}

/// The name of the entry at `at` and where the next one begins.
fn entry(index: &[u8], at: usize, version: u32, id_bytes: usize, before: &[u8]) -> Option<(Vec<u8>, usize)> {
    let flags_at = at + STAT + id_bytes;
    let flags = u16::from_be_bytes(index.get(flags_at..flags_at + 2)?.try_into().ok()?);
    let mut name_at = flags_at + 2 + if version >= 3 && flags & 0x4000 != 0 { 2 } else { 0 };
    let mut name = Vec::new();
    if version == 4 {
        // The name shares its beginning with the one before; so many bytes of that are cut off.
        let (cut, length) = varint(index.get(name_at..)?)?;
        name.extend_from_slice(before.get(..before.len().checked_sub(cut)?)?);
        name_at += length;
    }
    let rest = index.get(name_at..)?;
    let length = memchr::memchr(0, rest)?;
    name.extend_from_slice(&rest[..length]);
    let end = name_at + length;
    // One to eight NULs, so that the entry's length is a multiple of eight.
    let next = if version == 4 { end + 1 } else { at + (end - at + 8) / 8 * 8 };
    Some((name, next))
}

/// Git's offset encoding: seven bits a byte, one added for every byte that goes on.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value = (value << 7) + usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
        value += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::tracked;

    /// An index as git writes it.
    fn index(version: u32, files: &[(&str, u32)]) -> Vec<u8> {
        let mut bytes = b"DIRC".to_vec();
        bytes.extend(version.to_be_bytes());
        bytes.extend((files.len() as u32).to_be_bytes());
        let mut before = "";
        for (name, mode) in files {
            let start = bytes.len();
            bytes.extend([7; 24]);
            bytes.extend(mode.to_be_bytes());
            bytes.extend([9; 12 + 20]);
            bytes.extend((name.len() as u16).to_be_bytes());
            if version == 4 {
                let shared = name.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
                bytes.push((before.len() - shared) as u8);
                bytes.extend(&name.as_bytes()[shared..]);
                bytes.push(0);
            } else {
                bytes.extend(name.as_bytes());
                bytes.push(0);
                bytes.resize(start + (bytes.len() - start).div_ceil(8) * 8, 0);
            }
            before = name;
        }
        bytes
    }

    #[test]
    fn files_are_found_in_every_version_and_links_and_submodules_are_not() {
        let files =
            [("a.py", 0o100_644), ("ab/c.py", 0o100_755), ("ab/link", 0o120_000), ("sub", 0o160_000), ("z", 0o100_644)];
        for version in 2..=4 {
            assert_eq!(tracked(&index(version, &files), 20), ["a.py", "ab/c.py", "z"], "version {version}");
        }
    }

    #[test]
    fn a_damaged_index_tracks_what_stands_before_the_damage() {
        let whole = index(2, &[("a.py", 0o100_644), ("b.py", 0o100_644)]);
        for length in 0..whole.len() {
            assert!(tracked(&whole[..length], 20).len() <= 2);
        }
        assert_eq!(tracked(&whole[..100], 20), ["a.py"]);
        assert!(tracked(b"DIRC\0\0\0\x07\0\0\0\x01", 20).is_empty(), "a version that is not known");
    }
}
