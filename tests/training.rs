//! `recon-train` from outside: rows that others wrote, signals, and what its settings and its log say.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use recon_mds::{Array, Encoding, Sample, Value, Writer, WriterOptions};
use support::{Ran, command, in_repository, recon, small_package};

/// Rows as Python's writer leaves them, ten of 60 to 84 ids, and nothing else in the folder.
fn rows(directory: &Path, with_spans_and_mask: bool) {
    let mut columns: Vec<(&str, Encoding)> =
        vec![("domain", Encoding::Str), ("input_ids", "ndarray:uint32".parse().unwrap()), ("length", Encoding::Int)];
    if with_spans_and_mask {
        columns.push(("indices", "ndarray:uint32".parse().unwrap()));
        columns.push(("mask", "ndarray:uint8".parse().unwrap()));
    }
    let mut writer = Writer::create(directory, columns, WriterOptions::default()).unwrap();
    for row in 0..10_u32 {
        let length = 60 + 24 * (row % 2);
        let ids: Vec<u32> = (0..length).map(|at| 40 + (row * 31 + at * at * 7) % 200).collect();
        let mut sample = Sample::from([
            ("domain".into(), Value::Str("book".into())),
            ("input_ids".into(), Array::vector(ids).into()),
            ("length".into(), Value::Int(i64::from(length))),
        ]);
        if with_spans_and_mask {
            sample.insert("indices".into(), Array::new(vec![2, 2], vec![0, 20, 20, length]).unwrap().into());
            let mask = (0..length).map(|at| u8::from(at % 5 != 2)).collect::<Vec<u8>>();
            sample.insert("mask".into(), Array::vector(mask).into());
        }
        writer.write(&sample).unwrap();
    }
    writer.finish().unwrap();
}

fn train_command(rows: &Path, out: &Path, assignments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recon-train"));
    // As it is for whoever sets nothing.
    command.env_remove("RUST_LOG").arg("--set").arg(format!("data={}", rows.display())).arg("--out").arg(out);
    for assignment in assignments {
        command.args(["--set", assignment]);
    }
    command
}

fn train(rows: &Path, out: &Path, assignments: &[&str]) -> Ran {
    train_command(rows, out, assignments).output().expect("the binary starts").into()
}

/// Step, loss and norm of every line, without what depends on the clock.
fn figures(out: &Path) -> Vec<(u64, f64, f64)> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap_or_default();
    let of = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["step"].as_u64().unwrap(), line["loss_nats"].as_f64().unwrap(), line["grad_norm"].as_f64().unwrap())
    };
    text.lines().map(of).collect()
}

#[test]
fn rows_of_others_are_trained_as_if_a_manifest_said_how_long_they_are() {
    let work = tempfile::tempdir().unwrap();
    let two = "train.duration={ steps = 2 }";
    for (name, with_spans_and_mask) in [("whole", true), ("bare", false)] {
        let data = work.path().join(name);
        rows(&data, with_spans_and_mask);
        let (out, told) = (data.join("out"), data.join("told"));
        let ran = train(&data, &out, &[two]).expect(0);
        assert!(ran.stderr.contains("gradients are clipped to norm 1"), "{}", ran.stderr);
        let mut manifest =
            recon_schema::manifest::Manifest::new("pack", serde_json::json!({"row_tokens": 84}), Default::default());
        manifest.facts = serde_json::json!({});
        manifest.write(&data).unwrap();
        train(&data, &told, &[two]).expect(0);
        assert_eq!(figures(&out).len(), 2);
        assert_eq!(figures(&out), figures(&told), "{name}");
        fs::remove_file(data.join("manifest.json")).unwrap();
    }
    assert_ne!(figures(&work.path().join("whole/out")), figures(&work.path().join("bare/out")));
    let bare = work.path().join("bare");
    recon(&["pack", "--show", "1", bare.to_str().unwrap()]).expect(0);
    let planned =
        train_command(&bare, &work.path().join("planned"), &[two]).args(["--plan", "--format", "json"]).output();
    assert!(Ran::from(planned.unwrap()).expect(0).json()["memory"]["activations_bytes"].as_u64() > Some(0));
    let ran = train(&bare, &work.path().join("short"), &[two, "model.max_position_embeddings=64"]);
    let ran = ran.expect(2);
    assert!(ran.error().contains("row 1 of") && ran.error().contains("84 tokens"), "{}", ran.error());
    assert!(ran.stderr.contains("hint: ") && !work.path().join("short/checkpoints").exists(), "{}", ran.stderr);
}

