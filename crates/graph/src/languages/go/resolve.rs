//! Which files a Go file uses: of the packages it imports, those that define the names it takes;
//! of its own package, those that define the names it uses without importing them.
//!
//! An import whose names are found nowhere (a generated file, a field of cgo) leads to all files
//! of the package, marked [`Confidence::Likely`]; names that no file declares whose text was read are those of the
//! files whose text was not (`x.pb.go`), as far as it can only be those; one that binds no name leads to the files with
//! an `init`. Files for different systems may define the same name; all of them are named, except
//! where the two files' names say that they are never built together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use recon_schema::graph::{Confidence, SkipReason, Symbol, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::modules::Modules;
use super::{Facts, Import};
use crate::paths;

/// The files of one directory with the same package clause.
#[derive(Debug, Default)]
struct Package<'r> {
    files: Vec<&'r str>,
    /// Files by the names they define at the top level.
    defines: HashMap<&'r str, Vec<&'r str>>,
    /// Types that are maps, slices or arrays.
    collections: BTreeSet<&'r str>,
}

/// Files without text that one name may be looked for in.
const MAX_UNREAD: usize = 16;

/// All packages of a repository.
pub(super) struct Packages<'r> {
    context: Context<'r, Facts>,
    modules: Modules,
    /// By directory, then by package clause.
    packages: BTreeMap<&'r str, BTreeMap<&'r str, Package<'r>>>,
    /// Files whose text was not read, by directory.
    unread: BTreeMap<&'r str, Vec<&'r str>>,
}

