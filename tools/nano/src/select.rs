//! Chooses the source files of a package and cuts them into projects of a readable size.
//!
//! Output: projects in a fixed order, each at most [`PROJECT_BYTES`] of whole files that lie near
//! each other in the package. Which directories are taken, where a package has more than is
//! used, is decided by digests of their names. Invariants: text that occurs in a held-out package
//! occurs in no training project; no text occurs twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use recon_outside::registry::Registry;
use recon_schema::Sha256;

use crate::packages::{Package, Packages};

/// Most bytes of one project, unless a single file has more.
const PROJECT_BYTES: usize = 64 << 10;
/// Files outside this range are placeholders or data.
const FILE_BYTES: std::ops::RangeInclusive<usize> = 256..=(48 << 10);
/// A longer line is data or minified.
const LINE_BYTES_MAX: usize = 400;
/// Directories with other projects' code, or with code a program wrote.
const FOREIGN: [&str; 9] =
    ["_vendor", "vendor", "vendored", "node_modules", "dist", "build", "esm", "cjs", "generated"];

/// Files of one package that are rendered together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Project {
    /// The package's name.
    pub(crate) name: String,
    /// Its registry and version, as a source.
    pub(crate) source: String,
    /// The licence it declares.
    pub(crate) licence: String,
    /// Which part of the package, from 0.
    pub(crate) part: usize,
    /// Text by path.
    pub(crate) files: BTreeMap<String, String>,
}

/// What is trained on and what is measured on.
pub(crate) struct Corpus {
    /// Training projects.
    pub(crate) training: Vec<Project>,
    /// Held-out projects.
    pub(crate) held_out: Vec<Project>,
    /// Digest over every path and text, in order: two machines with one digest have one corpus.
    pub(crate) sha256: Sha256,
}

/// Reads the unpacked packages below `work`.
pub(crate) fn select(work: &Path, list: &Packages) -> anyhow::Result<Corpus> {
    let mut seen = BTreeSet::new();
    let mut read = |held_out: bool| -> anyhow::Result<Vec<Project>> {
        let mut projects = Vec::new();
        for package in list.packages.iter().filter(|package| package.held_out == held_out) {
            let mut files = source_files(&package.directory(work), package.registry)
                .with_context(|| format!("failed to read package `{}`", package.name))?;
            files.retain(|_, text| seen.insert(Sha256::of(text.as_bytes())));
            projects.extend(cut(package, within(files, &package.name, list.max_bytes)));
        }
        Ok(projects)
    };
    // Held-out packages first: what they claim, training cannot have.
    let held_out = read(true)?;
    let training = read(false)?;
    let texts = held_out.iter().chain(&training).flat_map(|project| &project.files);
    let sha256 = Sha256::of_fields(texts.flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]));
    Ok(Corpus { training, held_out, sha256 })
}

fn source_files(root: &Path, registry: Registry) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if kind.is_dir() && !FOREIGN.contains(&name.as_str()) {
                directories.push(path);
            } else if kind.is_file() && is_source(&name, registry) {
                let relative = path.strip_prefix(root).expect("the walk stays below its root").to_string_lossy();
                let relative = relative.strip_prefix("package/").unwrap_or(&relative).to_string();
                if let Ok(text) = String::from_utf8(fs::read(&path)?)
                    && is_readable(&text)
                {
                    files.insert(relative, text);
                }
            }
        }
    }
    Ok(files)
}

fn is_source(name: &str, registry: Registry) -> bool {
    let ends = |extensions: &[&str]| extensions.iter().any(|extension| name.ends_with(extension));
    match registry {
        Registry::Pypi => ends(&[".py"]),
        Registry::Crates => ends(&[".rs"]),
        Registry::Npm => ends(&[".ts", ".tsx", ".js", ".mjs", ".cjs"]) && !ends(&[".d.ts", ".min.js", ".min.mjs"]),
    }
}

