//! Outside witnesses: programs written by others say the same as ours.
//!
//! Every check runs or fails; none is skipped. Python packages are pinned in
//! `scripts/parity/requirements*.txt` and installed into `target/parity`. MosaicML Streaming asks
//! for an older transformers than the other witnesses, so it has an environment of its own.

mod bench;
mod checks;
mod pretrained;
mod venv;

use std::path::{Path, PathBuf};
use std::time::Instant;

use bench::Bench;
use recon_outside::program::{cargo, watch};

/// Installs the witnesses and nothing else, which can go on beside a build.
pub(crate) fn install(root: &Path) -> anyhow::Result<bool> {
    witnesses(root).map(|_| true)
}

/// The interpreter of the environment that has PyTorch.
pub(crate) fn python(root: &Path) -> anyhow::Result<PathBuf> {
    witnesses(root).map(|[python, _]| python)
}

/// The interpreters of both environments.
fn witnesses(root: &Path) -> anyhow::Result<[PathBuf; 2]> {
    let (work, scripts) = (root.join("target/parity"), root.join("scripts/parity"));
    std::fs::create_dir_all(&work)?;
    let python = venv::install(&work, "venv", &scripts.join("requirements.txt"), None)?;
    let older = scripts.join("requirements-streaming.txt");
    let older = venv::install(&work, "venv-streaming", &older, Some(&python))?;
    Ok([python, older])
}

/// Runs the checks whose name contains `only`; true when all pass.
pub(crate) fn run_all(root: &Path, only: Option<&str>) -> anyhow::Result<bool> {
    let [python, older] = witnesses(root)?;
    watch(cargo().args(["build", "--release", "--bin", "recon", "--bin", "recon-train"]).current_dir(root))?;
    let (recon, work) = (root.join("target/release/recon"), root.join("target/parity"));
    let bench = Bench { root: root.into(), python, older, recon, work };
    let chosen: Vec<_> = checks::ALL.iter().filter(|(name, _)| only.is_none_or(|part| name.contains(part))).collect();
    anyhow::ensure!(!chosen.is_empty(), "no check is named like that; there are: {}", checks::names());
    let mut failed = 0;
    for (name, check) in &chosen {
        let start = Instant::now();
        match check(&bench) {
            Ok(()) => eprintln!("parity: {name} agrees ({:.1} s)", start.elapsed().as_secs_f64()),
            Err(error) => {
                failed += 1;
                eprintln!("parity: {name} FAILED: {error:#}");
            }
        }
    }
    eprintln!("parity: {} passed, {failed} failed", chosen.len() - failed);
    Ok(failed == 0)
}
