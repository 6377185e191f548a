//! Takes files in whatever order a source gives them and makes the repository they form.
//!
//! Every source (a directory, an archive, a git tree, rows of a corpus) hands its files to one
//! [`Intake`], so a repository is the same wherever it was read from.
//!
//! Invariants: what is kept depends on paths, sizes and bytes, never on the order of arrival;
//! memory holds at most `max_bytes` of text and one file more, `max_listed` records and
//! `MAX_DIAGNOSTICS` diagnostics, however long the source is; no kept path is absolute, climbs
//! with `..`, or hides behind a leading dot.

use std::collections::{BTreeMap, BTreeSet};

use content_inspector::ContentType;
use recon_schema::Sha256;
use recon_schema::graph::{Diagnostic, RepositoryRef, SkipReason};

use super::manifest::is_licence_name;
use super::{ReadOptions, manifest};
use crate::language;
use crate::repository::{Repository, SkippedFile};

/// Diagnostics kept one by one; of those beyond only the number is told.
const MAX_DIAGNOSTICS: usize = 10_000;
/// Licences kept that are not UTF-8.
const MAX_UNDECODED: usize = 16;
/// Longest path taken, in bytes; file systems stop earlier.
const MAX_PATH_BYTES: usize = 4_096;

/// Whether a folder that holds everything is part of the paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopFolder {
    /// Paths stay as they are.
    Keep,
    /// A single folder around everything is taken off, as archives of releases have it.
    Strip,
}

/// Source first: where the budget is short, documents and data give way.
type Rank = (bool, String);

struct Kept {
    text: String,
    sha256: Sha256,
}

/// A repository that is still being read.
pub struct Intake {
    options: ReadOptions,
    kept: BTreeMap<Rank, Kept>,
    kept_bytes: u64,
    /// The least rank that did not fit; nothing from here on is kept.
    full_from: Option<Rank>,
    skipped: BTreeMap<String, SkippedFile>,
    /// The least path not listed any more.
    unlisted_from: Option<String>,
    unlisted: u64,
    diagnostics: Vec<Diagnostic>,
    untold: BTreeMap<String, u64>,
    /// Licences that are not UTF-8, read as Latin-1.
    undecoded_licences: BTreeMap<String, String>,
    /// Paths met twice with different content: neither is taken.
    ambiguous: BTreeSet<String>,
}

impl Intake {
    /// An empty repository.
    pub fn new(options: &ReadOptions) -> Self {
        Self {
            options: options.clone(),
            kept: BTreeMap::new(),
            kept_bytes: 0,
            full_from: None,
            skipped: BTreeMap::new(),
            unlisted_from: None,
            unlisted: 0,
            diagnostics: Vec::new(),
            untold: BTreeMap::new(),
            undecoded_licences: BTreeMap::new(),
            ambiguous: BTreeSet::new(),
        }
    }

    /// The options read by.
    pub fn options(&self) -> &ReadOptions {
        &self.options
    }

    /// The path under which a file of this name is taken; `None` where the name is refused
    /// (a diagnostic says why) or hidden (nothing is said, as for a directory).
    pub fn path(&mut self, name: &[u8]) -> Option<String> {
        let Ok(name) = std::str::from_utf8(name) else {
            let lossy = clipped(&String::from_utf8_lossy(name));
            self.note(&lossy, "path_not_utf8", "the file's name is not UTF-8; left out");
            return None;
        };
        match normalise(name) {
            Ok(path) if path.split('/').any(|part| part.starts_with('.')) => None,
            Ok(path) => Some(path),
            Err(why) => {
                self.note(&clipped(name), "unsafe_path", &format!("{why}; left out"));
                None
            }
        }
    }

