//! Which files a Python import names.
//!
//! A directory is searched as an entry of `sys.path` would be: a regular package, then a module,
//! then a portion of a namespace package; a regular package or module on a later entry wins over
//! namespace portions of earlier ones (PEP 420). Entries are the repository root, `src`, every
//! directory with a `pyproject.toml`, `setup.py` or `setup.cfg`, its `src`, and what the manifest
//! configures; those of the importing file's own project come first. Where all that fails and
//! the standard library does not know the name, directories that only look like entries are
//! tried, and the edge is marked [`Confidence::Likely`].
//!
//! A package `NAME-stubs` (PEP 561) holds the stubs of `NAME`: told apart as the kind `stub` where
//! the package is here, standing in for it where it is not.
//!
//! Edges to the `__init__` of a package that is passed on the way have the kind `package`. A
//! file's own packages are left out: they are loaded before it, not because of its imports.

use std::collections::{BTreeSet, HashSet};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::{Link, Resolution, Resolve};
use super::{Import, stdlib};
use crate::paths;
use crate::repository::Repository;

/// A directory that is, or may be, on `sys.path`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SourceRoot {
    directory: String,
    /// The directory of the manifest that makes it one.
    project: String,
}

/// The modules of a repository.
pub(super) struct Modules<'r> {
    repository: &'r Repository,
    /// Directories with Python files somewhere below.
    directories: HashSet<&'r str>,
    roots: Vec<SourceRoot>,
    /// Directories outside packages that hold a package and are no root.
    assumed: Vec<String>,
}

/// Where a dotted name leads.
#[derive(Debug, Default)]
struct Found {
    /// Files of the packages passed on the way, the last one excluded.
    packages: Vec<String>,
    end: End,
}

#[derive(Debug, Default)]
enum End {
    /// A plain module's file.
    Module(String),
    /// A regular package: its directory and its `__init__` file.
    Package { directory: String, init: String },
    /// A namespace package: its portions.
    Namespace(Vec<String>),
    /// The name breaks off: after so many segments, the last of which was a regular package or module.
    Broken { regular: bool },
    /// Not even the first segment exists.
    #[default]
    Nothing,
}

impl<'r> Modules<'r> {
    pub(super) fn new(repository: &'r Repository) -> Self {
        let python = |path: &&str| matches!(paths::extension(path), "py" | "pyi" | "pyw");
        let mut directories = HashSet::new();
        for path in repository.paths().filter(python) {
            for directory in paths::ancestors(path) {
                // What stands above a directory seen before was seen with it.
                if !directories.insert(directory) {
                    break;
                }
            }
        }
        let mut modules = Self { repository, directories, roots: Vec::new(), assumed: Vec::new() };
        modules.roots = modules.source_roots();
        modules.assumed = modules.assumed_roots();
        modules
    }

    fn source_roots(&self) -> Vec<SourceRoot> {
        let manifest = |path: &&str| matches!(paths::file_name(path), "pyproject.toml" | "setup.py" | "setup.cfg");
        let mut projects: BTreeSet<&str> = self.repository.paths().filter(manifest).map(paths::parent).collect();
        projects.insert("");
        let mut roots = BTreeSet::new();
        for project in projects {
            let configured = self
                .repository
                .files
                .get(&below(project, "pyproject.toml"))
                .map(|text| configured_roots(text))
                .unwrap_or_default();
            let relative = configured.into_iter().chain(["".to_owned(), "src".to_owned()]);
            for directory in relative.filter_map(|relative| paths::join(project, &relative)) {
                let package = self.module_file(&below(&directory, "__init__")).is_some();
                // A package cannot be an entry of the path, unless a manifest stands in it.
                if self.directories.contains(directory.as_str()) && (!package || directory == project) {
                    roots.insert(SourceRoot { directory, project: project.to_owned() });
                }
            }
        }
        roots.into_iter().collect()
    }

    fn assumed_roots(&self) -> Vec<String> {
        let mut assumed = BTreeSet::new();
        for directory in &self.directories {
            let above = paths::parent(directory);
            let regular = |directory: &str| self.module_file(&below(directory, "__init__")).is_some();
            if !directory.is_empty() && regular(directory) && !regular(above) {
                assumed.insert(above.to_owned());
            }
        }
        assumed.retain(|directory| self.roots.iter().all(|root| root.directory != *directory));
        // What was copied in from elsewhere, or only plays a package in a test, serves nobody outside.
        let foreign = |part: &str| {
            let vendored = ["vendor", "vendored", "_vendor", "third_party", "site-packages", "node_modules"];
            vendored.contains(&part) || matches!(part, "typeshed" | "fixtures" | "testdata" | "test_data")
        };
        assumed.retain(|directory| !directory.split('/').any(foreign));
        assumed.into_iter().collect()
    }

    /// The roots as `from` sees them: its own project's first, the innermost project before all.
    fn roots_for(&self, from: &str) -> Vec<String> {
        let mut roots: Vec<&SourceRoot> = self.roots.iter().collect();
        let own = |directory: &str| if paths::is_below(from, directory) { directory.len() + 1 } else { 0 };
        roots.sort_by_key(|root| std::cmp::Reverse((own(&root.project), own(&root.directory))));
        roots.into_iter().map(|root| root.directory.clone()).collect()
    }

