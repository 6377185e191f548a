//! Which files a Python import names.
//!
//! A directory is searched as an entry of `sys.path` would be: a regular package, then a module,
//! then a portion of a namespace package; a regular package or module on a later entry wins over
//! namespace portions of earlier ones (PEP 420). [`search`](super::search) says which directories
//! a file sees, and which packages lie elsewhere than their names say. Where all that fails and
//! the standard library does not know the name, directories that only look like entries are
//! tried, and the edge is marked [`Confidence::Likely`].
//!
//! A package `NAME-stubs` (PEP 561) holds the stubs of `NAME`: told apart as the kind `stub` where
//! the package is here, standing in for it where it is not.
//!
//! Edges to the `__init__` of a package that is passed on the way have the kind `package`. A
//! file's own packages are left out: they are loaded before it, not because of its imports.

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::facts::{Facts, Import};
use super::search::{Files, SearchPaths, View, below};
use super::stdlib;
use crate::paths;

/// The modules of a repository.
pub(super) struct Modules<'r> {
    files: Files<'r>,
    search: SearchPaths,
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
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let files = Files::of(context.repository);
        let search = SearchPaths::of(context, &files);
        Self { files, search }
    }

    /// A dotted name below `entries`, where `view` may say that a package lies elsewhere.
    fn find(&self, entries: &[String], view: Option<&View<'_>>, segments: &[String]) -> Found {
        let mut portions = entries.to_vec();
        let mut found = Found::default();
        let mut regular = false;
        for (at, segment) in segments.iter().enumerate() {
            if let End::Package { init, .. } = std::mem::take(&mut found.end) {
                found.packages.push(init);
            }
            let last = at + 1 == segments.len();
            let name = &segments[..=at];
            let step = match view.map_or(End::Nothing, |view| self.moved(view, name)) {
                End::Nothing => match self.step(&portions, segment) {
                    // Nothing but a mapped package lies below: a namespace without a directory.
                    End::Nothing if view.is_some_and(|view| view.holds_below(name)) => End::Namespace(Vec::new()),
                    found => found,
                },
                moved => moved,
            };
            match step {
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

    /// The package of this full name, where a manifest says that it lies in a directory of another
    /// name.
    fn moved(&self, view: &View<'_>, name: &[String]) -> End {
        let directories = view.packages_named(name);
        directories.map(|directory| self.at(directory)).find(|end| !matches!(end, End::Nothing)).unwrap_or_default()
    }

    /// What `base`, a path without extension, holds for an import.
    fn at(&self, base: String) -> End {
        if let Some(init) = self.files.module(&below(&base, "__init__")) {
            return End::Package { directory: base, init };
        }
        match self.files.module(&base) {
            Some(file) => End::Module(file),
            None if self.files.is_directory(&base) => End::Namespace(vec![base]),
            None => End::Nothing,
        }
    }

    /// One segment, looked for in several directories.
    fn step(&self, portions: &[String], segment: &str) -> End {
        let mut namespace = Vec::new();
        for portion in portions {
            match self.at(below(portion, segment)) {
                End::Namespace(mut portions) => namespace.append(&mut portions),
                End::Nothing => {}
                regular => return regular,
            }
        }
        if namespace.is_empty() { End::Nothing } else { End::Namespace(namespace) }
    }

    /// The stub of an absolute name in a stub-only package `NAME-stubs` (PEP 561).
    fn stub_package(&self, view: &View<'_>, module: &[String]) -> Option<String> {
        let (first, rest) = module.split_first()?;
        let segments: Vec<String> = std::iter::once(format!("{first}-stubs")).chain(rest.iter().cloned()).collect();
        match self.find(&view.entries, None, &segments).end {
            End::Module(file) | End::Package { init: file, .. } => Some(file),
            End::Namespace(_) | End::Broken { .. } | End::Nothing => None,
        }
    }

    /// Where an absolute name leads, or its class when it leads nowhere.
    fn find_absolute(&self, view: &View<'_>, module: &[String]) -> Result<(Found, Confidence), UnresolvedClass> {
        let Some(first) = module.first() else { return Err(UnresolvedClass::Missing) };
        let exact = self.find(&view.entries, Some(view), module);
        let standard = stdlib::contains(first);
        match &exact.end {
            End::Module(_) | End::Package { .. } | End::Broken { regular: true } => {
                return Ok((exact, Confidence::Exact));
            }
            // The library's package is regular and wins over any portion of a namespace.
            _ if standard => return Err(UnresolvedClass::StandardLibrary),
            _ => {}
        }
        let likely = self.find(&self.search.likely(view, &self.files, first), None, module);
        let stub = self.stub_package(view, module).map(End::Module);
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

    fn find_relative(&self, view: &View<'_>, level: usize, module: &[String]) -> Option<Found> {
        if let Some(mut absolute) = view.above(level) {
            // The package lies elsewhere than its parents do.
            absolute.extend(module.iter().cloned());
            return Some(self.find(&view.entries, Some(view), &absolute));
        }
        let directory = paths::ancestors(view.from).nth(level - 1)?.to_owned();
        if !module.is_empty() {
            return Some(self.find(&[directory], None, module));
        }
        let end = match self.files.module(&below(&directory, "__init__")) {
            Some(init) => End::Package { directory, init },
            None => End::Namespace(vec![directory]),
        };
        Some(Found { packages: Vec::new(), end })
    }
}

impl Resolve<Facts> for Modules<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let view = self.search.view(from, facts);
        let all =
            |import: &Import| self.import(&view, import).into_iter().map(|it| it.at(import.line)).collect::<Vec<_>>();
        let computed = facts.computed.iter().map(|(line, written)| Resolution::computed(written).at(*line));
        facts.imports.iter().flat_map(all).chain(computed).collect()
    }
}

impl Modules<'_> {
    /// All that one import names.
    fn import(&self, view: &View<'_>, import: &Import) -> Vec<Resolution> {
        let Import { level, module, names, .. } = import;
        let written = format!("{}{}", ".".repeat(*level), module.join("."));
        let found = match level {
            0 => self.find_absolute(view, module),
            _ => self
                .find_relative(view, *level, module)
                .map(|found| (found, Confidence::Exact))
                .ok_or(UnresolvedClass::Missing),
        };
        let (found, confidence) = match found {
            Ok(found) => found,
            Err(class) => return vec![Resolution::Unresolved { name: written, class }],
        };
        let mut answer = Answer { modules: self, from: view.from, confidence, resolutions: Vec::new() };
        for init in found.packages {
            answer.package(init);
        }
        let regular = matches!(&found.end, End::Module(file) if file.ends_with(".py"))
            || matches!(found.end, End::Package { .. });
        let stub = Some(()).filter(|()| *level == 0 && regular).and_then(|()| self.stub_package(view, module));
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
            if self.modules.files.contains(&stub) && stub != self.from {
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