#[test]
fn several_sources_are_named_in_the_configuration_and_told_apart_in_the_metrics() {
    let work = tempfile::tempdir().unwrap();
    let [code, books] = ["code", "books"].map(|name| work.path().join(name));
    rows(&code, true);
    rows(&books, false);
    let out = work.path().join("out");
    let config = work.path().join("mix.toml");
    let text = |weight: &str| {
        format!(
            "out = {:?}\n[train]\nduration = {{ steps = 3 }}\naccumulation = 4\nwindow_tokens = 160\n\
             [[train.sources]]\ndirectory = {:?}\nweight = {weight}\n\
             [[train.sources]]\ndirectory = {:?}\nweight = [{{ from_step = 1, weight = 1 }}, {{ from_step = 3, weight = 0 }}]\n",
            out, code, books
        )
    };
    let run = |weight: &str| {
        fs::write(&config, text(weight)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_recon-train"));
        Ran::from(command.env_remove("RUST_LOG").arg("--config").arg(&config).output().unwrap())
    };
    for (weight, said) in [("-1", "the weight -1"), ("0", "never drawn from"), ("\"much\"", "a number, or a list")] {
        let ran = run(weight).expect(2);
        assert!(ran.error().contains(said), "{}", ran.error());
    }
    run("1").expect(0);
    let metrics = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let rows = |at: usize| last["sources"][at]["rows"].as_u64().unwrap();
    assert_eq!((last["sources"][0]["source"].as_str(), rows(0) + rows(1)), (Some("code"), 12), "{last}");
    assert!(rows(0) >= 4 && last["sources"][1]["loss_nats"].is_null(), "{last}");
    let again = Command::new(env!("CARGO_BIN_EXE_recon-train")).arg("--config").arg(&config).arg("--resume").output();
    let ran = Ran::from(again.unwrap()).expect(0);
    assert!(ran.stderr.contains("all 3 steps are done"), "{}", ran.stderr);
}

#[test]
fn clipping_is_switched_off_by_the_spelling_that_the_message_names() {
    let work = tempfile::tempdir().unwrap();
    let (data, two) = (work.path().join("rows"), "train.duration={ steps = 2 }");
    rows(&data, false);
    for wrong in ["train.clip_norm=0", "train.clip_norm=nan", "train.clip_norm=none", "train.clip_norm=true"] {
        let ran = train(&data, &work.path().join("out"), &[two, wrong]).expect(2);
        assert!(ran.error().contains("clip_norm") && ran.error().contains("`false`"), "{wrong}: {}", ran.error());
    }
    let series = |name: &str, clip: &str| {
        let ran = train(&data, &work.path().join(name), &[two, clip]).expect(0);
        (figures(&work.path().join(name)), ran.stderr)
    };
    let (off, said) = series("off", "train.clip_norm=false");
    assert!(said.contains("gradients are not clipped"), "{said}");
    assert_eq!(off, series("far", "train.clip_norm=1e30").0);
    let (_, said) = series("many", "train.micro_batch_rows=1000000000000");
    assert!(said.contains("micro_batch_rows") && said.contains("WARN"), "{said}");
}

/// Waits until `out` has the figures of a step, then sends `signal`.
fn stop(child: &mut Child, out: &Path, signal: &str) {
    while figures_written(out) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the training ended before it could be stopped");
        std::thread::sleep(Duration::from_millis(2));
    }
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

fn figures_written(out: &Path) -> usize {
    fs::read(out.join("metrics.jsonl")).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

fn tensors(out: &Path, step: u64) -> Vec<(PathBuf, Vec<u8>)> {
    let checkpoint = out.join(format!("checkpoints/step-{step}"));
    let files = fs::read_dir(checkpoint).unwrap().map(|entry| entry.unwrap().path());
    let mut tensors: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == "tensor"))
        .map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap()))
        .collect();
    tensors.sort();
    tensors
}

