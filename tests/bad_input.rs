//! Bad input: one clear line, the right exit code, nothing half-written.

mod support;

use std::fs;
use std::path::Path;

use support::{Ran, command, in_repository, recon, small_package, write};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

fn write_file(folder: &Path, name: &str) -> std::path::PathBuf {
    fs::write(folder.join(name), "mine").unwrap();
    folder.join(name)
}

/// `recon run` on `repository` with the quickstart's settings.
fn run(repository: &Path, out: &Path, assignments: &[&str]) -> Ran {
    let config = in_repository("configs/quickstart.toml");
    let mut command = command();
    command.args(["run", "--config", text(&config), "--out", text(out)]);
    command.args(["--set", &format!("repository={}", text(repository))]);
    for assignment in assignments {
        command.args(["--set", assignment]);
    }
    command.output().expect("the binary starts").into()
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest_name() {
    let work = tempfile::tempdir().unwrap();
    let ran = run(work.path(), work.path(), &["train.lerning_rate=1"]).expect(2);
    assert!(ran.error().contains("unknown key `lerning_rate`"), "{}", ran.error());
    assert!(ran.stderr.contains("hint: did you mean"), "{}", ran.stderr);
}

#[test]
fn a_mistyped_value_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let ran = run(work.path(), work.path(), &["train.duration.steps=many"]).expect(2);
    assert!(ran.error().contains("train.duration") && ran.error().contains("many"), "{}", ran.error());
    let ran = run(work.path(), work.path(), &["refine.rounds=three"]).expect(2);
    assert!(ran.error().starts_with("--set refine.rounds: invalid type"), "{}", ran.error());
    let ran = run(work.path(), work.path(), &["train.duration.epochs=1"]).expect(2);
    assert!(ran.stderr.contains("hint: only one of its keys can be set"), "{}", ran.stderr);
}

#[test]
fn options_of_the_last_stages_are_refused_before_the_first() {
    let work = tempfile::tempdir().unwrap();
    small_package(work.path());
    for (assignment, said) in [("pack.row_tokens=0", "row_tokens"), ("train.lr=-1", "lr")] {
        let out = work.path().join("results");
        let ran = run(work.path(), &out, &[assignment]).expect(2);
        assert!(ran.error().contains(said) && !out.exists(), "{}", ran.error());
    }
}

#[test]
fn a_place_of_results_is_one_runs_at_a_time_and_no_file() {
    let work = tempfile::tempdir().unwrap();
    let (repository, out) = (work.path().join("shop"), work.path().join("out"));
    small_package(&repository);
    let place = out.join("shop");
    fs::create_dir_all(&place).unwrap();
    let held = fs::File::create(place.join(".recon.lock")).unwrap();
    held.lock().unwrap();
    let ran = run(&repository, &out, &[]).expect(2);
    assert!(ran.error().ends_with("shop is in use by another run"), "{}", ran.error());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "nothing is written beside another run");

    let file = write_file(work.path(), "notes.txt");
    for ran in [
        run(&repository, &file, &[]),
        recon(&["graph", text(&repository), "--out", text(&file)]),
        recon(&["export", "--model", "nano", "--out", text(&file)]),
        recon(&["export", "--model", "nano", "--out", text(&repository)]),
    ] {
        let ran = ran.expect(2);
        assert!(ran.error().contains("notes.txt") || ran.error().contains("shop"), "{}", ran.error());
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine", "what stood there stands");
    let ran = recon(&[
        "export",
        "--checkpoint",
        text(&work.path().join("nowhere")),
        "--out",
        text(&work.path().join("model")),
    ])
    .expect(2);
    assert!(ran.error().starts_with("there is no folder"), "{}", ran.error());
}

#[test]
fn a_graph_goes_where_it_is_sent_and_is_no_part_of_the_next() {
    let work = tempfile::tempdir().unwrap();
    small_package(work.path());
    let printed = recon(&["graph", text(work.path()), "--format", "json"]).expect(0).stdout;
    let out = work.path().join("out");
    let sent = ["graph", text(work.path()), "--format", "json", "--out", text(&out)];
    for _ in 0..2 {
        let file = recon(&sent).expect(0).stdout;
        assert_eq!(file.trim_end(), text(&out.join("graph.json")));
        assert_eq!(fs::read_to_string(file.trim_end()).unwrap().trim_end(), printed.trim_end());
        // Results in a language that is read, as an exported configuration would be.
        write(&out, &[("export/code.py", "x = 1\n")]);
    }
}

#[test]
fn a_missing_repository_is_the_users_fault() {
    let work = tempfile::tempdir().unwrap();
    let ran = run(&work.path().join("nowhere"), &work.path().join("out"), &[]).expect(2);
    assert!(ran.error().contains("nowhere"), "{}", ran.error());
    assert!(!work.path().join("out").exists(), "nothing is written for a repository that is not there");
}