    /// Directories that a run of `from` may have on its path without any manifest saying so.
    fn likely_roots(&self, from: &str, first: &str) -> Vec<String> {
        let regular = |directory: &str| self.module_file(&below(directory, "__init__")).is_some();
        // A script's own directory, or the directory above the outermost package (as pytest does).
        let mut likely: Vec<String> =
            paths::ancestors(from).find(|dir| !regular(dir)).map(str::to_owned).into_iter().collect();
        let holds = |directory: &&String| regular(&below(directory, first));
        let mut holders = self.assumed.iter().filter(holds);
        if let (Some(only), None) = (holders.next(), holders.next()) {
            likely.push(only.clone());
        }
        likely
    }

    /// The file of a module given without extension; the implementation goes before its stub.
    fn module_file(&self, base: &str) -> Option<String> {
        ["py", "pyi", "pyw"].iter().map(|ext| format!("{base}.{ext}")).find(|path| self.repository.contains(path))
    }

    fn find(&self, entries: &[String], segments: &[String]) -> Found {
        let mut portions = entries.to_vec();
        let mut found = Found::default();
        let mut regular = false;
        for (at, segment) in segments.iter().enumerate() {
            if let End::Package { init, .. } = std::mem::take(&mut found.end) {
                found.packages.push(init);
            }
            let last = at + 1 == segments.len();
            match self.step(&portions, segment) {
                End::Module(file) if last => found.end = End::Module(file),
                // A name below a plain module: an attribute at best.
                End::Module(_) => {
                    found.end = End::Broken { regular: true };
                    return found;
                }
                End::Package { directory, init } => {
                    regular = true;
                    portions = vec![directory.clone()];
                    found.end = End::Package { directory, init };
                }
                End::Namespace(directories) => {
                    portions.clone_from(&directories);
                    found.end = End::Namespace(directories);
                }
                End::Broken { .. } | End::Nothing => {
                    found.end = if at == 0 { End::Nothing } else { End::Broken { regular } };
                    return found;
                }
            }
        }
        found
    }

    /// One segment, looked for in several directories.
    fn step(&self, portions: &[String], segment: &str) -> End {
        let mut namespace = Vec::new();
        for portion in portions {
            let base = below(portion, segment);
            if let Some(init) = self.module_file(&below(&base, "__init__")) {
                return End::Package { directory: base, init };
            }
            if let Some(file) = self.module_file(&base) {
                return End::Module(file);
            }
            if self.directories.contains(base.as_str()) {
                namespace.push(base);
            }
        }
        if namespace.is_empty() { End::Nothing } else { End::Namespace(namespace) }
    }

    /// The stub of an absolute name in a stub-only package `NAME-stubs` (PEP 561).
    fn stub_package(&self, from: &str, module: &[String]) -> Option<String> {
        let (first, rest) = module.split_first()?;
        let segments: Vec<String> = std::iter::once(format!("{first}-stubs")).chain(rest.iter().cloned()).collect();
        match self.find(&self.roots_for(from), &segments).end {
            End::Module(file) | End::Package { init: file, .. } => Some(file),
            End::Namespace(_) | End::Broken { .. } | End::Nothing => None,
        }
    }

    /// Where an absolute name leads, or its class when it leads nowhere.
    fn find_absolute(&self, from: &str, module: &[String]) -> Result<(Found, Confidence), UnresolvedClass> {
        let Some(first) = module.first() else { return Err(UnresolvedClass::Missing) };
        let exact = self.find(&self.roots_for(from), module);
        let standard = stdlib::contains(first);
        match &exact.end {
            End::Module(_) | End::Package { .. } | End::Broken { regular: true } => {
                return Ok((exact, Confidence::Exact));
            }
            // The library's package is regular and wins over any portion of a namespace.
            _ if standard => return Err(UnresolvedClass::StandardLibrary),
            _ => {}
        }
        let likely = self.find(&self.likely_roots(from, first), module);
        let stub = self.stub_package(from, module).map(End::Module);
        match (&exact.end, &likely.end) {
            // The package itself is not here, what it offers is.
            (End::Nothing, _) if stub.is_some() => {
                Ok((Found { end: stub.unwrap_or_default(), ..Found::default() }, Confidence::Exact))
            }
            (_, End::Module(_) | End::Package { .. }) => Ok((likely, Confidence::Likely)),
            (End::Nothing, End::Nothing) => Err(UnresolvedClass::External),
            (End::Nothing, _) => Ok((likely, Confidence::Likely)),
            _ => Ok((exact, Confidence::Exact)),
        }
    }

    fn find_relative(&self, from: &str, level: usize, module: &[String]) -> Option<Found> {
        let directory = paths::ancestors(from).nth(level - 1)?.to_owned();
        if !module.is_empty() {
            return Some(self.find(&[directory], module));
        }
        let end = match self.module_file(&below(&directory, "__init__")) {
            Some(init) => End::Package { directory, init },
            None => End::Namespace(vec![directory]),
        };
        Some(Found { packages: Vec::new(), end })
    }
}

