//! Every configuration in `configs/` is one the program reads, and one whose run can be planned without its model.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use recon_cli::config::load;
use recon_pipeline::{Config, Study};

fn configurations(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(configurations(&path));
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
    found
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

#[test]
fn every_committed_configuration_is_read_and_written_back() {
    let found = configurations(&configs());
    assert!(found.len() >= 12, "{found:?}");
    for path in found {
        if path.parent().is_some_and(|folder| folder.ends_with("study")) {
            let study: Study = load(Some(&path), &[]).unwrap_or_else(|failure| panic!("{}", failure.message()));
            study.validate().unwrap_or_else(|failure| panic!("{}: {}", path.display(), failure.message()));
            continue;
        }
        let config: Config = load(Some(&path), &[]).unwrap_or_else(|failure| panic!("{}", failure.message()));
        let text = toml::to_string(&config).unwrap();
        let again: Config = toml::from_str(&text).unwrap();
        assert_eq!(toml::to_string(&again).unwrap(), text, "{}", path.display());
    }
}

/// The value with these keys, dots for nesting, taken out.
fn without(path: &Path, keys: &[&str]) -> toml::Table {
    let config: Config = load(Some(path), &[]).unwrap_or_else(|failure| panic!("{}", failure.message()));
    let mut table: toml::Table = toml::to_string(&config).unwrap().parse().unwrap();
    for key in keys {
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let at = if section.is_empty() { Some(&mut table) } else { table[section].as_table_mut() };
        drop(at.and_then(|table| table.remove(name)));
    }
    table
}

#[test]
fn the_arms_differ_in_what_an_arm_is_and_in_nothing_else() {
    let arm = |name: &str, keys: &[&str]| without(&configs().join("arms").join(name), keys);
    let keys = ["out", "agents.arm", "agents.first_author"];
    let search = arm("search.toml", &keys);
    assert_eq!(arm("raw.toml", &keys), search);
    assert_eq!(arm("thought.toml", &keys), search);
    assert_eq!(arm("agent.toml", &keys), search);
    assert_eq!(arm("agent.toml", &keys[..2]), arm("search.toml", &keys[..2]), "who writes first is the same");
    assert_ne!(arm("raw.toml", &keys[..1]), arm("search.toml", &keys[..1]), "the arms are not one");
}

#[test]
fn the_machines_of_a_recipe_differ_in_memory_and_in_nothing_else() {
    let on = |name: &str| {
        let path = configs().join("llama3_8b_64k").join(name);
        without(&path, &["train.activations", "train.optimizer_state", "train.parallel"])
    };
    let one = on("1xh200.toml");
    for name in ["8xh100.toml", "8xh200.toml", "2x8xh100.toml", "common.toml"] {
        assert_eq!(on(name), one, "{name}");
    }
    let weights = one["train"]["sources"].as_array().unwrap().iter().map(|it| it["weight"].as_float().unwrap());
    assert!((weights.sum::<f64>() + one["train"]["own_weight"].as_float().unwrap() - 1.0).abs() < 1e-9);
}

fn plan(config: &Path, machine: &str) -> serde_json::Value {
    let work = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_recon-train"));
    // Nothing is at hand, and nothing can be fetched.
    command.env("HF_HOME", work.path()).env("HF_ENDPOINT", "http://127.0.0.1:9").env_remove("HF_HUB_CACHE");
    command.arg("--config").arg(config).args(["--plan", machine, "--format", "json"]).current_dir(work.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", config.display());
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0, "nothing is written");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_configuration_is_planned_without_its_model() {
    let found = configurations(&configs());
    // A part that others include, and studies, which say of several runs what they share.
    let is_run =
        |path: &&PathBuf| !path.ends_with("models/llama3_8b.toml") && !path.parent().unwrap().ends_with("study");
    for path in found.iter().filter(is_run) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let machine = match (folder, name) {
            ("llama3_8b_64k", "common") => "8xh100",
            ("arms", _) => "8xh200",
            ("llama3_8b_64k", machine) => machine,
            (_, "llama3_2_1b" | "smollm2_135m") => "1xh100",
            _ => "cpu",
        };
        let plan = plan(path, machine);
        let fits = plan["fits"].as_bool();
        let told = plan["change"].as_array().unwrap();
        // Without a word on activations and weights, the common file keeps everything everywhere.
        let too_large = folder == "llama3_8b_64k" && name == "common";
        let expected = if too_large { Some(false) } else { fits.and(Some(true)) };
        assert_eq!(fits, expected, "{name} on {machine}: {plan}");
        assert_eq!(fits == Some(false), !told.is_empty(), "{name} on {machine}: {told:?}");
        eprintln!("{folder}/{name} on {machine}: {plan}");
    }
}

#[test]
fn the_recipe_of_the_paper_takes_the_hours_that_its_arithmetic_gives() {
    let plan = plan(&configs().join("llama3_8b_64k/8xh100.toml"), "8xh100");
    assert_eq!((plan["tokens"].as_u64(), plan["step_tokens"].as_u64()), (Some(5_000 * 64 * 65_536), Some(64 * 65_536)));
    let hours = plan["tokens"].as_f64().unwrap() / plan["tokens_per_s"].as_f64().unwrap() / 3600.0;
    assert!((plan["hours"].as_f64().unwrap() / hours - 1.0).abs() < 1e-9);
    assert!((plan["flops_per_token"].as_f64().unwrap() / 96.6e9 - 1.0).abs() < 0.01, "as published");
}