    /// Takes the whole content of a file, or records why not. A longer content than
    /// [`ReadOptions::max_file_bytes`] need not be complete.
    pub fn take(&mut self, path: String, content: Vec<u8>) {
        let bytes = content.len() as u64;
        if bytes > self.options.max_file_bytes {
            return self.too_large(path, bytes);
        }
        let sha256 = Sha256::of(&content);
        if self.is_repeated(&path, Some(sha256)) {
            return;
        }
        let record = |reason| SkippedFile { bytes, lines: 0, sha256: Some(sha256), reason };
        if content.is_empty() {
            return self.list(path, record(SkipReason::Empty));
        }
        match content_inspector::inspect(&content) {
            ContentType::BINARY => return self.list(path, record(SkipReason::Binary)),
            ContentType::UTF_8 | ContentType::UTF_8_BOM => {}
            _ => {
                self.note(&path, "not_utf8", "a byte-order mark of UTF-16 or UTF-32");
                return self.list(path, record(SkipReason::NotUtf8));
            }
        }
        match String::from_utf8(content) {
            Err(error) => {
                let message = format!("not UTF-8 from byte {}", error.utf8_error().valid_up_to());
                self.note(&path, "not_utf8", &message);
                self.keep_licence(&path, error.as_bytes());
                self.list(path, record(SkipReason::NotUtf8));
            }
            // What the first block did not show.
            Ok(text) if text.contains('\0') => self.list(path, record(SkipReason::Binary)),
            Ok(text) if is_lfs_pointer(&text) => {
                self.note(&path, "git_lfs", "a pointer of Git LFS; what it names is not here");
                self.list(path, record(SkipReason::EncodedData));
            }
            Ok(text) => self.keep(path, Kept { text, sha256 }),
        }
    }

    /// Lists a file whose size is above the limit, without its content.
    pub fn too_large(&mut self, path: String, bytes: u64) {
        let message = format!("{bytes} bytes, above the limit of {}", self.options.max_file_bytes);
        self.skip(path, bytes, SkipReason::TooLarge, &message);
    }

    /// Lists a file that takes no part, with a diagnostic where `message` is not empty.
    pub fn skip(&mut self, path: String, bytes: u64, reason: SkipReason, message: &str) {
        if self.is_repeated(&path, None) {
            return;
        }
        if !message.is_empty() {
            self.note(&path, reason.name(), message);
        }
        self.list(path, SkippedFile { bytes, lines: 0, sha256: None, reason });
    }

