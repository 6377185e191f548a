//! Which file an `#include` names.
//!
//! `"x"` is looked for beside the including file; `<x>` never is. Both are then looked for in the directories of a
//! compilation database and in those that build files name for the file: that is
//! [`Confidence::Exact`]. What neither tells is guessed and [`Confidence::Likely`]: the directories that projects use
//! by convention, those that build files name for other files, then the file of the repository whose path ends like
//! that and stands nearest. A header of the C, C++ or POSIX library in `<…>` is the library's unless a directory named
//! `include` or a build file offers it. A macro stands for the header that the file, or what it
//! includes, says it is.

use std::collections::{BTreeSet, HashMap, VecDeque};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::build::{self, SearchPaths};
use super::compilation::{self, Compilation};
use super::includes::{Facts, Header, Include};
use super::modules::Modules;
use super::{nearness, standard};
use crate::paths;

/// Directories that hold headers by convention, seen from any directory above the file.
const CONVENTIONAL: [&str; 4] = ["include", "", "src", "inc"];
/// Directories above a file that are looked at.
const MAX_ABOVE: usize = 64;
/// Included files that are searched for a macro's value.
const MAX_SEARCHED: usize = 256;
/// Macros that stand for each other, one after another.
const MAX_ALIASES: usize = 8;

/// The files that may be included.
pub(super) struct Headers<'r> {
    context: Context<'r, Facts>,
    compilation: Compilation,
    build: SearchPaths,
    modules: Modules<'r>,
    /// Every path by its last component.
    by_name: HashMap<&'r str, Vec<&'r str>>,
    /// Files by the macros they define as the name of a header.
    definers: HashMap<&'r str, Vec<&'r str>>,
}

