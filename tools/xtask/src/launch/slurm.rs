//! A Slurm of one node, started for a check and stopped with it: real `sbatch`, requeue and arrays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use recon_outside::folder::fresh;
use recon_outside::program::{output, run};

use super::Bench;

const LIMIT: Duration = Duration::from_secs(300);

/// The daemons, which end with it.
struct Slurm {
    folder: PathBuf,
    daemons: Vec<Child>,
}

impl Slurm {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        fresh(folder)?;
        ["state", "spool"].iter().try_for_each(|name| fs::create_dir(folder.join(name)))?;
        let host = output(Command::new("hostname").arg("-s"))?;
        let (at, host) = (folder.display(), host.trim());
        let configuration = format!(
            "ClusterName=recon\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort=7817\nSlurmdPort=7818\nSlurmUser=root\n\
             SlurmdUser=root\nAuthType=auth/munge\nAuthInfo=socket={at}/munge.socket\nStateSaveLocation={at}/state\n\
             SlurmdSpoolDir={at}/spool\nSlurmctldPidFile={at}/slurmctld.pid\nSlurmdPidFile={at}/slurmd.pid\n\
             SlurmctldLogFile={at}/slurmctld.log\nSlurmdLogFile={at}/slurmd.log\nProctrackType=proctrack/linuxproc\n\
             TaskPlugin=task/none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
             SlurmdParameters=config_overrides\nSchedulerParameters=sched_interval=2,bf_interval=2\nReturnToService=2\n\
             MpiDefault=none\nNodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN\n\
             PartitionName=main Nodes=ALL Default=YES State=UP\n"
        );
        fs::write(folder.join("slurm.conf"), configuration)?;
        let key = folder.join("munge.key");
        run(Command::new("sh").args(["-c", "umask 077; head -c 1024 /dev/urandom > \"$0\""]).arg(&key))?;
        let mut slurm = Self { folder: folder.into(), daemons: Vec::new() };
        let file = |name: &str| format!("{at}/{name}");
        slurm.daemon(
            "munged",
            &[
                "--foreground".into(),
                "--force".into(),
                format!("--socket={}", file("munge.socket")),
                format!("--key-file={}", key.display()),
                format!("--pid-file={}", file("munged.pid")),
                format!("--log-file={}", file("munged.log")),
                format!("--seed-file={}", file("munge.seed")),
            ],
        )?;
        wait("munged", || Ok(folder.join("munge.socket").exists().then_some(())))?;
        slurm.daemon("slurmctld", &["-D".into(), "-c".into()])?;
        slurm.daemon("slurmd", &["-D".into()])?;
        wait("a node that is idle", || {
            let nodes = slurm.command("sinfo").args(["--noheader", "--format", "%t"]).output()?;
            Ok(String::from_utf8_lossy(&nodes.stdout).contains("idle").then_some(()))
        })?;
        Ok(slurm)
    }

    fn daemon(&mut self, name: &str, arguments: &[String]) -> anyhow::Result<()> {
        let mut command = self.command(name);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemons.push(command.spawn().with_context(|| format!("failed to start {name}; is it installed?"))?);
        Ok(())
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("SLURM_CONF", self.folder.join("slurm.conf"));
        command
    }

    /// Submits a launch file; the number of the job.
    fn submit(&self, bench: &Bench, options: &[&str], file: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command("sbatch");
        command.args(["--parsable", "--gpus-per-node=0", "--time=10"]).args(options).env("PATH", bench.path(&[])?);
        // The search takes a model and minutes, and is launched like what comes before it.
        command.env("UNTIL", "synth");
        command.arg(bench.root.join("scripts/launch").join(file)).args(arguments).current_dir(&bench.work);
        Ok(output(&mut command)?.trim().into())
    }

    /// What is said of a job under `key`, of each task of an array.
    fn told(&self, job: &str, key: &str) -> anyhow::Result<Vec<String>> {
        let text = output(self.command("scontrol").args(["show", "job", "--oneliner", job]))?;
        let value = |line: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
            Some(word.to_owned())
        };
        Ok(text.lines().filter_map(value).collect())
    }

    /// Waits until every task of a job is completed. One that was queued again need not wait two minutes, but two seconds:
    /// slurmd refuses a job that starts in the second in which it was killed.
    fn finish(&self, job: &str) -> anyhow::Result<()> {
        let mut pending: Option<Instant> = None;
        wait("the job's end", || {
            let states = self.told(job, "JobState")?;
            if let Some(state) =
                states.iter().find(|state| !["PENDING", "RUNNING", "COMPLETING", "COMPLETED"].contains(&state.as_str()))
            {
                bail!("job {job} is {state}");
            }
            if !states.iter().any(|state| state == "PENDING") {
                pending = None;
            } else if pending.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(2) {
                drop(self.command("scontrol").args(["update", &format!("JobId={job}"), "StartTime=now"]).output());
            }
            Ok(states.iter().all(|state| state == "COMPLETED").then_some(()))
        })
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
    }
}

