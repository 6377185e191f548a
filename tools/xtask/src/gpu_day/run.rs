//! Runs the steps in order, each under its limit, and writes what each gave.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::bundle::{self, Manifest};
use super::machine::Machine;
use super::result::{Outcome, Status};
use super::steps::{Program, Step};

/// What programs say where the played driver refuses.
const REFUSALS: [&str; 3] = ["CUDA_ERROR_NOT_FOUND", "but cuda has", "Memory { name: \"cuda\""];

/// Where the programs are and the results go.
pub(super) struct Day {
    pub(super) bundle: PathBuf,
    pub(super) out: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) machine: Machine,
    /// Folders of libraries, the first found first.
    pub(super) libraries: Vec<PathBuf>,
    /// Go on where the device cannot be opened.
    pub(super) rehearsal: bool,
}

/// What a call did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) failed: Vec<String>,
    /// Steps that no time was left for.
    pub(super) left: usize,
}

/// What a child process did.
struct Ran {
    status: Status,
    stdout: String,
    /// The last lines that it wrote to stderr.
    last: String,
}

impl Day {
    /// Runs what has not ended yet, until no step fits into what is left of `time`.
    pub(super) fn run(&self, steps: &[&Step], time: Duration) -> anyhow::Result<Done> {
        fs::create_dir_all(&self.out).with_context(|| format!("{} cannot be made", self.out.display()))?;
        let (start, mut done) = (Instant::now(), Done::default());
        for (at, step) in steps.iter().enumerate() {
            let before = Outcome::read(&self.out, step.name)?.filter(|it| it.commit == self.manifest.commit);
            let outcome = if let Some(outcome) = before {
                outcome
            } else {
                if start.elapsed() + Duration::from_secs(60 * step.limit_minutes) > time {
                    done.left = steps.len() - at;
                    break;
                }
                let outcome = self.step(step)?;
                outcome.write(&self.out)?;
                let reason = outcome.reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
                eprintln!("{:<24} {:?}, {:.0} s{reason}", step.name, outcome.status, outcome.seconds);
                outcome
            };
            if matches!(outcome.status, Status::Failed | Status::OutOfTime) {
                if step.name == "opens" && !self.rehearsal {
                    // Nothing after it can do better; it is tried again.
                    fs::remove_file(super::result::path(&self.out, step.name))?;
                    bail!("the GPU cannot be used: {}", outcome.reason.unwrap_or_default());
                }
                done.failed.push(step.name.into());
            }
        }
        Ok(done)
    }