    /// Notes something about a path without listing it.
    pub fn note(&mut self, path: &str, rule: &str, message: &str) {
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            *self.untold.entry(rule.into()).or_default() += 1;
        } else {
            self.diagnostics.push(Diagnostic { path: path.into(), rule: rule.into(), message: message.into() });
        }
    }

    /// The repository. A licence that `reference` does not name is looked for in the manifests.
    pub fn finish(mut self, reference: RepositoryRef, top: TopFolder) -> Repository {
        if top == TopFolder::Strip {
            self.strip_top();
        }
        self.tell_the_rest();
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        files.extend(self.kept.into_iter().map(|((_, path), kept)| (path, kept.text)));
        let mut diagnostics = self.diagnostics;
        diagnostics.extend(case_collisions(files.keys().chain(self.skipped.keys())));
        diagnostics.sort();
        let licence = reference.licence.clone().or_else(|| manifest::licence(&files));
        let reference = RepositoryRef { licence, ..reference };
        Repository {
            reference,
            files,
            untrained: BTreeMap::new(),
            skipped: self.skipped,
            redacted: BTreeMap::new(),
            undecoded_licences: self.undecoded_licences,
            diagnostics,
        }
    }

    /// Whether a file of this path was taken or listed.
    pub fn holds(&self, path: &str) -> bool {
        self.kept.contains_key(&rank(path)) || self.skipped.contains_key(path)
    }

    /// The folder that holds everything, if there is one.
    pub fn top_folder(&self) -> Option<&str> {
        let mut paths = self.kept.keys().map(|(_, path)| path.as_str()).chain(self.skipped.keys().map(String::as_str));
        let (top, _) = paths.next()?.split_once('/')?;
        let within = |path: &str| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
        paths.all(within).then_some(top)
    }

    fn strip_top(&mut self) {
        let Some(cut) = self.top_folder().map(|top| top.len() + 1) else { return };
        let shorter = |path: String| path[cut..].to_owned();
        let kept = std::mem::take(&mut self.kept);
        self.kept = kept.into_iter().map(|((late, path), kept)| ((late, shorter(path)), kept)).collect();
        let skipped = std::mem::take(&mut self.skipped);
        self.skipped = skipped.into_iter().map(|(path, file)| (shorter(path), file)).collect();
        let licences = std::mem::take(&mut self.undecoded_licences);
        self.undecoded_licences = licences.into_iter().map(|(path, text)| (shorter(path), text)).collect();
        for diagnostic in &mut self.diagnostics {
            // A refused name may be shorter than the folder, or lie outside it.
            if let Some(rest) = diagnostic.path.get(cut..).filter(|_| diagnostic.rule != "unsafe_path") {
                diagnostic.path = rest.to_owned();
            }
        }
    }

    /// A path met before: the same bytes once more are nothing new, other bytes make it ambiguous.
    fn is_repeated(&mut self, path: &str, sha256: Option<Sha256>) -> bool {
        if self.ambiguous.contains(path) {
            return true;
        }
        let key = rank(path);
        let before = match (self.kept.get(&key), self.skipped.get(path)) {
            (Some(kept), _) => Some(kept.sha256),
            (None, Some(skipped)) => skipped.sha256,
            (None, None) => return false,
        };
        if sha256.is_none() || before != sha256 {
            if let Some(kept) = self.kept.remove(&key) {
                self.kept_bytes -= kept.text.len() as u64;
            }
            self.note(path, "ambiguous", "the path stands for several files; none is taken");
            let file = SkippedFile { bytes: 0, lines: 0, sha256: None, reason: SkipReason::Ambiguous };
            self.skipped.insert(path.into(), file);
            self.ambiguous.insert(path.into());
        }
        true
    }

    fn keep(&mut self, path: String, file: Kept) {
        let key = rank(&path);
        if self.full_from.as_ref().is_some_and(|full| key >= *full) {
            return self.over_budget(path, &file);
        }
        self.kept_bytes += file.text.len() as u64;
        self.kept.insert(key, file);
        while self.kept.len() > self.options.max_files || self.kept_bytes > self.options.max_bytes {
            let (key, file) = self.kept.pop_last().expect("something is kept while the budget is exceeded");
            self.kept_bytes -= file.text.len() as u64;
            self.over_budget(key.1.clone(), &file);
            self.full_from = Some(key);
        }
    }

    /// Keeps what may be the repository's licence, read as Latin-1, whose bytes are the numbers of
    /// its characters.
    fn keep_licence(&mut self, path: &str, content: &[u8]) {
        let name = path.rsplit('/').next().unwrap_or(path);
        // Below the folder of an archive that is taken off, or in `LICENSES/`.
        if path.matches('/').count() > 2 || !is_licence_name(name) {
            return;
        }
        self.undecoded_licences.insert(path.into(), content.iter().map(|byte| char::from(*byte)).collect());
        while self.undecoded_licences.len() > MAX_UNDECODED {
            self.undecoded_licences.pop_last();
        }
    }

    fn over_budget(&mut self, path: String, file: &Kept) {
        self.note(&path, "over_budget", "left out, the budget of files or bytes was spent");
        let lines = file.text.lines().count() as u64;
        let bytes = file.text.len() as u64;
        self.list(path, SkippedFile { bytes, lines, sha256: Some(file.sha256), reason: SkipReason::OverBudget });
    }

    fn list(&mut self, path: String, file: SkippedFile) {
        if self.unlisted_from.as_ref().is_some_and(|from| path >= *from) {
            self.unlisted += 1;
            return;
        }
        self.skipped.insert(path, file);
        if self.skipped.len() > self.options.max_listed {
            let (path, _) = self.skipped.pop_last().expect("more than a limit is more than nothing");
            self.unlisted_from = Some(path);
            self.unlisted += 1;
        }
    }

    fn tell_the_rest(&mut self) {
        let mut told = Vec::new();
        if self.unlisted > 0 {
            told.push(("not_listed".to_owned(), format!("{} files beyond the limit of the listing", self.unlisted)));
        }
        for (rule, count) in std::mem::take(&mut self.untold) {
            told.push((rule, format!("{count} more of this rule")));
        }
        let whole = |(rule, message)| Diagnostic { path: String::new(), rule, message };
        self.diagnostics.extend(told.into_iter().map(whole));
    }
}