impl<'r> Packages<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let mut packages: BTreeMap<&str, BTreeMap<&str, Package<'_>>> = BTreeMap::new();
        for (&path, file) in context.parsed {
            let clause = packages.entry(paths::parent(path)).or_default();
            let package = clause.entry(file.facts.package.as_str()).or_default();
            package.files.push(path);
            let is_collection = |it: &&Symbol| {
                let written = it.signature.strip_prefix("type ").and_then(|rest| rest.strip_prefix(it.name.as_str()));
                it.kind == "type"
                    && written.is_some_and(|it| it.trim_start().starts_with('[') || it.trim_start().starts_with("map["))
            };
            package.collections.extend(file.symbols.iter().filter(is_collection).map(|it| it.name.as_str()));
            let names: BTreeSet<&str> =
                file.symbols.iter().filter(|it| is_top(it)).map(|it| it.name.as_str()).collect();
            for name in names {
                package.defines.entry(name).or_default().push(path);
            }
        }
        let mut unread: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let skipped = context.repository.skipped.iter().filter(|(_, file)| file.reason != SkipReason::Empty);
        for (path, _) in skipped.filter(|(path, _)| paths::extension(path) == "go" && !is_test(path)) {
            unread.entry(paths::parent(path)).or_default().push(path);
        }
        let directories = packages.keys().chain(unread.keys()).map(|directory| (*directory).to_owned()).collect();
        let imports = context.parsed.values().flat_map(|file| file.facts.imports.iter().map(|it| it.path.as_str()));
        let modules = Modules::new(context.repository, directories, imports);
        Self { context, modules, packages, unread }
    }

    /// The package that an import of `directory` means.
    fn importable(&self, directory: &str) -> Option<(&'r str, &Package<'r>)> {
        let last = paths::file_name(directory);
        let files = |package: &Package<'_>| package.files.iter().filter(|path| self.is_importable(path)).count();
        let clauses = self.packages.get(directory)?.iter().filter(|(name, package)| {
            !name.is_empty() && !matches!(**name, "main" | "documentation") && files(package) > 0
        });
        clauses.max_by_key(|(name, package)| (files(package), **name == last)).map(|(name, package)| (*name, package))
    }

    fn is_importable(&self, path: &str) -> bool {
        !is_test(path) && self.context.parsed.get(path).is_some_and(|file| !file.facts.ignored)
    }

    /// What the names that `from` takes from one import lead to.
    fn import(&self, from: &str, facts: &Facts, import: &Import, taken: &mut BTreeSet<String>) -> Vec<Resolution> {
        let (directory, confidence) = match self.modules.find(from, &import.path) {
            Ok(found) => found,
            Err(class) => {
                taken.extend(import.alias.clone().or_else(|| import.path.rsplit('/').next().map(str::to_owned)));
                return vec![Resolution::Unresolved { name: import.path.clone(), class }];
            }
        };
        let Some((name, package)) = self.importable(&directory) else {
            let Some(unread) = self.unread.get(directory.as_str()) else {
                let class = UnresolvedClass::Missing;
                return vec![Resolution::Unresolved { name: import.path.clone(), class }];
            };
            let qualifier = import.alias.as_deref().unwrap_or_else(|| paths::file_name(&import.path));
            taken.insert(qualifier.to_owned());
            let used = facts.uses.qualified.keys().filter(|(used, _)| used == qualifier);
            let names: Vec<String> = used.map(|(_, name)| name.clone()).collect();
            let files = unread.iter().take(MAX_UNREAD).filter(|path| built_together(from, path));
            return files.map(|path| edge(path, names.clone(), Confidence::Likely)).collect();
        };
        // A test outside of the package sees what the package's own tests define.
        let with_tests = is_test(from) && paths::parent(from) == directory;
        let visible = |path: &&str| self.is_importable(path) || (with_tests && is_test(path));
        let names: Vec<&str> = match import.alias.as_deref() {
            Some("_") => vec!["init"],
            Some(".") => facts.uses.bare.keys().map(String::as_str).collect(),
            alias => {
                let qualifier = alias.unwrap_or(name);
                taken.insert(qualifier.to_owned());
                let used = facts.uses.qualified.keys().filter(|(used, _)| used == qualifier);
                used.map(|(_, name)| name.as_str()).collect()
            }
        };
        let mut files: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut unread: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for name in names {
            let defining = package.defines.get(name).into_iter().flatten().copied().filter(visible);
            for path in defining.filter(|path| built_together(from, path)) {
                let names = if name == "init" { Vec::new() } else { vec![name.to_owned()] };
                files.entry(path).or_default().extend(names);
            }
            // A package's own name that nothing read declares stands in what was not read.
            let qualified = !matches!(import.alias.as_deref(), Some("_" | "."));
            if qualified && !package.defines.contains_key(name) {
                for path in self.unread.get(directory.as_str()).into_iter().flatten().take(MAX_UNREAD) {
                    unread.entry(path).or_default().push(name.to_owned());
                }
            }
        }
        let confidence = if files.is_empty() { Confidence::Likely } else { confidence };
        if files.is_empty() && unread.is_empty() {
            files =
                package.files.iter().filter(|path| self.is_importable(path)).map(|path| (*path, Vec::new())).collect();
        }
        let read = files.into_iter().map(|(to, names)| edge(to, names, confidence));
        read.chain(unread.into_iter().map(|(to, names)| edge(to, names, Confidence::Likely))).collect()
    }

    /// The other files of the package that define what `from` uses without importing it.
    fn siblings(&self, from: &str, facts: &Facts, taken: &BTreeSet<String>) -> Vec<Link> {
        let package = self.packages.get(paths::parent(from)).and_then(|clauses| clauses.get(facts.package.as_str()));
        let Some(package) = package.filter(|_| !facts.package.is_empty() && !facts.ignored) else { return Vec::new() };
        let qualifiers = facts.uses.qualified.iter().filter(|((qualifier, _), _)| !taken.contains(qualifier));
        let names = facts.uses.bare.iter().map(|(name, line)| (name.as_str(), *line));
        let names = names.chain(qualifiers.map(|((qualifier, _), line)| (qualifier.as_str(), *line)));
        let keys = facts.uses.keys.iter().filter(|((literal, _), _)| package.collections.contains(literal.as_str()));
        let names = names.chain(keys.map(|((_, key), line)| (key.as_str(), *line)));
        let mut files: BTreeMap<&str, (u32, BTreeSet<String>)> = BTreeMap::new();
        // The one file whose text was not read declares what no other does, unless an import may.
        let opened = facts.imports.iter().any(|import| import.alias.as_deref() == Some("."));
        let unread = match self.unread.get(paths::parent(from)).map(Vec::as_slice) {
            Some([only]) if !opened && !is_test(only) && built_together(from, only) => Some(*only),
            _ => None,
        };
        let mut guessed: BTreeMap<&str, (u32, BTreeSet<String>)> = BTreeMap::new();
        for (name, line) in names.filter(|(name, _)| *name != "init") {
            let bare = || facts.uses.bare.contains_key(name) && !package.defines.contains_key(name);
            if let Some(unread) = unread.filter(|_| bare() && !is_predeclared(name) && !taken.contains(name)) {
                let file = guessed.entry(unread).or_insert((line, BTreeSet::new()));
                file.0 = file.0.min(line);
                file.1.insert(name.to_owned());
            }
            let Some(defining) = package.defines.get(name).filter(|files| !files.contains(&from)) else { continue };
            let visible = defining.iter().filter(|path| is_test(from) || !is_test(path));
            for path in visible.filter(|path| built_together(from, path)) {
                let file = files.entry(path).or_insert((line, BTreeSet::new()));
                file.0 = file.0.min(line);
                file.1.insert(name.to_owned());
            }
        }
        let link = |(to, (line, names)): (&str, (u32, BTreeSet<String>)), confidence| {
            let names = names.into_iter().collect();
            Resolution::File { to: to.into(), kind: "same_package", confidence, names }.at(line)
        };
        let read = files.into_iter().map(|file| link(file, Confidence::Exact));
        read.chain(guessed.into_iter().map(|file| link(file, Confidence::Likely))).collect()
    }
}

