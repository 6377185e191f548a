//! Reads a directory the way git sees it into a [`Repository`].
//!
//! A file that git tracks is never ignored, whatever `.gitignore` says; `.ignore` is no file of git.
//!
//! Invariants: files are met in path order and chosen by path, kind and size alone, so the same
//! tree gives the same repository on every machine; ignore files inside the root count, those of
//! the machine or of a surrounding repository do not; whatever cannot be taken is recorded with
//! its reason, and only a missing or sourceless root is an error.

mod git;
mod index;
mod intake;
mod licence_names;
mod manifest;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use recon_schema::graph::{RepositoryRef, SkipReason};
use serde::{Deserialize, Serialize};

use crate::repository::Repository;
use crate::{Error, Result, language};

pub use git::{public_url, repository_name};
pub use intake::{Intake, TopFolder};
pub use manifest::is_licence_file;
pub(crate) use manifest::{licence_file, only_folder};

/// A folder with a file of this name holds results of this program, which are no part of the repository they lie in.
pub const RESULTS_MARK: &str = ".recon.lock";

/// What is read of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadOptions {
    /// A larger file is listed as `too_large`.
    pub max_file_bytes: u64,
    /// Files whose content is kept; those beyond are listed as `over_budget`, source files last.
    pub max_files: usize,
    /// Bytes of content kept over all files; from the first file that does not fit, all are
    /// listed as `over_budget`.
    pub max_bytes: u64,
    /// Files listed without their content; those beyond are only counted.
    pub max_listed: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 20, max_files: 20_000, max_bytes: 256 << 20, max_listed: 200_000 }
    }
}

/// A file met by the walk whose content is still to be read.
struct Candidate {
    path: String,
    bytes: u64,
}

/// Reads every text file below `root` that git would not ignore, hidden files and results of this program left out.
///
/// # Errors
/// When `root` is missing, is no directory, or holds no readable source file.
pub fn read_directory(root: &Path, options: &ReadOptions) -> Result<Repository> {
    let open = |source| Error::Open { path: root.into(), source };
    let canonical = fs::canonicalize(root).map_err(open)?;
    if !canonical.is_dir() {
        return Err(Error::NotADirectory { path: root.into() });
    }
    fs::read_dir(&canonical).map_err(open)?;

    let mut intake = Intake::new(options);
    let mut candidates = meet(&canonical, &mut intake);
    // In the order of their claim on the budget, so that what cannot be kept is told early.
    candidates.sort_by(|a, b| {
        let key = |candidate: &Candidate| language::of_path(&candidate.path).is_none();
        (key(a), &a.path).cmp(&(key(b), &b.path))
    });
    for candidate in candidates {
        take(&canonical, candidate, &mut intake);
    }
    let repository = intake.finish(reference(&canonical), TopFolder::Keep);
    repository.require_source(root)?;
    Ok(repository)
}

/// Walks the tree; what is no regular file of acceptable size is recorded at once.
fn meet(root: &Path, intake: &mut Intake) -> Vec<Candidate> {
    let (mut candidates, mut met) = (Vec::new(), HashSet::new());
    let walk = ignore::WalkBuilder::new(root)
        .require_git(false)
        // `.ignore` is a convention of search tools, which git does not know.
        .ignore(false)
        .git_global(false)
        .parents(false)
        .follow_links(false)
        .sort_by_file_name(std::cmp::Ord::cmp)
        .filter_entry(|entry| {
            let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            !(folder && entry.depth() > 0 && entry.path().join(RESULTS_MARK).exists())
        })
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error_path(&error, root);
                intake.note(&path, "unreadable", "the directory could not be listed");
                continue;
            }
        };
        let Ok(relative) = entry.path().strip_prefix(root) else { continue };
        let Some(kind) = entry.file_type() else { continue };
        if kind.is_dir() || relative.as_os_str().is_empty() {
            continue;
        }
        met.insert(relative.to_path_buf());
        // A name that is not UTF-8 is told by the intake, in whatever form it can be shown.
        let name = relative.to_str().map(|path| path.replace(std::path::MAIN_SEPARATOR, "/"));
        let Some(path) = intake.path(name.as_ref().map_or(relative.as_os_str().as_encoded_bytes(), |it| it.as_bytes()))
        else {
            continue;
        };
        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
        if kind.is_symlink() {
            skip_link(root, entry.path(), path, intake);
        } else if !kind.is_file() {
            intake.skip(path, 0, SkipReason::Unreadable, "a socket, pipe or device; left out");
        } else if bytes > intake.options().max_file_bytes {
            intake.too_large(path, bytes);
        } else {
            candidates.push(Candidate { path, bytes });
        }
    }
    for name in git::tracked(root) {
        if !met.contains(Path::new(&name)) {
            take_tracked(root, &name, intake, &mut candidates);
        }
    }
    candidates
}

/// A file that an ignore file names and git tracks all the same.
fn take_tracked(root: &Path, name: &str, intake: &mut Intake, candidates: &mut Vec<Candidate>) {
    let Some(path) = intake.path(name.as_bytes()) else { return };
    let full = root.join(&path);
    // One that was deleted, or that a link leads away to, is not in the folder.
    let here = fs::canonicalize(&full).is_ok_and(|real| real == full);
    let results = full.ancestors().skip(1).take_while(|it| *it != root).any(|it| it.join(RESULTS_MARK).exists());
    let Some(bytes) = fs::metadata(&full).ok().filter(|it| it.is_file() && here && !results).map(|it| it.len()) else {
        return;
    };
    if bytes > intake.options().max_file_bytes {
        intake.too_large(path, bytes);
    } else {
        candidates.push(Candidate { path, bytes });
    }
}

/// Reads one file and keeps it, or records why not.
fn take(root: &Path, candidate: Candidate, intake: &mut Intake) {
    let Candidate { path, bytes } = candidate;
    let mut content = Vec::new();
    // One byte above the limit tells a file that grew since it was listed.
    let limit = intake.options().max_file_bytes.saturating_add(1);
    match File::open(root.join(&path)).and_then(|file| file.take(limit).read_to_end(&mut content)) {
        Ok(_) => intake.take(path, content),
        Err(error) => {
            let message = format!("could not be read: {}", error.kind());
            intake.skip(path, bytes, SkipReason::Unreadable, &message);
        }
    }
}

/// A link is listed and never followed: its target, if inside, is listed under its own path.
fn skip_link(root: &Path, link: &Path, path: String, intake: &mut Intake) {
    let message = match fs::canonicalize(link) {
        Err(_) => "a symbolic link that loops or names nothing",
        Ok(target) if target.starts_with(root) => "a symbolic link; its target stands under its own path",
        Ok(_) => "a symbolic link that leaves the repository",
    };
    intake.skip(path, 0, SkipReason::Link, message);
}

/// The path a walk error speaks of, from the root; `""` if it names none.
fn error_path(error: &ignore::Error, root: &Path) -> String {
    match error {
        ignore::Error::WithPath { path, .. } => path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned(),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => error_path(err, root),
        ignore::Error::Loop { child, .. } => child.strip_prefix(root).unwrap_or(child).to_string_lossy().into_owned(),
        _ => String::new(),
    }
}

fn reference(root: &Path) -> RepositoryRef {
    let directory = root.file_name().map_or_else(|| "repository".into(), |name| name.to_string_lossy().into_owned());
    let git = git::inspect(root);
    let name = git.remote.as_deref().and_then(repository_name).unwrap_or(&directory).to_owned();
    let source = git.remote.clone().unwrap_or(directory);
    RepositoryRef { name, source, commit: git.commit, licence: None }
}
