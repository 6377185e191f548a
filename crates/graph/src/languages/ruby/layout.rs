//! Projects that load constants by their names: a gem that sets Zeitwerk to work, and Rails.
//!
//! A path below an autoload root spells a constant: `foo/bar_baz.rb` is `Foo::BarBaz`. Acronyms
//! (`html_parser.rb`, `HTMLParser`) are set by each program; here names are compared without case
//! and underscores, which every such rule agrees with. Roots are the folders of `app/` of a Rails
//! application or engine, `lib` of a gem, and what a program adds by `push_dir` and
//! `autoload_paths`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::family::Context;
use super::facts::{Facts, Pushed};
use super::places::Base;
use crate::paths;
use crate::repository::Repository;

/// Constants by the files that must define them.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Innermost directories first.
    roots: Vec<Root>,
    /// Files by project and folded constant.
    files: BTreeMap<(String, String), String>,
    /// Constants that a directory stands for, by project.
    namespaces: BTreeSet<(String, String)>,
}

/// A directory whose files are loaded by name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Root {
    directory: String,
    /// The directory of the project that loads them.
    project: String,
    /// The constant that the directory stands for, empty for the top.
    namespace: String,
}

/// Directories below `app/` of Rails that hold no Ruby constants.
const NO_ROOTS: [&str; 3] = ["app/assets", "app/views", "app/javascript"];

impl Layout {
    /// The layout of a repository whose gems stand in the directories `gems`.
    pub(super) fn new(context: Context<'_, Facts>, gems: &BTreeSet<&str>) -> Self {
        let repository = context.repository;
        let gem_of = |path| paths::ancestors(path).find(|directory| gems.contains(directory));
        let rails = rails(context);
        let mut roots: BTreeSet<Root> = BTreeSet::new();
        for project in &rails {
            roots.extend(folders_of_app(repository, project));
        }
        for (path, file) in context.parsed {
            let lib = file.facts.zeitwerk.then(|| gem_of(path)).flatten();
            roots.extend(lib.and_then(|gem| root(gem, "lib", gem, "")));
            let around = paths::ancestors(path).find(|directory| rails.contains(*directory));
            let Some(project) = around.or_else(|| gem_of(path)) else { continue };
            for Pushed { place, namespace } in &file.facts.pushed {
                let base = if place.base == Base::Here { paths::parent(path) } else { project };
                roots.extend(root(base, &place.path, project, namespace));
            }
        }
        let mut layout = Self { roots: roots.into_iter().collect(), ..Self::default() };
        layout.roots.sort_by_key(|root| std::cmp::Reverse(root.directory.len()));
        for path in repository.paths().filter(|path| path.ends_with(".rb")) {
            layout.name(path);
        }
        layout
    }

    /// Finds the constant of a file, which the innermost root around it spells.
    fn name(&mut self, path: &str) {
        let Some(root) = self.roots.iter().find(|root| paths::is_below(path, &root.directory)) else { return };
        let inside = path[root.directory.len()..].trim_matches('/').trim_end_matches(".rb").replace('/', "::");
        let constant = if root.namespace.is_empty() { inside } else { format!("{}::{inside}", root.namespace) };
        let (project, constant) = (&root.project, fold(&constant));
        for (at, _) in constant.match_indices("::") {
            self.namespaces.insert((project.clone(), constant[..at].to_owned()));
        }
        self.files.entry((project.clone(), constant)).or_insert_with(|| path.to_owned());
    }

    /// The projects whose constants a file sees by name, innermost first; none where it must
    /// require what it uses.
    pub(super) fn projects_of(&self, from: &str) -> Vec<&str> {
        let projects: BTreeSet<&str> = self.roots.iter().map(|root| root.project.as_str()).collect();
        let mut around: Vec<&str> = projects.into_iter().filter(|project| paths::is_below(from, project)).collect();
        around.sort_by_key(|project| std::cmp::Reverse(project.len()));
        around
    }

    /// The file of a constant of a project.
    pub(super) fn file(&self, project: &str, constant: &str) -> Option<&str> {
        self.files.get(&(project.to_owned(), fold(constant))).map(String::as_str)
    }

    /// Whether a directory stands for a constant of a project.
    pub(super) fn is_namespace(&self, project: &str, constant: &str) -> bool {
        self.namespaces.contains(&(project.to_owned(), fold(constant)))
    }
}

fn root(base: &str, directory: &str, project: &str, namespace: &str) -> Option<Root> {
    let directory = paths::join(base, directory)?;
    Some(Root { directory, project: project.to_owned(), namespace: namespace.to_owned() })
}

/// The directories of Rails applications, and of engines: the one above the definition that has a
/// `lib`.
fn rails(context: Context<'_, Facts>) -> BTreeSet<String> {
    let repository = context.repository;
    let applications = repository.paths().filter_map(|path| path.strip_suffix("config/application.rb"));
    let applications = applications.filter(|path| path.is_empty() || path.ends_with('/'));
    let mut rails: BTreeSet<String> = applications.map(|path| path.trim_end_matches('/').to_owned()).collect();
    let engines = context.parsed.iter().filter(|(_, file)| file.facts.engine);
    for (path, _) in engines {
        let has_lib = |directory: &&str| {
            paths::join(directory, "lib").is_some_and(|lib| repository.paths().any(|path| paths::is_below(path, &lib)))
        };
        rails.extend(paths::ancestors(path).find(has_lib).map(str::to_owned));
    }
    rails
}

/// The roots of a Rails project: the folders of its `app` and their `concerns`.
fn folders_of_app<'r>(repository: &'r Repository, project: &'r str) -> impl Iterator<Item = Root> + 'r {
    let inside = move |path: &'r str| Some(path.strip_prefix(project)?.trim_start_matches('/'));
    let files = repository.paths().filter(|path| path.ends_with(".rb") && paths::is_below(path, project));
    files.filter_map(inside).flat_map(move |path| {
        let mut parts = path.splitn(4, '/');
        let folders = match (parts.next(), parts.next(), parts.next()) {
            (Some("app"), Some(kind), Some(next)) => {
                let folder = format!("app/{kind}");
                let concerns = (next == "concerns").then(|| format!("{folder}/concerns"));
                [Some(folder).filter(|folder| !NO_ROOTS.contains(&folder.as_str())), concerns]
            }
            _ => [None, None],
        };
        folders.into_iter().flatten().filter_map(move |folder| root(project, &folder, project, ""))
    })
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}
