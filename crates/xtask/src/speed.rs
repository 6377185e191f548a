//! `cargo xtask graph-speed`: figures for reading and cleaning source, on real packages.
//!
//! The packages are those of `crates/nano/packages.toml`, fetched by name and version through
//! their registries' own clients into `target/graph-speed`; nothing of them is run. Input of one
//! run → `docs/graph-speed.md`, every figure from that run, with the machine it was taken on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;

/// The other program that makes a graph of imports, pinned.
const RUFF: &str = "ruff==0.17.5";

/// Fetches, measures, writes the page.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let work = root.join("target/graph-speed");
    let sources = work.join("sources");
    fetch(root, &work)?;
    let folders: Vec<PathBuf> = ["pypi", "crates", "npm"].iter().map(|name| sources.join(name)).collect();
    let all = bench(root, "recon-graph", &folders)?;
    let python = bench(root, "recon-graph", &folders[..1])?;
    let corpus = bench(root, "recon-corpus", &folders)?;
    let ruff_s = ruff(&work, &folders[0])?;
    let page = page(root, &all, &python, &corpus, ruff_s)?;
    fs::write(root.join("docs/graph-speed.md"), page)?;
    eprintln!("graph-speed: wrote docs/graph-speed.md");
    Ok(true)
}

/// One package of the list.
struct Package {
    name: String,
    version: String,
}

fn packages(root: &Path, registry: &str) -> anyhow::Result<Vec<Package>> {
    let list: toml::Table = fs::read_to_string(root.join("crates/nano/packages.toml"))?.parse()?;
    let all = list["package"].as_array().context("the list has packages")?;
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let of = all.iter().filter(|package| text(package, "registry") == registry);
    Ok(of.map(|package| Package { name: text(package, "name"), version: text(package, "version") }).collect())
}

/// Fills `sources/{pypi,crates,npm}`; a registry that is complete is not asked again.
fn fetch(root: &Path, work: &Path) -> anyhow::Result<()> {
    for (registry, client) in
        [("pypi", pypi as fn(&[Package], &Path) -> anyhow::Result<()>), ("crates", crates), ("npm", npm)]
    {
        let to = work.join("sources").join(registry);
        if to.exists() {
            continue;
        }
        eprintln!("graph-speed: fetching from {registry}");
        let partial = work.join(format!("{registry}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(partial.join("packages"))?;
        client(&packages(root, registry)?, &partial)?;
        fs::create_dir_all(work.join("sources"))?;
        fs::rename(partial.join("packages"), to)?;
        fs::remove_dir_all(&partial)?;
    }
    Ok(())
}

fn pypi(packages: &[Package], partial: &Path) -> anyhow::Result<()> {
    let wheels = partial.join("wheels");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]).arg(&wheels);
    command(pip.args(packages.iter().map(|it| format!("{}=={}", it.name, it.version))))?;
    for entry in fs::read_dir(&wheels)? {
        let wheel = entry?.path();
        let stem = wheel.file_stem().context("a wheel has a name")?;
        let to = partial.join("packages").join(stem);
        command(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(to))?;
    }
    Ok(())
}

fn crates(packages: &[Package], partial: &Path) -> anyhow::Result<()> {
    let line = |it: &Package| format!("{} = {{ version = \"={}\", default-features = false }}\n", it.name, it.version);
    let listed: String = packages.iter().map(line).collect();
    let manifest = format!(
        "[workspace]\n[package]\nname = \"s\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{listed}"
    );
    fs::create_dir_all(partial.join("src"))?;
    fs::write(partial.join("src/lib.rs"), "")?;
    fs::write(partial.join("Cargo.toml"), manifest)?;
    command(Command::new("cargo").args(["vendor", "--quiet", "--versioned-dirs", "vendor"]).current_dir(partial))?;
    for entry in fs::read_dir(partial.join("vendor"))? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name().to_string_lossy().into_owned())
        };
        // The named packages only: what they depend on has no pinned version.
        let named = |it: &Package| {
            let exact = format!("{}-{}", it.name, it.version);
            name == exact || name.starts_with(&format!("{exact}+"))
        };
        if packages.iter().any(named) {
            fs::rename(path, partial.join("packages").join(name))?;
        }
    }
    Ok(())
}

fn npm(packages: &[Package], partial: &Path) -> anyhow::Result<()> {
    let tarballs = partial.join("tarballs");
    fs::create_dir_all(&tarballs)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(&tarballs).stdout(Stdio::null());
    command(pack.args(packages.iter().map(|it| format!("{}@{}", it.name, it.version))))?;
    for entry in fs::read_dir(&tarballs)? {
        let tarball = entry?.path();
        let to = partial.join("packages").join(tarball.file_stem().context("a tarball has a name")?);
        fs::create_dir_all(&to)?;
        command(Command::new("tar").args(["--no-same-owner", "-xzf"]).arg(&tarball).arg("-C").arg(to))?;
    }
    Ok(())
}

fn command(command: &mut Command) -> anyhow::Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("failed to start `{shown}`; is it installed?"))?;
    anyhow::ensure!(status.success(), "`{shown}` failed: {status}");
    Ok(())
}

/// The JSON object that the crate's bench `speed` prints.
fn bench(root: &Path, package: &str, folders: &[PathBuf]) -> anyhow::Result<String> {
    eprintln!("graph-speed: {package}");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["bench", "--quiet", "--package", package, "--bench", "speed", "--"]).args(folders);
    let output = cargo.current_dir(root).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "the bench of {package} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Seconds of `ruff analyze graph` on one thread, the fastest of three.