/// Whether a text stands for a file that Git LFS keeps elsewhere (specification of pointers, version 1).
fn is_lfs_pointer(text: &str) -> bool {
    text.len() < 1024
        && text.strip_prefix("version ").is_some_and(|rest| rest.starts_with("https://git-lfs.github.com/spec/"))
        && text.contains("\noid sha256:")
}

fn rank(path: &str) -> Rank {
    (language::of_path(path).is_none(), path.to_owned())
}

/// The `/`-separated path from the root that a name stands for, or why it can stand for none.
fn normalise(name: &str) -> Result<String, &'static str> {
    if name.len() > MAX_PATH_BYTES {
        return Err("the name is longer than any path");
    }
    if name.starts_with(['/', '\\']) || matches!(name.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic()) {
        return Err("an absolute path");
    }
    if name.contains('\0') {
        return Err("the name holds a NUL byte");
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("the path climbs out with `..`"),
            _ if part.contains('\\') && part.split('\\').any(|piece| piece == "..") => {
                return Err("the path climbs out with `..`");
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { Err("the name names nothing") } else { Ok(parts.join("/")) }
}

fn clipped(name: &str) -> String {
    name.chars().take(200).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Paths that a file system without upper and lower case would hold to be one.
fn case_collisions<'a>(paths: impl Iterator<Item = &'a String>) -> Vec<Diagnostic> {
    let mut folded: Vec<(String, &String)> = paths.map(|path| (path.to_lowercase(), path)).collect();
    folded.sort_unstable();
    let message = |other: &str| format!("differs from {other} only in case; both are kept");
    let pairs = folded.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    pairs
        .map(|pair| Diagnostic { path: pair[1].1.clone(), rule: "case_collision".into(), message: message(pair[0].1) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference() -> RepositoryRef {
        RepositoryRef { name: "r".into(), source: "r".into(), commit: None, licence: None }
    }

    fn read(options: &ReadOptions, files: &[(&str, &str)]) -> Repository {
        let mut intake = Intake::new(options);
        for (name, text) in files {
            if let Some(path) = intake.path(name.as_bytes()) {
                intake.take(path, text.as_bytes().to_vec());
            }
        }
        intake.finish(reference(), TopFolder::Keep)
    }

    #[test]
    fn the_order_of_arrival_does_not_show() {
        let files = [("d.md", "dd"), ("a.py", "aaa"), ("c.py", "ccc"), ("b.py", "bbb"), ("a.md", "aa")];
        let options = ReadOptions { max_bytes: 8, ..ReadOptions::default() };
        let once = read(&options, &files);
        assert_eq!(once.files.keys().collect::<Vec<_>>(), ["a.py", "b.py"], "the longest run that fits, in order");
        for turn in 1..files.len() {
            let mut turned = files;
            turned.rotate_left(turn);
            assert_eq!(read(&options, &turned), once);
        }
    }

    #[test]
    fn hostile_names_are_refused_with_their_reason() {
        let files =
            [("/etc/passwd", "x"), ("a/../../b.py", "x"), ("C:\\b.py", "x"), ("..\\b.py", "x"), ("", "x"), (".", "x")];
        let repository = read(&ReadOptions::default(), &files);
        assert!(repository.files.is_empty() && repository.skipped.is_empty());
        assert_eq!(repository.diagnostics.len(), files.len());
        assert!(repository.diagnostics.iter().all(|it| it.rule == "unsafe_path"), "{:?}", repository.diagnostics);
        assert!(read(&ReadOptions::default(), &[(".git/x.py", "x"), ("a/.b/x.py", "x")]).diagnostics.is_empty());
        assert!(read(&ReadOptions::default(), &[("./a//b.py", "x")]).files.contains_key("a/b.py"));
    }

    #[test]
    fn a_path_with_two_contents_is_neither() {
        let repository = read(&ReadOptions::default(), &[("a.py", "x"), ("a.py", "y"), ("a.py", "x"), ("b.py", "x")]);
        assert_eq!(repository.skipped["a.py"].reason, SkipReason::Ambiguous);
        assert_eq!(repository.files.keys().collect::<Vec<_>>(), ["b.py"]);
        let repeated = read(&ReadOptions::default(), &[("a.py", "x"), ("a.py", "x")]);
        assert!(repeated.files.contains_key("a.py") && repeated.diagnostics.is_empty());
    }

    #[test]
    fn a_pointer_of_git_lfs_is_data_that_is_elsewhere() {
        let oid = "0".repeat(64);
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        let prose = format!("{pointer}{}", "and how they are read\n".repeat(60));
        let files = [("model.py", pointer.as_str()), ("lfs.md", prose.as_str()), ("a.md", "version https://git-lfs\n")];
        let repository = read(&ReadOptions::default(), &files);
        assert_eq!(repository.skipped["model.py"].reason, SkipReason::EncodedData);
        assert_eq!(repository.diagnostics[0].rule, "git_lfs");
        assert_eq!(repository.files.keys().collect::<Vec<_>>(), ["a.md", "lfs.md"], "texts about pointers are none");
    }

    #[test]
    fn a_licence_in_latin_1_is_kept_to_be_known_by() {
        let mut intake = Intake::new(&ReadOptions::default());
        for name in ["top/LICENSE", "top/notes.txt", "top/a.py"] {
            let path = intake.path(name.as_bytes()).expect("an ordinary name");
            intake.take(path, b"Copyright \xa9 a person\n".to_vec());
        }
        let repository = intake.finish(reference(), TopFolder::Strip);
        assert_eq!(repository.skipped["LICENSE"].reason, SkipReason::NotUtf8);
        let kept: Vec<_> = repository.undecoded_licences.into_iter().collect();
        assert_eq!(kept, [("LICENSE".to_owned(), "Copyright \u{a9} a person\n".to_owned())]);
    }

    #[test]
    fn names_that_differ_in_case_are_both_kept_and_noted() {
        let repository = read(&ReadOptions::default(), &[("README.py", "x"), ("readme.py", "y")]);
        assert_eq!(repository.files.len(), 2);
        assert_eq!(repository.diagnostics[0].rule, "case_collision");
    }

    #[test]
    fn a_million_names_stay_within_the_limits() {
        let options = ReadOptions { max_files: 10, max_listed: 100, ..ReadOptions::default() };
        let mut intake = Intake::new(&options);
        for at in 0..1_000_000_u32 {
            let path = intake.path(format!("f{:07}.py", at.wrapping_mul(2_654_435_761) % 10_000_000).as_bytes());
            intake.take(path.expect("an ordinary name"), b"x = 1\n".to_vec());
        }
        let repository = intake.finish(reference(), TopFolder::Keep);
        assert_eq!((repository.files.len(), repository.skipped.len()), (10, 100));
        assert!(repository.diagnostics.len() < MAX_DIAGNOSTICS + 10);
        let untold = repository.diagnostics.iter().find(|it| it.rule == "not_listed").expect("the rest is counted");
        assert!(untold.message.starts_with("99"), "{}", untold.message);
    }
}
