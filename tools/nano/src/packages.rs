//! The list of packages nano is trained on and measured on.
//!
//! Input: `packages.toml`. Invariants: names are unique within a registry; every licence is on
//! the list of permissive ones below; at least one package of every registry is held out.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// Licences that let anyone use, change and pass on the text. A choice (`A OR B`) is permitted
/// if one of its sides is.
const PERMISSIVE: [&str; 5] = ["MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC"];

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registry {
    /// Python wheels, fetched by pip.
    Pypi,
    /// Rust crates, fetched by cargo.
    Crates,
    /// JavaScript and TypeScript packages, fetched by npm.
    Npm,
}

impl Registry {
    /// Its name in `packages.toml` and in directories.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pypi => "pypi",
            Self::Crates => "crates",
            Self::Npm => "npm",
        }
    }
}

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
    /// A directory name: registry scopes lose their slash.
    pub(crate) fn directory(&self) -> String {
        format!("{}-{}", self.name.replace('/', "-").trim_start_matches('@'), self.version)
    }
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
    for registry in [Registry::Pypi, Registry::Crates, Registry::Npm] {
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
