//! Takes out of a repository what no person wrote for it, and replaces what must not be repeated.
//!
//! Repository → for each file the first rule that refuses it, and the spans to replace → the same
//! repository with those files marked as untrained, those spans redacted, and a [`CleanReport`]
//! that accounts for every one. A dropped file keeps its text as it was read: it still decides
//! what an import means, and nothing of it goes into any record but names.
//!
//! Invariants: a file is judged by its path and bytes alone, so the result is the same whatever
//! the thread count; a rule has one name, which stands in the report, in the diagnostics and in
//! the redaction; cleaning a clean repository changes nothing.
//!
//! Sources: OpenCoder (arXiv 2411.04905, appendix on filters), The Stack v2 (arXiv 2402.19173,
//! section 3), the classes of github-linguist (generated, vendored).

mod assigned;
mod banner;
mod encoded;
mod examples;
mod generated;
mod licence;
mod personal;
mod published;
mod random;
mod secrets;
mod shape;
mod vendored;

use std::collections::BTreeMap;

use crate::Repository;
use rayon::prelude::*;
use recon_schema::graph::{Diagnostic, SkipReason};
use recon_schema::trajectory::Redaction;
use serde::{Deserialize, Serialize};

pub use licence::{LicenceOptions, UnknownLicence};
pub use personal::PersonalOptions;
pub use shape::ShapeOptions;

/// Which rules are applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanOptions {
    /// Drop files that a program wrote, by their names and their headers.
    pub generated: bool,
    /// Drop files copied in from other projects, by their paths.
    pub vendored: bool,
    /// Drop files that are mostly data in the form of text, or hold a long run of it.
    pub encoded_data: bool,
    /// Drop source files of a size or shape that people do not write.
    pub shape: ShapeOptions,
    /// Replace keys, tokens and passwords.
    pub secrets: bool,
    /// Replace personal data.
    pub personal: PersonalOptions,
    /// Find the repository's licence, and refuse a repository by it.
    pub licences: LicenceOptions,
}

impl Default for CleanOptions {
    fn default() -> Self {
        Self {
            generated: true,
            vendored: true,
            encoded_data: true,
            shape: ShapeOptions::default(),
            secrets: true,
            personal: PersonalOptions::default(),
            licences: LicenceOptions::default(),
        }
    }
}

/// A file that was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedFile {
    /// Its path.
    pub path: String,
    /// The rule that refused it.
    pub rule: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The spans of one rule that were replaced in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactedFile {
    /// Its path.
    pub path: String,
    /// The rule that found them.
    pub rule: String,
    /// How many spans.
    pub spans: u64,
    /// Their bytes in the original.
    pub bytes: u64,
}

/// What cleaning one repository did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanReport {
    /// The rule that refused the repository as a whole, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Dropped files, sorted by path.
    pub dropped: Vec<DroppedFile>,
    /// Replaced spans, sorted by path and rule.
    pub redacted: Vec<RedactedFile>,
}

/// What is to be done with one file.
enum Verdict {
    Keep,
    Drop(Refusal),
    Redact(Vec<Redaction>),
}

/// A rule that refuses a file, and what it measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The rule.
    pub rule: &'static str,
    /// The kind of reason, as it stands in the graph.
    pub reason: SkipReason,
    /// What was measured.
    pub message: String,
}

impl Refusal {
    /// A refusal by `rule`.
    pub fn new(rule: &'static str, reason: SkipReason, message: impl Into<String>) -> Self {
        Self { rule, reason, message: message.into() }
    }
}

