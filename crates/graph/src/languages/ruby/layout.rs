//! Projects that load constants by their names: a gem that sets Zeitwerk to work, and Rails.
//!
//! A path below an autoload root spells a constant: `foo/bar_baz.rb` is `Foo::BarBaz`. Acronyms
//! (`html_parser.rb`, `HTMLParser`) are set by each program; here names are compared without case
//! and underscores, which every such rule agrees with.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths;
use crate::repository::Repository;

/// Constants by the files that must define them.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Directories whose files are loaded by name, and the directory of the project that does so.
    roots: Vec<(String, String)>,
    /// Files by project and folded constant.
    files: BTreeMap<(String, String), String>,
    /// Constants that a directory stands for, by project.
    namespaces: BTreeSet<(String, String)>,
}

/// Directories below `app/` of Rails that hold no Ruby constants.
const NO_ROOTS: [&str; 3] = ["app/assets", "app/views", "app/javascript"];

impl Layout {
    /// The layout of a repository; `gems` are the projects that call Zeitwerk for their `lib`.
    pub(super) fn new(repository: &Repository, gems: &BTreeSet<String>) -> Self {
        let mut roots: BTreeSet<(String, String)> = BTreeSet::new();
        for gem in gems {
            roots.extend(paths::join(gem, "lib").map(|root| (root, gem.clone())));
        }
        for application in repository.paths().filter_map(|path| path.strip_suffix("config/application.rb")) {
            let project = application.trim_end_matches('/');
            for path in repository.paths().filter(|path| path.ends_with(".rb")) {
                let Some(inside) = path.strip_prefix(application).filter(|path| path.starts_with("app/")) else {
                    continue;
                };
                let mut parts = inside.splitn(4, '/');
                let (Some(_), Some(kind), Some(next)) = (parts.next(), parts.next(), parts.next()) else { continue };
                let root = format!("app/{kind}");
                if NO_ROOTS.contains(&root.as_str()) {
                    continue;
                }
                roots.extend(paths::join(project, &root).map(|root| (root, project.to_owned())));
                if next == "concerns" {
                    roots.extend(paths::join(project, &format!("{root}/concerns")).map(|it| (it, project.to_owned())));
                }
            }
        }
        let mut layout = Self { roots: roots.into_iter().collect(), ..Self::default() };
        // The innermost root of a file names it.
        layout.roots.sort_by_key(|(root, _)| std::cmp::Reverse(root.len()));
        for path in repository.paths().filter(|path| path.ends_with(".rb")) {
            let Some((root, project)) = layout.roots.iter().find(|(root, _)| paths::is_below(path, root)).cloned()
            else {
                continue;
            };
            let inside = path[root.len()..].trim_matches('/').trim_end_matches(".rb");
            let constant = fold(&inside.replace('/', "::"));
            for (at, _) in constant.match_indices("::") {
                layout.namespaces.insert((project.clone(), constant[..at].to_owned()));
            }
            layout.files.entry((project, constant)).or_insert_with(|| path.to_owned());
        }
        layout
    }

    /// The project whose constants a file sees by name; none where it must require what it uses.
    pub(super) fn project_of(&self, from: &str) -> Option<&str> {
        let projects = self.roots.iter().map(|(_, project)| project);
        projects
            .filter(|project| paths::is_below(from, project))
            .max_by_key(|project| project.len())
            .map(String::as_str)
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

fn fold(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}
