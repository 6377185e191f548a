//! `cargo xtask bench-gpu` and `bench-cpu`: our kernels and PyTorch's, timed in one run, in one table.
//!
//! Ours come from the benches of `recon-kernels`, PyTorch's from `scripts/bench`. Input: JSON lines with `op`, `tokens`,
//! `us` and, from ours, `taken_bytes` and `flops` or `bytes`. Output: a Markdown table on stdout, headed by device, driver and commit.
//! Nothing is asserted; what could not be measured is a dash.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use recon_outside::program::{cargo, listen};
use serde_json::Value;

/// One line of a bench.
pub(crate) struct Timing {
    op: String,
    tokens: u64,
    us: Option<f64>,
    flops: Option<f64>,
    bytes: Option<f64>,
    /// Memory held beside the operands.
    taken_bytes: Option<f64>,
}

impl Timing {
    fn read(line: &str) -> Option<Self> {
        Self::of(&serde_json::from_str(line).ok()?)
    }

    pub(crate) fn of(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key).and_then(Value::as_f64);
        let (op, tokens) = (value.get("op")?.as_str()?.to_owned(), value.get("tokens")?.as_u64()?);
        let (us, taken_bytes) = (number("us"), number("taken_bytes"));
        Some(Self { op, tokens, us, flops: number("flops"), bytes: number("bytes"), taken_bytes })
    }

    /// Whether both time the same.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.op == other.op && self.tokens == other.tokens
    }

    /// Work a second, in FLOP/s or bytes/s.
    fn rate(&self) -> Option<f64> {
        self.flops.or(self.bytes).zip(self.us).map(|(work, us)| work / (us * 1e-6))
    }
}

/// The first line a command prints, or a dash.
fn line(command: &mut Command) -> String {
    let text = command.stderr(Stdio::null()).output().map(|done| String::from_utf8_lossy(&done.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_else(|| "–".into())
}

/// `binary` is the compiled bench, for a machine without Rust; else cargo builds it.
pub(crate) fn gpu(root: &Path, binary: Option<&Path>, only: &str) -> anyhow::Result<bool> {
    let mut ours = match binary {
        Some(binary) => Command::new(binary),
        None => {
            let mut cargo = cargo();
            // With cuDNN where `scripts/cuda-toolkit cudnn` has installed its headers.
            let features = if std::env::var_os("RECON_CUDNN_INCLUDE").is_some() { "cudnn" } else { "cuda" };
            cargo.args(["bench", "--package", "recon-kernels", "--features", features, "--bench", "device", "--"]);
            cargo
        }
    };
    if binary.is_some() {
        ours.arg("--bench");
    }
    if !only.is_empty() {
        ours.arg(only);
    }
    let ours = listen(ours.current_dir(root))?;
    let torch = listen(Command::new("python3").arg(root.join("scripts/bench/torch_gpu.py")).arg(only));
    let torch = torch.unwrap_or_else(|error| {
        eprintln!("PyTorch was not measured: {error:#}");
        String::new()
    });
    let read = |text: &str| text.lines().filter_map(Timing::read).collect::<Vec<_>>();
    let mut query = Command::new("nvidia-smi");
    query.args(["--query-gpu=name,driver_version", "--format=csv,noheader"]);
    print(&format!("{}, commit {}\n\n{}", line(&mut query), revision(root), table(&read(&ours), &read(&torch))));
    Ok(true)
}

/// Ours beside PyTorch's, each with its rate and share of the ceiling measured in the same run.
pub(crate) fn table(ours: &[Timing], torch: &[Timing]) -> String {
    let ceiling = |op: &str| ours.iter().find(|timing| timing.op == op).and_then(Timing::rate);
    let (copy, product) = (ceiling("ceiling_copy"), ceiling("ceiling_gemm"));
    let mut text =
        String::from("| operation | tokens | µs | rate | of ceiling | MB taken | torch µs | torch / ours |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for timing in ours {
        let other = torch.iter().find(|other| other.is_of(timing));
        let rate = timing.rate().map(|rate| match timing.flops {
            Some(_) => format!("{:.1} TFLOP/s", rate / 1e12),
            None => format!("{:.0} GB/s", rate / 1e9),
        });
        let top = if timing.flops.is_some() { product } else { copy };
        let share = timing.rate().zip(top).map(|(rate, top)| format!("{:.0} %", 100.0 * rate / top));
        let theirs = other.and_then(|other| other.us);
        let cell = |value: Option<String>| value.unwrap_or_else(|| "–".into());
        let us = |value: Option<f64>| cell(value.map(|us| format!("{us:.1}")));
        let times = cell(theirs.zip(timing.us).map(|(theirs, ours)| format!("{:.2}", theirs / ours)));
        let Timing { op, tokens, .. } = timing;
        let (rate, share) = (cell(rate), cell(share));
        let taken = cell(timing.taken_bytes.map(|bytes| format!("{:.1}", bytes / 1e6)));
        let (us, theirs) = (us(timing.us), us(theirs));
        let row = format!("| {op} | {tokens} | {us} | {rate} | {share} | {taken} | {theirs} | {times} |");
        writeln!(text, "{row}").expect("a string takes every line");
    }
    text
}

/// The CPU's bench, and PyTorch's milliseconds where it has the same operation.
pub(crate) fn cpu(root: &Path, python: &Path) -> anyhow::Result<bool> {
    let mut cargo = cargo();
    cargo.args(["bench", "--package", "recon-kernels", "--bench", "throughput", "--"]).current_dir(root);
    let ours = listen(&mut cargo)?;
    let torch = listen(Command::new(python).arg(root.join("scripts/bench/torch_cpu.py")))?;
    let version = torch.lines().next().and_then(|line| line.split_once('\t')).map_or("–", |(version, _)| version);
    let head = format!("{}, {version}, commit {}", processor(), revision(root));
    print(&format!("{head}\n\n{}", side_by_side(&ours, &torch)));
    Ok(true)
}

/// The processor's name, how many there are, and the widest instruction set that our loops use.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(": "));
    let name = value("model name").map_or("–", |(_, name)| name);
    let family = value("cpu family").zip(value("model\t")).map(|((_, family), (_, model))| (family, model));
    let family = family.map_or(String::new(), |(family, model)| format!(" (family {family}, model {model})"));
    let flags = value("flags").map_or("", |(_, flags)| flags);
    let widest = if flags.contains("avx512f") { "AVX-512" } else { "no AVX-512" };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{name}{family}, {cores} cores, {widest}")
}

fn revision(root: &Path) -> String {
    line(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root))
}

