//! Places of results are taken before anything is written: a second run would write between the first one's files.
//!
//! A run that does everything takes its place for itself. Workers that share one take it together,
//! and each shard, and the reading of the set, for itself.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use recon_repository::RESULTS_MARK;

use crate::failure::{Failure, Outcome};
use crate::place::is_ours;

/// A place of results that is this run's, until it is dropped or the process ends in whatever way.
///
/// The locked file stays and also marks the folder as results, which are no part of a repository around them.
pub struct Lock {
    _file: Option<File>,
}

/// How a place is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// For this run alone, or not at all.
    Alone,
    /// For this run alone, once the others have left it.
    AloneInTurn,
    /// Together with others that take it so.
    Together,
}

impl Lock {
    /// Takes `directory` for this run alone, unless what is read lies in it: it would be marked as results with it.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn take_beside<'p>(directory: &Path, read: impl IntoIterator<Item = &'p Path>) -> Outcome<Option<Self>> {
        let place = directory.canonicalize();
        let inside = |path: &Path| {
            place.as_ref().is_ok_and(|place| path.canonicalize().is_ok_and(|path| path.starts_with(place)))
        };
        if read.into_iter().any(inside) { Ok(None) } else { Self::take(directory).map(Some) }
    }

    /// Makes `directory` if it is not there, and takes it for this run alone.
    ///
    /// # Errors
    /// Where another run has it, or something else is called like it.
    pub fn take(directory: &Path) -> Outcome<Self> {
        Self::open(directory, Mode::Alone)
    }

    /// As [`Lock::take`], of a directory that will be a stage's: one that recon did not make is not marked.
    pub(crate) fn take_stage(directory: &Path) -> Outcome<Self> {
        if is_ours(directory)? { Self::take(directory) } else { Ok(Self { _file: None }) }
    }

    /// The same lock on a directory that may have been made anew since it was taken.
    pub(crate) fn renewed(self, directory: &Path) -> Outcome<Self> {
        if directory.join(RESULTS_MARK).exists() { Ok(self) } else { Self::take(directory) }
    }

    /// As [`Lock::take`], together with other workers.
    pub(crate) fn take_together(directory: &Path) -> Outcome<Self> {
        Self::open(directory, Mode::Together)
    }

    /// As [`Lock::take`], but waits for the worker that has it.
    pub(crate) fn wait_for(directory: &Path) -> Outcome<Self> {
        Self::open(directory, Mode::AloneInTurn)
    }

    fn open(directory: &Path, mode: Mode) -> Outcome<Self> {
        if let Some(file) = directory.ancestors().find(|path| path.is_file()) {
            let message = format!("{} is a file; expected a folder for results", file.display());
            return Err(Failure::input_because(message).hint("choose another with --out"));
        }
        let path = directory.join(RESULTS_MARK);
        let made = fs::create_dir_all(directory)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path));
        let file = match made {
            Ok(file) => file,
            // Where nothing can be written, finished stages can still be read.
            Err(_) if directory.is_dir() => return Ok(Self { _file: None }),
            Err(error) => return Err(Failure::of_file("failed to make", directory)(error)),
        };
        let taken = match mode {
            Mode::Alone => file.try_lock(),
            Mode::AloneInTurn => file.lock().map_err(TryLockError::Error),
            Mode::Together => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use by another run", directory.display());
                Err(Failure::input_because(message).hint("wait for it, or choose another place with --out"))
            }
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, place = %directory.display(), "cannot be locked: keep other runs away from it");
                Ok(Self { _file: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_runs_at_a_time() {
        let work = tempfile::tempdir().unwrap();
        let place = work.path().join("out/shop");
        let first = Lock::take(&place).unwrap();
        let second = Lock::take(&place).err().expect("it is taken").message();
        assert!(second.ends_with("out/shop is in use by another run"), "{second}");
        drop(first);
        Lock::take(&place).unwrap();
    }

    #[test]
    fn what_is_read_is_not_marked_as_results() {
        let work = tempfile::tempdir().unwrap();
        let repository = work.path().join("shop");
        fs::create_dir(&repository).unwrap();
        for (place, taken) in [(work.path(), false), (&repository, false), (&repository.join("out"), true)] {
            let lock = Lock::take_beside(place, [repository.as_path()]).unwrap();
            assert_eq!((lock.is_some(), place.join(RESULTS_MARK).exists()), (taken, taken), "{}", place.display());
        }
    }

    #[test]
    fn a_file_is_no_place() {
        let work = tempfile::tempdir().unwrap();
        fs::write(work.path().join("out"), "mine").unwrap();
        let failure = Lock::take(&work.path().join("out/shop")).err().expect("`out` is a file");
        assert_eq!(failure.fault, crate::failure::Fault::Input);
        assert!(failure.message().ends_with("out is a file; expected a folder for results"), "{}", failure.message());
        assert_eq!(fs::read_to_string(work.path().join("out")).unwrap(), "mine");
    }
}
