//! One whole run of `recon graph --corpus` over all packages, and whether its account is complete.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;

/// The run.
pub(super) struct Run {
    pub(super) report: Report,
    /// Files on the disk that are not hidden, counted without recon.
    pub(super) on_disk: u64,
    pub(super) seconds: f64,
    pub(super) peak_bytes: u64,
}

/// The account, as the run wrote it.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) repositories: u64,
    pub(super) kept_repositories: u64,
    unusable_repositories: BTreeMap<String, u64>,
    pub(super) refused_repositories: BTreeMap<String, u64>,
    pub(super) met: Count,
    pub(super) kept: Count,
    pub(super) unread_files: BTreeMap<String, u64>,
    pub(super) dropped_files: BTreeMap<String, Count>,
    files_of_refused_repositories: u64,
    pub(super) redacted: BTreeMap<String, Redacted>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Count {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Redacted {
    pub(super) files: u64,
    pub(super) spans: u64,
}

/// Runs over the folder `packages` from the beginning.
pub(super) fn run(recon: &Path, packages: &Path, out: &Path) -> anyhow::Result<Run> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    let start = Instant::now();
    let mut command = Command::new(recon);
    command.args(["graph", "--corpus"]).arg(packages).arg("--out").arg(out);
    let mut child = command.stdout(Stdio::null()).spawn().context("failed to start recon")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_bytes = 0;
    let ended = loop {
        // The peak only grows, so the last look before the end tells it.
        peak_bytes = peak(&status).unwrap_or(0).max(peak_bytes);
        match child.try_wait()? {
            Some(ended) => break ended,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    anyhow::ensure!(ended.success(), "recon graph --corpus failed: {ended}");
    let seconds = start.elapsed().as_secs_f64();
    let report = serde_json::from_str(&fs::read_to_string(out.join("read/report.json"))?)?;
    Ok(Run { report, on_disk: visible_files(packages)?, seconds, peak_bytes })
}

fn peak(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Every file below the packages whose path from the package on has no hidden part.
fn visible_files(packages: &Path) -> anyhow::Result<u64> {
    let mut open = vec![packages.to_owned()];
    let mut files = 0;
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let (kind, hidden) = (entry.file_type()?, entry.file_name().as_encoded_bytes().starts_with(b"."));
            if kind.is_dir() && !hidden {
                open.push(entry.path());
            } else if kind.is_file() && !hidden && directory != packages {
                files += 1;
            }
        }
    }
    Ok(files)
}

impl Run {
    /// What the account leaves out, in words; nothing where it is complete.
    pub(super) fn lost(&self) -> Vec<String> {
        let report = &self.report;
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        let dropped: u64 = report.dropped_files.values().map(|count| count.files).sum();
        let files = report.kept.files + dropped + sum(&report.unread_files) + report.files_of_refused_repositories;
        let repositories =
            report.kept_repositories + sum(&report.refused_repositories) + sum(&report.unusable_repositories);
        let mut lost = Vec::new();
        let mut check = |what: &str, met: u64, accounted: u64| {
            if met != accounted {
                lost.push(format!("{what}: {met} were met, {accounted} are accounted for"));
            }
        };
        check("files", report.met.files, files);
        check("repositories", report.repositories, repositories);
        check("files on disk", self.on_disk, report.met.files);
        lost
    }
}