impl Resolve<Facts> for Packages<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let mut taken = BTreeSet::new();
        let mut links = Vec::new();
        for import in &facts.imports {
            let found = self.import(from, facts, import, &mut taken);
            links.extend(found.into_iter().map(|resolution| resolution.at(import.line)));
        }
        links.extend(self.siblings(from, facts, &taken));
        links
    }
}

fn edge(to: &str, names: Vec<String>, confidence: Confidence) -> Resolution {
    Resolution::File { to: to.to_owned(), kind: "import", confidence, names }
}

/// Whether the language itself declares a name (specification, "Predeclared identifiers").
fn is_predeclared(name: &str) -> bool {
    const NAMES: [&str; 44] = [
        "any",
        "append",
        "bool",
        "byte",
        "cap",
        "clear",
        "close",
        "comparable",
        "complex",
        "complex128",
        "complex64",
        "copy",
        "delete",
        "error",
        "false",
        "float32",
        "float64",
        "imag",
        "int",
        "int16",
        "int32",
        "int64",
        "int8",
        "iota",
        "len",
        "make",
        "max",
        "min",
        "new",
        "nil",
        "panic",
        "print",
        "println",
        "real",
        "recover",
        "rune",
        "string",
        "true",
        "uint",
        "uint16",
        "uint32",
        "uint64",
        "uint8",
        "uintptr",
    ];
    NAMES.contains(&name)
}

fn is_test(path: &str) -> bool {
    path.ends_with("_test.go")
}

/// Whether other files may use the symbol without a receiver.
fn is_top(symbol: &Symbol) -> bool {
    symbol.parent.is_none() && !matches!(symbol.kind.as_str(), "method" | "field")
}

/// Whether no two endings of the names (`x_linux.go`, `x_arm64.go`) exclude each other.
fn built_together(a: &str, b: &str) -> bool {
    let ((system_a, machine_a), (system_b, machine_b)) = (platform(a), platform(b));
    let differ = |a: Option<&str>, b: Option<&str>| a.is_some() && b.is_some() && a != b;
    !differ(system_a, system_b) && !differ(machine_a, machine_b)
}

/// The system and the machine a file is built for, as far as its name says
/// (`go help buildconstraint`).
fn platform(path: &str) -> (Option<&str>, Option<&str>) {
    const SYSTEMS: [&str; 17] = [
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "hurd",
        "illumos",
        "ios",
        "js",
        "linux",
        "nacl",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
    ];
    const MACHINES: [&str; 17] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv",
        "riscv64", "s390x", "sparc64", "wasm", "armbe",
    ];
    let stem = paths::stem(path);
    let mut parts = stem.strip_suffix("_test").unwrap_or(stem).rsplit('_');
    // The first part is the name itself, even where it is a system's.
    let count = stem.matches('_').count();
    let (last, before) = (parts.next().filter(|_| count > 0), parts.next().filter(|_| count > 1));
    match last {
        Some(machine) if MACHINES.contains(&machine) => (before.filter(|it| SYSTEMS.contains(it)), Some(machine)),
        Some(system) if SYSTEMS.contains(&system) => (Some(system), None),
        _ => (None, None),
    }
}
