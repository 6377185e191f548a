//! Upstream sources as Debian distributes them, fetched by `apt-get source` with lists of its own,
//! so that neither the machine's package sources nor its lists change.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program::output;

use super::oracle::Package;
use crate::tools::Tools;

/// The release whose sources are fetched.
const RELEASE: &str = "bookworm";

/// The upstream archive of a source package; `version` is the upstream part of its version.
pub(super) fn fetch(tools: &Tools, download: &Path, package: &Package) -> anyhow::Result<PathBuf> {
    let lists = tools.once("apt", &format!("apt lists of {RELEASE}"), |directory| {
        fresh(&directory.join("lists/partial"))?;
        fresh(&directory.join("cache/archives/partial"))?;
        let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let line = format!("deb-src [signed-by={key}] {} {RELEASE} main\n", mirror()?);
        std::fs::write(directory.join("sources.list"), line)?;
        output(apt(directory).args(["-qq", "update"])).map(drop)
    })?;
    output(apt(&lists).args(["-qq", "source", "--download-only", "--tar-only", package.name]).current_dir(download))?;
    let archive = format!("{}_{}.orig.tar.", package.name, package.version);
    let entries = std::fs::read_dir(download)?.filter_map(|entry| Some(entry.ok()?.path()));
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(&archive) && !name.ends_with(".asc")
    };
    let mut found = entries.filter(named);
    found.next().with_context(|| format!("Debian {RELEASE} has no longer {archive}*"))
}

/// Where this machine has its own packages of the release from.
fn mirror() -> anyhow::Result<String> {
    let format = ["indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"];
    let targets = output(Command::new("apt-get").args(format))?;
    let main = |line: &str| line.strip_suffix(&format!(" {RELEASE} main")).map(str::to_owned);
    targets.lines().find_map(main).with_context(|| format!("apt knows no mirror of Debian {RELEASE}"))
}

fn apt(directory: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let at = |option: &str, path: &str| format!("{option}={}", directory.join(path).display());
    for option in [
        at("Dir::Etc::SourceList", "sources.list"),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        at("Dir::State::Lists", "lists"),
        at("Dir::Cache", "cache"),
        // A download for this user only.
        "APT::Sandbox::User=root".to_owned(),
    ] {
        command.args(["-o", &option]);
    }
    command
}
