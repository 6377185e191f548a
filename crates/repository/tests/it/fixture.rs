//! Archives and git repositories made for a test, whole or wrong on purpose.

use std::fs;
use std::io::{Cursor, Read, Write as _};
use std::path::{Path, PathBuf};

use gix::objs::tree::EntryKind;
use gix::objs::{Commit, Kind, Tree};

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

/// A bare git repository with loose objects.
pub(crate) struct Git {
    path: PathBuf,
    repository: gix::Repository,
}

impl Git {
    pub(crate) fn bare(path: &Path) -> Self {
        gix::init_bare(path).unwrap();
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let repository = gix::open_opts(path, gix::open::Options::isolated()).unwrap();
        Self { path: path.into(), repository }
    }

    /// Commits `files` to `main` and tags the commit; returns its id.
    pub(crate) fn commit(&self, files: &[Entry], tag: &str) -> String {
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
        let tree = self.tree(&files);
        self.commit_tree(tree, tag)
    }

    fn commit_tree(&self, tree: gix::ObjectId, tag: &str) -> String {
        let who = gix::actor::Signature {
            name: "a".into(),
            email: "a@example.org".into(),
            time: gix::date::Time { seconds: 0, offset: 0 },
        };
        let commit = Commit {
            tree,
            parents: Vec::<gix::ObjectId>::new().into_iter().collect(),
            author: who.clone(),
            committer: who,
            encoding: None,
            message: tag.into(),
            extra_headers: Vec::new(),
        };
        let id = self.repository.write_object(&commit).unwrap().detach();
        for name in ["heads/main".to_owned(), format!("tags/{tag}")] {
            fs::write(self.path.join("refs").join(name), format!("{id}\n")).unwrap();
        }
        id.to_string()
    }

    fn tree(&self, files: &[(&str, &[u8])]) -> gix::ObjectId {
        let mut tree = Tree::empty();
        let mut folders: Vec<&str> = files.iter().filter_map(|(path, _)| Some(path.split_once('/')?.0)).collect();
        folders.dedup();
        for folder in folders {
            let inside: Vec<(&str, &[u8])> = files
                .iter()
                .filter_map(|(path, content)| Some((path.strip_prefix(folder)?.strip_prefix('/')?, *content)))
                .collect();
            tree.entries.push(entry(folder, EntryKind::Tree, self.tree(&inside)));
        }
        for (path, content) in files.iter().filter(|(path, _)| !path.contains('/')) {
            let id = self.repository.write_blob(content).unwrap().detach();
            tree.entries.push(entry(path, EntryKind::Blob, id));
        }
        tree.entries.sort();
        self.repository.write_object(&tree).unwrap().detach()
    }

    /// A tree of `width` names for the same tree, `depth` levels deep.
    pub(crate) fn commit_bomb(&self, width: usize, depth: usize) {
        let mut below = self.tree(&[("a.py", b"x = 1\n")]);
        for _ in 0..depth {
            let mut tree = Tree::empty();
            tree.entries.extend((0..width).map(|at| entry(&format!("d{at}"), EntryKind::Tree, below)));
            tree.entries.sort();
            below = self.repository.write_object(&tree).unwrap().detach();
        }
        self.commit_tree(below, "bomb");
    }

    fn file_of(&self, id: gix::ObjectId) -> PathBuf {
        let id = id.to_string();
        self.path.join("objects").join(&id[..2]).join(&id[2..])
    }

    /// The loose object of a file's content.
    pub(crate) fn object_file(&self, content: &str) -> PathBuf {
        self.file_of(gix::objs::compute_hash(self.repository.object_hash(), Kind::Blob, content.as_bytes()).unwrap())
    }

    /// The loose object of a tree of files.
    pub(crate) fn tree_file(&self, files: &[(&str, &str)]) -> PathBuf {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (*path, content.as_bytes())).collect();
        self.file_of(self.tree(&files))
    }

    pub(crate) fn head_file(&self) -> PathBuf {
        let id = fs::read_to_string(self.path.join("refs/heads/main")).unwrap();
        self.file_of(gix::ObjectId::from_hex(id.trim().as_bytes()).unwrap())
    }

    /// The bytes of a loose object with this content.
    pub(crate) fn loose(&self, content: &str) -> Vec<u8> {
        let id = self.repository.write_blob(content).unwrap().detach();
        fs::read(self.file_of(id)).unwrap()
    }
}

fn entry(name: &str, kind: EntryKind, oid: gix::ObjectId) -> gix::objs::tree::Entry {
    gix::objs::tree::Entry { mode: kind.into(), filename: name.into(), oid }
}

/// Objects are read-only on disk.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
