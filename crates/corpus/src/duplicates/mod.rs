//! Files and repositories that stand in a corpus more than once, word for word or nearly so.
//!
//! First pass: every file gets a number and a [`Signature`]; both go to disk ([`Index::add`]).
//! Then files of equal digest, or of equal signature in one of 32 bands of 8, whose signatures
//! agree in at least `jaccard` of 256 places, are joined; of each group the first file stays
//! ([`Index::finish`] → [`Verdicts`]). A repository's signature is the least of its files'
//! place by place, which is exactly the signature of their union.
//!
//! Invariants: numbers follow the order of the corpus, so neither thread count nor hash order
//! shows; work is linear in the number of files, because a bucket's members are compared with
//! its first member only; memory is four bytes a file and `SORT_BYTES`.
//!
//! Source: Broder 1997; the settings (256 permutations, runs of five words, 0.7) are those of The
//! Stack v2 (arXiv 2402.19173). Bands of 8 catch a pair of likeness 0.7 with probability
//! 1 − (1 − 0.7⁸)³² = 0.85, one of 0.8 with 0.998.

mod lsh;
mod signature;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use recon_repository::Repository;
use recon_schema::Sha256;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use signature::{PERMUTATIONS, Signature};

/// What counts as a duplicate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DuplicateOptions {
    /// Drop files that stand earlier in the corpus.
    pub files: bool,
    /// Drop repositories that stand earlier in the corpus.
    pub repositories: bool,
    /// Likeness (Jaccard index of runs of five words) from which two are one.
    pub jaccard: f64,
}

impl Default for DuplicateOptions {
    fn default() -> Self {
        Self { files: true, repositories: true, jaccard: 0.7 }
    }
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    digest: [u8; 16],
    signature: Option<Box<Signature>>,
}

/// Fingerprints of the kept files of a repository, in path order.
pub fn fingerprints(repository: &Repository) -> Vec<Fingerprint> {
    let kept: Vec<&str> = repository.kept().map(|(_, text)| text).collect();
    kept.into_par_iter().map(Fingerprint::of).collect()
}

impl Fingerprint {
    /// Of one text.
    pub fn of(text: &str) -> Self {
        let digest = Sha256::of(text.as_bytes());
        let digest = digest.as_bytes()[..16].try_into().expect("a digest has 32 bytes");
        Self { digest, signature: Signature::of(text).map(Box::new) }
    }
}

/// The first pass: what was seen so far, on disk.
pub struct Index {
    directory: PathBuf,
    files: Table,
    repositories: Table,
    /// The number of the first file of each repository.
    starts: Vec<u64>,
}

/// Digests, signatures and the keys of their bands of one kind of thing, by number; each in a
/// file of its own, so that a band is read without the others.
struct Table {
    digests: BufWriter<File>,
    signatures: BufWriter<File>,
    bands: Vec<BufWriter<File>>,
    count: u64,
}

impl Table {
    fn create(directory: &Path, name: &str) -> Result<Self> {
        let create = |ending: &str| {
            let path = directory.join(format!("{name}.{ending}"));
            File::create(&path).map(BufWriter::new).map_err(|source| Error::Write { path, source })
        };
        let bands = (0..lsh::BANDS).map(|band| create(&lsh::band_ending(band))).collect::<Result<_>>()?;
        Ok(Self { digests: create(lsh::DIGESTS)?, signatures: create(lsh::SIGNATURES)?, bands, count: 0 })
    }

    fn push(&mut self, digest: &[u8; 16], signature: Option<&Signature>) -> std::io::Result<()> {
        let bytes = signature.unwrap_or(&Signature::NONE).as_bytes();
        self.digests.write_all(digest)?;
        self.signatures.write_all(&bytes)?;
        for (band, file) in self.bands.iter_mut().enumerate() {
            file.write_all(&lsh::band_key(&bytes, band).to_le_bytes())?;
        }
        self.count += 1;
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.digests.flush()?;
        self.signatures.flush()?;
        self.bands.iter_mut().try_for_each(Write::flush)
    }
}

impl Index {
    /// An empty index whose files lie in `directory`.
    pub fn create(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(|source| Error::Write { path: directory.into(), source })?;
        let files = Table::create(directory, "files")?;
        let repositories = Table::create(directory, "repositories")?;
        Ok(Self { directory: directory.into(), files, repositories, starts: Vec::new() })
    }

    /// Adds the next repository.
    pub fn add(&mut self, files: &[Fingerprint]) -> Result<()> {
        let fail = |source| Error::Write { path: self.directory.clone(), source };
        self.starts.push(self.files.count);
        let mut whole: Option<Signature> = None;
        for Fingerprint { digest, signature } in files {
            self.files.push(digest, signature.as_deref()).map_err(fail)?;
            if let Some(signature) = signature {
                whole.get_or_insert(Signature::NONE).join(signature);
            }
        }
        // Two repositories of the same files are equal whatever their names.
        let mut digests: Vec<[u8; 16]> = files.iter().map(|file| file.digest).collect();
        digests.sort_unstable();
        let digest = Sha256::of_fields(digests.iter().map(<[u8; 16]>::as_slice));
        let digest = digest.as_bytes()[..16].try_into().expect("a digest has 32 bytes");
        self.repositories.push(&digest, whole.as_ref()).map_err(fail)
    }

    /// Finds the duplicates.
    pub fn finish(self, options: &DuplicateOptions) -> Result<Verdicts> {
        let Self { directory, mut files, mut repositories, mut starts } = self;
        for table in [&mut files, &mut repositories] {
            table.flush().map_err(|source| Error::Write { path: directory.clone(), source })?;
        }
        starts.push(files.count);
        let find = |name: &str, count: u64, wanted: bool| {
            if wanted {
                lsh::group(&directory, name, count, options.jaccard)
            } else {
                Ok(lsh::Groups::singletons(count))
            }
        };
        let repository_groups = find("repositories", repositories.count, options.repositories)?;
        let file_groups = find("files", files.count, options.files)?;
        Ok(Verdicts { starts, repositories: repository_groups, files: file_groups })
    }
}

/// The second pass: which repositories and files go.
pub struct Verdicts {
    starts: Vec<u64>,
    repositories: lsh::Groups,
    files: lsh::Groups,
}

impl Verdicts {
    /// Files seen in the first pass in the repository of this number; `None` where there was none.
    pub fn files_seen(&self, repository: u64) -> Option<u64> {
        let at = usize::try_from(repository).ok()?;
        Some(self.starts.get(at + 1)? - self.starts[at])
    }

    /// Whether an earlier repository is the same.
    pub fn drops_repository(&self, repository: u64) -> bool {
        self.repositories.first(repository) != repository
    }

    /// Places, in path order, of the files of a repository that stand in an earlier one that
    /// stays, or earlier in this one.
    pub fn dropped_files(&mut self, repository: u64) -> BTreeSet<usize> {
        let at = repository as usize;
        let (start, end) = (self.starts[at], self.starts[at + 1]);
        (start..end).filter(|file| self.keeper(*file) != *file).map(|file| (file - start) as usize).collect()
    }

    /// The first file of the group that stands in a repository that stays.
    ///
    /// Files are asked in order, so the first one asked of a group becomes its keeper.
    fn keeper(&mut self, file: u64) -> u64 {
        let first = self.files.first(file);
        let owner = self.files.keeper(first).unwrap_or(file);
        self.files.set_keeper(first, owner);
        owner
    }
}

#[cfg(test)]
mod tests;