#[test]
fn a_directory_without_source_is_the_users_fault() {
    let work = tempfile::tempdir().unwrap();
    write(work.path(), &[("src/picture.png", "\u{89}PNG\0\0")]);
    let ran = run(work.path(), &work.path().join("out"), &[]).expect(2);
    assert!(ran.error().contains("no readable source"), "{}", ran.error());
}

#[test]
fn a_missing_model_says_what_was_tried() {
    let work = tempfile::tempdir().unwrap();
    small_package(work.path());
    let ran = run(work.path(), &work.path().join("out"), &["model.name=./no/such/model"]).expect(2);
    assert!(ran.error().contains("no/such/model"), "{}", ran.error());
}

#[test]
fn faults_of_the_corpus_are_recorded_not_fatal() {
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("repository");
    small_package(&root);
    fs::write(root.join("shop/latin1.py"), b"name = '\xe9t\xe9'\n").unwrap();
    fs::write(root.join("shop/blob.py"), b"\x7fELF\0\0\0\0").unwrap();
    fs::write(root.join("shop/huge.py"), "x = 1\n".repeat(400_000)).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(".", root.join("shop/loop")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.join("shop/outside.py")).unwrap();
    }
    let graph = recon(&["graph", text(&root), "--format", "json"]).expect(0).json();
    let skipped = |path: &str| {
        let files = graph["files"].as_array().unwrap();
        let node = files.iter().find(|node| node["path"] == path);
        node.unwrap_or_else(|| panic!("{path} is not listed"))["skipped"].clone()
    };
    assert_eq!(skipped("shop/latin1.py"), "not_utf8");
    assert_eq!(skipped("shop/blob.py"), "binary");
    assert_eq!(skipped("shop/huge.py"), "too_large");
    if cfg!(unix) {
        assert_eq!(skipped("shop/loop"), "link");
        assert_eq!(skipped("shop/outside.py"), "link");
    }
    assert!(graph["order"].as_array().unwrap().iter().any(|path| path == "shop/cart.py"));
    // A binary file is no fault of the corpus: it is listed as skipped, without a diagnostic.
    let diagnosed = |path: &str| graph["diagnostics"].as_array().unwrap().iter().any(|it| it["path"] == path);
    for path in ["shop/latin1.py", "shop/huge.py", "shop/loop", "shop/outside.py"] {
        assert!(diagnosed(path) || !cfg!(unix), "{path}: {}", graph["diagnostics"]);
    }
}

