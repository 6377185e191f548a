//! The repository a run works on: read once, its held-out files taken out, its graphs built.

use std::collections::BTreeSet;

use recon_corpus::{CleanReport, clean};
use recon_eval::HeldOutFile;
use recon_graph::{Repository, build};
use recon_lm::RandomKey;
use recon_schema::Sha256;
use recon_schema::graph::RepoGraph;

use crate::config::{Config, HoldoutOptions};
use crate::failure::{Failure, Outcome};

/// A repository, divided into what is trained on and what is measured.
pub struct Prepared {
    /// The graph of everything read.
    pub whole: RepoGraph,
    /// The repository without its held-out files.
    pub repository: Repository,
    /// Its graph.
    pub graph: RepoGraph,
    /// The files kept out.
    pub held_out: Vec<HeldOutFile>,
    /// Digest over every path and text read.
    pub sha256: Sha256,
    /// What cleaning dropped and replaced.
    pub cleaned: CleanReport,
}

/// Reads the configured repository and divides it.
pub fn prepare(config: &Config) -> Outcome<Prepared> {
    let (repository, cleaned) = read(config)?;
    let whole = build(&repository);
    Ok(divide(repository, whole, cleaned, &config.holdout))
}

/// Reads and cleans the configured repository; one that is missing, holds no source or is
/// refused is the user's fault.
pub fn read(config: &Config) -> Outcome<(Repository, CleanReport)> {
    let source = config.repository()?;
    let mut repository = source.read(&config.read, &config.source).map_err(Failure::input)?;
    let report = clean(&mut repository, &config.clean);
    if let Some(rule) = &report.refused {
        let licence = repository.reference.licence.as_deref().unwrap_or("not known");
        return Err(Failure::input_because(format!("{source} is refused: {rule} (its licence: {licence})"))
            .hint("see `clean.licences`"));
    }
    if !repository.has_source() {
        let dropped = report.dropped.len();
        return Err(Failure::input_because(format!("{source}: cleaning dropped all source files ({dropped} files)"))
            .hint("the `diagnostics` of `recon graph` with rules switched off under `clean` name the rules"));
    }
    Ok((repository, report))
}

fn divide(mut repository: Repository, whole: RepoGraph, cleaned: CleanReport, options: &HoldoutOptions) -> Prepared {
    let sha256 = digest(&repository);
    let chosen = choose(&whole, options);
    let held_out = chosen.iter().map(|path| HeldOutFile {
        repository: whole.repository.name.clone(),
        path: path.clone(),
        text: repository.files[path].clone(),
    });
    let held_out: Vec<HeldOutFile> = held_out.collect();
    repository.remove(|path| chosen.contains(path));
    let graph = build(&repository);
    Prepared { whole, repository, graph, held_out, sha256, cleaned }
}

/// Over everything that decides what follows: name, commit, each file's path and text, and the
/// digest of its original where spans of it were replaced.
fn digest(repository: &Repository) -> Sha256 {
    let reference = serde_json::to_vec(&repository.reference).expect("a reference has string keys");
    let texts = repository.files.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
    let originals = repository.redacted.values().map(|original| original.sha256.as_bytes().as_slice());
    Sha256::of_fields(std::iter::once(reference.as_slice()).chain(texts).chain(originals))
}

/// Source files to keep out: those that nothing imports first, then by keyed hash. At least half
/// of the source files stay.
fn choose(graph: &RepoGraph, options: &HoldoutOptions) -> BTreeSet<String> {
    let imported: BTreeSet<&str> = graph.edges.iter().map(|edge| edge.to.as_str()).collect();
    let source = graph.files.iter().filter(|node| node.skipped.is_none() && node.language.is_some());
    let mut ranked: Vec<(bool, u64, &str)> = source
        .map(|node| {
            let key = RandomKey {
                seed: options.seed,
                repository: graph.repository.name.clone(),
                file: node.path.clone(),
                step: 0,
                round: 0,
                candidate: 0,
            };
            (imported.contains(node.path.as_str()), key.stream().bits(0), node.path.as_str())
        })
        .collect();
    ranked.sort_unstable();
    let most = options.files.min(ranked.len() / 2);
    ranked.into_iter().take(most).map(|(_, _, path)| path.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Repository {
        Repository::from_files(
            "shop",
            [
                ("money.py", "x = 1\n"),
                ("cart.py", "import money\n"),
                ("app.py", "import cart\n"),
                ("demo.py", "import cart\n"),
            ],
        )
    }

    fn held_out(files: usize, seed: u64) -> Vec<String> {
        let repository = shop();
        let whole = build(&repository);
        let prepared = divide(repository, whole, CleanReport::default(), &HoldoutOptions { files, seed });
        for file in &prepared.held_out {
            assert!(!prepared.repository.files.contains_key(&file.path));
            assert!(prepared.graph.file(&file.path).is_none() && prepared.whole.file(&file.path).is_some());
        }
        prepared.held_out.into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn files_that_nothing_imports_are_held_out_first() {
        assert_eq!(held_out(2, 0), ["app.py", "demo.py"]);
        assert!(held_out(1, 0) == held_out(1, 0));
    }

    #[test]
    fn at_least_half_of_the_files_stay() {
        assert_eq!(held_out(100, 0).len(), 2);
        assert_eq!(held_out(0, 0), Vec::<String>::new());
    }
}
