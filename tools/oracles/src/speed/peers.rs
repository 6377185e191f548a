//! Programs of others that make a graph of imports, timed on the same packages.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::Instant;

use recon_outside::program::run;

use crate::accuracy::{madge as javascript, ruff as python};
use crate::tools::Tools;

/// Seconds of `ruff analyze graph` on one thread, the fastest of three.
pub(super) fn ruff<'a>(tools: &Tools, directories: impl Iterator<Item = &'a OsStr> + Clone) -> anyhow::Result<f64> {
    let program = python::program(tools)?;
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let mut ruff = Command::new(&program);
        ruff.args(["analyze", "graph", "--preview"]).args(directories.clone()).env("RAYON_NUM_THREADS", "1");
        fastest = fastest.min(seconds(&mut ruff)?);
    }
    Ok(fastest)
}

/// Seconds of madge over all packages, one after the other.
pub(super) fn madge<'a>(tools: &Tools, directories: impl Iterator<Item = &'a OsStr>) -> anyhow::Result<f64> {
    let mut all = 0.0;
    for directory in directories {
        all += seconds(&mut javascript::command(tools, directory)?)?;
    }
    Ok(all)
}

/// How long a command takes whose output nobody wants.
fn seconds(command: &mut Command) -> anyhow::Result<f64> {
    let start = Instant::now();
    run(command.stdout(Stdio::null()))?;
    Ok(start.elapsed().as_secs_f64())
}