/// Root may read everything, so where the tests run as root the binary runs as nobody.
#[cfg(unix)]
#[test]
fn an_unreadable_file_is_recorded() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65534;
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("repository");
    small_package(&root);
    let secret = root.join("shop/secret.py");
    fs::write(&secret, "x = 1\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let readable_anyway = fs::read(&secret).is_ok();
    let binary = work.path().join("recon");
    fs::copy(env!("CARGO_BIN_EXE_recon"), &binary).unwrap();
    let mut command = std::process::Command::new(&binary);
    command.args(["graph", text(&root), "--format", "json"]).env("HOME", work.path()).current_dir(work.path());
    if readable_anyway {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran: Ran = command.output().expect("the binary starts").into();
    let graph = ran.expect(0).json();
    let node = graph["files"].as_array().unwrap().iter().find(|node| node["path"] == "shop/secret.py").unwrap().clone();
    assert_eq!(node["skipped"], "unreadable");
}

#[test]
fn contexts_that_cannot_be_scored_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let items = work.path().join("items.json");
    let score = |json: &str| {
        fs::write(&items, json).unwrap();
        recon(&["score", "--model", "nano", "--tokens", text(&items), "--format", "json"])
    };
    let refused = |json: &str, words: &str| {
        let ran = score(json).expect(2);
        assert!(ran.error().contains(words), "{}", ran.error());
    };
    refused(r#"[{"context": [], "target": [1]}]"#, "context is empty");
    refused(r#"[{"context": [1], "target": []}]"#, "target is empty");
    refused("[]", "list is empty");
    refused(r#"[{"context": [1], "target": [999999]}]"#, "999999");
    refused(&format!(r#"[{{"context": {:?}, "target": [1]}}]"#, vec![1; 9000]), "do not fit");
    refused(r#"[{"context": [1], "target": [1]}, {"context": [999999], "target": [1]}]"#, "item 1");
    refused("[{]", "not a valid");
    let scored = score(r#"[{"context": [1, 2, 3], "target": [4, 5]}]"#).expect(0).json();
    assert_eq!(scored["results"][0]["tokens"], 2);
}

#[test]
fn any_number_of_items_and_items_of_any_length_are_scored() {
    let work = tempfile::tempdir().unwrap();
    let model = work.path().join("model");
    recon(&["export", "--model", "nano", "--out", text(&model), "--dtype", "f32"]).expect(0);
    // A model that takes longer documents than the default cache holds.
    let config = model.join("config.json");
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    json["max_position_embeddings"] = 131_072.into();
    fs::write(&config, json.to_string()).unwrap();
    // Ids are scored whatever the tokenizer.
    fs::write(model.join("tokenizer.json"), "{}").unwrap();
    let items = work.path().join("items.json");
    let score = |of: &[(Vec<u32>, Vec<u32>)]| -> Vec<f64> {
        let json: Vec<_> =
            of.iter().map(|(context, target)| serde_json::json!({"context": context, "target": target})).collect();
        fs::write(&items, serde_json::to_string(&json).unwrap()).unwrap();
        let ran = recon(&["score", "--model", text(&model), "--tokens", text(&items), "--format", "json"]);
        let json = ran.expect(0).json();
        json["results"].as_array().unwrap().iter().map(|item| item["nats"].as_f64().unwrap()).collect()
    };
    let many: Vec<(Vec<u32>, Vec<u32>)> = (0..600).map(|i| (vec![365, i % 300, i / 300], vec![5])).collect();
    let all = score(&many);
    assert_eq!(all.len(), 600);
    for at in [0, 299, 511, 512, 599] {
        assert_eq!(score(&many[at..=at])[0].to_bits(), all[at].to_bits(), "item {at} alone");
    }
    let ids = |seed: u32, count: u32| -> Vec<u32> { (0..count).map(|i| (i * 7 + seed * (i % 13)) % 4000).collect() };
    let long = [(ids(1, 3000), vec![1, 2]), (ids(2, 3000), vec![3])];
    let both = score(&long);
    assert_eq!(both[1].to_bits(), score(&long[1..])[0].to_bits());
}

#[test]
fn a_model_of_absurd_depth_is_refused_without_being_laid_out() {
    let work = tempfile::tempdir().unwrap();
    let model = work.path().join("model");
    recon(&["export", "--model", "nano", "--out", text(&model)]).expect(0);
    let items = work.path().join("items.json");
    fs::write(&items, r#"[{"context": [1], "target": [2]}]"#).unwrap();
    let config = model.join("config.json");
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    json["num_hidden_layers"] = 1_000_000_000.into();
    fs::write(&config, json.to_string()).unwrap();
    let ran = recon(&["score", "--model", text(&model), "--tokens", text(&items)]).expect(2);
    assert!(ran.error().contains("`num_hidden_layers` is 1000000000"), "{}", ran.error());
}

#[test]
fn broken_models_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let model = work.path().join("model");
    recon(&["export", "--model", "nano", "--out", text(&model)]).expect(0);
    let items = work.path().join("items.json");
    fs::write(&items, r#"[{"context": [1], "target": [2]}]"#).unwrap();
    let score = || recon(&["score", "--model", text(&model), "--tokens", text(&items)]);
    score().expect(0);

    let weights = model.join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    for (bytes, what) in
        [(&whole[..whole.len() / 2], "truncated"), (&whole[..4], "cut in its header"), (&[0xff; 64][..], "no header")]
    {
        fs::write(&weights, bytes).unwrap();
        let ran = score().expect(2);
        assert!(ran.error().contains("model.safetensors"), "{what}: {}", ran.error());
    }
    fs::write(&weights, &whole).unwrap();

    // A tokenizer with more ids than the model has rows.
    let config = model.join("config.json");
    let text_of = fs::read_to_string(&config).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text_of).unwrap();
    json["vocab_size"] = 100.into();
    fs::write(&config, json.to_string()).unwrap();
    let ran = score().expect(2);
    assert!(ran.error().contains("vocab") || ran.error().contains("shape"), "{}", ran.error());
    fs::write(&config, "{").unwrap();
    assert!(score().expect(2).error().contains("config"), "the file is named");
}

/// A full disk, stood in for by a limit on the size of a file.
#[cfg(unix)]
#[test]
fn a_full_disk_fails_the_run_and_leaves_nothing_half_written() {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("model");
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{}' export --model nano --out '{}'",
        env!("CARGO_BIN_EXE_recon"),
        text(&out)
    );
    let ran: Ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap().into();
    let ran = ran.expect(1);
    assert!(ran.error().contains("model"), "{}", ran.error());
    let left = fs::read_dir(work.path()).unwrap().flat_map(|it| {
        let path = it.unwrap().path();
        if path.is_dir() { fs::read_dir(path).unwrap().map(|it| it.unwrap().path()).collect() } else { vec![path] }
    });
    let left: Vec<_> =
        left.filter(|path| path.extension().is_some_and(|it| it == "safetensors" || it == "tmp")).collect();
    assert!(left.is_empty(), "half-written: {left:?}");
}
