//! One repository, named as a person would name it.
//!
//! `DIR` is a directory as it stands; `DIR@REVISION` a commit of the git repository there, read
//! from its objects without a checkout (branch, tag, full or short id); a bare repository needs no
//! `@` and is then read at its `HEAD`; a file is an archive, told by its content and not by its
//! name: tar, plain or under gzip or zstd, or zip.
//!
//! Invariant: the same files give the same [`Repository`] from every kind of source, its
//! reference aside. Hidden files take no part anywhere; `.gitignore` is asked in directories
//! only: what stands in a commit or an archive was put there on purpose.

mod archive;
mod bounded;
mod git;
mod limits;
mod link;
mod stem;
mod tar;
mod zip;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{ReadOptions, Repository, Result, read_directory};

pub use archive::open as open_stream;
pub use bounded::exceeded;
pub use limits::SourceOptions;
pub use stem::stem;

/// Where one repository is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory as it stands.
    Directory(PathBuf),
    /// A commit, read from the object database.
    Git {
        /// The repository, bare or with a work tree.
        path: PathBuf,
        /// A branch, a tag, an id, or `HEAD`.
        revision: String,
    },
    /// A tar or zip file.
    Archive(PathBuf),
}

impl Source {
    /// The source that `name` names. What exists under the whole name wins over an `@` in it.
    pub fn locate(name: &Path) -> Self {
        if git::is_bare(name) {
            return Self::Git { path: name.into(), revision: "HEAD".into() };
        }
        if name.is_file() {
            return Self::Archive(name.into());
        }
        let split = name.to_str().and_then(|text| text.rsplit_once('@'));
        match split {
            Some((path, revision)) if !name.exists() && !revision.is_empty() && Path::new(path).is_dir() => {
                Self::Git { path: path.into(), revision: revision.into() }
            }
            _ => Self::Directory(name.into()),
        }
    }

    /// The file or directory behind the source.
    pub fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::Archive(path) | Self::Git { path, .. } => path,
        }
    }

    /// Reads the repository.
    ///
    /// # Errors
    /// When the source cannot be opened, is damaged as a whole, exceeds the limits, or holds no
    /// readable source file. Faults of single files are diagnostics of the repository.
    pub fn read(&self, read: &ReadOptions, limits: &SourceOptions) -> Result<Repository> {
        let repository = match self {
            Self::Directory(path) => return read_directory(path, read),
            Self::Git { path, revision } => git::read(path, revision, read, limits)?,
            Self::Archive(path) => archive::read(path, read, limits)?,
        };
        repository.require_source(self.path())?;
        Ok(repository)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) | Self::Archive(path) => write!(f, "{}", path.display()),
            Self::Git { path, revision } => write!(f, "{}@{revision}", path.display()),
        }
    }
}
