//! The whole path, from a repository to an exported checkpoint, on a small repository.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::{Ran, command, in_repository, recon, small_package, write};

/// Every control string of Llama-3, as repository text.
fn control_strings() -> String {
    let named = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|finetune_right_pad_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
    ];
    let reserved = (0..248).map(|at| format!("<|reserved_special_token_{at}|>"));
    named.into_iter().map(String::from).chain(reserved).collect::<Vec<_>>().join("\n")
}

/// The control strings in a few files that another one imports, so that none of them is held out.
fn hostile_files(repository: &Path) {
    let strings = control_strings();
    let lines: Vec<&str> = strings.lines().collect();
    let mut imports = String::new();
    for (at, lines) in lines.chunks(64).enumerate() {
        let text = format!("\"\"\"Marks.\"\"\"\nMARKS = '''{}'''\n", lines.join("\n"));
        write(repository, &[(&format!("shop/marks_{at}.py"), &text)]);
        imports += &format!("from .marks_{at} import MARKS\n");
    }
    write(repository, &[("shop/marks.py", &imports)]);
}

/// A finished run.
struct Pipeline {
    repository: PathBuf,
    out: PathBuf,
    summary: Value,
}

/// Short settings: what is tested is the path, not the result's size.
const SHORT: &[&str] = &[
    "train.duration.steps=3",
    "refine.rounds=2",
    "refine.max_thought_tokens=24",
    "refine.control_steps=1",
    "holdout.files=1",
];

fn run(repository: &Path, out: &Path) -> Ran {
    run_command(repository, out).output().expect("the binary starts").into()
}

fn run_command(repository: &Path, out: &Path) -> Command {
    let mut command = command();
    command.args(["run", "--format", "json", "--config"]).arg(in_repository("configs/quickstart.toml"));
    command.arg("--out").arg(out).arg("--set").arg(format!("repository={}", repository.display()));
    for assignment in SHORT {
        command.args(["--set", assignment]);
    }
    command
}

/// Starts a run and kills it as soon as the search has kept its first part.
fn run_and_kill(repository: &Path, out: &Path) {
    let mut child = run_command(repository, out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let kept = || find(out, "journal").iter().any(|path| path.to_string_lossy().contains("refine") && lines(path) > 0);
    while !kept() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// One run is long, so one test makes it and asks everything of it.
#[test]
fn a_run_keeps_every_promise() {
    let work = tempfile::tempdir().unwrap();
    let (repository, out) = (work.path().join("shop"), work.path().join("out"));
    small_package(&repository);
    hostile_files(&repository);
    let summary = run(&repository, &out).expect(0).json();
    let made = Pipeline { repository, out, summary };
    thoughts_make_the_code_more_likely_in_their_own_context(&made);
    the_held_out_file_is_in_no_training_document(&made);
    the_checker_accepts_the_trajectory_and_refuses_one_flipped_byte(&made);
    control_strings_stay_text_from_the_repository_to_the_rows(&made);
    the_export_is_a_model_that_scores_as_the_run_said(&made);
    a_second_run_generates_nothing_and_touches_no_file(&made);
    the_same_configuration_gives_the_same_bytes_also_when_the_search_is_killed_on_the_way(&made);
}

/// Every file below `root` that is not being written at this moment.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, (SystemTime, u64)> {
    let mut files = BTreeMap::new();
    let mut queue = vec![root.to_path_buf()];
    while let Some(directory) = queue.pop() {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                queue.push(path);
            } else {
                files.insert(path, (metadata.modified().unwrap(), metadata.len()));
            }
        }
    }
    files
}

fn thoughts_make_the_code_more_likely_in_their_own_context(made: &Pipeline) {
    let likelihood = &made.summary["likelihood"];
    let nats = |key: &str| likelihood[key].as_f64().unwrap_or_else(|| panic!("{key} in {likelihood}"));
    assert!(nats("final_nats") < nats("initial_nats"), "{likelihood}");
    assert!(nats("baseline_nats") > 0.0 && likelihood["tokens"].as_u64().unwrap() > 0, "{likelihood}");
    assert!(likelihood["control"]["thoughts"].as_u64().unwrap() >= 1, "{likelihood}");
}

fn the_held_out_file_is_in_no_training_document(made: &Pipeline) {
    let Pipeline { out, summary, .. } = made;
    assert_eq!(summary["held_out"]["files"], 1);
    let held_out = held_out(out);
    let trajectories = trajectories(out);
    for trajectory in &trajectories {
        for step in trajectory["steps"].as_array().unwrap() {
            assert_ne!(step["content"]["path"], held_out, "{step}");
            assert_ne!(step["action"]["path"], held_out, "{step}");
        }
    }
    assert!(summary["held_out"]["before_nats"].as_f64().unwrap() > 0.0);
    assert!(summary["held_out"]["after_nats"].as_f64().unwrap() > 0.0);
}

/// The path of the only held-out file.
fn held_out(out: &Path) -> String {
    let records: Vec<Value> =
        recon_schema::file::read_json_lines(&find(out, "held_out.jsonl.zst")[0], "held-out").unwrap();
    records[0]["path"].as_str().unwrap().to_owned()
}

