//! One run at a time for each place of results: a second one would write between the first one's files.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use recon_graph::RESULTS_MARK;

use crate::failure::{Failure, Outcome};

/// A place of results that is this run's, until it is dropped or the process ends in whatever way.
///
/// The locked file stays and also marks the folder as results, which are no part of a repository around them.
pub(crate) struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// As [`Lock::take`], unless what is read lies in `directory`: it would be marked as results with it.
    pub(crate) fn take_beside<'p>(directory: &Path, read: impl IntoIterator<Item = &'p Path>) -> Outcome<Option<Self>> {
        let place = directory.canonicalize();
        let inside = |path: &Path| {
            place.as_ref().is_ok_and(|place| path.canonicalize().is_ok_and(|path| path.starts_with(place)))
        };
        if read.into_iter().any(inside) { Ok(None) } else { Self::take(directory).map(Some) }
    }

    /// Makes `directory` if it is not there, and takes it.
    ///
    /// # Errors
    /// Where another run has it, or something else is called like it.
    pub(crate) fn take(directory: &Path) -> Outcome<Self> {
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
        match file.try_lock() {
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
