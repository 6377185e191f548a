//! Which file an `#include` names.
//!
//! `"x"` is looked for beside the including file, then, as `<x>` is, in the directories of a
//! compilation database: both are [`Confidence::Exact`]. Without one the include directories are
//! guessed, and the edge is [`Confidence::Likely`]: those that projects use by convention, then
//! the one file of the repository whose path ends like that. A header of the C, C++ or POSIX
//! library in `<…>` is the library's unless a directory named `include` offers it.

use std::collections::HashMap;

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::{Link, Resolution, Resolve};
use super::compilation::{self, Compilation};
use super::includes::Include;
use super::standard;
use crate::paths;
use crate::repository::Repository;

/// Directories that hold headers by convention, seen from any directory above the file.
const CONVENTIONAL: [&str; 4] = ["include", "", "src", "inc"];
/// Directories above a file that are looked at.
const MAX_ABOVE: usize = 64;

/// The files that may be included.
pub(super) struct Headers<'r> {
    repository: &'r Repository,
    compilation: Compilation,
    /// Every path by its last component.
    by_name: HashMap<&'r str, Vec<&'r str>>,
}

impl<'r> Headers<'r> {
    pub(super) fn new(repository: &'r Repository) -> Self {
        let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
        for path in repository.paths() {
            by_name.entry(paths::file_name(path)).or_default().push(path);
        }
        by_name.values_mut().for_each(|paths| paths.sort_unstable());
        Self { repository, compilation: compilation::read(repository), by_name }
    }

    fn find(&self, from: &str, include: &Include) -> Result<(String, Confidence), UnresolvedClass> {
        let Include { path, quoted, .. } = include;
        let standard = !quoted && standard::contains(path);
        // On some systems both slashes separate.
        let path = &path.replace('\\', "/");
        let at = |directory: &str| paths::join(directory, path).filter(|found| self.repository.contains(found));
        if let Some(found) = at(paths::parent(from)).filter(|_| *quoted) {
            return Ok((found, Confidence::Exact));
        }
        let searched = self.compilation.of_file.get(from).unwrap_or(&self.compilation.all);
        if let Some(found) = searched.iter().find_map(|directory| at(directory)) {
            return Ok((found, Confidence::Exact));
        }
        let likely = if standard { self.own_library(from, path) } else { self.likely(from, path) };
        match likely {
            Some(found) => Ok((found, Confidence::Likely)),
            None if standard || standard::contains(path) => Err(UnresolvedClass::StandardLibrary),
            None if *quoted => Err(UnresolvedClass::Missing),
            None => Err(UnresolvedClass::External),
        }
    }

    /// By convention, the nearest directory first; else the one path that ends like that.
    fn likely(&self, from: &str, path: &str) -> Option<String> {
        // What includes a file of its own name means another one.
        let other = |found: &String| found != from && self.repository.contains(found);
        let at = |directory: String| paths::join(&directory, path).filter(other);
        let above = paths::ancestors(from).take(MAX_ABOVE);
        let conventional = above.flat_map(|above| CONVENTIONAL.map(|name| below(above, name)));
        conventional.into_iter().find_map(at).or_else(|| self.by_suffix(from, path))
    }

    /// A library's own repository offers the library's headers in `include`.
    fn own_library(&self, from: &str, path: &str) -> Option<String> {
        let above = paths::ancestors(from).take(MAX_ABOVE).map(|above| below(above, "include"));
        above.filter_map(|directory| paths::join(&directory, path)).find(|found| self.repository.contains(found))
    }

    /// The path that ends with `path`; of several, the one that shares most directories with `from`.
    fn by_suffix(&self, from: &str, path: &str) -> Option<String> {
        let plain = path.trim_start_matches("../").trim_start_matches("./");
        let candidates = self.by_name.get(paths::file_name(plain))?.iter();
        let mut ends = candidates.filter(|candidate| {
            let before = candidate.strip_suffix(plain).filter(|_| **candidate != from);
            before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        });
        let (first, second) = (ends.next()?, ends.next());
        if second.is_none() {
            return Some((*first).to_owned());
        }
        let candidates: Vec<&&str> = [first].into_iter().chain(second).chain(ends).collect();
        let shared =
            |path: &str| paths::parent(from).split('/').zip(path.split('/')).take_while(|(a, b)| a == b).count();
        let most = candidates.iter().map(|path| shared(path)).max()?;
        let mut nearest = candidates.into_iter().filter(|path| most > 0 && shared(path) == most);
        let (found, None) = (nearest.next()?, nearest.next()) else { return None };
        Some((*found).to_owned())
    }
}

impl Resolve<Vec<Include>> for Headers<'_> {
    fn resolve(&self, from: &str, includes: &Vec<Include>) -> Vec<Link> {
        let link = |include: &Include| {
            let resolution = match self.find(from, include) {
                Ok((to, confidence)) => Resolution::File { to, kind: "include", confidence, names: Vec::new() },
                Err(class) => Resolution::Unresolved { name: include.path.clone(), class },
            };
            resolution.at(include.line)
        };
        includes.iter().map(link).collect()
    }
}

fn below(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, name) => format!("{directory}/{name}"),
    }
}
