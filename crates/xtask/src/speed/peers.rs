//! Programs of others that make a graph of imports, timed on the same packages.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::accuracy::{Tools, run_command as run};

/// The one for Python, pinned.
pub(super) const RUFF: &str = "ruff==0.17.6";
/// The one for JavaScript, pinned.
pub(super) const MADGE: &str = "madge@8.0.0";

/// Seconds of `ruff analyze graph` on one thread, the fastest of three.
pub(super) fn ruff<'a>(work: &Path, directories: impl Iterator<Item = &'a OsStr> + Clone) -> anyhow::Result<f64> {
    let (venv, stamp) = (work.join("venv"), work.join("venv").join(RUFF));
    if !stamp.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        run(Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet", RUFF]))?;
        fs::write(&stamp, "")?;
    }
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let mut ruff = Command::new(venv.join("bin/ruff"));
        ruff.args(["analyze", "graph", "--preview"]).args(directories.clone()).env("RAYON_NUM_THREADS", "1");
        fastest = fastest.min(seconds(&mut ruff)?);
    }
    Ok(fastest)
}

/// Seconds of madge over all packages, one after the other.
pub(super) fn madge<'a>(tools: &Tools, directories: impl Iterator<Item = &'a OsStr>) -> anyhow::Result<f64> {
    let program = tools.npm("madge", &[MADGE])?.join("node_modules/madge/bin/cli.js");
    let mut all = 0.0;
    for directory in directories {
        let mut node = Command::new("node");
        node.arg(&program).args(["--json", "--no-spinner", "--extensions", "js,mjs,cjs,jsx"]).arg(directory);
        all += seconds(&mut node)?;
    }
    Ok(all)
}

/// How long a command takes whose output nobody wants.
fn seconds(command: &mut Command) -> anyhow::Result<f64> {
    let start = Instant::now();
    run(command.stdout(Stdio::null()))?;
    Ok(start.elapsed().as_secs_f64())
}
