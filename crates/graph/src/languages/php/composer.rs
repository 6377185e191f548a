//! How `composer.json` files say that classes are loaded; composer is never run.
//!
//! Source: the composer schema, "autoload", and PSR-4 and PSR-0 of PHP-FIG.

use serde_json::Value;

use crate::paths;
use crate::repository::Repository;

/// One `composer.json`: what it loads from where, directories from the repository's root.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// Its directory.
    pub(super) directory: String,
    /// Prefix and directory, longest prefixes first.
    pub(super) psr4: Vec<(String, String)>,
    /// The same of the older rule.
    pub(super) psr0: Vec<(String, String)>,
    /// Files and directories that are searched for definitions.
    pub(super) classmap: Vec<String>,
    /// Files that are loaded always.
    pub(super) files: Vec<String>,
}

/// Every project, the innermost directories first.
pub(super) fn projects(repository: &Repository) -> Vec<Project> {
    let manifests = repository.files.iter().filter(|(path, _)| paths::file_name(path) == "composer.json");
    let mut projects: Vec<Project> = manifests.map(|(path, text)| project(paths::parent(path), text)).collect();
    projects.sort_by(|a, b| (b.directory.len(), &a.directory).cmp(&(a.directory.len(), &b.directory)));
    projects
}

fn project(directory: &str, text: &str) -> Project {
    let mut project = Project { directory: directory.to_owned(), ..Project::default() };
    let manifest: Value = serde_json::from_str(text).unwrap_or_default();
    for section in ["autoload", "autoload-dev"].iter().filter_map(|section| manifest.get(section)) {
        let paths_of = |value: &Value| -> Vec<String> {
            let all = match value {
                Value::Array(all) => all.clone(),
                one => vec![one.clone()],
            };
            all.iter().filter_map(|path| paths::join(directory, path.as_str()?)).collect()
        };
        for (key, prefixes) in [("psr-4", &mut project.psr4), ("psr-0", &mut project.psr0)] {
            for (prefix, value) in section.get(key).and_then(Value::as_object).into_iter().flatten() {
                prefixes.extend(paths_of(value).into_iter().map(|path| (prefix.clone(), path)));
            }
        }
        project.classmap.extend(section.get("classmap").map(paths_of).unwrap_or_default());
        project.files.extend(section.get("files").map(paths_of).unwrap_or_default());
    }
    for prefixes in [&mut project.psr4, &mut project.psr0] {
        // A stable sort: directories of one prefix keep the order of the manifest.
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }
    project
}

impl Project {
    /// Files that the rules for prefixes name for a class, the first to be tried first.
    pub(super) fn by_prefix<'a>(&'a self, class: &'a str) -> impl Iterator<Item = String> + 'a {
        let four = self.psr4.iter().filter_map(move |(prefix, directory)| {
            let rest = class.strip_prefix(prefix.as_str())?;
            paths::join(directory, &format!("{}.php", rest.replace('\\', "/")))
        });
        let zero = self.psr0.iter().filter_map(move |(prefix, directory)| {
            class.strip_prefix(prefix.as_str())?;
            // Underscores separate too, in the class's own name.
            let (namespace, name) = class.rsplit_once('\\').map_or(("", class), |(namespace, name)| (namespace, name));
            let path = format!("{}/{}.php", namespace.replace('\\', "/"), name.replace('_', "/"));
            paths::join(directory, path.trim_start_matches('/'))
        });
        four.chain(zero)
    }

    /// Whether it says how anything of its own is loaded.
    pub(super) fn loads(&self) -> bool {
        let prefixes = self.psr4.len() + self.psr0.len();
        prefixes + self.classmap.len() + self.files.len() > 0
    }

    /// Whether a prefix of the project's own covers the class.
    pub(super) fn claims(&self, class: &str) -> bool {
        self.psr4.iter().any(|(prefix, _)| !prefix.is_empty() && class.starts_with(prefix.as_str()))
    }
}
