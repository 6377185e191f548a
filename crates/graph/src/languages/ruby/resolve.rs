//! Which file a Ruby `require` or constant names.
//!
//! The load path holds the `lib` of every gem (or what its gemspec says), the own gem's first;
//! files below `test` and `spec` see those directories too, as their runners add them. Constants
//! are looked up only where the layout loads them by name: lexically, innermost module first, and
//! what the file defines itself is its own. A file that an `autoload` promises counts where the
//! promise is written.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::facts::{Constant, Facts, Require};
use super::layout::Layout;
use super::places::Base;
use super::stdlib;
use crate::paths;
use crate::repository::Repository;

/// The files of a repository as Ruby finds them.
pub(super) struct LoadPaths<'r> {
    context: Context<'r, Facts>,
    /// Project directories and the directories they put on the load path.
    projects: Vec<(String, Vec<String>)>,
    layout: Layout,
}

impl<'r> LoadPaths<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let repository = context.repository;
        let is_manifest = |path: &&str| paths::extension(path) == "gemspec" || paths::file_name(path) == "Gemfile";
        let mut projects: BTreeMap<String, BTreeSet<String>> = BTreeMap::from([(String::new(), BTreeSet::new())]);
        for manifest in repository.paths().filter(is_manifest) {
            let text = repository.files.get(manifest).map(String::as_str).unwrap_or_default();
            projects.entry(paths::parent(manifest).to_owned()).or_default().extend(require_paths(text));
        }
        let layout = Layout::new(context, &projects.keys().map(String::as_str).collect());
        let mut projects: Vec<(String, Vec<String>)> = projects
            .into_iter()
            .map(|(project, mut paths)| {
                paths.insert("lib".to_owned());
                let roots = paths.iter().filter_map(|path| paths::join(&project, path)).collect();
                (project, roots)
            })
            .collect();
        projects.sort_by_key(|(project, _)| std::cmp::Reverse(project.len()));
        Self { context, projects, layout }
    }

    fn repository(&self) -> &'r Repository {
        self.context.repository
    }

    /// The file of a path without or with its extension.
    fn file(&self, directory: &str, path: &str, whole: bool) -> Option<String> {
        let plain = paths::join(directory, path)?;
        let named = format!("{plain}.rb");
        if !whole && self.repository().contains(&named) {
            return Some(named);
        }
        ((whole || plain.contains('.')) && self.repository().contains(&plain)).then_some(plain)
    }

    fn require(&self, from: &str, require: &Require) -> Resolution {
        let Require { place, whole, constant, .. } = require;
        let exact = |file| (file, Confidence::Exact);
        let found = match place.base {
            Base::Here => self.file(paths::parent(from), &place.path, *whole).map(exact),
            Base::Root => {
                let projects = self.projects.iter().filter(|(project, _)| paths::is_below(from, project));
                projects.map(|(project, _)| project).find_map(|it| self.file(it, &place.path, *whole)).map(exact)
            }
            Base::LoadPath => self.on_load_path(from, &place.path, *whole),
        };
        if let Some((to, confidence)) = found {
            let names = constant.clone().into_iter().collect();
            return Resolution::File { to, kind: "import", confidence, names };
        }
        let first = place.path.split('/').next().unwrap_or_default();
        let class = match place.base {
            Base::Here | Base::Root => UnresolvedClass::Missing,
            Base::LoadPath if stdlib::contains(first) => UnresolvedClass::StandardLibrary,
            // Where the own library has a part of that name, more of it should be here.
            Base::LoadPath if first != place.path && self.is_own(from, first) => UnresolvedClass::Missing,
            Base::LoadPath => UnresolvedClass::External,
        };
        Resolution::Unresolved { name: place.path.clone(), class }
    }

    fn on_load_path(&self, from: &str, path: &str, whole: bool) -> Option<(String, Confidence)> {
        let own = |project: &&(String, Vec<String>)| paths::is_below(from, &project.0);
        let (around, others): (Vec<_>, Vec<_>) = self.projects.iter().partition(own);
        let find = |projects: &[&(String, Vec<String>)]| {
            projects.iter().flat_map(|(_, roots)| roots).find_map(|root| self.file(root, path, whole))
        };
        if let Some(file) = find(&around) {
            return Some((file, Confidence::Exact));
        }
        // Runners of tests put their own directories on the path; programs start at the root.
        for (project, _) in &around {
            let inside = from.strip_prefix(project.as_str()).unwrap_or(from).trim_start_matches('/');
            for folder in ["test", "spec", "features"].into_iter().filter(|folder| inside.starts_with(folder)) {
                if let Some(file) = paths::join(project, folder).and_then(|folder| self.file(&folder, path, whole)) {
                    return Some((file, Confidence::Likely));
                }
            }
            if path.starts_with("./") {
                return self.file(project, path, whole).map(|file| (file, Confidence::Likely));
            }
        }
        let first = path.split('/').next().unwrap_or_default();
        // A library of the standard goes before a gem that only stands in the same repository.
        find(&others).filter(|_| !stdlib::contains(first)).map(|file| (file, Confidence::Exact))
    }

    fn is_own(&self, from: &str, first: &str) -> bool {
        let around = self.projects.iter().filter(|(project, _)| paths::is_below(from, project));
        around.flat_map(|(_, roots)| roots).any(|root| self.file(root, first, false).is_some())
    }

    /// Whether a file that its path names for a constant defines it, and not one that differs from
    /// it in case alone (`VERSION`, `Version`).
    fn may_define(&self, file: &str, name: &str) -> bool {
        let Some(parsed) = self.context.parsed.get(file) else { return true };
        let mut same = parsed.facts.defines.iter().filter(|defined| defined.eq_ignore_ascii_case(name)).peekable();
        same.peek().is_none() || same.any(|defined| defined == name)
    }

    /// The file that a constant loads, the longest part of its path that has one; `own` are the
    /// constants of the file itself.
    fn constant(&self, projects: &[&str], own: &HashSet<&str>, constant: &Constant) -> Option<(&str, Confidence)> {
        let (absolute, path) = match constant.path.split_first() {
            Some((first, rest)) if first.is_empty() => (true, rest),
            _ => (false, &constant.path[..]),
        };
        let of_layout = |name: &str| {
            let file = projects.iter().find_map(|project| self.layout.file(project, name));
            file.filter(|file| self.may_define(file, name))
        };
        let is_namespace = |name: &str| projects.iter().any(|project| self.layout.is_namespace(project, name));
        let outer = if absolute { 0 } else { constant.nesting.len() };
        for depth in (0..=outer).rev() {
            let around = constant.nesting[..depth].join("::");
            let name = |end: usize| {
                let around = Some(around.as_str()).filter(|around| !around.is_empty()).into_iter();
                around.chain(path[..end].iter().map(String::as_str)).collect::<Vec<_>>().join("::")
            };
            let starts = name(1);
            if !own.contains(starts.as_str()) && of_layout(&starts).is_none() && !is_namespace(&starts) {
                continue;
            }
            let known = |name: &String| own.contains(name.as_str()) || of_layout(name).is_some();
            let found = (1..=path.len()).rev().map(name).find(known)?;
            let file = of_layout(&found)?;
            let defines = self.context.parsed.get(file).is_some_and(|parsed| parsed.facts.defines.contains(&found));
            return Some((file, if defines { Confidence::Exact } else { Confidence::Likely }));
        }
        None
    }
}