    fn step(&self, step: &Step) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome {
            step: step.name.into(),
            status: Status::Done,
            commit: self.manifest.commit.clone(),
            machine: self.machine.clone(),
            command: Vec::new(),
            seconds: 0.0,
            figures: Value::Null,
            torch: Value::Null,
            reason: None,
        };
        if self.machine.memory_gb.is_some_and(|memory| memory < step.needs_gb as f64) {
            outcome.status = Status::TooSmall;
            outcome.reason = Some(format!("the step needs a GPU of {} GB", step.needs_gb));
            return Ok(outcome);
        }
        let arguments: Vec<String> = step.arguments.iter().map(|argument| self.place(argument)).collect();
        let ended = match step.program {
            Program::Compared => compare(Path::new(&arguments[0]), Path::new(&arguments[1])),
            _ => self.measure(step, arguments, &mut outcome),
        };
        match ended {
            Ok(figures) => outcome.figures = figures,
            Err(error) => {
                if outcome.status == Status::Done {
                    outcome.status = Status::Failed;
                }
                outcome.reason = Some(format!("{error:#}"));
            }
        }
        outcome.seconds = start.elapsed().as_secs_f64();
        Ok(outcome)
    }

    fn place(&self, argument: &str) -> String {
        let place = |name: &str, path: &Path, text: String| text.replace(name, &path.display().to_string());
        place("{out}", &self.out, place("{root}", &self.bundle, argument.to_owned()))
    }

    /// Starts the step's program, and PyTorch's where there is one.
    fn measure(&self, step: &Step, mut arguments: Vec<String>, outcome: &mut Outcome) -> anyhow::Result<Value> {
        let limit = Instant::now() + Duration::from_secs(60 * step.limit_minutes);
        let program = bundle::file(step.program).map(|name| self.bundle.join("bin").join(name));
        let program = program.context("the step starts a program")?;
        let scripts = self.bundle.join("scripts/bench");
        let mut command = vec![program.display().to_string()];
        match step.program {
            Program::Sanitized(_) => {
                if self.run_in("probe", &["compute-sanitizer", "--version"].map(str::to_owned), limit).is_err() {
                    outcome.status = Status::Absent;
                    bail!("compute-sanitizer, of the CUDA toolkit, is not on the PATH");
                }
                command.splice(0..0, ["compute-sanitizer", "--error-exitcode", "1"].map(str::to_owned));
            }
            Program::Kernels(word) => arguments = vec!["--bench".into(), word.into()],
            Program::Rehearsal => arguments.extend(["--format", "json"].map(str::to_owned)),
            _ => {}
        }
        command.append(&mut arguments);
        outcome.command.clone_from(&command);
        let ran = self.run_in(step.name, &command, limit)?;
        outcome.status = ran.status;
        let figures = figures(step.program, &ran.stdout);
        if ran.status != Status::Done {
            let why = if ran.status == Status::OutOfTime { "the limit was reached".into() } else { ran.last };
            outcome.figures = figures.unwrap_or_default();
            bail!("{why}");
        }
        let figures = figures?;
        let beside = match step.program {
            Program::Kernels(word) => Some(vec![scripts.join("torch_gpu.py").display().to_string(), word.into()]),
            Program::Rehearsal => {
                let told = self.out.join(format!("{}.out", step.name)).display().to_string();
                Some(vec![scripts.join("torch_step.py").display().to_string(), told, "cuda".into(), "3".into()])
            }
            _ => None,
        };
        if let Some(beside) = beside {
            let command: Vec<String> = std::iter::once("python3".to_owned()).chain(beside).collect();
            let torch = self.run_in(&format!("{}-torch", step.name), &command, limit)?;
            // What PyTorch could not do is a dash beside ours.
            outcome.torch = lines(&torch.stdout).into();
        }
        Ok(figures)
    }

    /// Runs a command until `limit`; what it prints goes to files named after `name`.
    fn run_in(&self, name: &str, command: &[String], limit: Instant) -> anyhow::Result<Ran> {
        let file = |ending: &str| self.out.join(format!("{name}.{ending}"));
        let create = |path: &Path| File::create(path).with_context(|| format!("{} cannot be written", path.display()));
        let seconds = limit.saturating_duration_since(Instant::now()).as_secs().max(1);
        let mut child = Command::new("timeout");
        child.args(["-k", "10", &seconds.to_string()]).args(command);
        child.current_dir(&self.bundle).env("LD_LIBRARY_PATH", self.library_path()?);
        // Tests find their goldens by it, as under cargo.
        child.env("CARGO_MANIFEST_DIR", self.bundle.join("crates/llama"));
        let status = child.stdout(create(&file("out"))?).stderr(create(&file("log"))?).status();
        let status = status.context("failed to start `timeout`, of the coreutils")?;
        let read = |ending| fs::read(file(ending)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (stdout, stderr) = (read("out")?, read("log")?);
        let status = match status.code() {
            Some(0) => Status::Done,
            Some(124 | 137) => Status::OutOfTime,
            Some(127) => bail!("{} was not found", command[0]),
            _ => Status::Failed,
        };
        let last = telling(&format!("{stdout}\n{stderr}")).unwrap_or_default();
        Ok(Ran { status, last, stdout })
    }

    /// Whether a rehearsal of these steps went to the first call that needs a driver, and no further.
    pub(super) fn rehearsed(&self, steps: &[&Step]) -> anyhow::Result<()> {
        let mut refused = 0;
        for step in steps {
            let outcome = Outcome::read(&self.out, step.name)?.with_context(|| format!("{} did not run", step.name))?;
            let reason = outcome.reason.as_deref().unwrap_or_default();
            let is_refused = outcome.status == Status::Failed && REFUSALS.iter().any(|words| reason.contains(words));
            refused += usize::from(is_refused);
            let as_expected = match step.program {
                Program::Compared => true,
                Program::Sanitized(_) => is_refused || outcome.status == Status::Absent,
                Program::Recon => is_refused || outcome.status == Status::Done,
                _ => is_refused,
            };
            anyhow::ensure!(as_expected, "{} ended as {:?}, not at the device: {reason}", step.name, outcome.status);
        }
        anyhow::ensure!(refused > 0, "no step came to a device");
        eprintln!("{refused} of {} steps came to the device and were refused there", steps.len());
        Ok(())
    }

    fn library_path(&self) -> anyhow::Result<OsString> {
        let set = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        Ok(std::env::join_paths(self.libraries.iter().cloned().chain(std::env::split_paths(&set)))?)
    }
}

