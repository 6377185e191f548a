//! The tree that rules look at: the files git would track, text where it is text.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// One file.
pub(crate) struct File {
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// Its text; empty for files that are not UTF-8.
    pub(crate) text: String,
}

/// Every file below a root by its path, `/`-separated.
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads the files that git tracks or would track below `root`.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("git lists the files to check")?;
        anyhow::ensure!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr).trim());
        let names = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
        let mut files = BTreeMap::new();
        for name in names.split_terminator('\0') {
            // A tracked file that was just deleted is listed still.
            let Ok(bytes) = std::fs::read(root.join(name)) else { continue };
            let size = bytes.len() as u64;
            files.insert(name.to_string(), File { bytes: size, text: String::from_utf8(bytes).unwrap_or_default() });
        }
        Ok(Self { files })
    }

    /// Names of the folders below `crates/` that hold a manifest.
    pub(crate) fn crates(&self) -> Vec<&str> {
        let manifests = self.files.keys().filter_map(|path| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"));
        manifests.filter(|name| !name.contains('/')).collect()
    }

    /// The manifest of a crate, parsed; an empty table where it is not TOML.
    pub(crate) fn manifest(&self, name: &str) -> toml::Table {
        self.files.get(&format!("crates/{name}/Cargo.toml")).and_then(|file| file.text.parse().ok()).unwrap_or_default()
    }

    /// Files with this ending.
    pub(crate) fn ending<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files.iter().filter(move |(path, _)| path.ends_with(suffix)).map(|(path, file)| (path.as_str(), file))
    }
}