fn wait<T>(what: &str, mut ready: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(ready) = ready()? {
            return Ok(ready);
        }
        ensure!(start.elapsed() < LIMIT, "{what} did not come within {} s", LIMIT.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A training of two ranks is asked to stop, queued again, and ends with the bytes of one process that was not stopped.
pub(super) fn training(bench: &Bench) -> anyhow::Result<()> {
    let slurm = Slurm::start(&bench.work.join("slurm"))?;
    let config = bench.config.display().to_string();
    let ranks = ["--ntasks-per-node=2"];
    let job = slurm.submit(bench, &ranks, "slurm-train.sbatch", &[&config, "slurm-train"])?;
    let metrics = bench.work.join("slurm-train/metrics.jsonl");
    wait("a step", || Ok(fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 2).then_some(())))?;
    run(slurm.command("scancel").args(["--signal=TERM", &job]))?;
    slurm.finish(&job)?;
    let log = fs::read_to_string(bench.work.join(format!("recon-train-{job}.log")))?;
    ensure!(log.contains("stopped: SIGTERM after step"), "no rank was asked to stop:\n{log}");
    ensure!(slurm.told(&job, "Restarts")? == ["1"], "the job was not queued again:\n{log}");
    bench.must_equal("slurm-train")
}

/// An array of two workers leaves what one worker leaves.
pub(super) fn synthesis(bench: &Bench) -> anyhow::Result<()> {
    let slurm = Slurm::start(&bench.work.join("slurm"))?;
    let corpus = bench.work.join("corpus");
    for part in ["mds", "pack", "lm", "eval"] {
        let from = bench.root.join("crates").join(part);
        fs::create_dir_all(&corpus)?;
        run(Command::new("cp").arg("-r").arg(from).arg(&corpus))?;
    }
    let config = bench.root.join("configs/quickstart.toml").display().to_string();
    let corpus = corpus.display().to_string();
    let settings = ["--set", "agents.arm=agent", "--set", "corpus.shards=8"];
    let alone = bench.work.join("alone-synthesis");
    run(Command::new(bench.binaries.join("recon"))
        .args(["run", "--corpus", &corpus, "--config", &config, "--until", "synth", "--out"])
        .arg(&alone)
        .args(settings))?;
    let arguments = [&[corpus.as_str(), &config, "slurm-synthesis"][..], &settings].concat();
    let array = ["--array=1-2", "--gpus-per-task=0"];
    let job = slurm.submit(bench, &array, "slurm-synthesis.sbatch", &arguments)?;
    slurm.finish(&job)?;
    let results = |out: &Path| shards(&out.join("shards"));
    let (one, two) = (results(&alone)?, results(&bench.work.join("slurm-synthesis"))?);
    ensure!(!one.is_empty() && one == two, "two workers left something else than one");
    Ok(())
}

/// Every result below `folder` by its path; manifests say how long it took.
fn shards(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let list = output(Command::new("find").args([".", "-type", "f", "-name", "*.zst"]).current_dir(folder))?;
    let mut files: Vec<&str> = list.lines().collect();
    files.sort_unstable();
    files.into_iter().map(|file| Ok((PathBuf::from(file), fs::read(folder.join(file))?))).collect()
}
