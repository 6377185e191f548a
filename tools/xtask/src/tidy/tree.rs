//! The tree that rules look at: the files git would track, text where it is text. And what they find wrong with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// The folder of the product's crates.
pub(crate) const CRATES: &str = "crates";
/// The folder of what is no part of the product.
pub(crate) const TOOLS: &str = "tools";

/// A package of the workspace: `FOLDER/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) folder: &'static str,
    pub(crate) name: &'a str,
}

impl Member<'_> {
    /// The path of its manifest.
    pub(crate) fn manifest(&self) -> String {
        format!("{}/{}/Cargo.toml", self.folder, self.name)
    }

    /// The folder of its source, with a slash at its end.
    pub(crate) fn source(&self) -> String {
        format!("{}/{}/src/", self.folder, self.name)
    }
}

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

    /// The packages of the workspace.
    pub(crate) fn members(&self) -> Vec<Member<'_>> {
        let mut members = Vec::new();
        for path in self.files.keys() {
            for folder in [CRATES, TOOLS] {
                let below = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
                let name = below.and_then(|rest| rest.strip_suffix("/Cargo.toml")).filter(|name| !name.contains('/'));
                members.extend(name.map(|name| Member { folder, name }));
            }
        }
        members
    }

    /// The manifest of a member, parsed; an empty table where it is not TOML.
    pub(crate) fn manifest(&self, member: &Member<'_>) -> toml::Table {
        self.files.get(&member.manifest()).and_then(|file| file.text.parse().ok()).unwrap_or_default()
    }

    /// Files with this ending.
    pub(crate) fn ending<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files.iter().filter(move |(path, _)| path.ends_with(suffix)).map(|(path, file)| (path.as_str(), file))
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// Path from the root, with a line where there is one.
    pub(crate) place: String,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}
