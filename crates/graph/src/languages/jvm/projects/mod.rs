//! Which project a Java or Kotlin file belongs to, and which projects that one is built with.
//!
//! POM and Gradle files → [`Projects`]: a project is a folder with such a file; [`Projects::steps`] counts the
//! dependencies from one file's project to another's. No build tool is run; versions and variables are
//! followed as far as the files of the repository say them.
//!
//! Invariant: reading never fails and takes bounded work; a dependency on what is not in the
//! repository is none.

mod gradle;
mod pom;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::OnceLock;

use crate::paths;
use crate::repository::Repository;

/// Projects one project is built with, directly or not.
const MAX_DEPENDENCIES: usize = 512;

/// One folder that is built by itself.
#[derive(Debug, Default)]
struct Project {
    /// The folders of the projects it names.
    uses: Vec<String>,
    /// Steps to those and to what they use.
    reaches: OnceLock<HashMap<String, usize>>,
}

/// The projects of a repository.
#[derive(Debug, Default)]
pub(super) struct Projects {
    by_folder: BTreeMap<String, Project>,
}

impl Projects {
    pub(super) fn new(repository: &Repository) -> Self {
        let mut projects = Self::default();
        pom::read(repository, &mut projects);
        gradle::read(repository, &mut projects);
        projects
    }

    fn add(&mut self, folder: &str, uses: impl IntoIterator<Item = String>) {
        let project = self.by_folder.entry(folder.to_owned()).or_default();
        project.uses.extend(uses.into_iter().filter(|used| used != folder));
    }

    fn of<'p>(&self, file: &'p str) -> Option<&'p str> {
        if self.by_folder.is_empty() {
            return None;
        }
        paths::ancestors(file).find(|folder| self.by_folder.contains_key(*folder))
    }

    /// How many dependencies lead from the project of one file to that of another, 0 within one;
    /// none where no build file says so.
    pub(super) fn steps(&self, from: &str, to: &str) -> Option<usize> {
        let (from, to) = (self.of(from)?, self.of(to)?);
        if from == to {
            return Some(0);
        }
        let project = self.by_folder.get(from)?;
        project.reaches.get_or_init(|| self.reached(from)).get(to).copied()
    }

    fn reached(&self, from: &str) -> HashMap<String, usize> {
        let mut found: HashMap<String, usize> = HashMap::new();
        let mut open = VecDeque::from([(from, 0)]);
        while let Some((folder, steps)) = open.pop_front() {
            for used in self.by_folder.get(folder).map_or(&[][..], |project| &project.uses) {
                if found.len() < MAX_DEPENDENCIES && used != from && !found.contains_key(used) {
                    found.insert(used.clone(), steps + 1);
                    open.push_back((used, steps + 1));
                }
            }
        }
        found
    }
}
