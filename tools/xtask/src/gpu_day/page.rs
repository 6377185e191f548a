//! The measured tables of `docs/benchmarks.md`, from the results files alone. What was not measured is said, with why.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::ensure;
use serde_json::Value;

use super::result::{Outcome, Status};
use super::steps::{Program, STEPS, Step};
use crate::bench::{Timing, table};

/// Peak of a Hopper GPU in bf16, as its maker states it.
const PEAK_FLOPS: f64 = 989e12;

type Told<'a> = (&'a Step, &'a Outcome);

/// The tables of the results in `folder`.
pub(super) fn page(folder: &Path) -> anyhow::Result<String> {
    let read = |step: &'static Step| Outcome::read(folder, step.name).map(|found| found.map(|outcome| (step, outcome)));
    let outcomes: Vec<(&Step, Outcome)> =
        STEPS.iter().filter_map(|step| read(step).transpose()).collect::<Result<_, _>>()?;
    ensure!(!outcomes.is_empty(), "{} holds no results", folder.display());
    let told: Vec<Told<'_>> = outcomes.iter().map(|(step, outcome)| (*step, outcome)).collect();
    let mut text = String::new();
    let mut machines: Vec<String> = told.iter().map(|(_, outcome)| heading(outcome)).collect();
    machines.dedup();
    text.push_str(&machines.join("; then "));
    text.push_str("\n\n");
    right(&told, &mut text);
    speeds(&told, &mut text);
    training(&told, &mut text);
    serving(&told, &mut text);
    missing(&told, &mut text);
    Ok(text.trim_end().to_owned())
}

fn heading(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    format!("{}, driver {}, PyTorch {}, commit {}", machine.device, machine.driver, machine.torch, outcome.commit)
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes every line");
}

