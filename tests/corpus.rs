//! Corpora through the binary: the whole way, shared by workers, stopped on the way, with faults in them.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Ran, command, in_repository, recon, small_package, write};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Short settings: what is tested is the path, not the result's size.
const SHORT: [&str; 8] = [
    "train.duration.steps=2",
    "refine.rounds=1",
    "refine.max_steps=2",
    "refine.max_thought_tokens=24",
    "refine.control_steps=0",
    "holdout.files=1",
    "holdout.repositories=0.3",
    "corpus.shards=5",
];

/// Small repositories as JSON Lines, each with files that import each other.
fn corpus(to: &Path, repositories: usize) {
    let mut lines = String::new();
    for at in 0..repositories {
        let name = format!("owner/shop{at}");
        let files = [
            ("__init__.py", format!("\"\"\"Shop {at}.\"\"\"\nfrom .cart import Cart{at}\n")),
            (
                "money.py",
                format!(
                    "\"\"\"Amounts of shop {at}.\"\"\"\n\n\ndef cents{at}(value):\n    return value * {}\n",
                    at + 7
                ),
            ),
            (
                "cart.py",
                format!(
                    "from .money import cents{at}\n\n\nclass Cart{at}:\n    def total(self):\n        return cents{at}({at})\n"
                ),
            ),
            ("main.py", format!("from .cart import Cart{at}\n\nprint(Cart{at}().total())\n")),
        ];
        for (path, content) in files {
            let path = format!("shop/{path}");
            let row = json!({ "repository": name, "path": path, "content": content, "licence": "MIT" });
            lines.push_str(&format!("{row}\n"));
        }
    }
    fs::write(to, lines).unwrap();
}

fn run(corpus: &Path, out: &Path, more: &[&str]) -> std::process::Command {
    let mut command = command();
    command.args(["run", "--format", "json", "--config"]).arg(in_repository("configs/quickstart.toml"));
    command.arg("--corpus").arg(corpus).arg("--out").arg(out);
    for assignment in SHORT {
        command.args(["--set", assignment]);
    }
    command.args(more);
    command
}

fn ran(mut command: std::process::Command) -> Ran {
    command.output().expect("the binary starts").into()
}