/// The line that says most about a failure: what a program calls its error, what a test panicked with, or the last.
fn telling(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find(|line| line.starts_with("error:") || line.contains("cannot open shared object"));
    let mut panicked = lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    let other = || lines().find(|line| line.starts_with("Error: "));
    error.or_else(|| panicked.next()).or_else(other).or_else(|| lines().next_back()).map(str::to_owned)
}

/// The JSON lines among what was printed.
fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect()
}

/// What a program printed, by its kind.
fn figures(program: Program, stdout: &str) -> anyhow::Result<Value> {
    match program {
        Program::Tests(_) | Program::Sanitized(_) => {
            let count = |word: &str| -> u64 {
                let results = stdout.lines().filter_map(|line| line.strip_prefix("test result: "));
                let numbers = results.filter_map(|line| {
                    line.split_once(word)?.0.split([' ', ';', '.']).rfind(|x| !x.is_empty())?.parse::<u64>().ok()
                });
                numbers.sum()
            };
            let (passed, failed) = (count(" passed"), count(" failed"));
            anyhow::ensure!(passed + failed > 0, "no test of a device is in it");
            Ok(json!({ "passed": passed, "failed": failed }))
        }
        Program::Kernels(_) | Program::Serving => {
            let lines = lines(stdout);
            anyhow::ensure!(!lines.is_empty(), "nothing was measured");
            Ok(lines.into())
        }
        Program::Recon | Program::Rehearsal => serde_json::from_str(stdout).context("what it printed is no JSON"),
        Program::Compared => unreachable!("no program is started"),
    }
}

