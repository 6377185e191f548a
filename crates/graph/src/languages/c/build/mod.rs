//! Include directories as the build files of a repository name them; no build tool is run.
//!
//! CMake, make (automake too) and Meson files → [`SearchPaths`]: for each source file the directories of the targets it is
//! listed in, then those of each build file above it, the nearest first. What cannot be read off a
//! build file (a package that is looked for, what a caller sets) is passed over, and both branches of
//! what depends on it count.
//!
//! Invariants: reading never fails and takes bounded work, whatever the files say; only folders
//! inside the repository count.

mod cmake;
mod commands;
mod conditions;
mod globs;
mod linux;
mod make;
mod meson;
mod search;
mod targets;
mod text;

use crate::repository::Repository;

pub(super) use search::SearchPaths;

/// What all build files of a repository say.
pub(super) fn read(repository: &Repository) -> SearchPaths {
    let mut paths = SearchPaths::default();
    cmake::read(repository, &mut paths);
    make::read(repository, &mut paths);
    meson::read(repository, &mut paths);
    paths
}
