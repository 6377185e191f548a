//! The launch files of `scripts/launch`, run where they can run on one machine, and held against published schemas where
//! they cannot.
//!
//! Every way to start a training must leave the bytes of one process. Needs Open MPI with headers and libclang (the
//! binaries are built with the feature `mpi`), Slurm with munge, and Python 3.10+ with PyPI; each check runs or fails.

mod slurm;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use recon_outside::folder::fresh;
use recon_outside::program::{cargo, outcome, run, watch};

use crate::parity;

const STEPS: u64 = 60;

/// What a check needs to run.
pub(crate) struct Bench {
    root: PathBuf,
    /// The folder of `recon` and `recon-train`.
    binaries: PathBuf,
    /// The configuration of the training, and what one process made of it.
    config: PathBuf,
    expected: Trained,
    work: PathBuf,
}

type Check = fn(&Bench) -> anyhow::Result<()>;

const ALL: [(&str, Check); 5] = [
    ("mpirun", mpirun),
    ("torchrun", torchrun),
    ("slurm-train", slurm::training),
    ("slurm-synthesis", slurm::synthesis),
    ("schemas", schemas),
];

/// Runs the checks whose name contains `only`; true when all pass.
pub(crate) fn run_all(root: &Path, only: Option<&str>) -> anyhow::Result<bool> {
    let chosen: Vec<_> = ALL.iter().filter(|(name, _)| only.is_none_or(|part| name.contains(part))).collect();
    ensure!(!chosen.is_empty(), "no check is named like that");
    watch(
        cargo()
            .args(["build", "--release", "--features", "mpi", "--bin", "recon", "--bin", "recon-train"])
            .current_dir(root),
    )?;
    let bench = Bench::new(root)?;
    let mut failed = 0;
    for (name, check) in &chosen {
        let start = Instant::now();
        match check(&bench) {
            Ok(()) => eprintln!("launch: {name} holds ({:.1} s)", start.elapsed().as_secs_f64()),
            Err(error) => {
                failed += 1;
                eprintln!("launch: {name} FAILED: {error:#}");
            }
        }
    }
    eprintln!("launch: {} passed, {failed} failed", chosen.len() - failed);
    Ok(failed == 0)
}

impl Bench {
    /// Packs a small repository and trains on it in one process, whose result all launchers must reach.
    fn new(root: &Path) -> anyhow::Result<Self> {
        let work = root.join("target/launch");
        fresh(&work)?;
        let binaries = root.join("target/release");
        let packed = work.join("packed");
        let repository = format!("repository={}", root.join("tools/outside").display());
        run(Command::new(binaries.join("recon"))
            .args(["run", "--until", "pack", "--set", "agents.arm=raw", "--set", "pack.row_tokens=128"])
            .args(["--set", "holdout.files=1", "--set", &repository, "--config"])
            .arg(root.join("configs/quickstart.toml"))
            .arg("--out")
            .arg(&packed))?;
        let config = work.join("train.toml");
        let rows = packed.join("outside/pack/rows");
        let text = format!(
            "data = {rows:?}\n[train]\nduration = {{ steps = {STEPS} }}\naccumulation = 4\nsave = {{ every_steps = 10 }}\n\
             [train.parallel]\nparts = 4\ntimeout_s = 60\n"
        );
        std::fs::write(&config, text).with_context(|| config.display().to_string())?;
        let alone = work.join("alone");
        run(Command::new(binaries.join("recon-train")).arg("--config").arg(&config).arg("--out").arg(&alone))?;
        let expected = Trained::read(&alone)?;
        Ok(Self { root: root.into(), binaries, config, expected, work })
    }

    /// A launch file with the binaries and `path` in front of everything else.
    fn launch(&self, file: &str, path: &[&Path]) -> anyhow::Result<Command> {
        let mut command = Command::new(self.root.join("scripts/launch").join(file));
        command.env("PATH", self.path(path)?).current_dir(&self.work);
        Ok(command)
    }

    fn path(&self, first: &[&Path]) -> anyhow::Result<std::ffi::OsString> {
        let own = std::env::var_os("PATH").unwrap_or_default();
        let folders = first.iter().map(|folder| folder.to_path_buf()).chain([self.binaries.clone()]);
        Ok(std::env::join_paths(folders.chain(std::env::split_paths(&own)))?)
    }

