//! Archives made for a test, whole or wrong on purpose.

use std::io::{Cursor, Read, Write as _};

pub(crate) type Entry = (String, Vec<u8>);

/// One file of a tar archive, name taken as it is.
pub(crate) fn tar_entry(name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let padding = content.len().div_ceil(512) * 512 - content.len();
    [header.as_bytes(), content, &vec![0; padding]].concat()
}

pub(crate) fn tar_link(name: &str, target: &str, kind: u8) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A file whose path stands in a pax header before it.
pub(crate) fn tar_pax(path: &str, content: &[u8]) -> Vec<u8> {
    let length = path.len() + " path=\n".len() + 3;
    let record = format!("{length} path={path}\n");
    assert_eq!(record.len(), length);
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(length as u64);
    header.set_cksum();
    let padding = vec![0; length.div_ceil(512) * 512 - length];
    [header.as_bytes().to_vec(), record.into_bytes(), padding, tar_entry(b"short.py", content)].concat()
}

pub(crate) fn tar_of(entries: &[Entry]) -> Vec<u8> {
    let mut archive: Vec<u8> = entries.iter().flat_map(|(name, content)| tar_entry(name.as_bytes(), content)).collect();
    archive.extend([0; 1024]);
    archive
}

pub(crate) fn zip_of(entries: &[Entry]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 3).unwrap()
}

/// A tar archive of one file of zeros that is never held in memory.
pub(crate) struct Zeros {
    header: Vec<u8>,
    bytes: u64,
}

pub(crate) fn tar_of_zeros(bytes: u64) -> Zeros {
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros.py").unwrap();
    header.set_size(bytes);
    header.set_cksum();
    Zeros { header: header.as_bytes().to_vec(), bytes }
}

impl Zeros {
    pub(crate) fn stream(&self) -> impl Read {
        Cursor::new(self.header.clone()).chain(std::io::repeat(0).take(self.bytes + 1024))
    }
}