/// Cleans `repository` in place.
///
/// With [`CleanReport::refused`] set the repository is not to be used; its files are cleaned all
/// the same, so that the report is complete.
pub fn clean(repository: &mut Repository, options: &CleanOptions) -> CleanReport {
    let kept: Vec<(&str, &str)> = repository.kept().collect();
    let verdicts = kept.into_par_iter().map(|(path, text)| (path.to_owned(), judge(path, text, options)));
    let todo: Vec<(String, Verdict)> = verdicts.filter(|(_, verdict)| !matches!(verdict, Verdict::Keep)).collect();
    let mut report = CleanReport { refused: licence::check(repository, &options.licences), ..CleanReport::default() };
    if options.secrets {
        hide_paths(repository, &mut report);
    }
    for (path, verdict) in todo.into_iter().filter(|(path, _)| shown_path(path).is_none() || !options.secrets) {
        match verdict {
            Verdict::Keep => {}
            Verdict::Drop(refusal) => drop_file(repository, path, refusal, &mut report),
            Verdict::Redact(spans) => redact(repository, &path, spans, &mut report),
        }
    }
    repository.diagnostics.sort();
    report.dropped.sort_by(|a, b| a.path.cmp(&b.path));
    report
}

/// Drops one file: it is marked as untrained, explained in the diagnostics, counted in the report.
pub fn drop_file(repository: &mut Repository, path: String, refusal: Refusal, report: &mut CleanReport) {
    let Refusal { rule, reason, message } = refusal;
    let Some((bytes, _)) = repository.original(&path) else { return };
    repository.untrain(&path, reason);
    repository.diagnostics.push(Diagnostic { path: path.clone(), rule: rule.into(), message });
    report.dropped.push(DroppedFile { path, rule: rule.into(), bytes });
}

fn redact(repository: &mut Repository, path: &str, spans: Vec<Redaction>, report: &mut CleanReport) {
    let mut by_rule: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for span in &spans {
        let counts = by_rule.entry(&span.rule).or_default();
        *counts = (counts.0 + 1, counts.1 + span.end - span.start);
    }
    report.redacted.extend(by_rule.into_iter().map(|(rule, (spans, bytes))| RedactedFile {
        path: path.into(),
        rule: rule.into(),
        spans,
        bytes,
    }));
    repository.redact(path, spans);
}

/// Whether a file of this name says what a package is and needs. Imports are resolved by it, so
/// no rule of content refuses it.
fn is_manifest(name: &str) -> bool {
    const NAMES: [&str; 30] = [
        "Cargo.toml",
        "package.json",
        "deno.json",
        "deno.jsonc",
        "jsconfig.json",
        "composer.json",
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "Pipfile",
        "go.mod",
        "go.work",
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "settings.gradle",
        "settings.gradle.kts",
        "build.sbt",
        "build.xml",
        "CMakeLists.txt",
        "meson.build",
        "configure.ac",
        "Makefile.am",
        "Gemfile",
        "Package.swift",
        "mix.exs",
        "pubspec.yaml",
        "Directory.Build.props",
        "Directory.Packages.props",
        "lerna.json",
    ];
    let ending = |ending: &str| name.len() > ending.len() && name.ends_with(ending);
    NAMES.contains(&name)
        || [".gemspec", ".csproj", ".fsproj", ".vbproj", ".sln", ".cabal", ".podspec", ".nuspec"]
            .into_iter()
            .any(ending)
        || name.starts_with("tsconfig") && name.ends_with(".json")
        || name.starts_with("requirements") && name.ends_with(".txt")
}

fn judge(path: &str, text: &str, options: &CleanOptions) -> Verdict {
    let by_content = || {
        let data = options.encoded_data.then(|| encoded::refuse(text)).flatten();
        data.or_else(|| shape::refuse(path, text, &options.shape))
    };
    let refusal = options
        .vendored
        .then(|| vendored::refuse(path))
        .flatten()
        .or_else(|| options.generated.then(|| generated::refuse(path, text)).flatten())
        .or_else(|| (!is_manifest(path.rsplit('/').next().unwrap_or(path))).then(by_content).flatten());
    if let Some(refusal) = refusal {
        return Verdict::Drop(refusal);
    }
    let found = find(path, text, options);
    if found.is_empty() { Verdict::Keep } else { Verdict::Redact(found) }
}

