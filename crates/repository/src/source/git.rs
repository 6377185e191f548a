//! A commit of a git repository, read from its object database: no checkout, no git program.
//!
//! Invariants: only the repository's own configuration is read; every object is held against its
//! id before it is used, so a file that is kept is the file the commit names; a tree is walked
//! without recursion and within `max_entries`, however often it holds itself by other names.

use std::path::Path;

use crate::{Intake, ReadOptions, Repository, TopFolder, public_url, repository_name};
use gix::ObjectId;
use gix::objs::{Kind, TreeRefIter};
use recon_schema::graph::{RepositoryRef, SkipReason};

use super::limits::SourceOptions;
use super::link::link_message;
use super::stem::stem;
use crate::{Error, Result};

/// Largest tree object read; git's own largest are of some megabytes.
const MAX_TREE_BYTES: u64 = 64 << 20;
/// Longest target of a link that is looked at.
const MAX_LINK_BYTES: u64 = 4_096;
/// Deepest path; names are bounded as a whole by the intake.
const MAX_DEPTH: usize = 512;

/// Whether `path` is a git directory itself.
pub(super) fn is_bare(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

pub(super) fn read(path: &Path, revision: &str, read: &ReadOptions, limits: &SourceOptions) -> Result<Repository> {
    let fail = |action| move |error: gix::Error| Error::Git { path: path.into(), action, reason: one_line(&error) };
    if let Some(reason) = unsupported(path) {
        return Err(Error::Git { path: path.into(), action: "failed to open the git repository", reason });
    }
    let opened = gix::open_opts(path, gix::open::Options::isolated());
    let repository = opened.map_err(fail("failed to open the git repository"))?;
    let commit = resolve(&repository, path, revision)?;
    let data = object(&repository, commit, Kind::Commit, MAX_TREE_BYTES);
    let broken = |reason| Error::Git { path: path.into(), action: "failed to read the commit", reason };
    let data = data.map_err(broken)?;
    let tree = gix::objs::CommitRefIter::from_bytes(&data, repository.object_hash())
        .tree_id()
        .map_err(|_| broken("it names no tree".into()))?;
    let mut walk = Walk { repository: &repository, intake: Intake::new(read), entries: 0 };
    walk.tree(tree, limits).map_err(|reason| Error::TooMuch { path: path.into(), reason })?;
    let reference = reference(&repository, path, commit);
    Ok(walk.intake.finish(reference, TopFolder::Keep))
}

/// Why a repository of a form that is not read is refused, as its configuration tells.
fn unsupported(path: &Path) -> Option<String> {
    let places = [path.join(".git/config"), path.join("config")];
    let config = places.iter().find_map(|it| std::fs::read_to_string(it).ok())?;
    let value = |name: &str| {
        let mut pairs = config.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_ascii_lowercase())
    };
    match (value("objectformat").as_deref(), value("refstorage").as_deref()) {
        (Some("sha256"), _) => Some("its object ids are sha256; only sha1 is read".into()),
        (_, Some("reftable")) => Some("its references are a reftable; only files are read".into()),
        _ => None,
    }
}

/// The commit that `revision` names: a reference first, then an id, then the beginning of one.
fn resolve(repository: &gix::Repository, path: &Path, revision: &str) -> Result<ObjectId> {
    let unknown = || Error::Revision { path: path.into(), revision: revision.into() };
    let referenced = repository.try_find_reference(revision).ok().flatten();
    let id = match referenced {
        Some(mut reference) => reference.peel_to_id().ok().map(gix::Id::detach),
        None => None,
    };
    let id = id.or_else(|| ObjectId::from_hex(revision.as_bytes()).ok()).or_else(|| {
        let prefix = gix::hash::Prefix::from_hex(revision).ok()?;
        repository.objects.lookup_prefix(prefix, None).ok().flatten()?.ok()
    });
    let object = repository.find_object(id.ok_or_else(unknown)?).map_err(|_| unknown())?;
    Ok(object.peel_to_kind(Kind::Commit).map_err(|_| unknown())?.id)
}