    fn must_equal(&self, name: &str) -> anyhow::Result<()> {
        let trained = Trained::read(&self.work.join(name))?;
        ensure!(trained.figures == self.expected.figures, "{name}: the figures are not those of one process");
        ensure!(trained.tensors == self.expected.tensors, "{name}: the tensors are not those of one process");
        Ok(())
    }
}

/// What a training left that does not depend on the clock.
#[derive(PartialEq)]
struct Trained {
    figures: Vec<String>,
    tensors: BTreeMap<PathBuf, Vec<u8>>,
}

impl Trained {
    fn read(out: &Path) -> anyhow::Result<Self> {
        let path = out.join("metrics.jsonl");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let figures = text.lines().map(|line| -> anyhow::Result<String> {
            let line: serde_json::Value = serde_json::from_str(line)?;
            Ok(["step", "loss_nats", "grad_norm", "trained_tokens"].map(|key| line[key].to_string()).join(" "))
        });
        let figures = figures.collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(figures.len() as u64 == STEPS, "{}: {} steps", path.display(), figures.len());
        let checkpoint = out.join(format!("checkpoints/step-{STEPS}"));
        let mut tensors = BTreeMap::new();
        for entry in std::fs::read_dir(&checkpoint).with_context(|| checkpoint.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "tensor") {
                tensors.insert(path.file_name().expect("a file has a name").into(), std::fs::read(&path)?);
            }
        }
        ensure!(!tensors.is_empty(), "{} holds no tensors", checkpoint.display());
        Ok(Self { figures, tensors })
    }
}

/// Over the MPI library and over sockets; and a rank that does not fit is named.
fn mpirun(bench: &Bench) -> anyhow::Result<()> {
    let mpirun = |ranks: usize, out: &str, flags: &str| -> anyhow::Result<Command> {
        let mut command = bench.launch("mpirun", &[])?;
        command.env("RANKS", ranks.to_string());
        // In a container everybody is root, and there are fewer processors than ranks.
        command.env("MPIRUN_FLAGS", format!("--allow-run-as-root --oversubscribe {flags}"));
        command.arg(&bench.config).arg(out);
        Ok(command)
    };
    for ranks in [1, 2, 4] {
        let out = format!("mpirun-{ranks}");
        run(&mut mpirun(ranks, &out, "")?)?;
        bench.must_equal(&out)?;
    }
    for state in ["shared", "shared_weights"] {
        let out = format!("mpirun-{state}");
        run(mpirun(2, &out, "")?.arg("--set").arg(format!("train.parallel.state={state}")))?;
        bench.must_equal(&out)?;
    }
    let (success, _, said) = outcome(&mut mpirun(3, "mpirun-3", "")?)?;
    ensure!(!success && said.contains("which 3 ranks cannot share"), "three ranks: {said}");
    Ok(())
}

fn torchrun(bench: &Bench) -> anyhow::Result<()> {
    let python = parity::python(&bench.root)?;
    let bin = python.parent().context("an interpreter lies in a folder")?;
    for ranks in [2, 4] {
        let out = format!("torchrun-{ranks}");
        run(bench.launch("torchrun", &[bin])?.env("RANKS", ranks.to_string()).arg(&bench.config).arg(&out))?;
        bench.must_equal(&out)?;
    }
    Ok(())
}

fn schemas(bench: &Bench) -> anyhow::Result<()> {
    let folder = bench.root.join("scripts/launch");
    let environment = bench.root.join("target/launch-schemas");
    let python = environment.join("bin/python");
    watch(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let pip = |arguments: &[&str], list: &str| {
        let mut command = Command::new(&python);
        watch(command.args(["-m", "pip", "install", "--quiet"]).args(arguments).arg("-r").arg(folder.join(list)))
    };
    // SkyPilot asks for its server and every cloud; its schemas need none of that.
    pip(&["--no-deps"], "schemas.txt")?;
    pip(&[], "schemas-use.txt")?;
    watch(Command::new(&python).arg(folder.join("check.py")).arg(&folder))
}
