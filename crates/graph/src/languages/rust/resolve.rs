//! The module tree of every crate, and which file a `mod` or a path names.
//!
//! `mod` edges run from the declaring file to the declared one. A path leads to the file of its
//! longest prefix that is a module; what follows are items. Re-exports are not chased: the path
//! names the module that offers the item, as its text says.

use std::collections::{BTreeMap, HashMap, HashSet};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::{Context, Link, Resolution, Resolve};
use super::cargo::{self, Package};
use super::{Import, InlineModule, Target};
use crate::paths;
use crate::repository::Repository;

/// Where a file stands in a crate.
#[derive(Debug, Clone)]
struct Place {
    /// Index of the package.
    package: usize,
    /// The crate's root file.
    root: String,
    /// The module's path from that root.
    module: Vec<String>,
    /// Whether its own modules are looked for beside it, not in a directory of its name.
    beside: bool,
}

/// All crates of a repository.
pub(super) struct ModuleTree<'r> {
    context: Context<'r, Vec<Import>>,
    packages: Vec<Package>,
    places: BTreeMap<String, Vec<Place>>,
    /// Files by crate root, then by module path joined with `::`.
    modules: HashMap<String, HashMap<String, String>>,
}

impl<'r> ModuleTree<'r> {
    pub(super) fn new(context: Context<'r, Vec<Import>>) -> Self {
        let packages = cargo::packages(context.repository);
        let mut tree = Self { context, packages, places: BTreeMap::new(), modules: HashMap::new() };
        for package in 0..tree.packages.len() {
            for root in tree.packages[package].roots.clone() {
                tree.grow(package, &root);
            }
        }
        tree
    }

    /// Follows the `mod` declarations of one crate.
    fn grow(&mut self, package: usize, root: &str) {
        let mut files = HashMap::from([(String::new(), root.to_owned())]);
        // A file that declares itself by `#[path]` would grow for ever.
        let mut met = HashSet::from([root.to_owned()]);
        let place = Place { package, root: root.to_owned(), module: Vec::new(), beside: true };
        let mut open = vec![(root.to_owned(), place)];
        while let Some((file, place)) = open.pop() {
            for import in self.context.parsed.get(file.as_str()).map_or(&[][..], |parsed| &parsed.facts) {
                let Target::Module { name, path, within } = &import.target else { continue };
                let found = module_file(self.context.repository, &file, place.beside, name, path.as_deref(), within);
                let Some(child) = found else { continue };
                let mut module = place.module.clone();
                module.extend(within.iter().map(|inline| inline.name.clone()));
                module.push(name.clone());
                files.entry(module.join("::")).or_insert_with(|| child.clone());
                if met.insert(child.clone()) {
                    let beside = path.is_some() || paths::file_name(&child) == "mod.rs";
                    open.push((child, Place { module, beside, ..place.clone() }));
                }
            }
            self.places.entry(file).or_default().push(place);
        }
        self.modules.insert(root.to_owned(), files);
    }

    /// The places of a file; one outside every module tree stands for itself in its package.
    fn places_of(&self, file: &str) -> Vec<Place> {
        if let Some(places) = self.places.get(file) {
            return places.clone();
        }
        let package = self.packages.iter().position(|package| paths::is_below(file, &package.directory));
        let Some(package) = package else { return Vec::new() };
        let root = self.packages[package].roots.first().cloned().unwrap_or_default();
        let source = paths::parent(&root);
        let inside = file.strip_prefix(source).unwrap_or(file).trim_matches('/');
        let stem = inside.strip_suffix("/mod.rs").or_else(|| inside.strip_suffix(".rs")).unwrap_or(inside);
        let beside = paths::file_name(file) == "mod.rs";
        vec![Place { package, root, module: stem.split('/').map(str::to_owned).collect(), beside }]
    }

