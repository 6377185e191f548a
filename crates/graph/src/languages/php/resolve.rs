//! Which file defines a PHP name written in full, and which file an `include` names.
//!
//! A class is looked for by the prefixes that `composer.json` maps, then among the definitions in
//! its class map and its files. A name that exactly one file defines is taken for that one
//! ([`Confidence::Likely`]) where no rule says how it is loaded; of names without a namespace only
//! constants are where composer loads classes, as a class or function that it does not load is
//! then a dependency's. What a file defines only where nothing else has (`function_exists`) is
//! another file's only within its own project. A function or constant not found in its namespace
//! is the global one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::composer::{self, Project};
use super::{Definition, Facts, Kind, key};
use crate::paths;
use crate::repository::Repository;

/// The names of a repository.
pub(super) struct Names<'r> {
    repository: &'r Repository,
    projects: Vec<Project>,
    /// Files by what they define; whether they do so only where nothing else has.
    definitions: HashMap<(Kind, String), BTreeMap<&'r str, bool>>,
    /// Namespaces that some file declares something in, in lower case.
    namespaces: BTreeSet<String>,
}

impl<'r> Names<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let mut definitions: HashMap<(Kind, String), BTreeMap<&str, bool>> = HashMap::new();
        let mut namespaces = BTreeSet::new();
        for (path, file) in context.parsed {
            for Definition { kind, name, guarded } in &file.facts.defines {
                *definitions.entry(key(*kind, name)).or_default().entry(path).or_insert(true) &= guarded;
                namespaces.extend(name.rsplit_once('\\').map(|(namespace, _)| namespace.to_lowercase()));
            }
        }
        let projects = composer::projects(context.repository);
        Self { repository: context.repository, projects, definitions, namespaces }
    }

    /// The projects as `from` sees them: those around it first, innermost first, and whether they
    /// are.
    fn projects_for(&self, from: &str) -> impl Iterator<Item = (&Project, bool)> {
        let around = self.projects.iter().map(move |project| (project, paths::is_below(from, &project.directory)));
        let (own, others): (Vec<_>, Vec<_>) = around.partition(|(_, around)| *around);
        own.into_iter().chain(others)
    }

    fn find(&self, from: &str, kind: Kind, name: &str) -> Option<(String, Confidence)> {
        let defining = self.definitions.get(&key(kind, name));
        let mut composed = false;
        for (project, around) in self.projects_for(from) {
            composed |= around && project.loads();
            if kind == Kind::Class {
                let mut files = project.by_prefix(name);
                if let Some(file) = files.find(|file| self.repository.contains(file)) {
                    return Some((file, Confidence::Exact));
                }
            }
            let loaded = |(file, guarded): &(&&str, &bool)| {
                let listed = project.files.iter().any(|path| path == **file)
                    || (kind == Kind::Class && project.classmap.iter().any(|path| paths::is_below(file, path)));
                listed && (around || !**guarded)
            };
            if let Some((file, _)) = defining.and_then(|files| files.iter().find(loaded)) {
                return Some(((*file).to_owned(), Confidence::Exact));
            }
        }
        let files = defining?;
        if files.contains_key(from) {
            return Some((from.to_owned(), Confidence::Exact));
        }
        let global = !name.contains('\\');
        if global && composed && kind != Kind::Constant {
            return None;
        }
        let mut candidates = files.iter().filter(|(_, guarded)| !(global && **guarded)).map(|(file, _)| *file);
        let only = candidates.next().filter(|_| candidates.next().is_none())?;
        Some((only.to_owned(), Confidence::Likely))
    }

    /// As `find`, with the global function or constant where the namespace has none.
    fn find_or_global(&self, from: &str, kind: Kind, name: &str) -> Option<(String, Confidence)> {
        let global = || {
            let last = name.rsplit('\\').next().filter(|last| kind != Kind::Class && last.len() < name.len())?;
            self.find(from, kind, last)
        };
        self.find(from, kind, name).or_else(global)
    }

    fn include(&self, from: &str, path: &str, here: bool) -> Resolution {
        let directory = paths::parent(from);
        let relative = path.trim_start_matches('/');
        let found = |directory: &str| paths::join(directory, relative).filter(|path| self.repository.contains(path));
        let edge = |to, confidence| Resolution::File { to, kind: "include", confidence, names: Vec::new() };
        // Without `__DIR__` the include path is asked first, which the repository does not say.
        let certain = here || path.starts_with('.');
        match found(directory) {
            Some(to) if certain => edge(to, Confidence::Exact),
            Some(to) => edge(to, Confidence::Likely),
            None => {
                let elsewhere = Some(()).filter(|()| !here && !path.starts_with('/'));
                match elsewhere.and_then(|()| paths::ancestors(directory).find_map(found)) {
                    Some(to) => edge(to, Confidence::Likely),
                    // What composer writes is never checked in.
                    None if relative.split('/').any(|part| part == "vendor") => {
                        Resolution::Unresolved { name: path.to_owned(), class: UnresolvedClass::External }
                    }
                    None => Resolution::Unresolved { name: path.to_owned(), class: UnresolvedClass::Missing },
                }
            }
        }
    }

    fn class(&self, name: &str) -> UnresolvedClass {
        let namespace = name.rsplit_once('\\').map(|(namespace, _)| namespace.to_lowercase());
        let ours = namespace.is_some_and(|namespace| self.namespaces.contains(&namespace));
        if ours || self.projects.iter().any(|project| project.claims(name)) {
            UnresolvedClass::Missing
        } else if name.contains('\\') {
            UnresolvedClass::External
        } else {
            UnresolvedClass::StandardLibrary
        }
    }
}

impl Resolve<Facts> for Names<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let mut links = Vec::new();
        let mut met = BTreeSet::from([from.to_owned()]);
        for (line, kind, name) in &facts.uses {
            let last = name.rsplit('\\').next().unwrap_or_default().to_owned();
            let resolution = match self.find_or_global(from, *kind, name) {
                Some((to, confidence)) => {
                    met.insert(to.clone());
                    Resolution::File { to, kind: "import", confidence, names: vec![last] }
                }
                // A namespace may be imported to shorten the names below it.
                None if self.is_namespace(name) => continue,
                None => Resolution::Unresolved { name: name.clone(), class: self.class(name) },
            };
            links.push(resolution.at(*line));
        }
        for (line, path, here) in &facts.includes {
            let resolution = self.include(from, path, *here);
            if let Resolution::File { to, .. } = &resolution {
                met.insert(to.clone());
            }
            links.push(resolution.at(*line));
        }
        links.extend(facts.computed.iter().map(|(line, written)| Resolution::computed(written).at(*line)));
        // What no `use` brought: names of the own namespace, and names written out.
        let mut others: BTreeMap<String, (u32, Confidence, Vec<String>)> = BTreeMap::new();
        for ((kind, name), line) in &facts.names {
            if let Some((to, confidence)) = self.find_or_global(from, *kind, name).filter(|(to, _)| !met.contains(to)) {
                let other = others.entry(to).or_insert((*line, confidence, Vec::new()));
                other.0 = other.0.min(*line);
                other.2.push(name.rsplit('\\').next().unwrap_or_default().to_owned());
            }
        }
        links.extend(others.into_iter().map(|(to, (line, confidence, names))| {
            Resolution::File { to, kind: "import", confidence, names }.at(line)
        }));
        links
    }
}

impl Names<'_> {
    /// Whether something is declared in the namespace `name` or below it.
    fn is_namespace(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let first = self.namespaces.range(name.clone()..).next();
        first.is_some_and(|found| *found == name || found.starts_with(&format!("{name}\\")))
    }
}