fn ruff(work: &Path, folder: &Path) -> anyhow::Result<f64> {
    let (venv, stamp) = (work.join("venv"), work.join("venv").join(RUFF));
    if !stamp.exists() {
        command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        command(Command::new(venv.join("bin/python")).args(["-m", "pip", "install", "--quiet", RUFF]))?;
        fs::write(&stamp, "")?;
    }
    let mut fastest = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        let mut ruff = Command::new(venv.join("bin/ruff"));
        ruff.args(["analyze", "graph", "--no-cache", "--preview"]).arg(folder).env("RAYON_NUM_THREADS", "1");
        command(ruff.stdout(Stdio::null()).stderr(Stdio::null()))?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(fastest)
}

/// A number of a bench's object, by its key; the objects are ours, so the first such key is meant.
fn number(object: &str, key: &str) -> anyhow::Result<f64> {
    let at = object.find(&format!("\"{key}\": ")).with_context(|| format!("the bench prints `{key}`"))?;
    let rest = &object[at + key.len() + 4..];
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    Ok(rest[..end].trim().parse()?)
}

/// The objects of a list of a bench's object.
fn list<'a>(object: &'a str, key: &str) -> anyhow::Result<Vec<&'a str>> {
    let at = object.find(&format!("\"{key}\": [")).with_context(|| format!("the bench prints `{key}`"))?;
    let rest = &object[at + key.len() + 5..];
    let end = rest.find(']').context("a list ends")?;
    Ok(rest[..end].split("}, ").collect())
}

fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .find(|line| line.starts_with(key))
            .map(|line| line.split(':').nth(1).unwrap_or("").trim().to_owned())
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = first("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = first("/proc/meminfo", "MemTotal").unwrap_or_default();
    format!("{model}, {cores} cores, {memory} of memory; load average {load} when the page was written")
}

fn page(root: &Path, all: &str, python: &str, corpus: &str, ruff_s: f64) -> anyhow::Result<String> {
    let revision = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root).output()?;
    let revision = String::from_utf8_lossy(&revision.stdout).trim().to_owned();
    let number = |object: &str, key: &str| number(object, key);
    let mut page = format!(
        "# How fast source becomes graphs\n\nWritten by `cargo xtask graph-speed` at revision {revision}; every figure is of that one run, on one \
         thread and of processor time unless said otherwise.\n\nMachine: {}.\n\nInput: {} packages from PyPI, crates.io and npm \
         (`crates/nano/packages.toml`, by name and version), {} files and {:.1} MB in Python, Rust, JavaScript and \
         TypeScript.\n\n",
        machine(),
        number(all, "repositories")?,
        number(all, "files")?,
        number(all, "bytes")? / 1e6,
    );
    page += "| What | Figure |\n|---|---|\n";
    let mut row = |what: &str, figure: String| page += &format!("| {what} | {figure} |\n");
    row("bare tree-sitter parse of the same files", format!("{:.1} MB/s", number(all, "parse_mb_per_s")?));
    row(
        "bytes to ordered graph (parse, outline, imports, resolution, digest, order)",
        format!("{:.1} MB/s, {} files/s", number(all, "graph_mb_per_s")?, number(all, "graph_files_per_s")?),
    );
    row("the graph's speed as a share of bare parsing", format!("{:.2}", number(all, "graph_speed_of_parse")?));
    let python_s = number(python, "reading_s")? + number(python, "graph_s")?;
    row(
        "Python packages alone: reading and graph, with outlines, digests and order",
        format!("{python_s:.2} s ({} files, {:.1} MB)", number(python, "files")?, number(python, "bytes")? / 1e6),
    );
    row(&format!("the same by `ruff analyze graph` ({RUFF}), imports only, wall clock"), format!("{ruff_s:.2} s"));
    row("cleaning, all rules of the default", format!("{:.0} MB/s", number(corpus, "cleaning_mb_per_s")?));
    row("MinHash, 256 permutations, and SHA-256", format!("{:.0} MB/s", number(corpus, "minhash_mb_per_s")?));
    page += "\nDuplicates over n, 2n and 4n files: fingerprints, then grouping.\n\n| Files | MB | fingerprints, s | grouping, s | grouping, µs a file |\n|---|---|---|---|---|\n";
    for object in list(corpus, "duplicates")? {
        let (files, grouping) = (number(object, "files")?, number(object, "grouping_s")?);
        page += &format!(
            "| {files} | {:.1} | {} | {grouping} | {:.0} |\n",
            number(object, "bytes")? / 1e6,
            number(object, "fingerprints_s")?,
            1e6 * grouping / files
        );
    }
    page += "\nMemory of a whole run over a growing corpus whose rows must be regrouped (all threads; `partition_bytes` and `batch_bytes` 8 MiB): \
             two passes, cleaning, duplicates, graphs.\n\n| Repositories | MB of text | s | peak resident, MB |\n|---|---|---|---|\n";
    for object in list(corpus, "memory")? {
        page += &format!(
            "| {} | {:.1} | {} | {:.0} |\n",
            number(object, "repositories")?,
            number(object, "bytes")? / 1e6,
            number(object, "seconds")?,
            number(object, "peak_bytes")? / 1e6
        );
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::{list, number};

    #[test]
    fn figures_are_found_by_their_keys() {
        let object = r#"{"a": 1.5, "some": [{"a": 2, "b": 3}, {"a": 4, "b": 5}], "c": 6}"#;
        assert_eq!(number(object, "a").unwrap(), 1.5);
        assert_eq!(number(object, "c").unwrap(), 6.0);
        let some = list(object, "some").unwrap();
        assert_eq!(some.iter().map(|it| number(it, "b").unwrap()).collect::<Vec<_>>(), [3.0, 5.0]);
        assert!(number(object, "d").is_err());
    }
}