    fn resolve_module(&self, from: &str, name: &str, path: Option<&str>, within: &[InlineModule]) -> Vec<Resolution> {
        let places: &[bool] = match self.places.get(from) {
            Some(places) => &[places[0].beside],
            // A file in no module tree may be a crate root that a manifest elsewhere names.
            None if matches!(paths::file_name(from), "mod.rs" | "lib.rs" | "main.rs") => &[true],
            None => &[false, true],
        };
        let confidence = if self.places.contains_key(from) { Confidence::Exact } else { Confidence::Likely };
        let find = |beside: &bool| module_file(self.context.repository, from, *beside, name, path, within);
        vec![match places.iter().find_map(find) {
            Some(to) => Resolution::File { to, kind: "module", confidence, names: Vec::new() },
            None => Resolution::Unresolved { name: format!("mod {name}"), class: UnresolvedClass::Missing },
        }]
    }

    fn resolve_path(&self, from: &str, path: &Path<'_>) -> Vec<Resolution> {
        let mut class = None;
        for place in self.places_of(from) {
            match self.lookup(from, &place, path) {
                Lookup::Found { root, module, confidence } => return self.found(&root, &module, confidence, path),
                Lookup::Outside(found) => class = class.or(Some(found)),
                Lookup::Local => return Vec::new(),
            }
        }
        // A passing path that names no crate is a local item or a type.
        let certain = |class: &UnresolvedClass| path.declared || *class == UnresolvedClass::Missing;
        let class = class.or_else(|| path.declared.then(|| outside(path.segments)));
        class
            .filter(certain)
            .map(|class| Resolution::Unresolved { name: path.segments.join("::"), class })
            .into_iter()
            .collect()
    }

    /// Where a path starts, and the full module path it spells.
    fn lookup(&self, from: &str, place: &Place, path: &Path<'_>) -> Lookup {
        let mut current = place.module.clone();
        current.extend(path.within.iter().cloned());
        let here = |module: Vec<String>, confidence| Lookup::Found { root: place.root.clone(), module, confidence };
        let Some((first, rest)) = path.segments.split_first() else { return Lookup::Local };
        let known = if self.places.contains_key(from) { Confidence::Exact } else { Confidence::Likely };
        match first.as_str() {
            "crate" => return here(rest.to_vec(), known),
            "self" | "super" => {
                let mut rest = path.segments;
                while let [step, tail @ ..] = rest {
                    match step.as_str() {
                        "self" => {}
                        "super" if current.pop().is_some() => {}
                        "super" => return Lookup::Outside(UnresolvedClass::Missing),
                        _ => break,
                    }
                    rest = tail;
                }
                current.extend(rest.iter().cloned());
                return here(current, known);
            }
            _ => {}
        }
        let files = &self.modules.get(&place.root);
        let is_module = |module: &[String]| files.is_some_and(|files| files.contains_key(&module.join("::")));
        current.push(first.clone());
        if is_module(&current) {
            current.extend(rest.iter().cloned());
            return if path.declared { here(current, Confidence::Exact) } else { Lookup::Local };
        }
        if path.declared && self.is_local_name(from, first) {
            return Lookup::Local;
        }
        if let Some((root, confidence)) = self.crate_named(place, first) {
            return Lookup::Found { root, module: rest.to_vec(), confidence };
        }
        // Edition 2015: a `use` starts at the crate's root.
        if path.declared && is_module(std::slice::from_ref(first)) {
            return here(path.segments.to_vec(), Confidence::Likely);
        }
        Lookup::Outside(outside(path.segments))
    }

    /// The library that `name` stands for in a crate of this repository.
    fn crate_named(&self, place: &Place, name: &str) -> Option<(String, Confidence)> {
        let package = &self.packages[place.package];
        if let Some(root) = package.dependencies.get(name) {
            return Some((root.clone(), Confidence::Exact));
        }
        if package.crate_name == name
            && let Some(library) = &package.library
        {
            return Some((library.clone(), Confidence::Exact));
        }
        if package.external.contains(name) || is_standard(name) {
            return None;
        }
        let member = self.packages.iter().find(|member| member.crate_name == name && !name.is_empty())?;
        Some((member.library.clone()?, Confidence::Likely))
    }

