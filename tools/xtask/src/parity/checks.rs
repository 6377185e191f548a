//! The checks, each against a program written by others.

use std::path::{Path, PathBuf};
use std::process::Command;

use recon_outside::folder::only_entry;
use recon_outside::program::{cargo, watch};

use super::bench::{Bench, text};
use super::pretrained;

type Check = fn(&Bench) -> anyhow::Result<()>;

/// Every check, in order.
pub(super) const ALL: &[(&str, Check)] = &[
    ("goldens", goldens),
    ("tokenizer", tokenizer),
    ("mds", mds),
    ("training", training),
    ("logits", logits),
    ("vllm", vllm),
    ("package", package),
    ("nano", nano),
    ("smollm2", pretrained::smollm2),
];

/// The names, for messages.
pub(super) fn names() -> String {
    ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The committed goldens are what the script makes today.
fn goldens(bench: &Bench) -> anyhow::Result<()> {
    let folder = bench.folder("goldens")?;
    bench.script("parity/goldens.py", &[&folder])
}

/// Our tokenizers and chat template give the same ids in transformers.
fn tokenizer(bench: &Bench) -> anyhow::Result<()> {
    let folder = bench.folder("tokenizer")?;
    bench.script("parity/tokenizer.py", &[&folder])
}

/// Shards read and written by MosaicML Streaming are byte-identical to ours.
fn mds(bench: &Bench) -> anyhow::Result<()> {
    let folder = bench.folder("mds")?;
    bench.script_in(&bench.older, "parity/mds.py", &[&folder])
}

/// Rows that MosaicML Streaming wrote train as in a torch loop, step by step.
fn training(bench: &Bench) -> anyhow::Result<()> {
    let folder = bench.folder("training")?;
    let recon_train = bench.recon.with_file_name("recon-train");
    bench.script_in(&bench.older, "parity/training.py", &[&folder, &recon_train])
}

/// The exported model gives the same f32 logits in transformers 5 and 4.
fn logits(bench: &Bench) -> anyhow::Result<()> {
    let folder = bench.folder("logits")?;
    let export = export_nano(bench, &folder)?;
    let logits = score(bench, &export, &folder)?.logits;
    bench.script("parity/logits.py", &[&export, &logits])?;
    bench.script_in(&bench.older, "parity/logits.py", &[&export, &logits])
}

/// vLLM serves the exported model and finds the same log-probabilities.
fn vllm(bench: &Bench) -> anyhow::Result<()> {
    let folder = bench.folder("vllm")?;
    let export = export_nano(bench, &folder)?;
    let Scored { items, scores, .. } = score(bench, &export, &folder)?;
    bench.script("parity/install_vllm.py", &[])?;
    bench.script("parity/vllm_logprobs.py", &[&export, &items, &scores])
}

fn export_nano(bench: &Bench, folder: &Path) -> anyhow::Result<PathBuf> {
    let export = folder.join("export");
    bench.recon(&["export", "--model", "nano", "--dtype", "f32", "--out", text(&export)])?;
    Ok(export)
}

/// Files of one document and what `recon` says of it.
struct Scored {
    /// Its ids.
    items: PathBuf,
    /// What `recon score` printed.
    scores: PathBuf,
    /// Ids and logits.
    logits: PathBuf,
}

fn score(bench: &Bench, export: &Path, folder: &Path) -> anyhow::Result<Scored> {
    // Two hundred ids spread over the vocabulary, control tokens included.
    let ids: Vec<u32> = std::iter::once(4096).chain((0..199).map(|at| (at * 7919) % 4352)).collect();
    let (context, target) = ids.split_at(1);
    let [items, scores, logits] = ["items.json", "scores.json", "logits.safetensors"].map(|name| folder.join(name));
    std::fs::write(&items, format!(r#"[{{"context": {context:?}, "target": {target:?}}}]"#))?;
    let (tokens, written) = (text(&items), text(&logits));
    let arguments = ["score", "--model", text(export), "--tokens", tokens, "--logits", written, "--format", "json"];
    std::fs::write(&scores, bench.recon(&arguments)?)?;
    Ok(Scored { items, scores, logits })
}

/// The whole path on a package nobody here wrote, its training in TensorBoard, its export in
/// transformers.
fn package(bench: &Bench) -> anyhow::Result<()> {
    const PACKAGE: &str = "cachetools==5.5.0";
    let folder = bench.folder("package")?;
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", PACKAGE, "--dest"];
    watch(Command::new(&bench.python).args(pip).arg(&folder))?;
    let archive = only_entry(&folder, is_visible)?;
    watch(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&folder))?;
    std::fs::remove_file(&archive)?;
    let repository = only_entry(&folder, is_visible)?;

    let out = folder.join("out");
    let set = format!("repository={}", text(&repository));
    let config = bench.root.join("configs/quickstart.toml");
    let arguments = ["run", "--config", text(&config), "--out", text(&out), "--set", &set];
    eprintln!("{}", bench.recon(&arguments)?);

    // A run lies in a folder named after its repository.
    let out = only_entry(&out, is_visible)?;
    let trajectories = out.join("shards/00000/refine/trajectories.jsonl.zst");
    bench.recon(&["check", text(&trajectories), "--repository", text(&repository)])?;
    bench.script("parity/outcome.py", &[&out.join("summary.json")])?;
    bench.script("parity/tensorboard_events.py", &[&out.join("train")])?;
    refuse_flipped(bench, &trajectories, &repository, &folder)?;
    let export = out.join("export/model");
    let logits = score(bench, &export, &folder)?.logits;
    bench.script("parity/logits.py", &[&export, &logits])
}

/// The checker refuses the trajectory after one byte of one written file is flipped.
fn refuse_flipped(bench: &Bench, trajectories: &Path, repository: &Path, folder: &Path) -> anyhow::Result<()> {
    let flipped = folder.join("flipped.jsonl");
    bench.script("parity/flip.py", &[trajectories, &flipped])?;
    let checked =
        Command::new(&bench.recon).args(["check", text(&flipped), "--repository"]).arg(repository).output()?;
    let code = checked.status.code();
    anyhow::ensure!(code == Some(1), "`recon check` ended with {code:?} on a flipped byte, expected 1");
    Ok(())
}

/// The first steps of the embedded model's training come out again.
fn nano(bench: &Bench) -> anyhow::Result<()> {
    let work = bench.folder("nano")?;
    let nano = ["run", "--release", "--bin", "recon-nano", "--", "--steps-only", "20", "--work"];
    watch(cargo().args(nano).arg(&work).current_dir(&bench.root))
}

/// A lock is hidden, and none of the things looked for.
fn is_visible(name: &str) -> bool {
    !name.starts_with('.')
}
