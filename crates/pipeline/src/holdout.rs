//! What is kept out of training, to measure models on: files of every repository, and whole repositories.
//!
//! A choice depends on names, the repository's graph and the seed, never on what else is in the set.

use std::collections::BTreeSet;

use recon_eval::HeldOutFile;
use recon_lm::RandomKey;
use recon_repository::Repository;
use recon_schema::graph::{RepoGraph, SkipReason};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

/// What is kept out of every training document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldoutOptions {
    /// How many files of each repository. Files that no other file imports are taken first, so that the rest stays whole.
    pub files: usize,
    /// Share of the repositories that are kept out as a whole; of a single one, none.
    pub repositories: f64,
    /// Which ones, among those as good.
    pub seed: u64,
}

impl Default for HoldoutOptions {
    fn default() -> Self {
        Self { files: 2, repositories: 0.0, seed: 0 }
    }
}

impl HoldoutOptions {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// Where the share is no share, or leaves nothing.
    pub fn validate(&self) -> Outcome {
        if (0.0..1.0).contains(&self.repositories) {
            return Ok(());
        }
        let message = format!("`holdout.repositories = {}`: expected a share from 0 to below 1", self.repositories);
        Err(Failure::input_because(message))
    }
}

/// Marks what is held out of one repository, in it and in its graph, which is put in order, and gives those files.
pub(crate) fn divide(
    repository: &mut Repository,
    graph: &mut RepoGraph,
    options: &HoldoutOptions,
    set_of_one: bool,
) -> Vec<HeldOutFile> {
    let whole = !set_of_one && is_held_out(&graph.repository.name, options);
    let chosen = if whole { sources(graph) } else { choose(graph, options) };
    let mut held_out = Vec::new();
    for path in &chosen {
        repository.untrain(path, SkipReason::HeldOut);
        let (repository, text) = (graph.repository.name.clone(), repository.files[path].clone());
        held_out.push(HeldOutFile { repository, path: path.clone(), text });
    }
    if whole {
        let rest: Vec<String> = repository.kept().map(|(path, _)| path.to_owned()).collect();
        rest.iter().for_each(|path| repository.untrain(path, SkipReason::HeldOut));
    }
    recon_graph::withhold(graph, &repository.untrained);
    held_out
}

fn sources(graph: &RepoGraph) -> BTreeSet<String> {
    let source = graph.files.iter().filter(|node| node.skipped.is_none() && node.language.is_some());
    source.map(|node| node.path.clone()).collect()
}

fn key(repository: &str, file: &str, options: &HoldoutOptions) -> u64 {
    let (repository, file) = (repository.to_owned(), file.to_owned());
    RandomKey { seed: options.seed, repository, file, step: 0, round: 0, candidate: 0 }.stream().bits(0)
}

/// Whether the repository of this name is kept out as a whole.
fn is_held_out(name: &str, options: &HoldoutOptions) -> bool {
    let share = (key(name, "", options) >> 11) as f64 / (1_u64 << 53) as f64;
    share < options.repositories
}

/// Source files to keep out: those that nothing imports first, then by keyed hash. At least half
/// of the source files stay.
fn choose(graph: &RepoGraph, options: &HoldoutOptions) -> BTreeSet<String> {
    let imported: BTreeSet<&str> = graph.edges.iter().map(|edge| edge.to.as_str()).collect();
    let name = &graph.repository.name;
    let sources = sources(graph);
    let rank = |path: &String| (imported.contains(path.as_str()), key(name, path, options), path.clone());
    let mut ranked: Vec<(bool, u64, String)> = sources.iter().map(rank).collect();
    ranked.sort_unstable();
    let most = options.files.min(ranked.len() / 2);
    ranked.into_iter().take(most).map(|(_, _, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use recon_graph::{build, link};

    use super::*;

    fn shop(name: &str) -> Repository {
        Repository::from_files(
            name,
            [
                ("money.py", "x = 1\n"),
                ("cart.py", "import money\n"),
                ("app.py", "import cart\n"),
                ("demo.py", "import cart\n"),
                ("README.md", "# Shop\n"),
            ],
        )
    }

    fn held_out(name: &str, options: &HoldoutOptions, set_of_one: bool) -> Vec<String> {
        let mut repository = shop(name);
        let mut graph = link(&repository);
        let held_out = divide(&mut repository, &mut graph, options, set_of_one);
        for file in &held_out {
            assert!(repository.content(&file.path).is_none() && !graph.order.contains(&file.path));
            assert_eq!(graph.file(&file.path).unwrap().skipped, Some(SkipReason::HeldOut));
        }
        assert_eq!(graph, build(&repository), "the graph is that of the repository as it is marked now");
        held_out.into_iter().map(|file| file.path).collect()
    }

    fn files(files: usize) -> HoldoutOptions {
        HoldoutOptions { files, ..HoldoutOptions::default() }
    }

    #[test]
    fn files_that_nothing_imports_are_held_out_first() {
        assert_eq!(held_out("shop", &files(2), true), ["app.py", "demo.py"]);
        assert_eq!(held_out("shop", &files(1), true), held_out("shop", &files(1), true));
    }

    #[test]
    fn at_least_half_of_the_files_stay() {
        assert_eq!(held_out("shop", &files(100), true).len(), 2);
        assert_eq!(held_out("shop", &files(0), true), Vec::<String>::new());
    }

    #[test]
    fn whole_repositories_are_held_out_by_their_names_and_never_the_only_one() {
        let options = HoldoutOptions { files: 0, repositories: 0.3, seed: 1 };
        let all = (0..200).filter(|at| held_out(&format!("shop{at}"), &options, false).len() == 4).count();
        assert!((40..80).contains(&all), "{all} of 200 for a share of 0.3");
        let alone = (0..50).filter(|at| !held_out(&format!("shop{at}"), &options, true).is_empty()).count();
        assert_eq!(alone, 0);
        for wrong in [f64::NAN, -0.1, 1.0, f64::INFINITY] {
            assert!(HoldoutOptions { repositories: wrong, ..options.clone() }.validate().is_err(), "{wrong}");
        }
    }
}