/// Every result below `root` with its bytes; what says how long something took is left out.
fn results(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let timed =
        ["manifest.json", "summary.json", "metrics.jsonl", "saves.jsonl", "config.toml", "run.json", ".recon.lock"];
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if !timed.contains(&name.as_str())
                && !name.starts_with("events.out")
                && !text(&path).contains("/checkpoints/")
            {
                found.insert(path.strip_prefix(root).unwrap().into(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn names(of: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<&Path> {
    of.keys().map(PathBuf::as_path).collect()
}

/// Starts a worker and kills it after `delay`; whether it had ended by itself.
fn killed(mut child: Child, delay: Duration) -> bool {
    std::thread::sleep(delay);
    let ended = child.try_wait().unwrap().is_some();
    child.kill().ok();
    child.wait().unwrap();
    ended
}

#[test]
fn workers_that_are_killed_on_the_way_give_the_bytes_of_one_run() {
    let work = tempfile::tempdir().unwrap();
    let shard = work.path().join("shops.jsonl");
    corpus(&shard, 12);
    let one = work.path().join("one");
    // One repository after another; the workers below take several of theirs at once.
    let summary = ran(run(&shard, &one, &["--set", "engine.callers=1"])).expect(0).json();
    assert_eq!((summary["repository"].is_null(), summary["repositories"].as_u64()), (true, Some(12)));
    let held_out = summary["held_out"]["repositories"].as_u64().unwrap();
    assert!((1..=8).contains(&held_out), "{summary}");
    let checked = recon(&["check", text(&one), "--corpus", text(&shard), "--format", "json"]).expect(0).json();
    assert_eq!(checked["trajectories"], summary["trajectory"]["documents"], "{checked}");

    let many = work.path().join("many");
    let worker = |share: &str| run(&shard, &many, &["--until", "refine", "--shard", share]);
    let mut delay = Duration::from_millis(150);
    // One worker is killed again and again, ever later, beside two that are left alone.
    let others = ["2/3", "3/3"].map(|share| worker(share).stdout(Stdio::null()).spawn().unwrap());
    for _ in 0..10 {
        let child = worker("1/3").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if killed(child, delay) {
            break;
        }
        delay += delay / 2;
    }
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
    ran(worker("1/3")).expect(0);
    // Another split finds everything done already.
    let again = ran(run(&shard, &many, &["--until", "refine", "--shard", "2/2"])).expect(0).json();
    assert_eq!(again["generated_tokens"], 0);
    let finished = ran(run(&shard, &many, &[])).expect(0).json();
    let shards = |name: &str| {
        finished["stages"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()["reused"] == true
    };
    assert!(["read", "graph", "synth", "refine"].into_iter().all(shards), "{finished}");
    let (one, many) = (results(&one), results(&many));
    assert_eq!(names(&one), names(&many));
    for (path, bytes) in &one {
        assert!(bytes == &many[path], "{} differs", path.display());
    }
}

#[test]
fn a_run_is_converted_and_shown() {
    let work = tempfile::tempdir().unwrap();
    let (shard, out) = (work.path().join("shops.jsonl"), work.path().join("out"));
    corpus(&shard, 4);
    ran(run(&shard, &out, &["--until", "refine", "--set", "holdout.repositories=0"])).expect(0);
    let lines = |format: &str| -> Vec<Value> {
        let to = work.path().join(format);
        recon(&["convert", text(&out), "--to", format, "--out", text(&to)]).expect(0);
        fs::read_to_string(to).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (documents, conversations) = (lines("axolotl"), lines("messages"));
    assert_eq!(documents.len(), 4);
    // Of each repository the main agent, and one for each of its files; one file is held out.
    assert_eq!(conversations.len(), 4 * (1 + 3));
    let inside = |it: &Value| it["subagent_trajectories"].as_array().unwrap().len();
    assert_eq!(lines("atif").iter().map(inside).collect::<Vec<_>>(), [3; 4]);
    for it in lines("provenance") {
        assert!(it["trained"].as_array().unwrap().iter().any(|run| run["author"] == "repository"), "{it}");
        assert_eq!(it["licence"], "MIT");
    }
    for pair in lines("preferences") {
        assert!(pair["delta_nats"].as_f64().unwrap() > 0.0, "{pair}");
    }
    recon(&["report", text(&out)]).expect(0);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("owner/shop3") && page.contains("class Cart3") && page.contains("There was no training"));
    let no_run = text(work.path());
    for command in [&["report", no_run][..], &["check", no_run, "--repository", no_run]] {
        assert!(recon(command).expect(2).error().contains("holds no trajectories of a run"), "{command:?}");
    }
    let nothing = work.path().join("nothing.jsonl");
    fs::write(&nothing, "").unwrap();
    let to = work.path().join("to");
    let refused = recon(&["convert", text(&nothing), "--to", "messages", "--out", text(&to)]).expect(2);
    assert!(refused.error().contains("holds no trajectory") && !to.exists(), "{}", refused.error());
}

#[test]
fn a_corpus_accounts_for_what_it_does_not_use() {
    let work = tempfile::tempdir().unwrap();
    let (folder, out) = (work.path().join("repos"), work.path().join("out"));
    small_package(&folder.join("shop"));
    write(&folder.join("other"), &[("main.py", "import json\n\nprint(json.dumps({'a': 1}))\n")]);
    let arguments = ["graph", "--corpus", text(&folder), "--out", text(&out), "--format", "json"];
    let report = recon(&arguments).expect(0).json();
    assert_eq!((report["repositories"].as_u64(), report["kept_repositories"].as_u64()), (Some(2), Some(2)));
    let mut names = Vec::new();
    for shard in fs::read_dir(out.join("shards")).unwrap() {
        let lines =
            zstd::decode_all(fs::File::open(shard.unwrap().path().join("graph/graphs.jsonl.zst")).unwrap()).unwrap();
        for line in String::from_utf8(lines).unwrap().lines() {
            names.push(serde_json::from_str::<Value>(line).unwrap()["repository"]["name"].as_str().unwrap().to_owned());
        }
    }
    names.sort();
    assert_eq!(names, ["other", "shop"]);
    let manifest = || fs::metadata(out.join("read/manifest.json")).unwrap().modified().unwrap();
    let before = manifest();
    assert_eq!(recon(&arguments).expect(0).json(), report);
    assert_eq!(manifest(), before, "reused");

    fs::write(folder.join("torn.tar.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    let failed = recon(&arguments).expect(1);
    assert!(failed.error().contains("archive_damaged") && failed.stderr.contains("hint: raise"), "{}", failed.stderr);
    assert!(!out.join("read/manifest.json").exists(), "a failed stage is not complete");
    let lenient = [&arguments[..], &["--set", "corpus.max_skipped_fraction=0.5"]].concat();
    assert_eq!(recon(&lenient).expect(0).json()["unusable_repositories"]["archive_damaged"], 1);
}

#[test]
fn a_repository_that_cannot_be_simulated_is_set_aside_and_past_the_limit_fails() {
    let work = tempfile::tempdir().unwrap();
    let (shard, out) = (work.path().join("shops.jsonl"), work.path().join("out"));
    corpus(&shard, 6);
    // Its name alone fills half the context.
    let mut lines = fs::read_to_string(&shard).unwrap();
    let name = format!("owner/wide{}", "-and-wider".repeat(300));
    for (path, content) in [("money.py", "def cents(value):\n    return value * 99\n"), ("main.py", "import money\n")] {
        let row = json!({ "repository": name, "path": path, "content": content });
        lines.push_str(&format!("{row}\n"));
    }
    fs::write(&shard, lines).unwrap();
    let synth = |out: &Path, fraction: &str| {
        let limit = format!("corpus.max_skipped_fraction={fraction}");
        let wide = ["--set", &limit, "--set", "agents.context_tokens=512", "--set", "holdout.repositories=0"];
        ran(run(&shard, out, &[&["--until", "synth"][..], &wide].concat()))
    };
    let failed = synth(&work.path().join("strict"), "0.05").expect(1);
    assert!(
        failed.error().contains("of 7 repositories were set aside") && failed.error().contains("owner/wide"),
        "{}",
        failed.error()
    );
    synth(&out, "1.0").expect(0);
}

#[test]
fn bad_input_ends_in_one_line_before_anything_is_written() {
    let work = tempfile::tempdir().unwrap();
    let (shard, out) = (work.path().join("shops.jsonl"), work.path().join("out"));
    corpus(&shard, 3);
    let refused = |command: std::process::Command, words: &str| {
        let ran = ran(command).expect(2);
        assert!(ran.error().contains(words), "{}", ran.error());
    };
    refused(run(&work.path().join("nowhere"), &out, &[]), "there is nothing at");
    refused(run(&shard, work.path(), &[]), "results would lie over");
    refused(run(&shard, &out, &["--shard", "1/2"]), "needs all shards");
    for nonsense in [
        "corpus.max_skipped_fraction=nan",
        "corpus.shards=0",
        "holdout.repositories=1.5",
        "corpus.max_skipped_fraction=-1",
    ] {
        refused(run(&shard, &out, &["--set", nonsense]), nonsense.split(['.', '=']).nth(1).unwrap());
    }
    assert!(ran(run(&shard, &out, &["--shard", "3/2"])).code == Some(2));
    assert!(recon(&["graph", "--corpus", text(&shard)]).expect(2).stderr.contains("--out"));
    let empty = work.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(run(&empty, &out, &[]), "holds neither shards");
    fs::write(empty.join("none.jsonl"), "").unwrap();
    refused(run(&empty, &out, &[]), "no file is left to train on");
}

#[test]
fn a_repository_whose_folder_would_be_the_result_keeps_its_own_folders() {
    let work = tempfile::tempdir().unwrap();
    let shop = work.path().join("shop");
    small_package(&shop);
    for folder in ["train", "graph", "export", "read", "shards"] {
        write(&shop, &[(&format!("{folder}/mine.py"), "x = 1\n")]);
    }
    let single = |out: &Path| {
        let named = format!("repository={}", text(&shop));
        let config = in_repository("configs/quickstart.toml");
        recon(&["synth", "--config", text(&config), "--out", text(out), "--set", &named])
    };
    assert!(single(work.path()).expect(2).error().contains("results would lie over"));
    // Folders of the names of stages that are somebody else's, in a place that is not the repository.
    let out = work.path().join("out");
    write(&out, &[("shop/read/mine.txt", "mine"), ("shop/train/mine.txt", "mine")]);
    assert!(single(&out).expect(2).error().contains("was not made by recon"));
    assert_eq!(fs::read_to_string(out.join("shop/read/mine.txt")).unwrap(), "mine");
    for folder in ["train", "graph", "export", "read", "shards"] {
        assert_eq!(fs::read_to_string(shop.join(folder).join("mine.py")).unwrap(), "x = 1\n");
    }
}
