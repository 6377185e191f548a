//! How well the graph's edges agree with what each language's own tools say.
//!
//! For every language: packages fetched by name, version and checksum into `target/graph-accuracy`,
//! `recon graph --format json` on each, with cleaning and without, the same question put to an
//! [`Oracle`], both sets of file-to-file edges compared, and the section of `docs/graph-accuracy.md` written anew. The
//! order of a well-known project is checked by the way; a broken order fails the task.
//!
//! A new language is one file with its [`Oracle`] and one line in [`ORACLES`].

mod compare;
mod csharp;
mod debian;
mod fetch;
mod gcc;
mod golang;
mod javac;
mod kotlin;
pub(crate) mod madge;
mod oracle;
mod order;
mod page;
mod php;
mod record;
mod ruby;
pub(crate) mod ruff;
mod rustc;
mod told;
mod tsc;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::tools::Tools;
use compare::{Measured, Told};
use oracle::{Oracle, Subject};
use record::{Cleaning, Record};

/// Every oracle, in the order of the page.
const ORACLES: &[&dyn Oracle] = &[
    &ruff::Ruff,
    &tsc::Tsc,
    &madge::Madge,
    &rustc::Rustc,
    &golang::Golang,
    &gcc::C,
    &gcc::CPP,
    &javac::Javac,
    &kotlin::Kotlin,
    &csharp::CSharp,
    &php::Php,
    &ruby::Ruby,
];

/// What one language came to.
struct Outcome {
    rows: Vec<Measured>,
    orders: Vec<order::Checked>,
}

/// Measures the language of that name, else every one whose name contains `language`; true when no order is broken.
pub(crate) fn run(
    root: &Path,
    language: Option<&str>,
    recon: Option<&Path>,
    differences: bool,
) -> anyhow::Result<bool> {
    let tools = Tools::new(root, recon)?;
    // A whole name means itself alone: `c` is no part of `csharp`.
    let whole = language.filter(|part| ORACLES.iter().any(|oracle| oracle.language() == *part));
    let is_meant = |name: &str| whole.map_or_else(|| language.is_none_or(|part| name.contains(part)), |it| name == it);
    let chosen: Vec<_> = ORACLES.iter().filter(|oracle| is_meant(oracle.language())).collect();
    let names: Vec<_> = ORACLES.iter().map(|oracle| oracle.language()).collect();
    anyhow::ensure!(!chosen.is_empty(), "no language is named like that; there are: {}", names.join(", "));
    let mut sound = true;
    for oracle in chosen {
        let outcome = measure(*oracle, &tools).with_context(|| format!("failed to measure {}", oracle.language()))?;
        for row in &outcome.rows {
            eprintln!("{}", row.line());
            for difference in row.differences.iter().filter(|_| differences) {
                eprintln!("    {difference}");
            }
        }
        for fault in outcome.orders.iter().flat_map(|checked| &checked.faults) {
            eprintln!("graph-accuracy: {}: {fault}", oracle.language());
            sound = false;
        }
        page::write(&root.join("docs/graph-accuracy.md"), *oracle, &outcome, &names)?;
    }
    Ok(sound)
}

/// The packages that each language is measured on, fetched.
pub(crate) fn sources(tools: &Tools) -> anyhow::Result<Vec<(&'static str, Vec<PathBuf>)>> {
    // Held-out packages are for the comparison alone.
    let of = |oracle: &&dyn Oracle| -> anyhow::Result<(&'static str, Vec<PathBuf>)> {
        let directories = oracle.packages().iter().map(|package| fetch::package(tools, package));
        Ok((oracle.language(), directories.collect::<anyhow::Result<_>>()?))
    };
    ORACLES.iter().map(of).collect()
}

fn measure(oracle: &dyn Oracle, tools: &Tools) -> anyhow::Result<Outcome> {
    oracle.install(tools)?;
    let mut outcome = Outcome { rows: Vec::new(), orders: Vec::new() };
    let packages = oracle.packages().iter().map(|package| (package, false));
    for (package, held_out) in packages.chain(oracle.held_out().iter().map(|package| (package, true))) {
        eprintln!("graph-accuracy: {} {} {}", oracle.language(), package.name, package.version);
        let directory = fetch::package(tools, package)?;
        let mut told = Told::new();
        for cleaning in [Cleaning::Off, Cleaning::On] {
            let record = Record::of(tools, &directory, cleaning)?;
            let subject = Subject { package, directory: &directory, record: &record };
            for mut comparison in oracle.compare(tools, &subject)? {
                // What is no file, as a folder, is not dropped.
                let stays = |path: &str| record.is_read(path) || !record.has(path);
                let kept = |(from, to): &(String, String)| stays(from) && stays(to);
                if cleaning == Cleaning::On {
                    comparison.ours.retain(|pair, _| kept(pair));
                    comparison.theirs.retain(|pair, _| kept(pair));
                }
                let mut row = compare::measure(oracle, &subject, &comparison, held_out, &mut told);
                if cleaning == Cleaning::On {
                    row.what.push_str(", cleaned");
                }
                outcome.rows.push(row);
            }
            if let Some(landmark) = package.landmark.as_ref().filter(|_| cleaning == Cleaning::Off) {
                outcome.orders.push(order::check(&subject, landmark));
            }
        }
    }
    Ok(outcome)
}