#[test]
#[cfg(unix)]
fn a_training_that_is_asked_to_stop_saves_and_goes_on_to_the_same_bits() {
    let work = tempfile::tempdir().unwrap();
    let data = work.path().join("rows");
    rows(&data, true);
    let settings = ["train.duration={ steps = 24 }"];
    let whole = work.path().join("whole");
    train(&data, &whole, &settings).expect(0);
    for signal in ["TERM", "USR1", "INT"] {
        let out = work.path().join(signal);
        let mut child =
            train_command(&data, &out, &settings).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        stop(&mut child, &out, signal);
        let ran = Ran::from(child.wait_with_output().unwrap()).expect(75);
        let done = figures(&out).len();
        assert!(done < 24 && out.join(format!("checkpoints/step-{done}/manifest.json")).exists(), "{}", ran.stderr);
        let said = format!("stopped: SIG{signal} after step {done} of 24");
        assert!(ran.stderr.contains(&said) && ran.stderr.contains("--resume"), "{}", ran.stderr);
        let resumed = train_command(&data, &out, &settings).arg("--resume").output().unwrap();
        Ran::from(resumed).expect(0);
        assert_eq!(figures(&out), figures(&whole), "{signal}");
        assert_eq!(tensors(&out, 24), tensors(&whole, 24), "{signal}");
    }
}

#[test]
#[cfg(unix)]
fn a_run_that_is_asked_to_stop_in_its_training_goes_on_when_it_is_started_again() {
    let work = tempfile::tempdir().unwrap();
    let (repository, out) = (work.path().join("shop"), work.path().join("out"));
    small_package(&repository);
    let run = || {
        let mut command = command();
        command.args(["run", "--config"]).arg(in_repository("configs/quickstart.toml")).arg("--out").arg(&out);
        command.arg("--set").arg(format!("repository={}", repository.display()));
        for assignment in ["agents.arm=raw", "holdout.files=1", "train.duration.steps=24", "pack.row_tokens=64"] {
            command.args(["--set", assignment]);
        }
        command
    };
    let mut child = run().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let training = out.join("shop/train");
    stop(&mut child, &training, "TERM");
    let ran = Ran::from(child.wait_with_output().unwrap()).expect(75);
    assert!(ran.stderr.contains("stopped: SIGTERM in the training, after step"), "{}", ran.stderr);
    let done = figures_written(&training);
    assert!((1..24).contains(&done) && training.join(format!("checkpoints/step-{done}")).exists());
    Ran::from(run().output().unwrap()).expect(0);
    let steps: Vec<u64> = figures(&training).iter().map(|(step, _, _)| *step).collect();
    assert_eq!(steps, (1..=24).collect::<Vec<_>>());
    assert!(training.join("manifest.json").exists() && !training.join("unfinished").exists());
}

