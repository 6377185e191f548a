//! Fetches packages through their registries' own clients and unpacks them.
//!
//! Input: the list. Output: `WORK/sources/REGISTRY/NAME-VERSION/…`, one directory a package.
//! Nothing of a package is executed: wheels and tarballs are unpacked, crates are vendored. The
//! unpackers (`python3 -m zipfile`, `tar`, `cargo vendor`) keep every file below the directory
//! they are given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::packages::{Package, Registry};

/// The directory of `package` below `work`.
pub(crate) fn directory(work: &Path, package: &Package) -> PathBuf {
    work.join("sources").join(package.registry.name()).join(package.directory())
}

/// Fetches what is not there yet.
pub(crate) fn fetch(work: &Path, packages: &[Package]) -> anyhow::Result<()> {
    for (registry, client) in [
        (Registry::Pypi, pypi as fn(&Path, &[&Package]) -> anyhow::Result<()>),
        (Registry::Crates, crates),
        (Registry::Npm, npm),
    ] {
        let missing: Vec<_> = packages
            .iter()
            .filter(|package| package.registry == registry && !directory(work, package).exists())
            .collect();
        if !missing.is_empty() {
            tracing::info!(registry = registry.name(), packages = missing.len(), "fetching");
            client(work, &missing).with_context(|| format!("failed to fetch from {}", registry.name()))?;
        }
    }
    Ok(())
}

fn pypi(work: &Path, packages: &[&Package]) -> anyhow::Result<()> {
    let wheels = fresh(&work.join("archives/pypi"))?;
    let mut download = Command::new("python3");
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]).arg(&wheels);
    download.args(packages.iter().map(|package| format!("{}=={}", package.name, package.version)));
    run(&mut download)?;
    for package in packages {
        // A wheel's name has `_` for every run of `-`, `_` and `.` (PEP 427).
        let stem = format!("{}-{}-", package.name.replace(['-', '.'], "_"), package.version);
        let wheel = find(&wheels, |name| name.to_lowercase().replace('.', "_").starts_with(&stem.replace('.', "_")))?;
        unpack(work, package, |to| run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(to)))?;
    }
    Ok(())
}

fn npm(work: &Path, packages: &[&Package]) -> anyhow::Result<()> {
    let tarballs = fresh(&work.join("archives/npm"))?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(&tarballs);
    pack.args(packages.iter().map(|package| format!("{}@{}", package.name, package.version)));
    run(&mut pack)?;
    for package in packages {
        let tarball = tarballs.join(format!("{}.tgz", package.directory()));
        let tar =
            |to: &Path| run(Command::new("tar").args(["--no-same-owner", "-xzf"]).arg(&tarball).arg("-C").arg(to));
        unpack(work, package, tar)?;
    }
    Ok(())
}

fn crates(work: &Path, packages: &[&Package]) -> anyhow::Result<()> {
    let project = fresh(&work.join("archives/crates"))?;
    let mut manifest = String::from(
        "[workspace]\n[package]\nname = \"sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n",
    );
    for package in packages {
        let line = format!("{} = {{ version = \"={}\", default-features = false }}\n", package.name, package.version);
        manifest.push_str(&line);
    }
    fs::create_dir_all(project.join("src"))?;
    fs::write(project.join("src/lib.rs"), "")?;
    fs::write(project.join("Cargo.toml"), manifest)?;
    run(Command::new("cargo").args(["vendor", "--quiet", "--versioned-dirs", "vendor"]).current_dir(&project))?;
    for package in packages {
        let versions = format!("{}+", package.directory()); // build metadata follows the version
        let vendored =
            find(&project.join("vendor"), |name| name == package.directory() || name.starts_with(&versions))?;
        unpack(work, package, |to| Ok(fs::rename(vendored, to)?))?;
    }
    fs::remove_dir_all(&project)?;
    Ok(())
}

/// Fills a package's directory under a temporary name, so that a killed run leaves none.
fn unpack(work: &Path, package: &Package, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let to = directory(work, package);
    let partial = fresh(&to.with_extension("partial"))?;
    fill(&partial).with_context(|| format!("failed to unpack {} {}", package.name, package.version))?;
    Ok(fs::rename(partial, to)?)
}

/// An empty directory.
fn fresh(path: &Path) -> anyhow::Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    fs::create_dir_all(path)?;
    Ok(path.into())
}

fn find(directory: &Path, is_it: impl Fn(&str) -> bool) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&is_it) {
            found.push(entry.path());
        }
    }
    ensure!(found.len() == 1, "expected one archive in {}, found {found:?}", directory.display());
    Ok(found.remove(0))
}

/// Runs `command`; what it wrote to stderr is the error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("failed to start `{program}`; is it installed?"))?;
    if !output.status.success() {
        bail!("`{program}` failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
