//! The text of `docs/graph-speed.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Cleaning, Graphs, Measured};
use crate::accuracy::{madge, ruff};

/// The page.
pub(super) fn write(root: &Path, measured: &Measured) -> anyhow::Result<String> {
    let mut page = format!(
        "# How fast source becomes graphs\n\n`cargo xtask graph-speed` writes this page; every figure is of one run, \
         at revision {}, on one thread and of processor time unless said otherwise.\n\nMachine: {}.\n\n",
        revision(root)?,
        machine(),
    );
    graphs(&mut page, &measured.languages)?;
    peers(&mut page, measured)?;
    cleaning(&mut page, &measured.cleaning)?;
    corpus(&mut page, measured)?;
    Ok(page)
}

fn graphs(page: &mut String, languages: &[(&str, Graphs)]) -> std::fmt::Result {
    writeln!(
        page,
        "## Graphs\n\nFrom bytes in memory to the ordered graph (parse, outline, imports, resolution, digests, order) \
         beside a bare tree-sitter parse of the same files, on the packages of [graph-accuracy.md](graph-accuracy.md). \
         The share is that of bare parsing's speed, and files a second depend on how long files are: bare parsing \
         bounds them.\n\n\
         | language | packages | files | MB | KB a file | bare parse, MB/s | graph, MB/s | share | graph, files/s | bare parse, files/s |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )?;
    let mut all = Graphs::default();
    for (language, graphs) in languages {
        row(page, language, graphs)?;
        all.repositories += graphs.repositories;
        all.files += graphs.files;
        all.bytes += graphs.bytes;
        all.parse_s += graphs.parse_s;
        all.graph_s += graphs.graph_s;
    }
    row(page, "*all*", &all)?;
    writeln!(page)
}

fn row(page: &mut String, language: &str, graphs: &Graphs) -> std::fmt::Result {
    let Graphs { repositories, files, bytes, parse_s, graph_s, .. } = *graphs;
    let (megabytes, count) = (bytes as f64 / 1e6, files as f64);
    writeln!(
        page,
        "| {language} | {repositories} | {files} | {megabytes:.1} | {:.1} | {:.1} | {:.1} | {:.2} | {:.0} | {:.0} |",
        1e3 * megabytes / count,
        megabytes / parse_s,
        megabytes / graph_s,
        parse_s / graph_s,
        count / graph_s,
        count / parse_s,
    )
}

fn peers(page: &mut String, measured: &Measured) -> std::fmt::Result {
    writeln!(
        page,
        "## Beside other programs\n\nThe whole way from the disk on the same packages. The others answer which file \
         imports which, and nothing else; recon's time is with outlines, digests and order. Wall clock, one thread; \
         recon's is processor time.\n\n| language | recon, s | other, s | other |\n|---|--:|--:|---|"
    )?;
    for (language, seconds, program) in [
        ("python", measured.ruff_s, format!("`ruff analyze graph` ({})", ruff::PIN)),
        ("javascript", measured.madge_s, format!("madge ({})", madge::PIN)),
    ] {
        let own = measured.languages.iter().find(|(name, _)| *name == language);
        let own = own.map_or(f64::NAN, |(_, graphs)| graphs.reading_s + graphs.graph_s);
        writeln!(page, "| {language} | {own:.2} | {seconds:.2} | {program} |")?;
    }
    writeln!(page)
}

fn cleaning(page: &mut String, cleaning: &Cleaning) -> std::fmt::Result {
    let Cleaning { cleaning_bytes, reading_s, cleaning_s, minhash_mb_per_s, duplicates, memory } = cleaning;
    let megabytes = *cleaning_bytes as f64 / 1e6;
    writeln!(
        page,
        "## Cleaning and duplicates\n\nAll rules of the default over {megabytes:.0} MB that no rule drops by name or \
         head: {:.0} MB/s, {:.2} of the speed at which the same files are read from the disk's cache and not looked \
         at ({:.0} MB/s). MinHash (256 permutations) with SHA-256: {minhash_mb_per_s:.0} MB/s.\n\n\
         Duplicates over n, 2n and 4n files, fingerprints first, then grouping:\n\n\
         | files | MB | fingerprints, s | grouping, s | grouping, µs a file |\n|--:|--:|--:|--:|--:|",
        megabytes / cleaning_s,
        reading_s / cleaning_s,
        megabytes / reading_s,
    )?;
    for it in duplicates {
        let (megabytes, a_file_us) = (it.bytes as f64 / 1e6, 1e6 * it.grouping_s / it.files as f64);
        let (fingerprints, grouping) = (it.fingerprints_s, it.grouping_s);
        writeln!(page, "| {} | {megabytes:.1} | {fingerprints:.2} | {grouping:.3} | {a_file_us:.1} |", it.files)?;
    }
    writeln!(
        page,
        "\nMemory of a whole run (two passes, cleaning, duplicates, graphs; all threads, wall clock) over a growing \
         corpus whose rows stand apart and are regrouped by way of the disk, `partition_bytes` and `batch_bytes` 8 MiB:\n\n\
         | repositories | MB of text | s | peak resident, MB |\n|--:|--:|--:|--:|"
    )?;
    for it in memory {
        let (text, peak) = (it.bytes as f64 / 1e6, it.peak_bytes as f64 / 1e6);
        writeln!(page, "| {} | {text:.1} | {:.1} | {peak:.0} |", it.repositories, it.seconds)?;
    }
    writeln!(page)
}

fn corpus(page: &mut String, measured: &Measured) -> std::fmt::Result {
    let run = &measured.corpus;
    let (report, mb) = (&run.report, |bytes: u64| bytes as f64 / 1e6);
    writeln!(
        page,
        "## A corpus of packages\n\n`recon graph --corpus` over {} packages of PyPI, crates.io and npm \
         (`tools/nano/packages.toml`), with the default settings: {:.0} s of wall clock on all cores, peak resident \
         {:.0} MB. {} files lie there that are not hidden; the run accounts for all of them, or this task fails:\n\n\
         | what became of them | rule | files | MB |\n|---|---|--:|--:|\n| met | | {} | {:.1} |\n| kept | | {} | {:.1} |",
        report.repositories,
        run.seconds,
        mb(run.peak_bytes),
        run.on_disk,
        report.met.files,
        mb(report.met.bytes),
        report.kept.files,
        mb(report.kept.bytes),
    )?;
    for (rule, count) in &report.dropped_files {
        writeln!(page, "| dropped | `{rule}` | {} | {:.1} |", count.files, mb(count.bytes))?;
    }
    for (reason, files) in &report.unread_files {
        writeln!(page, "| not read | `{reason}` | {files} | |")?;
    }
    for (rule, repositories) in &report.refused_repositories {
        writeln!(page, "| in {repositories} refused packages | `{rule}` | | |")?;
    }
    writeln!(page, "\n| replaced | files | spans |\n|---|--:|--:|")?;
    for (rule, redacted) in &report.redacted {
        writeln!(page, "| `{rule}` | {} | {} |", redacted.files, redacted.spans)?;
    }
    Ok(())
}

fn revision(root: &Path) -> anyhow::Result<String> {
    let revision = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root).output()?;
    Ok(String::from_utf8_lossy(&revision.stdout).trim().to_owned())
}

fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = first("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = first("/proc/meminfo", "MemTotal").unwrap_or_default();
    format!("{model}, {cores} cores, {memory} of memory; load average {load} when the page was written")
}
