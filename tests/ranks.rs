//! `recon-train` as several processes: the bits of one process, and one clear line where a rank fails.
//!
//! The processes meet over sockets of this machine, as any launcher would start them.

#[path = "support/ran.rs"]
mod ran;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ran::Ran;
use recon_mds::{Array, Encoding, Sample, Writer, WriterOptions};

/// Eight rows of two documents.
fn rows(directory: &Path) {
    let columns: Vec<(&str, Encoding)> =
        ["input_ids", "indices"].map(|name| (name, "ndarray:uint32".parse().unwrap())).to_vec();
    let mut writer = Writer::create(directory, columns, WriterOptions::default()).unwrap();
    for row in 0..8_u32 {
        let ids: Vec<u32> = (0..32 + row).map(|at| 40 + (row * 31 + at * at * 7) % 200).collect();
        let indices = Array::new(vec![2, 2], vec![0, 12 + row, 12 + row, 32 + row]).unwrap();
        let sample =
            Sample::from([("input_ids".into(), Array::vector(ids).into()), ("indices".into(), indices.into())]);
        writer.write(&sample).unwrap();
    }
    writer.finish().unwrap();
}

struct Ranks<'a> {
    work: &'a Path,
    out: &'a str,
    steps: u64,
    settings: &'a [&'a str],
    resume: bool,
}

impl Ranks<'_> {
    fn out(&self) -> PathBuf {
        self.work.join(self.out)
    }

    /// Starts rank after rank, each with what `more` adds for it.
    fn start(&self, world: usize, more: impl Fn(usize) -> Vec<String>) -> Vec<Child> {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
        let start = |rank: usize| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_recon-train"));
            command.env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", world.to_string());
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
            command.arg("--set").arg(format!("data={}", self.work.join("rows").display()));
            command.arg("--out").arg(self.out());
            let duration = format!("train.duration={{ steps = {} }}", self.steps);
            let fixed = [&duration, "train.accumulation=4", "train.parallel.parts=4", "train.save={ every_steps = 2 }"];
            let own = more(rank);
            for setting in fixed.into_iter().chain(self.settings.iter().copied()).chain(own.iter().map(String::as_str))
            {
                command.args(["--set", setting]);
            }
            if self.resume {
                command.arg("--resume");
            }
            command.spawn().expect("the binary starts")
        };
        (0..world).map(start).collect()
    }

    fn run(&self, world: usize) -> Vec<Ran> {
        ended(self.start(world, |_| Vec::new()))
    }

    /// Waits until the run has the figures of so many steps.
    fn wait_for(&self, steps: usize, ranks: &mut [Child]) {
        let path = self.out().join("metrics.jsonl");
        while fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < steps {
            assert!(ranks.iter_mut().all(|rank| rank.try_wait().unwrap().is_none()), "the training ended too early");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn figures(&self) -> Vec<String> {
        let text = fs::read_to_string(self.out().join("metrics.jsonl")).unwrap_or_default();
        let of = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            ["step", "loss_nats", "grad_norm", "trained_tokens"].map(|key| line[key].to_string()).join(" ")
        };
        text.lines().map(of).collect()
    }

    fn tensors(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let checkpoint = self.out().join(format!("checkpoints/step-{}", self.steps));
        let files = fs::read_dir(checkpoint).unwrap().map(|entry| entry.unwrap().path());
        let tensors = files.filter(|path| path.extension().is_some_and(|it| it == "tensor"));
        let mut tensors: Vec<_> =
            tensors.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect();
        tensors.sort();
        tensors
    }
}

fn ended(ranks: Vec<Child>) -> Vec<Ran> {
    ranks.into_iter().map(|rank| Ran::from(rank.wait_with_output().unwrap())).collect()
}

#[cfg(unix)]
fn signal(rank: &Child, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(rank.id().to_string()).status().unwrap().success());
}

