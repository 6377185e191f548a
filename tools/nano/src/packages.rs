//! The list of packages nano is trained on and measured on.
//!
//! Input: `packages.toml`. Invariants: names are unique within a registry; every licence is on
//! the list of permissive ones below; at least one package of every registry is held out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use recon_outside::registry::{self, Pin, Registry};
use serde::Deserialize;

/// Licences that let anyone use, change and pass on the text. A choice (`A OR B`) is permitted
/// if one of its sides is.
const PERMISSIVE: [&str; 5] = ["MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC"];

/// One package, pinned.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    /// Its registry.
    pub(crate) registry: Registry,
    /// Its name there.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The SPDX expression it declares.
    pub(crate) licence: String,
    /// Whether only the measurement may read it.
    #[serde(default)]
    pub(crate) held_out: bool,
}

impl Package {
    /// What its registry is asked for.
    pub(crate) fn pin(&self) -> Pin {
        Pin { registry: self.registry, name: self.name.clone(), version: self.version.clone() }
    }

    /// Its directory below `work`, unpacked.
    pub(crate) fn directory(&self, work: &Path) -> PathBuf {
        place(work, &self.pin())
    }
}

fn place(work: &Path, pin: &Pin) -> PathBuf {
    work.join("sources").join(pin.registry.name()).join(pin.directory())
}

/// The whole list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packages {
    /// Most bytes of source text used of one package.
    pub(crate) max_bytes: usize,
    /// The packages.
    #[serde(rename = "package")]
    pub(crate) packages: Vec<Package>,
}

impl Packages {
    /// Fetches what is not below `work` yet.
    pub(crate) fn fetch(&self, work: &Path) -> anyhow::Result<()> {
        let pins: Vec<_> = self.packages.iter().map(Package::pin).collect();
        registry::fetch(&pins, &work.join("archives"), &|pin| place(work, pin))
    }
}

/// The list in the repository, checked.
pub(crate) fn list() -> anyhow::Result<Packages> {
    parse(include_str!("../packages.toml"))
}

fn parse(text: &str) -> anyhow::Result<Packages> {
    let list: Packages = toml::from_str(text).context("packages.toml is not a list of packages")?;
    let mut seen = BTreeSet::new();
    for package in &list.packages {
        ensure!(seen.insert((package.registry, &package.name)), "`{}` is listed twice", package.name);
        let permitted = package.licence.split(" OR ").any(|side| PERMISSIVE.contains(&side));
        ensure!(permitted, "`{}` is under `{}`, which is not permissive", package.name, package.licence);
    }
    for registry in Registry::ALL {
        let held_out = list.packages.iter().any(|package| package.registry == registry && package.held_out);
        ensure!(held_out, "no package of {} is held out", registry.name());
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_the_repository_is_sound() {
        let list = list().unwrap();
        assert!(list.packages.iter().filter(|package| package.held_out).count() >= 5);
    }

    #[test]
    fn a_copyleft_licence_and_a_repeated_name_are_refused() {
        let held_out: String = ["pypi", "crates", "npm"].map(|registry| entry(registry, "h", "MIT", true)).concat();
        let with = |more: &str| parse(&format!("max_bytes = 1\n{held_out}{more}"));
        assert!(with("").is_ok());
        assert!(with(&entry("pypi", "a", "MPL-2.0 OR MIT", false)).is_ok());
        let error = with(&entry("pypi", "a", "GPL-3.0-only", false)).unwrap_err();
        assert!(error.to_string().contains("not permissive"), "{error}");
        assert!(with(&entry("pypi", "h", "MIT", false)).unwrap_err().to_string().contains("twice"));
        assert!(parse("max_bytes = 1\npackage = []").is_err());
    }

    fn entry(registry: &str, name: &str, licence: &str, held_out: bool) -> String {
        format!(
            "[[package]]\nregistry = \"{registry}\"\nname = \"{name}\"\nversion = \"1\"\n\
             licence = \"{licence}\"\nheld_out = {held_out}\n"
        )
    }
}