fn is_readable(text: &str) -> bool {
    FILE_BYTES.contains(&text.len()) && text.lines().all(|line| line.len() <= LINE_BYTES_MAX) && !text.contains('\0')
}

/// Whole directories, in the order of their digests, until `max_bytes` are reached.
fn within(mut files: BTreeMap<String, String>, package: &str, max_bytes: usize) -> BTreeMap<String, String> {
    let rank = |path: &str| {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        Sha256::of_fields([package.as_bytes(), directory.as_bytes()])
    };
    let mut paths: Vec<_> = files.keys().cloned().collect();
    paths.sort_by_cached_key(|path| (rank(path), path.clone()));
    let mut bytes = 0;
    let mut kept = BTreeMap::new();
    for path in paths {
        let text = files.remove(&path).expect("each path is taken once");
        if bytes + text.len() <= max_bytes {
            bytes += text.len();
            kept.insert(path, text);
        }
    }
    kept
}

fn cut(package: &Package, files: BTreeMap<String, String>) -> Vec<Project> {
    let mut projects: Vec<Project> = Vec::new();
    let mut bytes = usize::MAX;
    for (path, text) in files {
        if bytes.saturating_add(text.len()) > PROJECT_BYTES {
            bytes = 0;
            projects.push(Project {
                name: package.name.clone(),
                source: format!("{}:{}@{}", package.registry.name(), package.name, package.version),
                licence: package.licence.clone(),
                part: projects.len(),
                files: BTreeMap::new(),
            });
        }
        bytes += text.len();
        projects.last_mut().expect("the first file opens a project").files.insert(path, text);
    }
    projects
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, held_out: bool) -> Package {
        let (version, licence) = ("1".into(), "MIT".into());
        Package { registry: Registry::Pypi, name: name.into(), version, licence, held_out }
    }

    fn text(word: &str, lines: usize) -> String {
        format!("{word} = 1  # something to read\n").repeat(lines)
    }

    #[test]
    fn held_out_text_never_reaches_training() {
        let work = tempfile::tempdir().unwrap();
        let list = Packages { max_bytes: 1 << 20, packages: vec![package("a", false), package("b", true)] };
        for (package, files) in list.packages.iter().zip([["one", "both"], ["both", "two"]]) {
            let root = package.directory(work.path());
            fs::create_dir_all(root.join("_vendor")).unwrap();
            fs::write(root.join("_vendor/x.py"), text("vendored", 20)).unwrap();
            for name in files {
                fs::write(root.join(format!("{name}.py")), text(name, 20)).unwrap();
            }
        }
        let corpus = select(work.path(), &list).unwrap();
        let paths = |projects: &[Project]| projects.iter().flat_map(|p| p.files.keys().cloned()).collect::<Vec<_>>();
        assert_eq!(paths(&corpus.training), ["one.py"]);
        assert_eq!(paths(&corpus.held_out), ["both.py", "two.py"]);
    }

    #[test]
    fn a_package_is_bounded_and_cut_at_files() {
        let files: BTreeMap<_, _> = (0..40).map(|i| (format!("d{}/f{i:02}.py", i % 4), text("x", 300))).collect();
        let bytes = |files: &BTreeMap<String, String>| files.values().map(String::len).sum::<usize>();
        let kept = within(files.clone(), "p", 200_000);
        assert!((190_000..=200_000).contains(&bytes(&kept)), "{}", bytes(&kept));
        let projects = cut(&package("p", false), kept.clone());
        assert!(projects.len() == 3 && projects.iter().all(|project| bytes(&project.files) <= PROJECT_BYTES));
        let again: BTreeMap<_, _> = projects.into_iter().flat_map(|project| project.files).collect();
        assert_eq!(again, kept);
    }

    #[test]
    fn data_and_minified_text_are_left_out() {
        assert!(is_readable(&text("x", 50)));
        assert!(!is_readable("x = 1\n"));
        assert!(!is_readable(&format!("{}{}", text("x", 50), "y".repeat(500))));
    }
}
