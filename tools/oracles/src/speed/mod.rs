//! `cargo xtask graph-speed`: figures for reading and cleaning source, on real packages.
//!
//! Graphs are measured on the packages of `graph-accuracy`, at least five a language; cleaning,
//! duplicates and a whole run over a corpus on those of `tools/nano/packages.toml`. All are
//! fetched by name and version through their registries' own clients; nothing of them is run.
//! Output: `docs/graph-speed.md`, every figure of one run, with the machine it was taken on. The
//! task fails where the account of the corpus leaves anything out.

mod corpus;
mod packages;
mod page;
mod peers;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use recon_outside::program::{cargo, listen};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::tools::Tools;

/// What the bench of `recon-graph` prints.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Graphs {
    repositories: u64,
    files: u64,
    bytes: u64,
    reading_s: f64,
    parse_s: f64,
    graph_s: f64,
}

/// What the bench of `recon-corpus` prints.
#[derive(Debug, Deserialize)]
struct Cleaning {
    cleaning_bytes: u64,
    reading_s: f64,
    cleaning_s: f64,
    minhash_mb_per_s: f64,
    duplicates: Vec<Duplicates>,
    memory: Vec<Memory>,
}

/// Finding duplicates among so many files.
#[derive(Debug, Deserialize)]
struct Duplicates {
    files: u64,
    bytes: u64,
    fingerprints_s: f64,
    grouping_s: f64,
}

/// A whole run over a corpus of so many repositories.
#[derive(Debug, Deserialize)]
struct Memory {
    repositories: u64,
    bytes: u64,
    seconds: f64,
    peak_bytes: u64,
}

/// All that the page says.
struct Measured {
    languages: Vec<(&'static str, Graphs)>,
    ruff_s: f64,
    madge_s: f64,
    cleaning: Cleaning,
    corpus: corpus::Run,
}

/// Fetches, measures, writes the page; true when the corpus is accounted for.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let work = root.join("target/graph-speed");
    let tools = Tools::new(root, None)?;
    let mut languages = Vec::new();
    let (mut ruff_s, mut madge_s) = (0.0, 0.0);
    for (language, directories) in crate::accuracy::sources(&tools)? {
        // What is C and what is C++ among headers is told by content; a path tells C.
        let names = if language == "cpp" { "cpp,c" } else { language };
        let directories = directories.iter().map(|directory| directory.as_os_str());
        languages
            .push((language, bench(root, "recon-graph", std::iter::once(names.as_ref()).chain(directories.clone()))?));
        match language {
            "python" => ruff_s = peers::ruff(&tools, directories)?,
            "javascript" => madge_s = peers::madge(&tools, directories)?,
            _ => {}
        }
    }
    let packages: PathBuf = packages::fetch(root, &work)?;
    let cleaning = bench(root, "recon-corpus", [packages.as_os_str()].into_iter())?;
    let corpus = corpus::run(&tools.recon, &packages, &work.join("corpus"))?;
    let lost = corpus.lost();
    let measured = Measured { languages, ruff_s, madge_s, cleaning, corpus };
    std::fs::write(root.join("docs/graph-speed.md"), page::write(root, &measured)?)?;
    eprintln!("graph-speed: wrote docs/graph-speed.md");
    for fault in &lost {
        eprintln!("graph-speed: {fault}");
    }
    Ok(lost.is_empty())
}

/// What the crate's bench `speed` prints.
fn bench<'a, T: DeserializeOwned>(
    root: &Path,
    package: &str,
    arguments: impl Iterator<Item = &'a std::ffi::OsStr>,
) -> anyhow::Result<T> {
    let mut cargo = cargo();
    cargo.args(["bench", "--quiet", "--package", package, "--bench", "speed", "--"]).args(arguments);
    let printed = listen(cargo.current_dir(root)).with_context(|| format!("the bench of {package}"))?;
    eprintln!("graph-speed: {package}: {}", printed.trim());
    serde_json::from_str(&printed).with_context(|| format!("the bench of {package} printed something else: {printed}"))
}