#[test]
fn a_rehearsal_times_steps_without_model_or_rows_and_writes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let rehearse = |extra: &[&str]| -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recon-train"));
        command.current_dir(place.path()).args(["--rehearse", "3", "--format", "json"]);
        let shape = "model.shape={ vocab_size = 96, hidden_size = 32, intermediate_size = 48, num_hidden_layers = 2, \
                     num_attention_heads = 4 }";
        for set in ["model.name=\"nobody/has-it\"", shape, "train.init=\"random\"", "pack.row_tokens=64"] {
            command.args(["--set", set]);
        }
        command.args(["--set", "train.accumulation=2"]).args(extra).output().expect("the binary starts").into()
    };
    let ran = rehearse(&["--document-tokens", "24"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let steps = told["steps"].as_array().unwrap();
    // Documents of 24, 24 and 16 tokens, of each of which the first is not predicted.
    let counted =
        |step: &serde_json::Value| (step["tokens"].as_u64().unwrap(), step["trained_tokens"].as_u64().unwrap());
    assert_eq!(steps.iter().map(counted).collect::<Vec<_>>(), [(128, 122), (256, 244), (384, 366)]);
    assert!(steps.iter().all(|step| (step["loss_nats"].as_f64().unwrap() - 96_f64.ln()).abs() < 0.5), "{told}");
    assert!(told["median_tokens_per_s"].as_f64().unwrap() > 0.0 && told["planned"]["total_bytes"].as_u64() > Some(0));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "nothing is written");
    let refused = rehearse(&["--resume"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--resume"), "{}", refused.stderr);
}

#[test]
fn a_run_mixes_its_own_rows_with_others_by_weight() {
    let work = tempfile::tempdir().unwrap();
    let (repository, out, books) = (work.path().join("shop"), work.path().join("out"), work.path().join("books"));
    small_package(&repository);
    rows(&books, false);
    let run = || {
        let mut command = command();
        command.args(["run", "--config"]).arg(in_repository("configs/quickstart.toml")).arg("--out").arg(&out);
        let sources = format!("train.sources=[{{ directory = {books:?}, weight = 0.88 }}]");
        let repository = format!("repository={}", repository.display());
        let settings = ["agents.arm=raw", "holdout.files=1", "train.duration.steps=3", "train.accumulation=8"];
        for assignment in
            [&settings[..], &["pack.row_tokens=64", "train.own_weight=0.12", sources.as_str(), repository.as_str()]]
                .concat()
        {
            command.args(["--set", assignment]);
        }
        Ran::from(command.output().unwrap()).expect(0)
    };
    run();
    let metrics = || fs::read_to_string(out.join("shop/train/metrics.jsonl")).unwrap();
    let first = metrics();
    let last: serde_json::Value = serde_json::from_str(first.lines().last().unwrap()).unwrap();
    let of = |at: usize, key: &str| last["sources"][at][key].clone();
    assert_eq!((of(0, "source"), of(1, "source")), ("own".into(), "books".into()));
    let drawn = [0, 1].map(|at| of(at, "rows").as_u64().unwrap());
    assert_eq!(drawn[0] + drawn[1], 3 * 8);
    assert!(drawn[0] < drawn[1], "{drawn:?}");
    run();
    assert_eq!(metrics(), first, "a finished training is used again");
    fs::remove_dir_all(&books).unwrap();
    rows(&books, true);
    run();
    assert_ne!(metrics(), first, "other rows in the same place are another training");
}

/// Every line of the metrics without what depends on the clock and the machine.
fn lines(out: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let of = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["tokens_per_s", "data_wait_s", "mfu", "peak_bytes", "device_peak_bytes"] {
            line.as_object_mut().unwrap().remove(key);
        }
        line
    };
    text.lines().map(of).collect()
}

#[test]
#[cfg(unix)]
fn a_training_that_is_killed_again_and_again_ends_with_the_undisturbed_bits() {
    let work = tempfile::tempdir().unwrap();
    let (data, books) = (work.path().join("rows"), work.path().join("books"));
    rows(&data, true);
    rows(&books, false);
    let sources = format!("train.sources=[{{ directory = {books:?}, weight = 0.4 }}]");
    let shape = "model.shape={ hidden_size = 32, intermediate_size = 64, num_hidden_layers = 1, \
                 num_attention_heads = 2, num_key_value_heads = 1, head_dim = 16 }";
    let steps = "train.duration={ steps = 160 }";
    let settings = ["train.init=random", shape, steps, "train.save={ every_steps = 3 }", sources.as_str()];
    let whole = work.path().join("whole");
    train(&data, &whole, &settings).expect(0);

    let out = work.path().join("killed");
    let (mut kills, mut random) = (0, 12_345_u64);
    while kills < 20 {
        let mut command = train_command(&data, &out, &settings);
        let mut child = command.arg("--resume").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let until = figures_written(&out) + 1 + (random >> 33) as usize % 6;
        while figures_written(&out) < until && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(300));
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 5, "the training ended after {kills} kills");
    Ran::from(train_command(&data, &out, &settings).arg("--resume").output().unwrap()).expect(0);
    assert_eq!(lines(&out), lines(&whole), "after {kills} kills");
    assert_eq!(tensors(&out, 160), tensors(&whole, 160), "after {kills} kills");
}

