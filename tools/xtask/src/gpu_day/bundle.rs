//! The bundle: the programs of the steps, stripped, with the files they read, in one folder that runs where there is a
//! driver, Python and PyTorch for CUDA 13 and nothing else.
//!
//! `bin/` holds `xtask`, `recon`, `recon-train`, `tests-NAME` and `bench-NAME`; `bundle.json` says of which commit.
//! Programs share most of their code, so one stream is compressed, whose window is longer than any of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use recon_outside::folder::fresh;
use recon_outside::program::{cargo, listen, output, run};
use serde::{Deserialize, Serialize};

use super::steps::{Program, Step};

/// What names a folder as a bundle.
pub(super) const MANIFEST: &str = "bundle.json";
const LIMIT_BYTES: u64 = 60 << 20;
/// Copied as they are.
const FILES: [(&str, &str); 4] = [
    ("configs", "configs"),
    ("scripts/bench", "scripts/bench"),
    ("tests/goldens/llama", "tests/goldens/llama"),
    ("crates/mds", "sample"),
];

/// Of what a bundle was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The commit, with `+` where files were changed since.
    pub(super) commit: String,
}

impl Manifest {
    pub(super) fn read(bundle: &Path) -> anyhow::Result<Self> {
        let path = bundle.join(MANIFEST);
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no bundle's", path.display()))
    }
}

/// The file of a program in a bundle's `bin`.
pub(super) fn file(program: Program) -> Option<String> {
    match program {
        Program::Tests(name) | Program::Sanitized(name) => Some(format!("tests-{name}")),
        Program::Kernels(_) => Some("bench-device".into()),
        Program::Serving => Some("bench-serving".into()),
        Program::Recon => Some("recon".into()),
        Program::Rehearsal => Some("recon-train".into()),
        Program::Compared => None,
    }
}

/// Builds what `steps` start and lays it out in `folder`.
pub(super) fn stage(root: &Path, folder: &Path, steps: &[&Step], debug: bool) -> anyhow::Result<()> {
    let programs: BTreeSet<String> = steps.iter().filter_map(|step| file(step.program)).collect();
    let built = build(root, &programs, debug)?;
    fresh(folder)?;
    fs::create_dir_all(folder.join("bin"))?;
    for (name, path) in &built {
        let to = folder.join("bin").join(name);
        run(Command::new("strip").arg("-o").arg(&to).arg(path))?;
    }
    for (from, to) in FILES {
        copy(&root.join(from), &folder.join(to))?;
    }
    fs::write(folder.join("items.json"), r#"[{"context": [1, 2, 3], "target": [4, 5]}]"#)?;
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments).current_dir(root));
    let changed = if git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() { "" } else { "+" };
    let manifest = Manifest { commit: format!("{}{changed}", git(&["rev-parse", "--short", "HEAD"])?.trim()) };
    Ok(fs::write(folder.join(MANIFEST), serde_json::to_string(&manifest)?)?)
}

/// Builds these programs with CUDA; where each lies, and `xtask` itself.
fn build(root: &Path, programs: &BTreeSet<String>, debug: bool) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let set = |name: &str| std::env::var_os(name).is_some();
    ensure!(set("RECON_CUDA_DRIVER"), "no CUDA toolkit is set\nhint: eval \"$(scripts/cuda-toolkit cudnn)\"");
    let features = if set("RECON_CUDNN_INCLUDE") { "cuda,cudnn" } else { "cuda" };
    let common = |task: &str| {
        let mut cargo = cargo();
        // The whole workspace, as in `kernels-emulated`: other selections choose other features.
        cargo.args([task, "--no-run", "--workspace", "--message-format", "json-render-diagnostics"]).current_dir(root);
        cargo.args(["--features", features]);
        cargo
    };
    let named = |start: &str| {
        programs.iter().filter_map(|name| name.strip_prefix(start).map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut tests = common("test");
    if !debug {
        tests.arg("--release");
    }
    // Tests of whole programs are built with these: the one of devices is needed for that alone.
    for name in named("tests-").into_iter().chain(["devices".into()]) {
        tests.args(["--test", &name]);
    }
    let mut said = listen(&mut tests)?;
    let benches = named("bench-");
    if !benches.is_empty() {
        let mut bench = common("bench");
        for name in benches {
            bench.args(["--bench", &name]);
        }
        said.push_str(&listen(&mut bench)?);
    }
    let mut found: BTreeMap<String, PathBuf> = said.lines().filter_map(executable).collect();
    found.retain(|name, _| programs.contains(name));
    let missing: Vec<_> = programs.iter().filter(|name| !found.contains_key(*name)).collect();
    ensure!(missing.is_empty(), "cargo built no {missing:?}");
    found.insert("xtask".into(), std::env::current_exe()?);
    Ok(found)
}

/// The name and place of a program that a line of cargo's messages tells of.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let path = message["executable"].as_str()?;
    let (name, kind) = (message["target"]["name"].as_str()?, message["target"]["kind"][0].as_str()?);
    let name = match kind {
        "test" => format!("tests-{name}"),
        "bench" => format!("bench-{name}"),
        "bin" if message["profile"]["test"] == false => name.to_owned(),
        _ => return None,
    };
    Some((name, path.into()))
}

/// The folder as one compressed file; its size in bytes.
pub(super) fn pack(folder: &Path, file: &Path) -> anyhow::Result<u64> {
    let (above, name) =
        (folder.parent().context("a folder lies in another")?, folder.file_name().context("it has a name")?);
    let mut tar = Command::new("tar")
        .arg("--sort=name")
        .arg("-C")
        .arg(above)
        .arg("-c")
        .arg(name)
        .stdout(Stdio::piped())
        .spawn()
        .context("is tar installed?")?;
    let from = tar.stdout.take().expect("it was asked for");
    let to = fs::File::create(file).with_context(|| format!("{} cannot be written", file.display()))?;
    run(Command::new("xz").args(["--lzma2=preset=6,dict=192MiB", "-T1", "-c"]).stdin(from).stdout(to))?;
    ensure!(tar.wait()?.success(), "tar failed");
    let bytes = fs::metadata(file)?.len();
    if bytes > LIMIT_BYTES {
        bail!("{} has {:.1} MiB, at most {} are carried", file.display(), mib(bytes), LIMIT_BYTES >> 20);
    }
    Ok(bytes)
}

pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    run(Command::new("cp").arg("-R").arg(from).arg(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_what_cargo_says() {
        let told = |name, kind, test| {
            let line = serde_json::json!({"executable": "/t/x", "target": {"name": name, "kind": [kind]}, "profile": {"test": test}});
            executable(&line.to_string()).map(|(name, _)| name)
        };
        assert_eq!(told("attention", "test", true).unwrap(), "tests-attention");
        assert_eq!(told("device", "bench", true).unwrap(), "bench-device");
        assert_eq!(told("recon", "bin", false).unwrap(), "recon");
        assert_eq!(told("recon", "bin", true), None, "the unit tests of a program are not the program");
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