#[test]
fn processes_give_the_bits_of_one_process_also_when_their_number_changes() {
    let work = tempfile::tempdir().unwrap();
    rows(&work.path().join("rows"));
    let whole = Ranks { work: work.path(), out: "whole", steps: 6, settings: &[], resume: false };
    for ran in whole.run(1) {
        ran.expect(0);
    }
    let shared = ["train.parallel.state=shared"];
    for (out, settings) in [("replicated", &[][..]), ("shared", &shared)] {
        let two = Ranks { out, settings, ..whole };
        let ran = two.run(2);
        assert!(ran[1].stdout.is_empty() && !ran[0].stdout.is_empty(), "one rank says where the checkpoint is");
        ran.into_iter().for_each(|ran| drop(ran.expect(0)));
        assert_eq!(two.figures(), whole.figures(), "{out}");
        assert!(two.tensors() == whole.tensors(), "{out}");
    }
    let elastic = |resume| Ranks { out: "elastic", settings: &shared, resume, steps: 6, work: work.path() };
    let mut world = 2;
    let mut ranks = elastic(false).start(world, |_| Vec::new());
    elastic(false).wait_for(1, &mut ranks);
    // One rank alone hears it.
    #[cfg(unix)]
    signal(&ranks[1], "TERM");
    for ran in ended(ranks) {
        let ran = ran.expect(75);
        assert!(ran.stderr.contains("stopped: ") && ran.stderr.contains("--resume"), "{}", ran.stderr);
        world = 4;
    }
    elastic(true).run(world).into_iter().for_each(|ran| drop(ran.expect(0)));
    assert_eq!(elastic(true).figures(), whole.figures());
    assert!(elastic(true).tensors() == whole.tensors());
}

#[test]
#[cfg(unix)]
fn a_rank_that_dies_or_hangs_is_named_and_the_run_goes_on_from_its_checkpoint() {
    let work = tempfile::tempdir().unwrap();
    rows(&work.path().join("rows"));
    let settings = ["train.parallel.timeout_s=3"];
    let whole = Ranks { work: work.path(), out: "whole", steps: 16, settings: &settings, resume: false };
    whole.run(1).into_iter().for_each(|ran| drop(ran.expect(0)));
    for (out, name, said) in
        [("dies", "KILL", "rank 1 of 2 was lost"), ("hangs", "STOP", "rank 1 of 2 sent nothing for 3 s")]
    {
        let two = Ranks { out, ..whole };
        let mut ranks = two.start(2, |_| Vec::new());
        two.wait_for(3, &mut ranks);
        let hit = Instant::now();
        signal(&ranks[1], name);
        let first = Ran::from(ranks.remove(0).wait_with_output().unwrap()).expect(1);
        assert!(hit.elapsed() < Duration::from_secs(20), "{:?}", hit.elapsed());
        ranks.iter_mut().for_each(|rank| {
            rank.kill().unwrap();
            rank.wait().unwrap();
        });
        assert_eq!(first.error(), said);
        assert!(first.stderr.contains("--resume"), "{}", first.stderr);
        let resumed = Ranks { resume: true, ..two };
        resumed.run(1).into_iter().for_each(|ran| drop(ran.expect(0)));
        assert_eq!(resumed.figures(), whole.figures(), "{out}");
        assert!(resumed.tensors() == whole.tensors(), "{out}");
    }
}

#[test]
fn what_cannot_be_run_together_is_refused_in_one_line_by_every_rank() {
    let work = tempfile::tempdir().unwrap();
    rows(&work.path().join("rows"));
    let ranks =
        Ranks { work: work.path(), out: "out", steps: 2, settings: &["train.parallel.timeout_s=5"], resume: false };
    let odd = |rank| if rank == 1 { vec!["train.lr=3e-5".to_owned()] } else { Vec::new() };
    for ran in ended(ranks.start(3, odd)) {
        let ran = ran.expect(2);
        assert!(ran.error().starts_with("rank 1 of 3 has another `train.lr` than the others"), "{}", ran.error());
    }
    for ran in ranks.run(3) {
        let ran = ran.expect(2);
        assert!(ran.error().contains("parallel.parts is 4, which 3 ranks cannot share"), "{}", ran.error());
    }
    // The second never starts.
    let mut alone = ranks.start(2, |_| Vec::new());
    let mut second = alone.pop().unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    for ran in ended(alone) {
        let said = ran.expect(1).error().to_owned();
        assert!(said.contains("rank 1 of 2"), "{said}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_recon-train"));
    command.env("RANK", "0").env("WORLD_SIZE", "2").arg("--set").arg("data=rows");
    let ran = Ran::from(command.output().unwrap()).expect(2);
    assert!(ran.error().contains("MASTER_ADDR is not set"), "{}", ran.error());
    assert!(!work.path().join("out/checkpoints").exists());
}