#[test]
#[cfg(unix)]
fn a_checkpoint_for_which_there_is_no_room_is_one_line_and_takes_none() {
    let work = tempfile::tempdir().unwrap();
    let (data, out) = (work.path().join("rows"), work.path().join("out"));
    rows(&data, true);
    let mut train = train_command(&data, &out, &["train.duration={ steps = 4 }", "train.save={ every_steps = 2 }"]);
    // No file may be longer than so many blocks of 512 or 1,024 bytes: those of tensors are.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\""])
        .arg(train.get_program())
        .args(train.get_args());
    let ran = Ran::from(limited.env_remove("RUST_LOG").output().unwrap()).expect(1);
    let said = ran.error();
    assert!(said.contains("failed to write") && said.contains("checkpoints/step-2/"), "{said}");
    assert_eq!(fs::read_dir(out.join("checkpoints")).unwrap().count(), 0);
    assert!((2..=4).contains(&figures(&out).len()), "it ends at the latest where the next one is due");
    train.arg("--resume");
    Ran::from(train.output().unwrap()).expect(0);
    assert_eq!(figures(&out).len(), 4);
}

#[test]
fn rows_that_cannot_be_trained_on_are_one_line() {
    let work = tempfile::tempdir().unwrap();
    let place = |name: &str| work.path().join(name);
    let write = |name: &str, ids: Vec<u32>, mask: Vec<u8>| {
        let columns: [(&str, Encoding); 2] =
            [("input_ids", "ndarray:uint32".parse().unwrap()), ("mask", "ndarray:uint8".parse().unwrap())];
        let mut writer = Writer::create(&place(name), columns, WriterOptions::default()).unwrap();
        if !ids.is_empty() {
            let ids = ("input_ids".into(), Array::vector(ids).into());
            writer.write(&Sample::from([ids, ("mask".into(), Array::vector(mask).into())])).unwrap();
        }
        writer.finish().unwrap();
    };
    write("empty", vec![], vec![]);
    write("short-mask", vec![40; 8], vec![1; 7]);
    write("foreign-ids", vec![40, 99_999, 41], vec![1; 3]);
    write("untrained", vec![40; 8], vec![0; 8]);
    write("lost", vec![40; 8], vec![1; 8]);
    fs::remove_file(place("lost/shard.00000.mds")).unwrap();
    for (name, said) in [
        ("empty", "holds no rows"),
        ("short-mask", "row 0 of"),
        ("short-mask", "7 mask values for 8 ids"),
        ("foreign-ids", "holds token id 99999"),
        ("untrained", "none of the tokens of step 1 is trained"),
        ("lost", "shard.00000.mds"),
        ("absent", "index.json"),
    ] {
        let ran = train(&place(name), &place("out"), &["train.duration={ steps = 1 }"]).expect(2);
        assert!(ran.error().contains(said), "{name}: {}", ran.error());
        fs::remove_dir_all(place("out")).ok();
    }
}
