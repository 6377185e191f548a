//! `recon pack`: rows to train on, of trajectories or plain texts; what they hold; proof that documents stay apart.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use clap::Args;
use recon_llama::{Config, FlatParams, Llama, Packed};
use recon_pack::{Loader, Row};
use recon_train::compare_exchanged;
use serde_json::json;

use super::stages::{StageArgs, run_until};
use super::{Format, print_json, print_line, print_text};
use recon_pipeline::{Failure, Outcome, Until, model, pack_texts};

/// Documents of one row that --prove exchanges at most.
const EXCHANGED: usize = 8;

/// Pack trajectories or plain texts into rows; show rows; prove that their documents stay apart.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  recon pack --config configs/quickstart.toml\n  \
    recon pack --text books.jsonl web.parquet --out rows/text --set pack.row_tokens=4096\n  \
    recon pack --show 2 out/recon/pack/rows\n  \
    recon pack --prove out/recon/pack/rows")]
pub struct PackArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// Pack the texts of these files (.jsonl, .jsonl.gz, .jsonl.zst, .parquet) into --out.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["show", "prove"])]
    text: Vec<PathBuf>,
    /// The column that holds the texts, for --text.
    #[arg(long, default_value = "text", value_name = "NAME")]
    column: String,
    /// Print the first N rows decoded, with masks and document borders.
    #[arg(long, value_name = "N", requires = "rows")]
    show: Option<u64>,
    /// A directory of rows, for --show.
    #[arg(value_name = "DIR", requires = "show")]
    rows: Option<PathBuf>,
    /// Exchange the tokens of documents in these rows, one at a time, and hold what the model computes of all others
    /// in the row against what it was: no bit of a logit or gradient may move. On the CPU.
    #[arg(long, value_name = "DIR", conflicts_with = "show")]
    prove: Option<PathBuf>,
    /// Rows that are looked at, for --prove.
    #[arg(long, value_name = "N", default_value_t = 2, requires = "prove")]
    prove_rows: usize,
    /// The model whose tokenizer makes or made the rows, for --text, --show and --prove; without it --text takes the
    /// configured model.
    #[arg(long, value_name = "NAME")]
    tokenizer: Option<String>,
}

impl PackArgs {
    fn tokenizer(&self) -> &str {
        self.tokenizer.as_deref().unwrap_or("nano")
    }
}

/// Runs the command.
pub fn run(arguments: &PackArgs) -> Outcome {
    if !arguments.text.is_empty() {
        return text(arguments);
    }
    if let Some(directory) = &arguments.prove {
        return prove(arguments, directory);
    }
    match (arguments.show, &arguments.rows) {
        (Some(count), Some(directory)) => show(arguments, count, directory),
        _ => run_until(&arguments.stage, Until::Pack),
    }
}

fn text(arguments: &PackArgs) -> Outcome {
    let config = arguments.stage.config.load()?;
    let out = config.out.clone().ok_or_else(|| {
        Failure::input_because("packed texts need a place").hint("add `--out DIR`, a folder for the rows alone")
    })?;
    let name = arguments.tokenizer.as_ref().unwrap_or(&config.model.name);
    let tokenizer = model::tokenizer(&model::files(name)?)?;
    let report = pack_texts(&arguments.text, &arguments.column, &tokenizer, &config, &out)?;
    match arguments.stage.format {
        Format::Json => print_json(&report),
        Format::Text => print_line(format_args!(
            "{}: {} rows of at most {} tokens, {:.1} % full; {} documents, {} tokens",
            out.display(),
            report.rows,
            report.row_tokens,
            100.0 * report.fill,
            report.documents,
            report.tokens
        )),
    }
}

fn show(arguments: &PackArgs, count: u64, directory: &Path) -> Outcome {
    let tokenizer = model::tokenizer(&model::files(arguments.tokenizer())?)?;
    let loader = Loader::open(directory, 0).map_err(Failure::input)?;
    for at in 0..count.min(loader.rows()) {
        let row = loader.row(0, at).map_err(Failure::input)?;
        fits(arguments, directory, at, &row, tokenizer.vocabulary())?;
        print_text(&row.show(&tokenizer))?;
    }
    Ok(())
}

fn fits(arguments: &PackArgs, directory: &Path, at: u64, row: &Row, vocabulary: usize) -> Outcome {
    match row.ids.iter().find(|id| **id as usize >= vocabulary) {
        None => Ok(()),
        Some(id) => {
            let name = arguments.tokenizer();
            let message = format!("{}: row {at} holds id {id}, which `{name}` does not have", directory.display());
            Err(Failure::input_because(message).hint("name the model the rows were made for with --tokenizer"))
        }
    }
}

fn prove(arguments: &PackArgs, directory: &Path) -> Outcome {
    let loader = Loader::open(directory, 0).map_err(Failure::input)?;
    let files = model::files(arguments.tokenizer())?;
    let config = Config::from_json(&files.config_json().map_err(Failure::input)?).map_err(Failure::input)?;
    let tensors = files.tensors().map_err(Failure::input)?;
    let read = |name: &str, shape: &[usize]| tensors.read_shaped(name, shape, DType::F32, &Device::Cpu);
    let params = FlatParams::load(&config, &Device::Cpu, DType::F32, read)
        .and_then(FlatParams::with_grads)
        .map_err(Failure::input)?;
    let vocabulary = config.vocab_size;
    let model = Llama::new(config, &Device::Cpu, DType::F32).map_err(Failure::input)?;
    let mut rows = 0;
    for at in 0..loader.rows() {
        let row = loader.row(0, at).map_err(Failure::input)?;
        if row.spans.len() < 2 {
            continue;
        }
        fits(arguments, directory, at, &row, vocabulary)?;
        let Row { ids, mask, spans } = row;
        let packed = Packed { ids, mask, spans };
        prove_row(arguments, (&model, &params), at, &packed)?;
        rows += 1;
        if rows == arguments.prove_rows {
            break;
        }
    }
    if rows == 0 {
        let message = format!("{} has no row with two documents, so there is nothing to prove", directory.display());
        return Err(Failure::input_because(message));
    }
    Ok(())
}

/// Compares, and shows on the same row that documents which the model takes for one are found.
fn prove_row(arguments: &PackArgs, (model, params): (&Llama, &FlatParams), at: u64, row: &Packed) -> Outcome {
    let every = row.spans.len().div_ceil(EXCHANGED);
    let chosen: Vec<_> = row.spans.iter().step_by(every).cloned().collect();
    let compared = compare_exchanged(model, params, row, &chosen)?;
    let mut joined = row.clone();
    joined.spans =
        std::iter::once(row.spans[0].start..row.spans[1].end).chain(row.spans[2..].iter().cloned()).collect();
    let control = compare_exchanged(model, params, &joined, &row.spans[..1])?;
    let told = match arguments.stage.format {
        Format::Json => {
            print_json(&json!({"row": at, "documents": row.spans.len(), "compared": compared, "control": control}))
        }
        Format::Text => print_line(format_args!(
            "row {at}: {} of {} documents exchanged, {} of {} logits and {} of {} gradients of the others moved; \
             control, the first two as one: {} logits and {} gradients moved",
            compared.exchanged,
            row.spans.len(),
            compared.logits_moved,
            compared.logits,
            compared.gradients_moved,
            compared.gradients,
            control.logits_moved,
            control.gradients_moved
        )),
    };
    told?;
    if compared.moved() {
        return Err(Failure::run_because(format!("row {at}: documents see each other")));
    }
    if !control.moved() {
        return Err(Failure::run_because(format!("row {at}: the comparison does not see documents that are joined")));
    }
    Ok(())
}