fn trajectory_file(out: &Path) -> PathBuf {
    find(out, "trajectories.jsonl.zst").into_iter().find(|path| path.to_string_lossy().contains("refine")).unwrap()
}

fn find(root: &Path, name: &str) -> Vec<PathBuf> {
    snapshot(root).into_keys().filter(|path| path.file_name().is_some_and(|it| it == name)).collect()
}

fn trajectories(out: &Path) -> Vec<Value> {
    recon_schema::file::read_json_lines(&trajectory_file(out), "recon.trajectory/3").unwrap()
}

fn the_checker_accepts_the_trajectory_and_refuses_one_flipped_byte(made: &Pipeline) {
    let Pipeline { repository, out, .. } = made;
    let check = |file: &Path| recon(&["check", file.to_str().unwrap(), "--repository", repository.to_str().unwrap()]);
    check(&trajectory_file(out)).expect(0);

    let mut records = trajectories(out);
    let written = records[0]["steps"].as_array_mut().unwrap().iter_mut().find(|step| step["action"]["tool"] == "write");
    let text = &mut written.unwrap()["action"]["text"];
    let mut bytes = text.as_str().unwrap().as_bytes().to_vec();
    bytes[0] ^= 1;
    *text = Value::String(String::from_utf8(bytes).unwrap());
    let work = tempfile::tempdir().unwrap();
    let flipped = work.path().join("flipped.jsonl.zst");
    recon_schema::file::write_json_lines(&flipped, &records).unwrap();
    let ran = check(&flipped).expect(1);
    assert!(!ran.error().is_empty());
}

fn control_strings_stay_text_from_the_repository_to_the_rows(made: &Pipeline) {
    let Pipeline { out, .. } = made;
    let held_out = held_out(out);
    assert!(!held_out.starts_with("shop/marks_"), "the hostile files take part: {held_out}");
    let written =
        trajectories(out).iter().any(|trajectory| trajectory.to_string().contains("<|reserved_special_token_200|>"));
    assert!(written, "the hostile file was written in a trajectory");
    let rows = find(out, "index.json").into_iter().map(|index| index.parent().unwrap().to_path_buf()).next().unwrap();
    let shown = recon(&["pack", "--show", "64", rows.to_str().unwrap()]).expect(0).stdout;
    assert!(shown.contains("reserved_special_token_200"), "the text is in the rows");
    // A row has one control token for each turn's beginning; one hundred control strings in a file add none.
    let model = in_repository("assets/nano");
    let tokenizer = recon_text::Tokenizer::from_dir(&model).unwrap();
    let start = tokenizer.special_id("<|start_header_id|>").expect("nano has it");
    assert!(!tokenizer.encode(&control_strings()).contains(&start));
}

fn the_export_is_a_model_that_scores_as_the_run_said(made: &Pipeline) {
    let Pipeline { out, .. } = made;
    let export = find(out, "config.json").into_iter().map(|path| path.parent().unwrap().to_path_buf()).next().unwrap();
    for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        assert!(export.join(name).exists(), "{name}");
    }
    let items = tempfile::NamedTempFile::new().unwrap();
    fs::write(items.path(), r#"[{"context": [1, 2, 3], "target": [4, 5]}]"#).unwrap();
    let tokens = items.path().to_str().unwrap();
    let trained =
        recon(&["score", "--model", export.to_str().unwrap(), "--tokens", tokens, "--format", "json"]).expect(0);
    let before = recon(&["score", "--model", "nano", "--tokens", tokens, "--format", "json"]).expect(0);
    assert_ne!(
        trained.json()["results"][0]["nats"],
        before.json()["results"][0]["nats"],
        "training changed the weights"
    );
}

fn a_second_run_generates_nothing_and_touches_no_file(made: &Pipeline) {
    let Pipeline { repository, out, summary } = made;
    let before = snapshot(out);
    let second = run(repository, out).expect(0).json();
    assert_eq!(before, snapshot(out), "no file was rewritten");
    assert_eq!(second["generated_tokens"], 0, "{second}");
    assert!(summary["generated_tokens"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["likelihood"], second["likelihood"]);
    assert!(second["stages"].as_array().unwrap().iter().all(|stage| stage["reused"] == true), "{second}");
}

fn the_same_configuration_gives_the_same_bytes_also_when_the_search_is_killed_on_the_way(made: &Pipeline) {
    let Pipeline { repository, out, .. } = made;
    let work = tempfile::tempdir().unwrap();
    let other = work.path().join("out");
    run_and_kill(repository, &other);
    let kept = find(&other, "journal");
    assert!(!kept[0].with_file_name("manifest.json").exists(), "the search was not finished");
    run(repository, &other).expect(0);
    assert!(find(&other, "journal").is_empty() && find(&other, "unfinished").is_empty(), "nothing of the way is left");
    let read = |root: &Path| fs::read(trajectory_file(root)).unwrap();
    assert_eq!(read(out), read(&other), "trajectories");
    let weights = |root: &Path| fs::read(&find(root, "model.safetensors")[0]).unwrap();
    assert_eq!(weights(out), weights(&other), "exported weights");
}