impl Resolve<Facts> for LoadPaths<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let mut links: Vec<Link> =
            facts.requires.iter().map(|require| self.require(from, require).at(require.line)).collect();
        links.extend(facts.computed.iter().map(|(line, written)| Resolution::computed(written).at(*line)));
        let projects = self.layout.projects_of(from);
        if projects.is_empty() {
            return links;
        }
        let own: HashSet<&str> = facts.defines.iter().map(String::as_str).collect();
        let mut met: BTreeSet<String> = BTreeSet::from([from.to_owned()]);
        met.extend(links.iter().filter_map(|link| match &link.resolution {
            Resolution::File { to, .. } => Some(to.clone()),
            Resolution::Unresolved { .. } => None,
        }));
        let mut loaded: BTreeMap<&str, (u32, Confidence, Vec<String>)> = BTreeMap::new();
        for (constant, line) in &facts.constants {
            let found = self.constant(&projects, &own, constant).filter(|(to, _)| !met.contains(*to));
            let Some((to, confidence)) = found else { continue };
            let entry = loaded.entry(to).or_insert((*line, confidence, Vec::new()));
            entry.0 = entry.0.min(*line);
            entry.1 = entry.1.min(confidence);
            entry.2.push(constant.path.join("::"));
        }
        links.extend(loaded.into_iter().map(|(to, (line, confidence, names))| {
            Resolution::File { to: to.to_owned(), kind: "import", confidence, names }.at(line)
        }));
        links
    }
}

/// The literal `require_paths` of a gemspec.
fn require_paths(gemspec: &str) -> Vec<String> {
    let Some((_, after)) = gemspec.split_once(".require_paths") else { return Vec::new() };
    let line = after.lines().next().unwrap_or_default();
    let quoted = line.split(['"', '\'']).skip(1).step_by(2).map(str::to_owned);
    if line.contains("%w") {
        let words = line.split(['[', '(', '{']).nth(1).unwrap_or_default().split([']', ')', '}']).next();
        return words.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    }
    quoted.collect()
}

#[cfg(test)]
mod tests {
    use super::require_paths;

    #[test]
    fn require_paths_are_read_in_their_usual_forms() {
        assert_eq!(require_paths("  s.require_paths = [\"lib\", 'ext']\n"), ["lib", "ext"]);
        assert_eq!(require_paths("spec.require_paths = %w[lib vendor/x]\n"), ["lib", "vendor/x"]);
        assert!(require_paths("s.name = 'x'\n").is_empty());
    }
}
