//! Which C# project a file belongs to, and which projects it sees; no build tool is run.
//!
//! A file belongs to the nearest directory above it with a project file. Projects see the ones
//! they reference, and what those reference.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths;
use crate::repository::Repository;

/// The projects of a repository.
#[derive(Debug, Default)]
pub(super) struct Projects {
    /// By directory: the directories it sees, its own included.
    sees: BTreeMap<String, BTreeSet<String>>,
    /// By directory: namespaces that the project file imports everywhere.
    pub(super) usings: BTreeMap<String, Vec<String>>,
}

impl Projects {
    pub(super) fn new(repository: &Repository) -> Self {
        let manifests = repository.files.iter().filter(|(path, _)| paths::extension(path) == "csproj");
        let mut references: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut usings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, text) in manifests {
            let directory = paths::parent(path);
            let named = attributes(text, "ProjectReference").filter_map(|include| {
                let project = paths::join(directory, &include.replace('\\', "/"))?;
                Some(paths::parent(&project).to_owned())
            });
            references.entry(directory.to_owned()).or_default().extend(named);
            usings.entry(directory.to_owned()).or_default().extend(attributes(text, "Using").map(str::to_owned));
        }
        let mut sees = BTreeMap::new();
        for project in references.keys() {
            let mut seen = BTreeSet::from([project.clone()]);
            let mut open = vec![project];
            while let Some(project) = open.pop() {
                for referenced in references.get(project).into_iter().flatten() {
                    if seen.insert(referenced.clone()) {
                        open.push(referenced);
                    }
                }
            }
            sees.insert(project.clone(), seen);
        }
        Self { sees, usings }
    }

    /// The project a file belongs to.
    pub(super) fn of<'p>(&self, file: &'p str) -> Option<&'p str> {
        paths::ancestors(file).find(|directory| self.sees.contains_key(*directory))
    }

    /// Whether a file's project sees another's; files outside every project see all.
    pub(super) fn sees(&self, from: &str, to: &str) -> bool {
        match (self.of(from).and_then(|project| self.sees.get(project)), self.of(to)) {
            (Some(seen), Some(project)) => seen.contains(project),
            _ => true,
        }
    }
}

/// The values of `Include` in elements of this name.
fn attributes<'t>(text: &'t str, element: &str) -> impl Iterator<Item = &'t str> + use<'t> {
    let start = format!("<{element} ");
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(&start)?;
            rest = &rest[at + start.len()..];
            let tag = rest.split('>').next().unwrap_or_default();
            if let Some((_, value)) = tag.split_once("Include=\"") {
                return value.split('"').next();
            }
        }
    })
}
