//! Reads a directory the way git sees it into a [`Repository`].
//!
//! Invariants: files are met in path order and chosen by path, kind and size alone, so the same
//! tree gives the same repository on every machine; ignore files inside the root count, those of
//! the machine or of a surrounding repository do not; whatever cannot be taken is recorded with
//! its reason, and only a missing or sourceless root is an error.

mod git;
mod manifest;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use content_inspector::ContentType;
use recon_schema::Sha256;
use recon_schema::graph::{Diagnostic, RepositoryRef, SkipReason};
use serde::{Deserialize, Serialize};

use crate::repository::{Repository, SkippedFile};
use crate::{Error, Result, languages};

/// What is read of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadOptions {
    /// A larger file is listed as `too_large`.
    pub max_file_bytes: u64,
    /// Files whose content is kept; those beyond are listed as `over_budget`, source files last.
    pub max_files: usize,
    /// Bytes of content kept over all files; what does not fit is listed as `over_budget`.
    pub max_bytes: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 20, max_files: 20_000, max_bytes: 256 << 20 }
    }
}

/// A file met by the walk whose content is still to be read.
struct Candidate {
    path: String,
    bytes: u64,
}

/// Reads every text file below `root` that git would not ignore, hidden files left out.
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

    let mut repository = Repository::from_files::<String, String>("", []);
    let mut candidates = meet(&canonical, options, &mut repository);
    // Source first: where the budget is short, documents and data give way.
    candidates.sort_by(|a, b| {
        let key = |candidate: &Candidate| languages::of_path(&candidate.path).is_none();
        (key(a), &a.path).cmp(&(key(b), &b.path))
    });
    let mut bytes_left = options.max_bytes;
    for candidate in candidates {
        take(&canonical, candidate, options, &mut bytes_left, &mut repository);
    }
    repository.diagnostics.sort();
    repository.reference = reference(&canonical, &repository);
    if !repository.files.keys().any(|path| languages::of_path(path).is_some()) {
        let known = languages::names().join(", ");
        let files = repository.files.len() + repository.skipped.len();
        return Err(Error::NoSource { path: root.into(), known, files });
    }
    Ok(repository)
}

/// Walks the tree; what is no regular file of acceptable size is recorded at once.
fn meet(root: &Path, options: &ReadOptions, repository: &mut Repository) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let walk = ignore::WalkBuilder::new(root)
        .require_git(false)
        .git_global(false)
        .parents(false)
        .follow_links(false)
        .sort_by_file_name(std::cmp::Ord::cmp)
        .build();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error_path(&error, root);
                repository.diagnostics.push(diagnostic(&path, "unreadable", "the directory could not be listed"));
                continue;
            }
        };
        let Ok(relative) = entry.path().strip_prefix(root) else { continue };
        let Some(kind) = entry.file_type() else { continue };
        if kind.is_dir() || relative.as_os_str().is_empty() {
            continue;
        }
        let Some(path) = relative.to_str().map(|path| path.replace(std::path::MAIN_SEPARATOR, "/")) else {
            let lossy = relative.to_string_lossy();
            repository.diagnostics.push(diagnostic(&lossy, "path_not_utf8", "the file's name is not UTF-8; left out"));
            continue;
        };
        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
        if kind.is_symlink() {
            skip_link(root, entry.path(), path, repository);
        } else if !kind.is_file() {
            let message = "a socket, pipe or device; left out";
            skip(repository, path, 0, None, SkipReason::Unreadable, message);
        } else if bytes > options.max_file_bytes {
            let message = format!("{bytes} bytes, above the limit of {}", options.max_file_bytes);
            skip(repository, path, bytes, None, SkipReason::TooLarge, &message);
        } else {
            candidates.push(Candidate { path, bytes });
        }
    }
    candidates
}

/// Reads one file and keeps it, or records why not.
fn take(root: &Path, candidate: Candidate, options: &ReadOptions, bytes_left: &mut u64, repository: &mut Repository) {
    let Candidate { path, bytes } = candidate;
    let mut content = Vec::new();
    // One byte above the limit tells a file that grew since it was listed.
    let read = File::open(root.join(&path))
        .and_then(|file| file.take(options.max_file_bytes.saturating_add(1)).read_to_end(&mut content));
    if let Err(error) = read {
        let message = format!("could not be read: {}", error.kind());
        return skip(repository, path, bytes, None, SkipReason::Unreadable, &message);
    }
    let bytes = content.len() as u64;
    if bytes > options.max_file_bytes {
        return skip(repository, path, bytes, None, SkipReason::TooLarge, "grew above the limit while being read");
    }
    let sha256 = Some(Sha256::of(&content));
    if content.is_empty() {
        return skip(repository, path, 0, sha256, SkipReason::Empty, "");
    }
    match content_inspector::inspect(&content) {
        ContentType::BINARY => return skip(repository, path, bytes, sha256, SkipReason::Binary, ""),
        ContentType::UTF_8 | ContentType::UTF_8_BOM => {}
        _ => {
            return skip(repository, path, bytes, sha256, SkipReason::NotUtf8, "a byte-order mark of UTF-16 or UTF-32");
        }
    }
    match String::from_utf8(content) {
        Err(error) => {
            let message = format!("not UTF-8 from byte {}", error.utf8_error().valid_up_to());
            skip(repository, path, bytes, sha256, SkipReason::NotUtf8, &message);
        }
        Ok(text) if repository.files.len() >= options.max_files || bytes > *bytes_left => {
            let lines = text.lines().count() as u64;
            let message = "left out, the budget of files or bytes was spent";
            skip(repository, path.clone(), bytes, sha256, SkipReason::OverBudget, message);
            repository.skipped.entry(path).and_modify(|file| file.lines = lines);
        }
        Ok(text) => {
            *bytes_left -= bytes;
            repository.files.insert(path, text);
        }
    }
}

/// A link is listed and never followed: its target, if inside, is listed under its own path.
fn skip_link(root: &Path, link: &Path, path: String, repository: &mut Repository) {
    let message = match fs::canonicalize(link) {
        Err(_) => "a symbolic link that loops or names nothing",
        Ok(target) if target.starts_with(root) => "a symbolic link; its target stands under its own path",
        Ok(_) => "a symbolic link that leaves the repository",
    };
    skip(repository, path, 0, None, SkipReason::Link, message);
}

fn skip(
    repository: &mut Repository,
    path: String,
    bytes: u64,
    sha256: Option<Sha256>,
    reason: SkipReason,
    message: &str,
) {
    if !message.is_empty() {
        let rule = match reason {
            SkipReason::TooLarge => "too_large",
            SkipReason::NotUtf8 => "not_utf8",
            SkipReason::Link => "link",
            SkipReason::OverBudget => "over_budget",
            _ => "unreadable",
        };
        repository.diagnostics.push(diagnostic(&path, rule, message));
    }
    repository.skipped.insert(path, SkippedFile { bytes, lines: 0, sha256, reason });
}

fn diagnostic(path: &str, rule: &str, message: &str) -> Diagnostic {
    Diagnostic { path: path.into(), rule: rule.into(), message: message.into() }
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

fn reference(root: &Path, repository: &Repository) -> RepositoryRef {
    let directory = root.file_name().map_or_else(|| "repository".into(), |name| name.to_string_lossy().into_owned());
    let git = git::inspect(root);
    let name = git.remote.as_deref().and_then(git::repository_name).unwrap_or(&directory).to_owned();
    let source = git.remote.clone().unwrap_or(directory);
    RepositoryRef { name, source, commit: git.commit, licence: manifest::licence(&repository.files) }
}