    /// Whether `name` is an item of the file or bound by another of its imports.
    fn is_local_name(&self, from: &str, name: &str) -> bool {
        let Some(parsed) = self.context.parsed.get(from) else { return false };
        let bound = |import: &Import| match &import.target {
            Target::Path { segments, declared: true, .. } => {
                segments.len() > 1 && segments.last().is_some_and(|last| last == name)
            }
            _ => false,
        };
        parsed.symbols.iter().any(|symbol| symbol.name == name && symbol.kind != "field")
            || parsed.facts.iter().any(bound)
    }

    /// The file of the longest prefix that is a module.
    fn found(&self, root: &str, module: &[String], confidence: Confidence, path: &Path<'_>) -> Vec<Resolution> {
        let Some(files) = self.modules.get(root) else { return Vec::new() };
        let longest = (0..=module.len()).rev().find_map(|end| Some((end, files.get(&module[..end].join("::"))?)));
        let Some((end, to)) = longest else { return Vec::new() };
        let kind = if path.public { "reexport" } else { "import" };
        let names = module.get(end).cloned().into_iter().collect();
        vec![Resolution::File { to: to.clone(), kind, confidence, names }]
    }
}

impl Resolve<Vec<Import>> for ModuleTree<'_> {
    fn resolve(&self, from: &str, imports: &Vec<Import>) -> Vec<Link> {
        let passing = |import: &&Import| matches!(import.target, Target::Path { declared: false, .. });
        let all = |import| self.import(from, import).into_iter().map(|resolution| resolution.at(import.line));
        let mut links: Vec<Link> = imports.iter().filter(|import| !passing(import)).flat_map(all).collect();
        let file = |link: &Link| match &link.resolution {
            Resolution::File { to, .. } => Some(to.clone()),
            Resolution::Unresolved { .. } => None,
        };
        let mut met: HashSet<String> = links.iter().filter_map(file).collect();
        // A path in an expression says something new only about a file not imported yet.
        let new = |link: &Link| file(link).is_none_or(|to| met.insert(to));
        links.extend(imports.iter().filter(passing).flat_map(all).filter(new));
        links
    }
}

impl ModuleTree<'_> {
    /// All that one declaration or path names.
    fn import(&self, from: &str, import: &Import) -> Vec<Resolution> {
        match &import.target {
            Target::Module { name, path, within } => self.resolve_module(from, name, path.as_deref(), within),
            Target::Path { segments, within, declared, public } => {
                self.resolve_path(from, &Path { segments, within, declared: *declared, public: *public })
            }
        }
    }
}

/// A path as written; see [`Target::Path`].
struct Path<'a> {
    segments: &'a [String],
    within: &'a [String],
    declared: bool,
    public: bool,
}

enum Lookup {
    Found {
        root: String,
        module: Vec<String>,
        confidence: Confidence,
    },
    Outside(UnresolvedClass),
    /// A name of the file itself, or one that another import of the file already answers.
    Local,
}

/// The file of `mod name;` in `from` (reference, "Module source filenames" and "The path attribute").
fn module_file(
    repository: &Repository,
    from: &str,
    beside: bool,
    name: &str,
    path: Option<&str>,
    within: &[InlineModule],
) -> Option<String> {
    let here = paths::parent(from).to_owned();
    let mut directory = if beside { here.clone() } else { paths::join(&here, paths::stem(from))? };
    for (at, inline) in within.iter().enumerate() {
        let base = if inline.explicit && at == 0 { &here } else { &directory };
        directory = paths::join(base, &inline.directory)?;
    }
    let candidates = match path {
        Some(path) if within.is_empty() => vec![paths::join(&here, path)?],
        Some(path) => vec![paths::join(&directory, path)?],
        None => {
            vec![paths::join(&directory, &format!("{name}.rs"))?, paths::join(&directory, &format!("{name}/mod.rs"))?]
        }
    };
    candidates.into_iter().find(|candidate| repository.contains(candidate))
}

fn is_standard(name: &str) -> bool {
    matches!(name, "std" | "core" | "alloc" | "proc_macro" | "test")
}

fn outside(segments: &[String]) -> UnresolvedClass {
    match segments.first() {
        Some(first) if is_standard(first) => UnresolvedClass::StandardLibrary,
        _ => UnresolvedClass::External,
    }
}
