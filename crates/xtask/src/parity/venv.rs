//! Virtual environments, each made once for its list of requirements.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::run;

/// The interpreter of an environment that holds what `requirements` lists.
pub(super) fn install(work: &Path, name: &str, requirements: &Path) -> anyhow::Result<PathBuf> {
    let wanted = std::fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    let directory = work.join(name);
    let (python, stamp) = (directory.join("bin/python"), directory.join("installed.txt"));
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("parity: installing the witnesses into {}", directory.display());
    // Packages the machine has already at the pinned version need not be fetched again.
    run(Command::new("python3").args(["-m", "venv", "--clear", "--system-site-packages"]).arg(&directory))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}
