//! The arms side by side: means over seeds, intervals over files.

use std::fmt;

use recon_eval::FileReport;
use recon_schema::trajectory::Arm;
use serde::Serialize;

use super::bootstrap::{Interval, interval};
use super::measured::Measured;
use super::trained::Trained;

/// What a study found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// The model before any training, then each arm.
    pub rows: Vec<Row>,
}

/// One arm; no arm is the model before training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The arm.
    pub arm: Option<Arm>,
    /// Trainings.
    pub seeds: usize,
    /// Tokens that carried loss, a training.
    pub trained_tokens: u64,
    /// Tokens that went through the model, a training.
    pub tokens: u64,
    /// Seconds of all stages, a training.
    pub seconds: f64,
    /// Of held-out code, nats per token.
    pub code_nats_per_token: Option<Interval>,
    /// Of held-out code, bits per byte.
    pub code_bits_per_byte: Option<Interval>,
    /// Nats per token of held-out code minus those of the first arm, on the same files.
    pub code_against_first: Option<Interval>,
    /// Standard deviation of nats per token over seeds; none with one seed.
    pub code_deviation_over_seeds: Option<f64>,
    /// Of general text, bits per byte.
    pub general_bits_per_byte: Option<Interval>,
}

/// Nats a unit, over all trainings and the files as often as they were drawn.
fn ratio(reports: &[&[FileReport]], times: &[u32], unit: impl Fn(&FileReport) -> u64) -> f64 {
    let (mut nats, mut units) = (0.0, 0.0);
    for report in reports {
        for (file, times) in report.iter().zip(times) {
            nats += file.nats * f64::from(*times);
            units += unit(file) as f64 * f64::from(*times);
        }
    }
    nats / units.max(1.0)
}

fn tokens(file: &FileReport) -> u64 {
    file.tokens
}

/// Bytes over ln 2, so that a ratio is bits per byte.
fn bits_per_byte(reports: &[&[FileReport]]) -> Option<Interval> {
    let files = reports.first().map_or(0, |first| first.len());
    interval(files, |times| ratio(reports, times, |file| file.bytes) / std::f64::consts::LN_2)
}

fn code(measured: &Measured) -> &[FileReport] {
    &measured.code
}

fn general(measured: &Measured) -> &[FileReport] {
    &measured.general
}

impl Table {
    /// `all`: the trainings, arm by arm. Every arm was measured on the same files.
    pub(super) fn of(all: &[Trained]) -> Self {
        let first: Vec<&Trained> = all.iter().filter(|it| it.arm == all[0].arm).collect();
        let baseline: Vec<&[FileReport]> = first.iter().map(|it| code(&it.after)).collect();
        let before = row(None, &[&all[0].before], &[], None);
        let mut arms: Vec<Arm> = all.iter().map(|it| it.arm).collect();
        arms.dedup();
        let of = |arm: &Arm| {
            let own: Vec<&Trained> = all.iter().filter(|it| it.arm == *arm).collect();
            let measured: Vec<&Measured> = own.iter().map(|it| &it.after).collect();
            row(Some(*arm), &measured, &own, Some(&baseline).filter(|_| *arm != all[0].arm))
        };
        Self { rows: std::iter::once(before).chain(arms.iter().map(of)).collect() }
    }
}

fn row(arm: Option<Arm>, measured: &[&Measured], own: &[&Trained], baseline: Option<&Vec<&[FileReport]>>) -> Row {
    let codes: Vec<&[FileReport]> = measured.iter().map(|it| code(it)).collect();
    let generals: Vec<&[FileReport]> = measured.iter().map(|it| general(it)).collect();
    let files = codes[0].len();
    let mean = |figure: fn(&Trained) -> f64| own.iter().map(|it| figure(it)).sum::<f64>() / own.len().max(1) as f64;
    let alone: Vec<f64> = codes.iter().map(|it| ratio(&[*it], &vec![1; files], tokens)).collect();
    let center = alone.iter().sum::<f64>() / alone.len() as f64;
    let squares: f64 = alone.iter().map(|it| (it - center).powi(2)).sum();
    Row {
        arm,
        seeds: own.len(),
        trained_tokens: mean(|it| it.trained_tokens as f64) as u64,
        tokens: mean(|it| it.tokens as f64) as u64,
        seconds: mean(|it| it.seconds),
        code_nats_per_token: interval(files, |times| ratio(&codes, times, tokens)),
        code_bits_per_byte: bits_per_byte(&codes),
        code_against_first: baseline.and_then(|baseline| {
            interval(files, |times| ratio(&codes, times, tokens) - ratio(baseline, times, tokens))
        }),
        code_deviation_over_seeds: (alone.len() > 1).then(|| (squares / (alone.len() - 1) as f64).sqrt()),
        general_bits_per_byte: bits_per_byte(&generals),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |it: &Option<Interval>, sign: bool| match it {
            None => "–".to_owned(),
            Some(Interval { value, low, high }) if sign => format!("{value:+.4} [{low:+.4}, {high:+.4}]"),
            Some(Interval { value, low, high }) => format!("{value:.4} [{low:.4}, {high:.4}]"),
        };
        writeln!(
            f,
            "| arm | seeds | trained tokens | tokens | seconds | code, nats/token | code, bits/byte | \
             against the first arm, nats/token | deviation over seeds | general text, bits/byte |"
        )?;
        write!(f, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for row in &self.rows {
            let arm = row.arm.map_or_else(|| "*before*".to_owned(), |arm| arm.to_string());
            let deviation = row.code_deviation_over_seeds.map_or_else(|| "–".to_owned(), |it| format!("{it:.4}"));
            write!(
                f,
                "\n| {arm} | {} | {} | {} | {:.0} | {} | {} | {} | {deviation} | {} |",
                row.seeds,
                row.trained_tokens,
                row.tokens,
                row.seconds,
                figure(&row.code_nats_per_token, false),
                figure(&row.code_bits_per_byte, false),
                figure(&row.code_against_first, true),
                figure(&row.general_bits_per_byte, false)
            )?;
        }
        Ok(())
    }
}
