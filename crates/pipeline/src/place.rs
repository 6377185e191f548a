//! Places of results: whose they are, and what of them may be removed.
//!
//! A folder is recon's if it is empty, or holds a manifest, the marker of an unfinished stage, or
//! nothing but temporary files of recon's own names. Nothing else is ever removed.

use std::fs;
use std::path::{Path, PathBuf};

use recon_repository::{RESULTS_MARK, line};
use recon_schema::manifest::Manifest;

use crate::failure::{Failure, Outcome};

/// Holds the key of a stage that has begun and not finished.
pub(crate) const UNFINISHED: &str = "unfinished";
/// Longest name of a folder, in bytes; file systems end at 255.
const MAX_NAME_BYTES: usize = 100;

/// Whether `directory` may be emptied: it is not there, empty, or made by recon.
pub(crate) fn is_ours(directory: &Path) -> Outcome<bool> {
    if directory.is_symlink() || directory.is_file() {
        return Ok(false);
    }
    if !directory.exists() {
        return Ok(true);
    }
    let marked = directory.join(UNFINISHED).is_file() || Manifest::read(directory).is_ok_and(|found| found.is_some());
    if marked {
        return Ok(true);
    }
    let fail = Failure::of_file("failed to list", directory);
    for entry in fs::read_dir(directory).map_err(&fail)? {
        let name = entry.map_err(&fail)?.file_name();
        if !is_temporary(&name.to_string_lossy()) && name != RESULTS_MARK {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names that only this program's unfinished files have.
fn is_temporary(name: &str) -> bool {
    (name.starts_with(".partial-") || name.starts_with(".spill-")) && name.ends_with(".tmp")
}

/// Removes what a stopped run left half-written in `directory` and below, which is recon's. Whoever calls it holds the place.
pub(crate) fn sweep(directory: &Path) -> Outcome {
    for folder in sweep_here(directory)? {
        sweep(&folder)?;
    }
    Ok(())
}

/// As [`sweep`], right in `directory` only; gives the folders in it. Other files may be anybody's.
pub(crate) fn sweep_here(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let fail = Failure::of_file("failed to clear", directory);
    let (mut folders, Ok(entries)) = (Vec::new(), fs::read_dir(directory)) else { return Ok(Vec::new()) };
    for entry in entries {
        let entry = entry.map_err(&fail)?;
        let (path, is_folder) = (entry.path(), entry.file_type().map_err(&fail)?.is_dir());
        match (is_folder, is_temporary(&entry.file_name().to_string_lossy())) {
            (true, true) => remove(&path)?,
            (true, false) => folders.push(path),
            (false, true) => fs::remove_file(&path).map_err(&fail)?,
            (false, false) => {}
        }
    }
    Ok(folders)
}

/// Removes a folder with all that is in it, where there is one.
pub(crate) fn remove(directory: &Path) -> Outcome {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).map_err(Failure::of_file("failed to remove", directory))
}

/// Refuses a place for results that is what is read, or holds it.
pub(crate) fn apart(results: &Path, read: &Path) -> Outcome {
    let (results_at, read_at) = (resolved(results), resolved(read));
    if read_at.starts_with(&results_at) {
        let message = format!("{}: results would lie over {}, which is read", results.display(), read.display());
        return Err(Failure::input_because(message).hint("choose another place with --out"));
    }
    Ok(())
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut rest = Vec::new();
    let mut at = whole.as_path();
    loop {
        if let Ok(found) = at.canonicalize() {
            return rest.iter().rev().fold(found, |found, part| found.join(part));
        }
        let (Some(name), Some(above)) = (at.file_name(), at.parent()) else { return whole };
        rest.push(name.to_owned());
        at = above;
    }
}

/// A repository's name as the name of one folder: nothing in it may lead elsewhere, and two names stay two folders.
pub(crate) fn folder_name(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let plain: String = name.chars().map(safe).collect();
    let plain = plain.trim_start_matches('.');
    let short = line::head(plain, MAX_NAME_BYTES);
    match short {
        "" => "repository".into(),
        short if short == name => short.into(),
        // What was replaced or cut is told apart by its digest.
        short => format!("{short}-{}", &recon_schema::Sha256::of(name.as_bytes()).to_string()[..8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_cannot_choose_another_folder() {
        assert_eq!(folder_name("recon"), "recon");
        assert!(folder_name("../../etc").starts_with("-..-etc-"), "{}", folder_name("../../etc"));
        assert_eq!(folder_name(".."), "repository");
        assert!(folder_name("a/b\\c\n").starts_with("a-b-c--"));
        assert_ne!(folder_name("a/b"), folder_name("a-b"), "sanitised names stay apart");
        let long = folder_name(&"ä".repeat(300));
        assert!(long.len() < 120 && long.starts_with('ä'), "{long}");
    }

    #[test]
    fn results_never_lie_over_what_is_read() {
        let work = tempfile::tempdir().unwrap();
        let shop = work.path().join("shop");
        fs::create_dir(&shop).unwrap();
        for (results, refused) in
            [("shop", true), (".", true), ("shop/out", false), ("shop/../shop", true), ("x", false)]
        {
            assert_eq!(apart(&work.path().join(results), &shop).is_err(), refused, "{results}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&shop, work.path().join("link")).unwrap();
            assert!(apart(&work.path().join("link"), &shop).is_err());
        }
    }

    #[test]
    fn only_what_recon_made_is_recons() {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("train");
        assert!(is_ours(&folder).unwrap(), "what is not there");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(".partial-x.tmp"), "").unwrap();
        assert!(is_ours(&folder).unwrap());
        fs::write(folder.join("mine.txt"), "").unwrap();
        assert!(!is_ours(&folder).unwrap());
        fs::write(folder.join(UNFINISHED), "key").unwrap();
        assert!(is_ours(&folder).unwrap());
        sweep(&folder).unwrap();
        assert!(!folder.join(".partial-x.tmp").exists() && folder.join("mine.txt").exists());
    }
}
