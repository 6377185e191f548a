//! A pretrained model with its own tokenizer and template: SmolLM2, from a package.

use std::path::Path;
use std::process::Command;

use recon_outside::program::watch;

use super::bench::{Bench, text};

/// A question that is answered at some length.
const MESSAGES: &str = r#"[
  {"role": "system", "content": "You explain programs."},
  {"role": "user", "content": "Explain in detail what a hash table is, how collisions are handled, and what it costs."}
]"#;

/// Logits, greedy generation in its own template, and a trained step, against transformers and vLLM.
pub(super) fn smollm2(bench: &Bench) -> anyhow::Result<()> {
    let model = bench.root.join("target/models/smollm2");
    let build = bench.root.join("scripts/models/smollm2");
    watch(Command::new(build).arg(&model).env("PYTHON", &bench.python))?;
    let folder = bench.folder("smollm2")?;
    let [messages, generation, items] =
        ["messages.json", "generation.json", "items.json"].map(|name| folder.join(name));
    std::fs::write(&messages, MESSAGES)?;
    let (name, asked) = (text(&model), text(&messages));
    let arguments = ["generate", "--model", name, "--messages", asked, "--max-new-tokens", "200", "--format", "json"];
    std::fs::write(&generation, bench.recon(&arguments)?)?;
    bench.script("parity/greedy.py", &[&model, &messages, &generation, &items])?;
    logits(bench, &model, &items, &folder)?;
    let export = trained(bench, name, &folder)?;
    let scores = logits(bench, &export, &items, &folder)?;
    bench.script("parity/install_vllm.py", &[])?;
    bench.script("parity/vllm_logprobs.py", &[&export, &items, &scores])
}

/// Holds the logits of `items` against transformers; where `recon score` printed what it said.
fn logits(bench: &Bench, model: &Path, items: &Path, folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let [scores, logits] = ["scores.json", "logits.safetensors"].map(|name| folder.join(name));
    let (items, written) = (text(items), text(&logits));
    let arguments = ["score", "--model", text(model), "--tokens", items, "--logits", written, "--format", "json"];
    std::fs::write(&scores, bench.recon(&arguments)?)?;
    bench.script("parity/logits.py", &[model, &logits])?;
    Ok(scores)
}

/// One step of training on two small files, exported.
fn trained(bench: &Bench, model: &str, folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let repository = folder.join("two");
    std::fs::create_dir(&repository)?;
    std::fs::write(
        repository.join("rate.py"),
        "\"\"\"Rates.\"\"\"\n\n\ndef rate(country):\n    return 3 if country else 0\n",
    )?;
    std::fs::write(
        repository.join("tax.py"),
        "from rate import rate\n\n\ndef tax(price):\n    return price * rate(1)\n",
    )?;
    let out = folder.join("out");
    let set = [
        format!("repository={}", text(&repository)),
        format!("model.name={model}"),
        "agents.arm=agent".to_owned(),
        "agents.context_tokens=2048".to_owned(),
        "pack.row_tokens=512".to_owned(),
        "holdout.files=0".to_owned(),
        "train.duration={ steps = 1 }".to_owned(),
        "train.accumulation=1".to_owned(),
        "train.lr=1e-4".to_owned(),
        "train.warmup={ steps = 0 }".to_owned(),
    ];
    let mut arguments = vec!["run", "--out", text(&out)];
    arguments.extend(set.iter().flat_map(|it| ["--set", it.as_str()]));
    eprintln!("{}", bench.recon(&arguments)?);
    Ok(out.join("two/export/model"))
}