/// Correctness: tests passed and failed, and the quickstart on both.
fn right(told: &[Told<'_>], text: &mut String) {
    line(text, format_args!("| what must be right | passed | failed | seconds |\n|---|---:|---:|---:|"));
    for (step, outcome) in told {
        let count = |key: &str| outcome.figures[key].as_u64().map_or("–".into(), |count| count.to_string());
        let (passed, failed) = match step.program {
            Program::Tests(_) | Program::Sanitized(_) => (count("passed"), count("failed")),
            Program::Compared if outcome.status == Status::Done => {
                let apart = outcome.figures["largest_loss_difference_nats"].as_f64().unwrap_or(f64::NAN);
                ("the same rows".into(), format!("losses within {apart:.1e} nats"))
            }
            _ => continue,
        };
        line(text, format_args!("| {} | {passed} | {failed} | {:.0} |", step.name, outcome.seconds));
    }
    text.push('\n');
}

/// The kernels beside PyTorch's, under the ceilings of the step that measured most of them.
fn speeds(told: &[Told<'_>], text: &mut String) {
    let (mut ours, mut torch) = (Vec::new(), Vec::new());
    for (_, outcome) in told.iter().filter(|(step, _)| matches!(step.program, Program::Kernels(_))) {
        let read = |lines: &Value| lines.as_array().into_iter().flatten().filter_map(Timing::of).collect::<Vec<_>>();
        // Every part measures the ceilings; the first one's stand.
        let fresh =
            read(&outcome.figures).into_iter().filter(|timing| !ours.iter().any(|known: &Timing| known.is_of(timing)));
        let fresh: Vec<Timing> = fresh.collect();
        ours.extend(fresh);
        torch.extend(read(&outcome.torch));
    }
    if !ours.is_empty() {
        line(text, format_args!("{}", table(&ours, &torch)));
    }
}

fn training(told: &[Told<'_>], text: &mut String) {
    let mut rows = String::new();
    for (step, outcome) in
        told.iter().filter(|(step, it)| step.program == Program::Rehearsal && it.status == Status::Done)
    {
        let figures = &outcome.figures;
        let cell =
            |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
        let speed = figures["median_tokens_per_s"].as_f64();
        let mfu =
            speed.zip(figures["flops_per_token"].as_f64()).map(|(speed, flops)| 100.0 * speed * flops / PEAK_FLOPS);
        let peak = |steps: &Value| {
            let peaks = steps.as_array().into_iter().flatten().filter_map(|step| step["device_peak_bytes"].as_f64());
            peaks.reduce(f64::max)
        };
        let planned = figures["planned"]["total_bytes"].as_f64();
        let torch = &outcome.torch[0];
        let other = torch["tokens_per_s"].as_f64();
        line(
            &mut rows,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                step.name,
                figures["row_tokens"].as_u64().unwrap_or_default(),
                cell(speed, 0),
                cell(mfu, 1),
                cell(peak(&figures["steps"]).map(|bytes| bytes / 1e9), 1),
                cell(planned.map(|bytes| bytes / 1e9), 1),
                cell(other, 0),
                cell(torch["peak_bytes"].as_f64().map(|bytes| bytes / 1e9), 1),
                cell(speed.zip(other).map(|(ours, theirs)| ours / theirs), 2),
            ),
        );
    }
    if !rows.is_empty() {
        line(
            text,
            format_args!(
                "| training | tokens a row | tokens/s | causal MFU % | peak GB | planned GB | torch tokens/s | torch peak GB | ours / torch |"
            ),
        );
        line(text, format_args!("|---|---:|---:|---:|---:|---:|---:|---:|---:|\n{rows}"));
    }
}

fn serving(told: &[Told<'_>], text: &mut String) {
    let lines = told.iter().filter(|(step, _)| step.program == Program::Serving);
    let lines: Vec<&Value> = lines.filter_map(|(_, outcome)| outcome.figures.as_array()).flatten().collect();
    if lines.is_empty() {
        return;
    }
    line(
        text,
        format_args!("| serving Llama-3-8B | sequences | context | tokens | tokens/s |\n|---|---:|---:|---:|---:|"),
    );
    for figures in lines {
        let number = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
        let op = figures["op"].as_str().unwrap_or("–");
        let (sequences, context, tokens) = (number("sequences"), number("context"), number("tokens"));
        line(text, format_args!("| {op} | {sequences} | {context} | {tokens} | {:.0} |", number("tokens_per_s")));
    }
    text.push('\n');
}

/// What has no figure, and why.
fn missing(told: &[Told<'_>], text: &mut String) {
    let unmeasured: Vec<_> = told.iter().filter(|(_, outcome)| outcome.status != Status::Done).collect();
    let waiting: Vec<&str> =
        STEPS.iter().map(|step| step.name).filter(|name| !told.iter().any(|(step, _)| step.name == *name)).collect();
    if !unmeasured.is_empty() {
        line(text, format_args!("| not measured | why |\n|---|---|"));
        for (step, outcome) in unmeasured {
            let reason = outcome.reason.as_deref().unwrap_or("–").replace('|', "\\|");
            line(text, format_args!("| {} | {:?}: {reason} |", step.name, outcome.status));
        }
        text.push('\n');
    }
    if !waiting.is_empty() {
        line(text, format_args!("Not run yet: {}.", waiting.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gpu_day::machine::Machine;

    fn outcome(step: &str, status: Status, figures: Value, torch: Value) -> Outcome {
        let machine =
            Machine { device: "H".into(), driver: "580".into(), memory_gb: Some(150.0), torch: "2.11.0".into() };
        let reason = (status != Status::Done).then(|| "no memory".into());
        let (step, commit, command) = (step.into(), "abc".into(), Vec::new());
        Outcome { step, status, commit, machine, command, seconds: 3.0, figures, torch, reason }
    }

    #[test]
    fn the_tables_say_what_was_measured_and_what_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |outcome: Outcome| outcome.write(folder.path()).unwrap();
        write(outcome("right-norm", Status::Done, json!({"passed": 4, "failed": 0}), Value::Null));
        let ours = json!([{"op": "ceiling_copy", "tokens": 0, "us": 1000.0, "bytes": 4e9},
            {"op": "adamw_master", "tokens": 8, "us": 10.0, "bytes": 2e7}]);
        write(outcome("speed-adamw", Status::Done, ours, json!([{"op": "adamw_master", "tokens": 8, "us": 25.0}])));
        let step = json!({"median_tokens_per_s": 5000.0, "flops_per_token": 96.6e9, "row_tokens": 65536,
            "steps": [{"device_peak_bytes": 117.6e9}], "planned": {"total_bytes": 120e9}});
        write(outcome("train-8b-64k", Status::Done, step, json!([{"tokens_per_s": 4000.0, "peak_bytes": 130e9}])));
        write(outcome("train-8b-8k", Status::TooSmall, Value::Null, Value::Null));
        let page = page(folder.path()).unwrap();
        for wanted in [
            "H, driver 580, PyTorch 2.11.0, commit abc\n",
            "| right-norm | 4 | 0 | 3 |",
            "| adamw_master | 8 | 10.0 | 2000 GB/s | 50 % | – | 25.0 | 2.50 |",
            "| train-8b-64k | 65536 | 5000 | 48.8 | 117.6 | 120.0 | 4000 | 130.0 | 1.25 |",
            "| train-8b-8k | TooSmall: no memory |",
            "Not run yet: opens, right-rms_norm,",
        ] {
            assert!(page.contains(wanted), "`{wanted}` is not in\n{page}");
        }
        assert!(super::page(&folder.path().join("none")).is_err());
    }
}
