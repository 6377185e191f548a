//! What is known of the machine before the first step: GPU, driver, PyTorch and where its libraries lie.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use recon_outside::program::{output, run};
use serde::{Deserialize, Serialize};

/// The machine a result is of. What could not be asked is a dash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) device: String,
    pub(super) driver: String,
    /// Memory of the GPU in GB.
    pub(super) memory_gb: Option<f64>,
    pub(super) torch: String,
}

/// Version of PyTorch, then the folders of the libraries that its packages bring; without importing it, which takes
/// seconds.
const TORCH: &str = "import glob, importlib.metadata as m, importlib.util as u, os
spec = u.find_spec('torch')
print(m.version('torch') if spec else '')
if spec:
    print(*sorted(glob.glob(os.path.join(os.path.dirname(os.path.dirname(spec.origin)), 'nvidia', '*', 'lib'))), sep='\\n')";

impl Machine {
    /// The machine, and the folders of PyTorch's libraries.
    pub(super) fn look() -> (Self, Vec<PathBuf>) {
        let mut query = Command::new("nvidia-smi");
        query.args(["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"]);
        let gpu = output(&mut query).unwrap_or_default();
        let torch = output(Command::new("python3").args(["-c", TORCH])).unwrap_or_default();
        (Self::of(&gpu, torch.lines().next().unwrap_or("")), torch.lines().skip(1).map(PathBuf::from).collect())
    }

    fn of(gpu: &str, torch: &str) -> Self {
        let mut cells = gpu.lines().next().unwrap_or("").split(", ").map(str::trim).filter(|cell| !cell.is_empty());
        let dash = |cell: Option<&str>| cell.unwrap_or("–").to_owned();
        let (device, driver) = (dash(cells.next()), dash(cells.next()));
        let memory_gb = cells.next().and_then(|mib| mib.parse::<f64>().ok()).map(|mib| mib * 1.048_576e-3);
        Self { device, driver, memory_gb, torch: dash(Some(torch).filter(|version| !version.is_empty())) }
    }
}

/// A driver that is played, for a rehearsal: in `folder`, from the source that the tests use.
pub(super) fn played_driver(root: &Path, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut cc = Command::new(compiler);
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.join("libcuda.so.1"));
    run(cc.arg(root.join("tests/support/driver.c"))).context("the played driver cannot be compiled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_asked_is_a_dash() {
        let machine = Machine::of("NVIDIA H200, 580.65.06, 143771\nNVIDIA H200, 580.65.06, 143771\n", "2.11.0");
        assert_eq!((&*machine.device, &*machine.driver, &*machine.torch), ("NVIDIA H200", "580.65.06", "2.11.0"));
        assert!((machine.memory_gb.unwrap() - 150.8).abs() < 0.1, "{machine:?}");
        let none = Machine::of("", "");
        assert_eq!((&*none.device, &*none.driver, none.memory_gb, &*none.torch), ("–", "–", None, "–"));
    }
}