fn reference(repository: &gix::Repository, path: &Path, commit: ObjectId) -> RepositoryRef {
    let remote = repository.config_snapshot().string("remote.origin.url");
    let remote = remote.and_then(|url| public_url(&url.to_string()));
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let own = if full.ends_with(".git") { full.parent().unwrap_or(&full) } else { &full };
    let directory = stem(own);
    let name = remote.as_deref().and_then(repository_name).unwrap_or(&directory).to_owned();
    let source = remote.clone().unwrap_or(directory);
    RepositoryRef { name, source, commit: Some(commit.to_string()), licence: None }
}

/// The bytes of an object, held against its id; or why it cannot be had.
fn object(repository: &gix::Repository, id: ObjectId, kind: Kind, max_bytes: u64) -> Result<Vec<u8>, String> {
    let header = repository.find_header(id).map_err(|error| one_line(&error))?;
    if header.kind() != kind {
        return Err(format!("object {id} is a {}, not a {kind}", header.kind()));
    }
    if header.size() > max_bytes {
        return Err(format!("object {id} has {} bytes", header.size()));
    }
    let data = repository.find_object(id).map_err(|error| one_line(&error))?.detach().data;
    match gix::objs::compute_hash(repository.object_hash(), kind, &data) {
        Ok(found) if found == id => Ok(data),
        _ => Err(format!("object {id} is corrupt: its content has another id")),
    }
}

struct Walk<'r> {
    repository: &'r gix::Repository,
    intake: Intake,
    entries: u64,
}

impl Walk<'_> {
    /// Walks everything below a tree; the error says which limit was exceeded.
    fn tree(&mut self, root: ObjectId, limits: &SourceOptions) -> Result<(), String> {
        let mut open = vec![(root, Vec::<u8>::new(), 0)];
        while let Some((id, prefix, depth)) = open.pop() {
            let data = match object(self.repository, id, Kind::Tree, MAX_TREE_BYTES) {
                Ok(data) => data,
                Err(reason) => {
                    let path = String::from_utf8_lossy(&prefix).into_owned();
                    self.intake.note(&path, "unreadable", &format!("the tree could not be read: {reason}"));
                    continue;
                }
            };
            for entry in TreeRefIter::from_bytes(&data, self.repository.object_hash()) {
                self.entries += 1;
                if self.entries > limits.max_entries {
                    return Err(format!("holds more than {} entries (source.max_entries)", limits.max_entries));
                }
                let Ok(entry) = entry else {
                    let path = String::from_utf8_lossy(&prefix).into_owned();
                    self.intake.note(&path, "unreadable", "the tree is malformed from here on");
                    break;
                };
                let mut name = prefix.clone();
                name.extend_from_slice(entry.filename);
                if entry.mode.is_tree() {
                    name.push(b'/');
                    // Hidden folders are not entered; refused ones are noted once.
                    if depth < MAX_DEPTH && self.intake.path(&name).is_some() {
                        open.push((entry.oid.to_owned(), name, depth + 1));
                    }
                } else if let Some(path) = self.intake.path(&name) {
                    self.file(path, entry.mode, entry.oid.to_owned());
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, mode: gix::objs::tree::EntryMode, id: ObjectId) {
        if mode.is_commit() {
            return self.intake.note(&path, "submodule", "another repository; left out");
        }
        if mode.is_link() {
            let target = object(self.repository, id, Kind::Blob, MAX_LINK_BYTES).unwrap_or_else(|_| b"/".into());
            let message = link_message(&path, &target, false);
            return self.intake.skip(path, 0, SkipReason::Link, message);
        }
        let bytes = self.repository.find_header(id).map_or(0, |header| header.size());
        let max_bytes = self.intake.options().max_file_bytes;
        if bytes > max_bytes {
            return self.intake.too_large(path, bytes);
        }
        match object(self.repository, id, Kind::Blob, max_bytes) {
            Ok(content) => self.intake.take(path, content),
            Err(reason) => {
                self.intake.skip(path, bytes, SkipReason::Unreadable, &format!("could not be read: {reason}"));
            }
        }
    }
}

/// An error and its causes on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line.replace('\n', " ")
}
