//! `cargo xtask bench-step`: a training step of ours and of transformers on PyTorch, in turns, in one table.
//!
//! Ours is `recon-train --rehearse`, theirs `scripts/bench/torch_step.py`, which is told what ours did. Nothing is
//! asserted; where the other fails (out of memory, say) its cells are dashes.

use std::path::{Path, PathBuf};
use std::process::Command;

use recon_outside::program::{cargo, listen, watch};
use serde_json::Value;

/// What is timed, and where the programs are.
pub(crate) struct Step<'a> {
    /// The run's configuration.
    pub(crate) config: &'a Path,
    /// Keys set over it.
    pub(crate) set: &'a [String],
    /// `cpu` or `cuda`.
    pub(crate) device: &'a str,
    /// An interpreter that has PyTorch and transformers.
    pub(crate) python: &'a Path,
    /// The compiled `recon-train`, for a machine without Rust.
    pub(crate) binary: Option<&'a Path>,
    /// Steps each time, the first of which is not counted.
    pub(crate) steps: u64,
    /// How often each is started.
    pub(crate) rounds: u64,
}

/// Both, `rounds` times in turns.
pub(crate) fn run(root: &Path, step: &Step<'_>) -> anyhow::Result<bool> {
    let binary = match step.binary {
        Some(binary) => binary.to_path_buf(),
        None => {
            let mut build = cargo();
            build.args(["build", "--release", "--bin", "recon-train"]);
            if step.device != "cpu" {
                build.args(["--features", "cuda"]);
            }
            watch(build.current_dir(root))?;
            root.join("target/release/recon-train")
        }
    };
    let mut text = String::from(
        "| tokens/s | torch tokens/s | ours / torch | peak GB | torch peak GB | of the product's rate | step |\n\
         |---:|---:|---:|---:|---:|---:|---|\n",
    );
    let mut version = String::new();
    for _ in 0..step.rounds {
        let ours = ours(root, step, &binary)?;
        let told = root.join("target/rehearsal.json");
        std::fs::write(&told, &ours)?;
        let ours: Value = serde_json::from_str(&ours)?;
        let theirs = theirs(root, step, &told);
        if let Some(named) = theirs["version"].as_str() {
            version = named.into();
        }
        text.push_str(&row(&ours, &theirs));
    }
    print(&format!("{version}\n\n{text}"));
    Ok(true)
}

fn ours(root: &Path, step: &Step<'_>, binary: &PathBuf) -> anyhow::Result<String> {
    let mut command = Command::new(binary);
    command.arg("--config").arg(step.config).args(["--rehearse", &step.steps.to_string(), "--format", "json"]);
    command.args(["--set", &format!("train.device=\"{}\"", step.device)]);
    for set in step.set {
        command.args(["--set", set]);
    }
    listen(command.current_dir(root))
}

fn theirs(root: &Path, step: &Step<'_>, told: &Path) -> Value {
    let mut command = Command::new(step.python);
    command.arg(root.join("scripts/bench/torch_step.py")).arg(told).args([step.device, &step.steps.to_string()]);
    let said = listen(command.current_dir(root)).and_then(|said| Ok(serde_json::from_str(&said)?));
    said.unwrap_or_else(|error| {
        eprintln!("PyTorch was not measured: {error:#}");
        Value::Null
    })
}

/// One line of the table.
fn row(ours: &Value, theirs: &Value) -> String {
    let cell = |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
    let (speed, other) = (ours["median_tokens_per_s"].as_f64(), theirs["tokens_per_s"].as_f64());
    let last = ours["steps"].as_array().and_then(|steps| steps.last()).cloned().unwrap_or_default();
    let peak = last["device_peak_bytes"].as_f64().or(last["peak_bytes"].as_f64());
    let share = speed.zip(ours["flops_per_token"].as_f64()).zip(theirs["product_gflops"].as_f64());
    let number = |key: &str| ours[key].as_u64().unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | {} | {} | {} × {} × {} tokens, documents of {} |\n",
        cell(speed, 0),
        cell(other, 0),
        cell(speed.zip(other).map(|(ours, theirs)| ours / theirs), 2),
        cell(peak.map(|bytes| bytes / 1e9), 2),
        cell(theirs["peak_bytes"].as_f64().map(|bytes| bytes / 1e9), 2),
        cell(share.map(|((speed, flops), gflops)| speed * flops / (gflops * 1e9)), 2),
        number("accumulation"),
        number("micro_batch_rows"),
        number("row_tokens"),
        number("document_tokens"),
    )
}

#[expect(clippy::print_stdout, reason = "the table is the task's data")]
fn print(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_the_ratio_and_dashes_where_the_other_failed() {
        let flops = 1.9e8;
        let ours = json!({"median_tokens_per_s": 1000.0, "row_tokens": 1024, "document_tokens": 1024, "flops_per_token": flops,
            "micro_batch_rows": 4, "accumulation": 1, "steps": [{"peak_bytes": 2e9, "device_peak_bytes": null}]});
        let theirs = json!({"tokens_per_s": 800.0, "peak_bytes": 3e9, "product_gflops": 2.0 * flops * 1000.0 / 1e9});
        let end = "| 1 × 4 × 1024 tokens, documents of 1024 |\n";
        assert_eq!(row(&ours, &theirs), format!("| 1000 | 800 | 1.25 | 2.00 | 3.00 | 0.50 {end}"));
        assert_eq!(row(&ours, &Value::Null), format!("| 1000 | – | – | 2.00 | – | – {end}"));
    }
}
