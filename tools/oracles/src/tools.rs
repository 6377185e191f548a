//! The programs that both tasks run, and where they and their results lie.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program::{cargo, run, watch};

/// Programs and folders.
pub(crate) struct Tools {
    /// `target/graph-accuracy`.
    pub(crate) work: PathBuf,
    /// The release binary of `recon`.
    pub(crate) recon: PathBuf,
}

impl Tools {
    /// Builds `recon` unless a program to take its place is given.
    pub(crate) fn new(root: &Path, recon: Option<&Path>) -> anyhow::Result<Self> {
        let work = root.join("target/graph-accuracy");
        std::fs::create_dir_all(&work)?;
        let recon = match recon {
            Some(program) => std::path::absolute(program)?,
            None => {
                watch(cargo().args(["build", "--release", "--bin", "recon"]).current_dir(root))?;
                root.join("target/release/recon")
            }
        };
        Ok(Self { work, recon })
    }

    /// A folder below `tools` that `fill` makes once for each text of `wanted`.
    pub(crate) fn once(
        &self,
        name: &str,
        wanted: &str,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let directory = self.work.join("tools").join(name);
        let stamp = directory.join("installed.txt");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(directory);
        }
        eprintln!("graph-accuracy: installing {wanted}");
        fresh(&directory)?;
        fill(&directory).with_context(|| format!("failed to install {wanted}"))?;
        std::fs::write(stamp, wanted)?;
        Ok(directory)
    }

    /// A folder with npm packages installed; no script of theirs is run.
    pub(crate) fn npm(&self, name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
        self.once(name, &packages.join(" "), |directory| {
            std::fs::write(directory.join("package.json"), "{ \"private\": true }\n")?;
            let flags = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"];
            run(Command::new("npm").args(flags).args(packages).current_dir(directory))
        })
    }
}