/// Files below `folder` that satisfy `is_it`, by their place from the last `stage` folder on.
fn files(folder: &Path, is_it: fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, is_it)?);
        } else if is_it(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether two runs packed the same rows, and how far their losses are apart.
fn compare(one: &Path, other: &Path) -> anyhow::Result<Value> {
    let rows = |folder: &Path| -> anyhow::Result<Vec<Vec<u8>>> {
        let paths = files(folder, |path| path.extension().is_some_and(|x| x == "mds" || x == "zstd"))?;
        anyhow::ensure!(!paths.is_empty(), "{} has no packed rows", folder.display());
        Ok(paths.into_iter().map(fs::read).collect::<std::io::Result<_>>()?)
    };
    let losses = |folder: &Path| -> anyhow::Result<Vec<f64>> {
        let paths = files(folder, |path| path.ends_with("metrics.jsonl"))?;
        let text = paths.into_iter().map(fs::read_to_string).collect::<std::io::Result<String>>()?;
        Ok(lines(&text).iter().filter_map(|line| line["loss_nats"].as_f64()).collect())
    };
    let (first, second) = (losses(one)?, losses(other)?);
    anyhow::ensure!(first.len() == second.len() && !first.is_empty(), "{} and {} losses", first.len(), second.len());
    let apart = first.iter().zip(&second).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let same = rows(one)? == rows(other)?;
    anyhow::ensure!(
        same,
        "the rows differ: the GPU decided otherwise somewhere; losses are {apart:e} nats apart at most"
    );
    Ok(json!({ "same_rows": same, "steps": first.len(), "largest_loss_difference_nats": apart }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 3] = [
        step("passes", Program::Tests("passes"), 0),
        step("fails", Program::Tests("fails"), 0),
        step("large", Program::Tests("passes"), 1000),
    ];

    const fn step(name: &'static str, program: Program, needs_gb: u64) -> Step {
        Step { name, program, arguments: &["device", "{out}"], limit_minutes: 1, needs_gb }
    }

    /// A bundle of two programs, each of which leaves a line where it has run.
    fn day(folder: &Path) -> Day {
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let program = |name: &str, script: &str| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = bin.join(format!("tests-{name}"));
            fs::write(&path, format!("#!/bin/sh\necho {name} \"$1\" >>\"$2/ran\"\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("passes", "echo 'test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out'");
        program("fails", "printf 'thread x panicked at a.rs:1:2:\\nno such device\\n'; exit 101");
        let machine =
            Machine { device: "H".into(), driver: "580".into(), memory_gb: Some(80.0), torch: "2.11.0".into() };
        let (bundle, out, manifest) = (folder.to_owned(), folder.join("out"), Manifest { commit: "abc".into() });
        Day { bundle, out, manifest, machine, libraries: Vec::new(), rehearsal: false }
    }

    #[test]
    fn what_has_ended_is_not_run_again_by_the_same_commit() {
        let folder = tempfile::tempdir().unwrap();
        let (mut day, hour) = (day(folder.path()), Duration::from_hours(1));
        let steps: Vec<&Step> = STEPS.iter().collect();
        let done = day.run(&steps, hour).unwrap();
        assert_eq!(done, Done { failed: vec!["fails".into()], left: 0 });
        assert_eq!(day.run(&steps, hour).unwrap(), done);
        let ran = || fs::read_to_string(day.out.join("ran")).unwrap();
        assert_eq!(ran(), "passes device\nfails device\n");
        let of = |name| Outcome::read(&day.out, name).unwrap().unwrap();
        assert_eq!(of("passes").figures, json!({ "passed": 3, "failed": 0 }));
        let failed = of("fails");
        assert_eq!((failed.status, failed.reason.as_deref()), (Status::Failed, Some("no such device")));
        assert_eq!(of("large").status, Status::TooSmall);
        assert!(day.rehearsed(&steps).is_err(), "tests that pass without a device rehearse nothing");
        day.manifest.commit = "def".into();
        day.run(&steps, hour).unwrap();
        assert_eq!(fs::read_to_string(day.out.join("ran")).unwrap().lines().count(), 4);
    }

    #[test]
    fn a_step_that_may_not_end_in_time_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let day = day(folder.path());
        let steps: Vec<&Step> = STEPS.iter().collect();
        let done = day.run(&steps, Duration::from_secs(59)).unwrap();
        assert_eq!(done, Done { failed: Vec::new(), left: 3 });
        assert!(!day.out.join("ran").exists());
    }

    #[test]
    fn a_results_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let day = day(folder.path());
        fs::create_dir_all(&day.out).unwrap();
        fs::write(day.out.join("passes.json"), "{").unwrap();
        let error = day.run(&[&STEPS[0]], Duration::from_hours(1)).unwrap_err().to_string();
        assert!(error.contains("passes.json is no results file"), "{error}");
    }

    #[test]
    fn two_runs_are_compared_by_rows_and_losses() {
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str, row: &str, loss: f64| {
            let place = folder.path().join(name).join("pack");
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("shard.00000.mds"), row).unwrap();
            fs::write(place.join("metrics.jsonl"), format!("{{\"loss_nats\": {loss}}}\n")).unwrap();
            folder.path().join(name)
        };
        let (one, near, other) = (run("one", "row", 2.0), run("near", "row", 2.5), run("other", "wor", 2.0));
        assert_eq!(compare(&one, &near).unwrap()["largest_loss_difference_nats"], 0.5);
        assert!(compare(&one, &other).unwrap_err().to_string().contains("the rows differ"));
        assert!(compare(&one, &folder.path().join("none")).is_err());
    }
}
