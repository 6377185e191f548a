//! `recon study` from outside: equal trained tokens, one result a training, nothing done twice.

mod support;

use std::fs;

use support::{in_repository, recon, small_package};

const STUDY: &str = "\
arms = [\"raw\", \"agent\"]
seeds = [0, 1]
trained_tokens = 1500
[run.model]
name = \"nano\"
[run.holdout]
files = 1
[run.agents]
context_tokens = 2048
[run.pack]
row_tokens = 512
[run.train]
lr = 3e-4
";

#[test]
fn arms_are_trained_on_equally_many_tokens_and_what_is_there_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    small_package(&folder.path().join("shop"));
    let general = in_repository("CONTRIBUTING.md");
    fs::write(path("study.toml"), format!("out = {:?}\ngeneral = [{:?}]\n{STUDY}", path("out"), general)).unwrap();
    let set = format!("run.repository={}", path("shop"));
    let study = || recon(&["study", &path("study.toml"), "--set", &set, "--format", "json"]).expect(0).json();
    let first = study();
    let rows = first["rows"].as_array().unwrap();
    let arms: Vec<_> = rows.iter().map(|row| row["arm"].as_str()).collect();
    assert_eq!(arms, [None, Some("raw"), Some("agent")]);
    for row in &rows[1..] {
        let trained = row["trained_tokens"].as_f64().unwrap();
        assert!((900.0..=2100.0).contains(&trained), "1500 to the nearest step, not {trained}");
        assert_eq!(row["seeds"], 2);
        let [value, low, high] = ["value", "low", "high"].map(|it| row["code_nats_per_token"][it].as_f64().unwrap());
        assert!(low <= value && value <= high && value > 0.0);
        assert!(row["general_bits_per_byte"]["value"].as_f64().unwrap() > 0.0);
    }
    assert!(rows[1]["code_against_first"].is_null() && !rows[2]["code_against_first"].is_null());
    let before = rows[0]["code_nats_per_token"]["value"].as_f64().unwrap();
    assert_ne!(rows[1]["code_nats_per_token"]["value"].as_f64().unwrap(), before, "training changes the model");

    let results = folder.path().join("out/results");
    let stamps = || -> Vec<_> {
        let mut all: Vec<_> = fs::read_dir(&results).unwrap().map(|entry| entry.unwrap()).collect();
        all.sort_by_key(fs::DirEntry::path);
        all.iter().map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap())).collect()
    };
    let made = stamps();
    assert_eq!(made.len(), 4);
    assert_eq!(study(), first);
    assert_eq!(stamps(), made, "nothing was made again");
    // One result lost: it alone comes again, the same.
    fs::remove_file(&made[3].0).unwrap();
    let again = study();
    assert_eq!(again["rows"][1], first["rows"][1]);
    assert_eq!(again["rows"][2]["code_nats_per_token"], first["rows"][2]["code_nats_per_token"]);
    assert_eq!(stamps()[..3], made[..3]);
}

#[test]
fn a_study_without_meaning_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.toml");
    let refused = |text: &str| {
        fs::write(&path, text).unwrap();
        recon(&["study", &path.display().to_string()]).expect(2).error().to_owned()
    };
    assert!(refused("arms = [\"raw\"]\n").contains("`out`"));
    assert!(refused("out = \"o\"\narms = []\n").contains("`arms`"));
    assert!(refused("out = \"o\"\narms = [\"raw\", \"raw\"]\nseeds = [0]\ntrained_tokens = 1\n").contains("twice"));
    assert!(refused("out = \"o\"\narms = [\"raw\"]\nseeds = [0]\n").contains("`trained_tokens`"));
    assert!(refused("out = \"o\"\narms = [\"none\"]\n").contains("unknown value `none`"));
    let nothing = "out = \"o\"\narms = [\"raw\"]\nseeds = [0]\ntrained_tokens = 1\n[run.holdout]\nfiles = 0\n";
    assert!(refused(nothing).contains("nothing would be measured"));
}
