//! `recon-nano`: makes the embedded model `nano` again, from fetching its sources to its card.
//!
//! `cargo xtask nano --work DIR` fetches the packages of `packages.toml`, trains a tokenizer and
//! the model (about an hour on two cores), measures it on the held-out packages
//! and writes `assets/nano`. Everything it makes on the way lies below DIR, and an interrupted
//! run goes on. `--steps-only 20` makes the first 20 training steps and holds their losses
//! against `first_steps.json`; `--measure MODEL` only measures.

mod card;
mod documents;
mod measure;
mod packages;
mod recipe;
mod select;
mod training;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use candle_core::DType;
use clap::Parser;

use crate::training::FirstSteps;

#[derive(Parser)]
#[command(name = "recon-nano", about = "Make the embedded model nano again")]
struct Arguments {
    /// Directory for sources, packs and training runs.
    #[arg(long)]
    work: PathBuf,
    /// Directory of the finished model.
    #[arg(long, default_value_os_t = assets())]
    out: PathBuf,
    /// Only make this many training steps and compare their losses with the record.
    #[arg(long, value_name = "N")]
    steps_only: Option<u64>,
    /// With `--steps-only`: write the record instead of comparing with it.
    #[arg(long, value_name = "FILE", requires = "steps_only")]
    record: Option<PathBuf>,
    /// Only measure the model in this directory on the held-out packages.
    #[arg(long, value_name = "MODEL", conflicts_with = "steps_only")]
    measure: Option<PathBuf>,
    /// Finish from this checkpoint instead of training to the end.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["steps_only", "measure"])]
    checkpoint: Option<PathBuf>,
}

fn assets() -> PathBuf {
    recon_outside::folder::workspace().join("assets/nano")
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let work = arguments.work.as_path();
    std::fs::create_dir_all(work)?;
    let list = packages::list()?;
    list.fetch(work)?;
    let corpus = select::select(work, &list)?;
    tracing::info!(training = corpus.training.len(), held_out = corpus.held_out.len(), sha256 = %corpus.sha256, "projects");
    if let Some(model) = &arguments.measure {
        let figures = measure::measure(work, model, &corpus.held_out)?;
        return say(&serde_json::to_string_pretty(&figures)?);
    }
    if let Some(checkpoint) = &arguments.checkpoint {
        return finish(work, checkpoint, &arguments.out, &list, &corpus);
    }
    let tokenizer = training::prepare(work, &corpus)?;
    if let Some(steps) = arguments.steps_only {
        let first = training::first_steps(work, &corpus, &tokenizer, steps)?;
        return match &arguments.record {
            Some(path) => Ok(recon_schema::file::write_json(path, &first).map(drop)?),
            None => {
                first.must_reproduce(&FirstSteps::recorded()?)?;
                say(&format!("{} training steps reproduce", first.loss_nats.len()))
            }
        };
    }
    let checkpoint = training::train(work)?;
    finish(work, &checkpoint, &arguments.out, &list, &corpus)
}

/// Exports the checkpoint, measures it, and writes its card.
fn finish(
    work: &Path,
    checkpoint: &Path,
    out: &Path,
    list: &packages::Packages,
    corpus: &select::Corpus,
) -> anyhow::Result<()> {
    let exported = work.join("exported");
    if exported.exists() {
        std::fs::remove_dir_all(&exported)?;
    }
    recon_train::export(checkpoint, &exported, Some(DType::BF16))?;
    let figures = measure::measure(work, &exported, &corpus.held_out)?;
    let card = card::card(&figures, list, corpus);
    recon_schema::file::write_bytes(&exported.join("README.md"), card.as_bytes())?;
    for entry in std::fs::read_dir(&exported)? {
        let entry = entry?;
        let bytes = std::fs::read(entry.path())?;
        recon_schema::file::write_bytes(&out.join(entry.file_name()), &bytes)
            .with_context(|| format!("failed to finish {}", out.display()))?;
    }
    say(&serde_json::to_string_pretty(&figures)?)
}

fn say(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