fn side_by_side(ours: &str, torch: &str) -> String {
    let mut text = String::from("| operation | ms | rate | torch ms | torch / ours |\n|---|---:|---:|---:|---:|\n");
    for line in ours.lines() {
        let Some((name, rest)) = line.split_once("  ") else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [ms, "ms", rate, unit] = words[..] else { continue };
        let theirs = torch.lines().find_map(|line| line.split_once('\t').filter(|(other, _)| *other == name.trim()));
        let times = theirs.and_then(|(_, theirs)| Some(theirs.parse::<f64>().ok()? / ms.parse::<f64>().ok()?));
        let (theirs, times) = (theirs.map_or("–", |(_, ms)| ms), times.map_or("–".into(), |x| format!("{x:.2}")));
        writeln!(text, "| {} | {ms} | {rate} {unit} | {theirs} | {times} |", name.trim()).expect("a string");
    }
    text
}

#[expect(clippy::print_stdout, reason = "the table is the task's data")]
fn print(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_shares_and_missing_numbers() {
        let read = |text: &str| text.lines().filter_map(Timing::read).collect::<Vec<_>>();
        let ours = read(
            r#"{"op":"ceiling_copy","tokens":0,"us":1000.0,"bytes":4e9}
{"op":"ceiling_gemm","tokens":8192,"us":1000.0,"flops":8e11}
compiling
{"op":"norm","tokens":8,"us":10.0,"taken_bytes":2500000,"bytes":2e7}
{"op":"product","tokens":8,"us":10.0,"flops":4e9}"#,
        );
        let torch = read(
            r#"{"op":"norm","tokens":8,"us":25.0}
{"op":"product","tokens":8,"us":null}"#,
        );
        let table = table(&ours, &torch);
        assert!(table.contains("| norm | 8 | 10.0 | 2000 GB/s | 50 % | 2.5 | 25.0 | 2.50 |"), "{table}");
        assert!(table.contains("| product | 8 | 10.0 | 400.0 TFLOP/s | 50 % | – | – | – |"), "{table}");
    }

    #[test]
    fn the_cpus_lines_meet_torchs() {
        let ours =
            "rms_norm::forward 4x8                     1.500 ms      12.0 GB/s\nother 3   2.000 ms  7.0 GFLOP/s\n";
        let text = side_by_side(ours, "rms_norm::forward 4x8\t3.000\n");
        assert!(text.contains("| rms_norm::forward 4x8 | 1.500 | 12.0 GB/s | 3.000 | 2.00 |"), "{text}");
        assert!(text.contains("| other 3 | 2.000 | 7.0 GFLOP/s | – | – |"), "{text}");
    }
}
