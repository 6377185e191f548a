//! Fetches pinned packages through their registries' own clients and unpacks them.
//!
//! Input: pins. Output: a directory a package, where the caller wants it. Nothing of a package is executed: wheels and
//! tarballs are unpacked, crates are vendored. The unpackers (`python3 -m zipfile`, `tar`, `cargo vendor`) keep every file
//! below the directory they are given. A directory appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::folder::{fresh, only_entry};
use crate::program::{cargo, run};

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    /// Python wheels, fetched by pip.
    Pypi,
    /// Rust crates, fetched by cargo.
    Crates,
    /// JavaScript and TypeScript packages, fetched by npm.
    Npm,
}

impl Registry {
    /// In the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Pypi, Self::Crates, Self::Npm];

    /// Its name in lists of packages and in directories.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pypi => "pypi",
            Self::Crates => "crates",
            Self::Npm => "npm",
        }
    }
}

/// One package at one version. A list may say more of it, which is not looked at here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pin {
    pub registry: Registry,
    pub name: String,
    pub version: String,
}

impl Pin {
    /// A directory name: a registry's scopes lose their slash.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.name.replace('/', "-").trim_start_matches('@'), self.version)
    }
}

/// Fetches the packages that do not stand where `place` puts them yet. `archives` is a folder for what lies there on the
/// way, on the same file system.
pub fn fetch(pins: &[Pin], archives: &Path, place: &dyn Fn(&Pin) -> PathBuf) -> anyhow::Result<()> {
    for registry in Registry::ALL {
        let missing: Vec<_> = pins.iter().filter(|pin| pin.registry == registry && !place(pin).exists()).collect();
        if missing.is_empty() {
            continue;
        }
        eprintln!("fetching {} packages from {}", missing.len(), registry.name());
        let client = match registry {
            Registry::Pypi => pypi,
            Registry::Crates => crates,
            Registry::Npm => npm,
        };
        let folder = archives.join(registry.name());
        fresh(&folder)?;
        client(&missing, &folder, place).with_context(|| format!("failed to fetch from {}", registry.name()))?;
        fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// Fetches tarballs of `NAME@VERSION`s into a folder; no script of theirs is run.
pub fn npm_pack<'a>(names: impl Iterator<Item = (&'a str, &'a str)>, into: &Path) -> anyhow::Result<()> {
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(into);
    run(pack.args(names.map(|(name, version)| format!("{name}@{version}"))))
}

/// Writes a package into an empty folder that depends on these crates and versions and is a workspace of its own.
pub fn write_project<'a>(names: impl Iterator<Item = (&'a str, &'a str)>, folder: &Path) -> anyhow::Result<()> {
    let mut manifest = String::from(
        "[workspace]\n[package]\nname = \"sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n",
    );
    for (name, version) in names {
        manifest.push_str(&format!("{name} = {{ version = \"={version}\", default-features = false }}\n"));
    }
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    Ok(fs::write(folder.join("Cargo.toml"), manifest)?)
}

fn named<'a>(pins: &'a [&Pin]) -> impl Iterator<Item = (&'a str, &'a str)> {
    pins.iter().map(|pin| (pin.name.as_str(), pin.version.as_str()))
}

fn pypi(pins: &[&Pin], folder: &Path, place: &dyn Fn(&Pin) -> PathBuf) -> anyhow::Result<()> {
    let mut download = Command::new("python3");
    download.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]).arg(folder);
    run(download.args(pins.iter().map(|pin| format!("{}=={}", pin.name, pin.version))))?;
    for pin in pins {
        // A wheel's name has `_` for every run of `-`, `_` and `.` (PEP 427).
        let stem = format!("{}-{}-", pin.name.replace(['-', '.'], "_"), pin.version);
        let wheel =
            only_entry(folder, |name| name.to_lowercase().replace('.', "_").starts_with(&stem.replace('.', "_")))?;
        let unpacker = |to: &Path| run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(to));
        unpack(pin, folder, place, unpacker)?;
    }
    Ok(())
}

fn npm(pins: &[&Pin], folder: &Path, place: &dyn Fn(&Pin) -> PathBuf) -> anyhow::Result<()> {
    npm_pack(named(pins), folder)?;
    for pin in pins {
        let tarball = folder.join(format!("{}.tgz", pin.directory()));
        let tar =
            |to: &Path| run(Command::new("tar").args(["--no-same-owner", "-xzf"]).arg(&tarball).arg("-C").arg(to));
        unpack(pin, folder, place, tar)?;
    }
    Ok(())
}

fn crates(pins: &[&Pin], folder: &Path, place: &dyn Fn(&Pin) -> PathBuf) -> anyhow::Result<()> {
    write_project(named(pins), folder)?;
    run(cargo().args(["vendor", "--quiet", "--versioned-dirs", "vendor"]).current_dir(folder))?;
    for pin in pins {
        // The named packages only: what they depend on has no pinned version.
        let built = format!("{}+", pin.directory()); // build metadata follows the version
        let is_it = |name: &str| name == pin.directory() || name.starts_with(&built);
        let vendored = only_entry(&folder.join("vendor"), is_it)?;
        unpack(pin, folder, place, |to| Ok(fs::rename(vendored, to)?))?;
    }
    Ok(())
}

/// Fills a package's directory under a temporary name, so that a killed run leaves none.
fn unpack(
    pin: &Pin,
    folder: &Path,
    place: &dyn Fn(&Pin) -> PathBuf,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (partial, to) = (folder.join("partial"), place(pin));
    fresh(&partial)?;
    fill(&partial).with_context(|| format!("failed to unpack {} {}", pin.name, pin.version))?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::rename(partial, to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(name: &str) -> Pin {
        Pin { registry: Registry::Npm, name: name.into(), version: "1.0".into() }
    }

    #[test]
    fn a_scope_is_no_folder() {
        assert_eq!(pin("@babel/core").directory(), "babel-core-1.0");
    }

    #[test]
    fn what_failed_halfway_is_not_taken_for_a_package() {
        let work = tempfile::tempdir().unwrap();
        let place = |pin: &Pin| work.path().join("sources").join(pin.directory());
        let half = |to: &Path| {
            fs::write(to.join("half"), "").unwrap();
            anyhow::bail!("the archive is broken")
        };
        assert!(unpack(&pin("a"), work.path(), &place, half).is_err());
        assert!(!place(&pin("a")).exists());
        let whole = |to: &Path| Ok(fs::write(to.join("whole"), "")?);
        unpack(&pin("a"), work.path(), &place, whole).unwrap();
        assert!(place(&pin("a")).join("whole").exists() && !place(&pin("a")).join("half").exists());
    }

    #[test]
    fn what_is_there_is_not_fetched() {
        let work = tempfile::tempdir().unwrap();
        let archives = work.path().join("archives");
        fetch(&[pin("a")], &archives, &|_| work.path().into()).unwrap();
        assert!(!archives.exists(), "a client was asked for");
    }
}