impl<'r> Headers<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let repository = context.repository;
        let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
        for path in repository.paths() {
            by_name.entry(paths::file_name(path)).or_default().push(path);
        }
        by_name.values_mut().for_each(|paths| paths.sort_unstable());
        let mut definers: HashMap<&str, Vec<&str>> = HashMap::new();
        for (&path, file) in context.parsed {
            for (name, header) in &file.facts.macros {
                if !matches!(header, Header::Macro(_)) {
                    definers.entry(name).or_default().push(path);
                }
            }
        }
        let (compilation, build) = (compilation::read(repository), build::read(repository));
        Self { context, compilation, build, modules: Modules::new(context), by_name, definers }
    }

    /// The file that `"path"` or `<path>` names.
    fn find(&self, from: &str, path: &str, quoted: bool, next: bool) -> Result<(String, Confidence), UnresolvedClass> {
        let repository = self.context.repository;
        let standard = !quoted && standard::contains(path);
        // On some systems both slashes separate.
        let path = &path.replace('\\', "/");
        let other = |found: &String| !(next && found == from) && repository.contains(found);
        let at = |directory: &str| paths::join(directory, path).filter(other);
        if let Some(found) = at(paths::parent(from)).filter(|_| quoted && !next) {
            return Ok((found, Confidence::Exact));
        }
        let searched = self.compilation.of_file.get(from).unwrap_or(&self.compilation.all);
        if let Some(found) = searched.iter().find_map(|directory| at(directory)) {
            return Ok((found, Confidence::Exact));
        }
        let mut ends = self.ends(path);
        ends.retain(|(file, _)| !(next && *file == from));
        let after = from.strip_suffix(path.as_str()).filter(|_| next).map(|before| before.trim_end_matches('/'));
        if let Some(found) = self.build.find(from, path, after, &ends, at) {
            return Ok((found, Confidence::Exact));
        }
        let likely = if standard { self.own_library(from, path) } else { self.likely(from, path, quoted, &ends) };
        match likely {
            Some(found) => Ok((found, Confidence::Likely)),
            None if standard || standard::contains(path) => Err(UnresolvedClass::StandardLibrary),
            None if quoted => Err(UnresolvedClass::Missing),
            None => Err(UnresolvedClass::External),
        }
    }

    /// The files whose path ends with `path`, each with the directory it is seen from.
    fn ends(&self, path: &str) -> Vec<(&'r str, &'r str)> {
        let plain = path.trim_start_matches("../").trim_start_matches("./");
        let candidates = self.by_name.get(paths::file_name(plain)).into_iter().flatten();
        let seen = |candidate: &&'r str| {
            let before = candidate.strip_suffix(plain)?;
            let directory = if before.is_empty() { before } else { before.strip_suffix('/')? };
            Some((*candidate, directory))
        };
        candidates.filter_map(seen).collect()
    }

    /// By convention, the nearest directory first; else what other files are compiled with; else the nearest file that
    /// ends like that.
    fn likely(&self, from: &str, path: &str, quoted: bool, ends: &[(&str, &str)]) -> Option<String> {
        let own = paths::parent(from);
        // What includes a file of its own name means another one.
        let other = |found: &String| found != from && self.context.repository.contains(found);
        let above = paths::ancestors(from).take(MAX_ABOVE);
        let conventional = above.flat_map(|above| CONVENTIONAL.map(|name| below(above, name)));
        let mut searched = conventional.filter(|directory| quoted || directory != own);
        if let Some(found) = searched.find_map(|directory| paths::join(&directory, path).filter(other)) {
            return Some(found);
        }
        // A header that a configuration makes from its template stands nowhere; files of its name are for systems
        // where nothing is configured.
        if self.is_made(path) {
            return None;
        }
        let near = |named: bool| {
            let files = ends
                .iter()
                .filter(|(_, directory)| (quoted || *directory != own) && (!named || self.build.names(directory)));
            nearness::only(from, files.map(|(file, _)| *file)).map(|(file, _)| file.to_owned())
        };
        near(true).or_else(|| near(false))
    }

    /// Whether the repository has the template of a header, as configure and CMake read them.
    fn is_made(&self, path: &str) -> bool {
        let name = paths::file_name(path);
        [".in", ".cmake", ".cmake.in", ".cmakein"].iter().any(|end| self.by_name.contains_key(&*format!("{name}{end}")))
    }

    /// A library's own repository offers the library's headers in `include`.
    fn own_library(&self, from: &str, path: &str) -> Option<String> {
        let above = paths::ancestors(from).take(MAX_ABOVE).map(|above| below(above, "include"));
        let offered = above.filter_map(|directory| paths::join(&directory, path));
        offered.into_iter().find(|found| found != from && self.context.repository.contains(found))
    }

    /// The headers that a macro stands for in a file: as the file says, else as what it includes
    /// says, else as the file says that includes it.
    fn values(&self, from: &str, name: &str) -> Vec<Header> {
        let mut met = BTreeSet::from([from]);
        let mut open = VecDeque::from([from]);
        while let Some(file) = open.pop_front() {
            let values = self.defined(file, name);
            if !values.is_empty() {
                return values;
            }
            for include in self.facts(file).map_or(&[][..], |facts| &facts.includes) {
                if met.len() < MAX_SEARCHED
                    && let Some(path) = self.plain(file, include)
                    && met.insert(path)
                {
                    open.push_back(path);
                }
            }
        }
        let definers = self.definers.get(name).map_or(&[][..], Vec::as_slice);
        let includes = |definer: &&&str| {
            let includes = self.facts(definer).map_or(&[][..], |facts| &facts.includes);
            includes.iter().take(MAX_SEARCHED).any(|include| self.plain(definer, include) == Some(from))
        };
        let including: Vec<&&str> = definers.iter().take(MAX_SEARCHED).filter(includes).collect();
        let meant = if including.is_empty() && definers.len() == 1 { definers.iter().collect() } else { including };
        meant.into_iter().flat_map(|definer| self.defined(definer, name)).collect()
    }

    /// What a file says a macro is; other macros followed as far as the file knows them.
    fn defined(&self, file: &str, name: &str) -> Vec<Header> {
        let Some(facts) = self.facts(file) else { return Vec::new() };
        let mut found: Vec<Header> = Vec::new();
        let mut names = vec![name];
        for _ in 0..MAX_ALIASES {
            let values = facts.macros.iter().filter(|(defined, _)| names.contains(&defined.as_str()));
            let mut aliases = Vec::new();
            for (_, value) in values {
                match value {
                    Header::Macro(alias) => aliases.push(alias.as_str()),
                    value if !found.contains(value) => found.push(value.clone()),
                    _ => {}
                }
            }
            names = aliases;
        }
        // An alias of what another file defines.
        for alias in names {
            let others = self.definers.get(alias).into_iter().flatten().filter(|other| **other != file);
            if let [only] = others.copied().collect::<Vec<_>>().as_slice() {
                found.extend(
                    self.facts(only)
                        .into_iter()
                        .flat_map(|it| &it.macros)
                        .filter(|it| it.0 == alias)
                        .map(|it| it.1.clone()),
                );
            }
        }
        found
    }

    fn facts(&self, file: &str) -> Option<&'r Facts> {
        self.context.parsed.get(file).map(|file| &file.facts)
    }

    /// The file of an include that names it.
    fn plain(&self, from: &str, include: &Include) -> Option<&'r str> {
        let (path, quoted) = match &include.header {
            Header::Quoted(path) => (path, true),
            Header::Angled(path) => (path, false),
            Header::Macro(_) => return None,
        };
        let (found, _) = self.find(from, path, quoted, include.next).ok()?;
        self.context.parsed.get_key_value(found.as_str()).map(|(path, _)| *path)
    }

    fn include(&self, from: &str, include: &Include) -> Vec<Link> {
        let headers = match &include.header {
            Header::Macro(name) => self.values(from, name),
            header => vec![header.clone()],
        };
        let through_macro = matches!(include.header, Header::Macro(_));
        let mut links = Vec::new();
        for header in headers {
            let (Header::Quoted(path) | Header::Angled(path)) = &header else { continue };
            let resolution = match self.find(from, path, matches!(header, Header::Quoted(_)), include.next) {
                Ok((to, confidence)) => Resolution::File { to, kind: "include", confidence, names: Vec::new() },
                // A value that leads nowhere may be one of several.
                Err(_) if through_macro => continue,
                Err(class) => Resolution::Unresolved { name: path.clone(), class },
            };
            links.push(resolution.at(include.line));
        }
        links
    }
}

impl Resolve<Facts> for Headers<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let mut links: Vec<Link> = facts.includes.iter().flat_map(|include| self.include(from, include)).collect();
        links.extend(facts.units.iter().filter_map(|(line, unit)| self.modules.resolve(from, *line, unit)));
        links
    }
}

fn below(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, name) => format!("{directory}/{name}"),
    }
}
