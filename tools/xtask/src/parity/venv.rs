//! Virtual environments, each made once for its list of requirements.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use recon_outside::program::{output, watch};

/// The interpreter of an environment that holds what `requirements` lists. What another environment, `beside`, has at the
/// same version is used from there: PyTorch is gigabytes.
pub(super) fn install(work: &Path, name: &str, requirements: &Path, beside: Option<&Path>) -> anyhow::Result<PathBuf> {
    let wanted = std::fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    let directory = work.join(name);
    let (python, stamp) = (directory.join("bin/python"), directory.join("installed.txt"));
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("parity: installing the witnesses into {}", directory.display());
    // Packages the machine has already at the pinned version need not be fetched again.
    watch(Command::new("python3").args(["-m", "venv", "--clear", "--system-site-packages"]).arg(&directory))?;
    if let Some(other) = beside {
        // Behind the environment's own packages, which so come first where both have one.
        let (own, other) = (site_packages(&python)?, site_packages(other)?);
        let file = own.join("beside.pth");
        std::fs::write(&file, format!("{}\n", other.display())).with_context(|| file.display().to_string())?;
    }
    watch(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}

/// Where an environment has its packages.
fn site_packages(python: &Path) -> anyhow::Result<PathBuf> {
    let ask = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"];
    Ok(PathBuf::from(output(Command::new(python).args(ask))?.trim()))
}