/// Takes every file out whose path holds a secret; its record keeps its place under a path without it.
fn hide_paths(repository: &mut Repository, report: &mut CleanReport) {
    let paths: Vec<String> = repository.files.keys().chain(repository.skipped.keys()).cloned().collect();
    for path in paths {
        let Some(shown) = shown_path(&path) else { continue };
        repository.skip(&path, SkipReason::Secret);
        let Some(mut file) = repository.skipped.remove(&path) else { continue };
        file.reason = SkipReason::Secret;
        // Two secrets of one kind in one place are told apart by their number.
        let numbers = (2..).map(|number| format!("{shown}.{number}"));
        let free = |shown: &String| !repository.skipped.contains_key(shown);
        let shown = std::iter::once(shown.clone()).chain(numbers).find(free).expect("numbers do not end");
        repository.undecoded_licences.remove(&path);
        repository.diagnostics.retain(|diagnostic| diagnostic.path != path);
        let message = "the path holds a secret, which is not shown".into();
        repository.diagnostics.push(Diagnostic { path: shown.clone(), rule: SECRET_PATH.into(), message });
        report.dropped.push(DroppedFile { path: shown.clone(), rule: SECRET_PATH.into(), bytes: file.bytes });
        repository.skipped.insert(shown, file);
    }
}

/// The rule that takes out a file whose path holds a secret.
const SECRET_PATH: &str = "secret_path";

/// `path` with placeholders for its secrets, if it holds any.
fn shown_path(path: &str) -> Option<String> {
    let mut found = Vec::new();
    secrets::find_in_path(path, &mut found);
    let spans = without_overlap(path, found);
    if spans.is_empty() {
        return None;
    }
    let (mut shown, mut kept) = (String::new(), 0);
    for span in spans {
        shown.push_str(&path[kept..span.start as usize]);
        shown.push_str(&span.replacement);
        kept = span.end as usize;
    }
    shown.push_str(&path[kept..]);
    Some(shown)
}

/// What is to be replaced in the text of the file at `path`, in order, without overlap.
fn find(path: &str, text: &str, options: &CleanOptions) -> Vec<Redaction> {
    let mut found = Vec::new();
    if options.secrets {
        secrets::find(path, text, &mut found);
    }
    personal::find(text, &options.personal, &mut found);
    without_overlap(text, found)
}

/// A span of bytes that a rule wants replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    /// The longer of two spans with one start comes first.
    pub(crate) end: std::cmp::Reverse<usize>,
    pub(crate) rule: &'static str,
}

impl Span {
    pub(crate) fn new(rule: &'static str, start: usize, end: usize) -> Self {
        Self { start, end: std::cmp::Reverse(end), rule }
    }
}

/// What stands in place of a span. The angle brackets keep it from being found again.
///
/// Two different values of one rule in one file get different numbers, equal ones the same: a
/// redaction never makes two keys of a map, or two names that are compared, equal.
fn placeholder(rule: &str, number: usize) -> String {
    if number == 1 { format!("<redacted:{rule}>") } else { format!("<redacted:{rule}:{number}>") }
}

/// The spans in order; of two that overlap the first, and the longer where they begin together.
fn without_overlap(text: &str, mut found: Vec<Span>) -> Vec<Redaction> {
    // An issuer's mark says more than a name before it.
    found.sort_unstable_by_key(|span| (span.start, span.end, span.rule == "assigned_secret", span.rule));
    let mut spans: Vec<Redaction> = Vec::new();
    let mut numbers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for Span { start, end, rule } in found {
        if spans.last().is_some_and(|last| last.end > start as u64) {
            continue;
        }
        let number = *numbers.entry((rule, &text[start..end.0])).or_insert_with(|| {
            let count = used.entry(rule).or_default();
            *count += 1;
            *count
        });
        let (start, end, replacement) = (start as u64, end.0 as u64, placeholder(rule, number));
        spans.push(Redaction { start, end, rule: rule.into(), replacement });
    }
    spans
}

#[cfg(test)]
mod planted;
#[cfg(test)]
mod planted_forms;
#[cfg(test)]
mod tests;
