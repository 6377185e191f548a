//! A GPU that cannot be used: one clear line that says what is missing, exit 2, nothing written; the CPU goes on working.
//!
//! No GPU is needed, and none is used where there is one: a library made from `tests/support/driver.c` takes the place of
//! the driver's.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use support::{Ran, command, in_repository, recon};

/// A folder with a `libcuda.so.1` that plays a driver.
fn driver() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libcuda.so.1");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut cc = Command::new(compiler);
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(in_repository("tests/support/driver.c"));
        assert!(cc.status().expect("a C compiler").success());
        folder
    };
    FOLDER.get_or_init(make).path()
}

/// `recon` with this folder's `libcuda.so.1` before every other.
fn with_library(folder: &Path) -> Command {
    let mut folders = vec![folder.to_owned()];
    folders.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    let mut command = command();
    command.env("LD_LIBRARY_PATH", std::env::join_paths(folders).unwrap());
    command
}

fn items(folder: &Path) -> PathBuf {
    let path = folder.join("items.json");
    fs::write(&path, r#"[{"context": [1, 2, 3], "target": [4, 5]}]"#).unwrap();
    path
}

fn score(command: &mut Command, device: &str) -> Ran {
    let work = tempfile::tempdir().unwrap();
    command.args(["score", "--model", "nano", "--device", device, "--format", "json", "--tokens"]);
    command.arg(items(work.path())).output().expect("the binary starts").into()
}

/// What scoring on `cuda` says where the driver is as `settings` say.
fn refused(device: &str, settings: &[(&str, &str)]) -> String {
    let mut command = with_library(driver());
    command.envs(settings.iter().copied());
    score(&mut command, device).expect(2).error().to_owned()
}

#[test]
fn without_a_driver_the_message_names_it_and_the_cpu_works() {
    let folder = tempfile::tempdir().unwrap();
    // The loader stops at what is no library, so a driver of this machine is not found either.
    fs::write(folder.path().join("libcuda.so.1"), "no library").unwrap();
    let ran = score(&mut with_library(folder.path()), "cuda").expect(2);
    assert!(ran.error().starts_with("no NVIDIA driver: libcuda.so.1 was not found"), "{}", ran.error());
    let scored = score(&mut with_library(folder.path()), "cpu").expect(0).json();
    assert_eq!(scored["results"][0]["tokens"], 2);
}

#[test]
fn the_toolkits_libraries_are_found_in_any_shell() {
    let ran: Ran = command().env_remove("LD_LIBRARY_PATH").arg("--version").output().expect("the binary starts").into();
    ran.expect(0);
}

#[test]
fn a_driver_that_cannot_be_used_says_why() {
    for (settings, words) in [
        (&[("DRIVER_INIT", "100")], "`cuda:1` was asked for, but there is no GPU"),
        (&[("DRIVER_INIT", "804")], "no NVIDIA driver: libcuda.so.1 was not found or could not start (code 804)"),
        (&[("DRIVER_VERSION", "12080")], "the NVIDIA driver supports CUDA 12.8, this program needs 13.0"),
        (&[("DRIVER_GPUS", "1")], "`cuda:1` was asked for, but there is one GPU, `cuda:0`"),
    ] {
        let said = refused("cuda:1", settings);
        assert!(said.contains(words), "{said}");
    }
    let said = refused("cuda:2", &[("DRIVER_GPUS", "2")]);
    assert!(said.contains("there are 2 GPUs, `cuda:0` to `cuda:1`"), "{said}");
}

#[test]
fn an_older_gpu_is_named_with_what_to_build() {
    let said = refused("cuda", &[("DRIVER_CAPABILITY", "75")]);
    assert!(said.contains("`cuda:0` (Played GPU) has compute capability 7.5"), "{said}");
    assert!(said.contains("build it with CUDA_COMPUTE_CAP=75"), "{said}");
}

#[test]
fn too_little_memory_says_what_was_asked_what_is_free_and_what_to_change() {
    let said = refused("cuda", &[("DRIVER_FREE_MIB", "1")]);
    assert!(said.contains("the model with its cache needs"), "{said}");
    assert!(said.contains("but cuda has 1.00 MiB free of 80.00 GiB; make `engine.cache_tokens` smaller"), "{said}");
    // Another process holds all of it: not even a context fits.
    let mut command = with_library(driver());
    let ran = score(command.env("DRIVER_CONTEXT", "2").env("RUST_BACKTRACE", "1"), "cuda").expect(2);
    assert!(ran.error().ends_with("out of memory\")"), "{}", ran.error());
    assert!(ran.stderr.contains("hint: other processes may hold the GPU's memory"), "{}", ran.stderr);
}

#[test]
fn a_run_that_does_not_fit_writes_nothing() {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("out");
    let mut command = with_library(driver());
    command.args(["run", "--config"]).arg(in_repository("configs/quickstart.toml")).arg("--out").arg(&out);
    command.args(["--set", "engine.device=cuda", "--set", "engine.precision=bf16"]);
    command.arg("--set").arg(format!("repository={}", work.path().display()));
    support::small_package(work.path());
    let ran: Ran = command.output().expect("the binary starts").into();
    assert!(ran.expect(2).error().contains("the model with its cache needs"));
    let places: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path().join("shards/00000")).collect();
    assert!(places.iter().all(|shard| shard.join("synth").exists()), "the stages before it stand: {places:?}");
    assert!(!places.iter().any(|shard| shard.join("refine").exists()), "a stage that cannot begin writes nothing");
}

#[test]
fn a_name_that_is_no_device_is_refused_before_anything_is_opened() {
    let work = tempfile::tempdir().unwrap();
    let items = items(work.path());
    for name in ["gpu", "cuda:x", "cuda:-1", "cpu:0"] {
        let ran =
            recon(&["score".as_ref(), "--device".as_ref(), name.as_ref(), "--tokens".as_ref(), items.as_os_str()]);
        let ran = ran.expect(2);
        assert!(ran.error().contains(&format!("`{name}` names no device")), "{}", ran.error());
    }
}
