//! Fetches packages through their registries' own clients, holds their archives against the
//! pinned digest, and unpacks them.
//!
//! Output: `target/graph-accuracy/sources/NAME-VERSION/`, the package's files directly in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use recon_outside::folder::{fresh, only_entry};
use recon_outside::program::{cargo, run};
use recon_outside::registry::{npm_pack, write_project};
use sha2::{Digest as _, Sha256};

use super::debian;
use super::oracle::{Package, Registry};
use crate::tools::Tools;

/// The directory of `package`, fetched if it is not there yet.
pub(super) fn package(tools: &Tools, package: &Package) -> anyhow::Result<PathBuf> {
    let name = format!("{}-{}", package.name.trim_start_matches('@').replace('/', "-"), package.version);
    let to = tools.work.join("sources").join(&name);
    if to.exists() {
        return Ok(to);
    }
    let download = tools.work.join("download");
    fresh(&download)?;
    let archive = match package.registry {
        Registry::Pypi => pypi(&download, package)?,
        Registry::Npm => npm(&download, package)?,
        Registry::Crates => crates(&download, package)?,
        Registry::Debian => debian::fetch(tools, &download, package)?,
    };
    let found = digest(&archive)?;
    ensure!(found == package.sha256, "{name}: the archive's SHA-256 is {found}, {} was expected", package.sha256);
    // Unpacked under a temporary name, so that a killed run leaves nothing behind.
    let partial = to.with_extension("partial");
    fresh(&partial)?;
    let tar = ["--no-same-owner", "--strip-components=1", "-xf"];
    run(Command::new("tar").args(tar).arg(&archive).arg("-C").arg(&partial))?;
    std::fs::rename(&partial, &to)?;
    Ok(to)
}

fn pypi(download: &Path, package: &Package) -> anyhow::Result<PathBuf> {
    let pin = format!("{}=={}", package.name, package.version);
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest"];
    run(Command::new("python3").args(pip).arg(download).arg(pin))?;
    only_entry(download, |_| true)
}

fn npm(download: &Path, package: &Package) -> anyhow::Result<PathBuf> {
    npm_pack([(package.name, package.version)].into_iter(), download)?;
    only_entry(download, |_| true)
}

/// cargo keeps the archive of whatever it fetches; a home of its own tells where.
fn crates(download: &Path, package: &Package) -> anyhow::Result<PathBuf> {
    let project = download.join("project");
    write_project([(package.name, package.version)].into_iter(), &project)?;
    run(cargo().args(["fetch", "--quiet"]).current_dir(&project))?;
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"),
    };
    let archive = format!("{}-{}.crate", package.name, package.version);
    let caches = std::fs::read_dir(home.join("registry/cache"))?;
    let mut found = caches.filter_map(|cache| Some(cache.ok()?.path().join(&archive))).filter(|path| path.exists());
    found.next().with_context(|| format!("cargo fetched no {archive}"))
}

fn digest(archive: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(archive)?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
