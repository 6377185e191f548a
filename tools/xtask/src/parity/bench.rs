//! What every check works with: the interpreters, the binary, a folder to write in.

use std::path::{Path, PathBuf};
use std::process::Command;

use recon_outside::folder::fresh;
use recon_outside::program::{output, watch};

/// What a check needs to run.
pub(super) struct Bench {
    /// Root of the workspace.
    pub(super) root: PathBuf,
    /// The interpreter of the virtual environment.
    pub(super) python: PathBuf,
    /// That of MosaicML Streaming's, whose transformers is of version 4.
    pub(super) older: PathBuf,
    /// The release binary of `recon`.
    pub(super) recon: PathBuf,
    /// A folder for what checks write.
    pub(super) work: PathBuf,
}

impl Bench {
    /// Runs a script of `scripts/` with these arguments; its exit status is the verdict.
    pub(super) fn script(&self, name: &str, arguments: &[&Path]) -> anyhow::Result<()> {
        self.script_in(&self.python, name, arguments)
    }

    /// The same in another environment.
    pub(super) fn script_in(&self, python: &Path, name: &str, arguments: &[&Path]) -> anyhow::Result<()> {
        watch(Command::new(python).arg(self.root.join("scripts").join(name)).args(arguments).current_dir(&self.root))
    }

    /// Runs `recon` with these arguments; data on stdout is returned.
    pub(super) fn recon(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output(Command::new(&self.recon).args(arguments).current_dir(&self.root))
    }

    /// An empty folder of this name.
    pub(super) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.work.join(name);
        fresh(&path)?;
        Ok(path)
    }
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("folders of the workspace are UTF-8")
}