impl Resolve<Vec<Import>> for Modules<'_> {
    fn resolve(&self, from: &str, imports: &Vec<Import>) -> Vec<Link> {
        let all = |import| self.import(from, import).into_iter().map(|resolution| resolution.at(import.line));
        imports.iter().flat_map(all).collect()
    }
}

impl Modules<'_> {
    /// All that one import names.
    fn import(&self, from: &str, import: &Import) -> Vec<Resolution> {
        let Import { level, module, names, .. } = import;
        let written = format!("{}{}", ".".repeat(*level), module.join("."));
        let found = match level {
            0 => self.find_absolute(from, module),
            _ => self
                .find_relative(from, *level, module)
                .map(|found| (found, Confidence::Exact))
                .ok_or(UnresolvedClass::Missing),
        };
        let (found, confidence) = match found {
            Ok(found) => found,
            Err(class) => return vec![Resolution::Unresolved { name: written, class }],
        };
        let mut answer = Answer { modules: self, from, confidence, resolutions: Vec::new() };
        for init in found.packages {
            answer.package(init);
        }
        let regular = matches!(&found.end, End::Module(file) if file.ends_with(".py"))
            || matches!(found.end, End::Package { .. });
        let stub = Some(()).filter(|()| *level == 0 && regular).and_then(|()| self.stub_package(from, module));
        if let Some(stub) = stub {
            answer.push(stub, "stub", Vec::new());
        }
        match (found.end, names) {
            (End::Module(file), names) => answer.import(file, names.clone().unwrap_or_default()),
            (End::Package { init, .. }, None) => answer.import(init, Vec::new()),
            (End::Package { directory, init }, Some(names)) => {
                let rest = answer.submodules(&[directory], names);
                if rest.is_empty() {
                    answer.package(init);
                } else {
                    answer.import(init, rest);
                }
            }
            // `import ns` loads no file; what is used of it is imported elsewhere.
            (End::Namespace(_), None) => {}
            (End::Namespace(portions), Some(names)) => {
                for name in answer.submodules(&portions, names) {
                    let dot = if module.is_empty() { "" } else { "." };
                    answer.missing(format!("{written}{dot}{name}"));
                }
            }
            (End::Broken { .. } | End::Nothing, _) => answer.missing(written),
        }
        answer.resolutions
    }
}

/// The resolutions of one import, as they are found.
struct Answer<'a> {
    modules: &'a Modules<'a>,
    from: &'a str,
    confidence: Confidence,
    resolutions: Vec<Resolution>,
}

impl Answer<'_> {
    fn import(&mut self, file: String, names: Vec<String>) {
        if file.ends_with(".py") {
            let stub = format!("{file}i");
            if self.modules.repository.contains(&stub) && stub != self.from {
                self.push(stub, "stub", Vec::new());
            }
        }
        self.push(file, "import", names);
    }

    fn package(&mut self, init: String) {
        if !paths::is_below(self.from, paths::parent(&init)) {
            self.push(init, "package", Vec::new());
        }
    }

    fn push(&mut self, to: String, kind: &'static str, names: Vec<String>) {
        self.resolutions.push(Resolution::File { to, kind, confidence: self.confidence, names });
    }

    fn missing(&mut self, name: String) {
        self.resolutions.push(Resolution::Unresolved { name, class: UnresolvedClass::Missing });
    }

    /// Imports those `names` that are modules in `portions`; returns the others.
    fn submodules(&mut self, portions: &[String], names: &[String]) -> Vec<String> {
        let mut rest = Vec::new();
        for name in names {
            match self.modules.step(portions, name) {
                End::Module(file) => self.import(file, Vec::new()),
                End::Package { init, .. } => self.import(init, Vec::new()),
                // A directory without files of its own binds a name and loads nothing.
                End::Namespace(_) => {}
                End::Broken { .. } | End::Nothing => rest.push(name.clone()),
            }
        }
        rest
    }
}

/// Source roots named in a `pyproject.toml`, relative to it: setuptools, poetry, hatch, pdm.
fn configured_roots(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let at = |path: &[&str]| {
        let mut value = table.get(*path.first()?)?;
        for key in &path[1..] {
            value = value.get(key)?;
        }
        Some(value.clone())
    };
    let mut roots = Vec::new();
    let mut add = |value: Option<toml::Value>| match value {
        Some(toml::Value::String(root)) => roots.push(root),
        Some(toml::Value::Array(all)) => {
            roots.extend(all.into_iter().filter_map(|root| root.as_str().map(str::to_owned)));
        }
        _ => {}
    };
    add(at(&["tool", "setuptools", "package-dir", ""]));
    add(at(&["tool", "setuptools", "packages", "find", "where"]));
    add(at(&["tool", "hatch", "build", "targets", "wheel", "sources"]));
    add(at(&["tool", "pdm", "build", "package-dir"]));
    for package in at(&["tool", "poetry", "packages"]).iter().filter_map(toml::Value::as_array).flatten() {
        add(package.get("from").cloned());
    }
    roots
}

fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
