//! The crates of a repository as its `Cargo.toml` files lay them out; cargo is never run.
//!
//! Source: the Cargo book, "Cargo targets" (target auto-discovery) and "Specifying dependencies".

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::paths;
use crate::repository::Repository;

/// One package: a directory with a manifest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Package {
    /// Its directory, `""` for the root.
    pub(super) directory: String,
    /// The name other crates write in paths.
    pub(super) crate_name: String,
    /// The root file of its library.
    pub(super) library: Option<String>,
    /// Root files of all its crates, the library's first.
    pub(super) roots: Vec<String>,
    /// Library root files of packages of this repository, by the name used in this package.
    pub(super) dependencies: BTreeMap<String, String>,
    /// Names of dependencies that stand outside the repository.
    pub(super) external: BTreeSet<String>,
}

/// Every package, the innermost directories first.
pub(super) fn packages(repository: &Repository) -> Vec<Package> {
    let manifests: BTreeMap<&str, Table> = repository
        .files
        .iter()
        .filter(|(path, _)| paths::file_name(path) == "Cargo.toml")
        .filter_map(|(path, text)| Some((paths::parent(path), text.parse().ok()?)))
        .collect();
    let mut packages: Vec<Package> =
        manifests.iter().filter_map(|(directory, manifest)| package(directory, manifest, repository)).collect();
    let libraries: BTreeMap<String, (String, String)> = packages
        .iter()
        .filter_map(|package| Some((package.directory.clone(), (package.crate_name.clone(), package.library.clone()?))))
        .collect();
    for package in &mut packages {
        let manifest = &manifests[package.directory.as_str()];
        let workspace = paths::ancestors(&format!("{}/Cargo.toml", package.directory))
            .find_map(|directory| Some((directory.to_owned(), manifests.get(directory)?.get("workspace")?.clone())));
        link(package, manifest, workspace.as_ref(), &libraries);
    }
    if packages.is_empty() {
        packages.extend(without_manifest(repository));
    }
    packages.sort_by(|a, b| (b.directory.len(), &a.directory).cmp(&(a.directory.len(), &b.directory)));
    packages
}

/// A directory of sources that lost its manifest still has a crate root by convention.
fn without_manifest(repository: &Repository) -> Option<Package> {
    let roots: Vec<String> = ["src/lib.rs", "src/main.rs", "lib.rs", "main.rs"]
        .into_iter()
        .filter(|path| repository.contains(path))
        .map(str::to_owned)
        .collect();
    let library = roots.iter().find(|path| path.ends_with("lib.rs")).cloned();
    (!roots.is_empty()).then(|| Package { library, roots, ..Package::default() })
}

fn package(directory: &str, manifest: &Table, repository: &Repository) -> Option<Package> {
    let section = manifest.get("package")?;
    let name = section.get("name").and_then(Value::as_str).unwrap_or_else(|| paths::file_name(directory));
    let existing = |relative: &str| paths::join(directory, relative).filter(|path| repository.contains(path));
    let lib = manifest.get("lib");
    let field = |key: &str| lib.and_then(|lib| lib.get(key)).and_then(Value::as_str);
    let library = existing(field("path").unwrap_or("src/lib.rs"));
    let mut roots: Vec<String> = library.iter().cloned().collect();
    roots.extend(existing("src/main.rs"));
    let build = section.get("build");
    if build.and_then(Value::as_bool) != Some(false) {
        roots.extend(existing(build.and_then(Value::as_str).unwrap_or("build.rs")));
    }
    for (kind, folder) in [("bin", "src/bin"), ("test", "tests"), ("example", "examples"), ("bench", "benches")] {
        let declared = manifest.get(kind).and_then(Value::as_array).into_iter().flatten();
        roots.extend(declared.filter_map(|target| existing(target.get("path")?.as_str()?)));
        roots.extend(discovered(&paths::join(directory, folder)?, repository));
    }
    let mut seen = BTreeSet::new();
    roots.retain(|root| seen.insert(root.clone()));
    let crate_name = field("name").unwrap_or(name).replace('-', "_");
    Some(Package { directory: directory.to_owned(), crate_name, library, roots, ..Package::default() })
}

/// Targets cargo finds by itself: `folder/x.rs` and `folder/x/main.rs`.
fn discovered<'r>(folder: &str, repository: &'r Repository) -> impl Iterator<Item = String> + use<'r> {
    let prefix = format!("{folder}/");
    repository.paths().filter_map(move |path| {
        let rest = path.strip_prefix(&prefix)?;
        let target = match rest.split_once('/') {
            None => rest.ends_with(".rs"),
            Some((_, file)) => file == "main.rs",
        };
        target.then(|| path.to_owned())
    })
}

/// Fills in what the package's dependencies are called and which of them stand here.
fn link(
    package: &mut Package,
    manifest: &Table,
    workspace: Option<&(String, Value)>,
    libraries: &BTreeMap<String, (String, String)>,
) {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten().map(|(_, table)| table);
    let tables = kinds
        .iter()
        .filter_map(|kind| manifest.get(*kind))
        .chain(targets.flat_map(|target| kinds.iter().filter_map(|kind| target.get(*kind))));
    let directory = package.directory.clone();
    for (name, declared) in tables.filter_map(Value::as_table).flatten() {
        let inherited = declared.get("workspace").and_then(Value::as_bool) == Some(true);
        let shared = || {
            let (root, table) = workspace?;
            Some((root.clone(), table.get("dependencies")?.get(name)?.clone()))
        };
        let (base, specification) =
            if inherited { shared() } else { None }.unwrap_or_else(|| (directory.clone(), declared.clone()));
        let path = specification.get("path").and_then(Value::as_str);
        let library = path.and_then(|path| libraries.get(&paths::join(&base, path)?));
        let renamed = specification.get("package").is_some();
        match library {
            // A library may be called otherwise than its package; a rename goes before both.
            Some((crate_name, root)) => {
                let local = if renamed { name.replace('-', "_") } else { crate_name.clone() };
                package.dependencies.insert(local, root.clone());
            }
            None => {
                package.external.insert(name.replace('-', "_"));
            }
        }
    }
}
