//! The module tree of every crate, and which file a `mod` or a path names.
//!
//! `mod` edges run from the declaring file to the declared one. A path leads to the file of the
//! module that defines what it names, re-exports followed ([`names`](super::names)): the file that
//! only passes a name on is not what the importing file depends on. A glob leads to the files
//! that define the names it serves; where it serves none that can be seen (methods of a trait, the
//! work of a macro) and where it is a re-export itself, to the module it names.

use std::collections::{BTreeMap, HashMap, HashSet};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::{Context, Link, Resolution, Resolve};
use super::cargo::{self, Package};
use super::names::{self, Found, Module, Search, Spot, Viewer};
use super::{Facts, Import, InlineModule, Target};
use crate::paths;
use crate::repository::Repository;

/// Where a file stands in a crate.
#[derive(Debug, Clone)]
struct Place {
    /// The crate's root file.
    root: String,
    /// The module's path from that root.
    module: Vec<String>,
    /// Whether its own modules are looked for beside it, not in a directory of its name.
    beside: bool,
}

/// One crate: the package it belongs to and its modules by path, joined with `::`.
struct Crate<'r> {
    package: usize,
    modules: HashMap<String, Module<'r>>,
    /// Modules of the macros it defines, by name.
    macros: HashMap<&'r str, String>,
}

/// All crates of a repository.
pub(super) struct ModuleTree<'r> {
    context: Context<'r, Facts>,
    packages: Vec<Package>,
    places: BTreeMap<String, Vec<Place>>,
    /// Crates by their root file.
    crates: HashMap<String, Crate<'r>>,
}

impl<'r> ModuleTree<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let packages = cargo::packages(context.repository);
        let mut tree = Self { context, packages, places: BTreeMap::new(), crates: HashMap::new() };
        for package in 0..tree.packages.len() {
            for root in tree.packages[package].roots.clone() {
                tree.grow(package, &root);
            }
        }
        tree
    }

    /// Follows the `mod` declarations of one crate.
    fn grow(&mut self, package: usize, root: &str) {
        let mut modules = HashMap::from([(String::new(), Module::of(root))]);
        let mut macros = HashMap::new();
        // A file that declares itself by `#[path]` would grow for ever.
        let mut met = HashSet::from([root.to_owned()]);
        let place = Place { root: root.to_owned(), module: Vec::new(), beside: true };
        let mut open = vec![(root.to_owned(), place)];
        while let Some((file, place)) = open.pop() {
            for import in self.context.parsed.get(file.as_str()).map_or(&[][..], |parsed| &parsed.facts.imports) {
                let Target::Module { name, path, within, .. } = &import.target else { continue };
                let found = module_file(self.context.repository, &file, place.beside, name, path.as_deref(), within);
                let Some(child) = found else { continue };
                let mut module = place.module.clone();
                module.extend(within.iter().map(|inline| inline.name.clone()));
                module.push(name.clone());
                modules.entry(module.join("::")).or_insert_with(|| Module::of(&child));
                if met.insert(child.clone()) {
                    let beside = path.is_some() || paths::file_name(&child) == "mod.rs";
                    open.push((child, Place { module, beside, ..place.clone() }));
                }
            }
            if let Some(parsed) = self.context.parsed.get(file.as_str()) {
                names::collect(&mut modules, &place.module, &file, parsed, &mut macros);
            }
            self.places.entry(file).or_default().push(place);
        }
        self.crates.insert(root.to_owned(), Crate { package, modules, macros });
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
        vec![Place { root, module: stem.split('/').map(str::to_owned).collect(), beside }]
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

    /// A module of a crate.
    pub(super) fn module(&self, root: &str, module: &str) -> Option<&Module<'r>> {
        self.crates.get(root)?.modules.get(module)
    }

    /// The module that defines a macro of a crate.
    pub(super) fn exported_macro(&self, root: &str, name: &str) -> Option<&str> {
        self.crates.get(root)?.macros.get(name).map(String::as_str)
    }

    fn resolve_path(&self, from: &str, path: &Path<'_>) -> Vec<Resolution> {
        let mut class = None;
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).filter(|segment| *segment != "*").collect();
        for place in self.places_of(from) {
            let module = place.module.iter().chain(path.within).map(String::as_str).collect::<Vec<_>>().join("::");
            let mut search = Search::default();
            match self.start(&place.root, &module, &segments, path.declared, &mut search) {
                Start::At { spot, rest, guessed } => {
                    let spot = match self.descend(spot, rest, &mut search) {
                        Found::Here(spot) => spot,
                        Found::Outside(found) => {
                            class = class.or(Some(found));
                            continue;
                        }
                    };
                    let guessed = guessed || !self.places.contains_key(from);
                    let confidence = if guessed { Confidence::Likely } else { Confidence::Exact };
                    let viewer = Viewer { root: &place.root, module: &module };
                    return self.found(from, viewer, &spot, path, confidence);
                }
                Start::Outside(found) => class = class.or(Some(found)),
            }
        }
        // A passing path that names no crate is a local item or a type.
        let certain = |class: &UnresolvedClass| path.declared || *class == UnresolvedClass::Missing;
        let class = class.or_else(|| path.declared.then(|| outside(&segments)));
        class
            .filter(certain)
            .map(|class| Resolution::Unresolved { name: path.segments.join("::"), class })
            .into_iter()
            .collect()
    }

    /// Where a path starts, and the segments that are left from there.
    pub(super) fn start<'s>(
        &self,
        root: &str,
        module: &str,
        segments: &'s [&'s str],
        declared: bool,
        search: &mut Search,
    ) -> Start<'s> {
        let at = |root: &str, module: &str, rest, guessed| {
            let spot = Spot { root: root.to_owned(), module: module.to_owned(), item: None };
            Start::At { spot, rest, guessed }
        };
        let Some((first, rest)) = segments.split_first() else { return at(root, module, segments, false) };
        match *first {
            "crate" => return at(root, "", rest, false),
            "self" | "super" => {
                let (mut current, mut rest) = (Some(module), segments);
                while let [step @ ("self" | "super"), tail @ ..] = rest {
                    if *step == "super" {
                        current = current.and_then(above);
                    }
                    rest = tail;
                }
                return match current {
                    Some(current) => at(root, current, rest, false),
                    None => Start::Outside(UnresolvedClass::Missing),
                };
            }
            _ => {}
        }
        match self.named(root, module, first, None, search) {
            Some(Found::Here(spot)) => return Start::At { spot, rest, guessed: false },
            Some(Found::Outside(class)) => return Start::Outside(class),
            None => {}
        }
        if let Some((library, guessed)) = self.crate_named(root, first) {
            return at(&library, "", rest, guessed);
        }
        // Edition 2015: a `use` starts at the crate's root.
        if declared && self.module(root, first).is_some() {
            return at(root, "", segments, true);
        }
        Start::Outside(outside(segments))
    }

    /// The library that `name` stands for in a crate of this repository, and whether that is a guess.
    fn crate_named(&self, root: &str, name: &str) -> Option<(String, bool)> {
        let package = self.packages.get(self.crates.get(root)?.package)?;
        if let Some(root) = package.dependencies.get(name) {
            return Some((root.clone(), false));
        }
        if package.crate_name == name
            && let Some(library) = &package.library
        {
            return Some((library.clone(), false));
        }
        if package.external.contains(name) || is_standard(name) {
            return None;
        }
        let member = self.packages.iter().find(|member| member.crate_name == name && !name.is_empty())?;
        Some((member.library.clone()?, true))
    }

    /// The edges of a path that leads to `spot`.
    fn found(
        &self,
        from: &str,
        viewer: Viewer<'_>,
        spot: &Spot,
        path: &Path<'_>,
        confidence: Confidence,
    ) -> Vec<Resolution> {
        let kind = if path.public { "reexport" } else { "import" };
        let Some(file) = self.file_of(&spot.root, &spot.module) else { return Vec::new() };
        let edge = |to: &str, names: Vec<String>| Resolution::File { to: to.to_owned(), kind, confidence, names };
        let glob = path.segments.last().is_some_and(|last| last == "*");
        if !glob || spot.item.is_some() || file == from {
            return vec![edge(file, spot.item.clone().into_iter().collect())];
        }
        let mut served = self.served(from, viewer, spot);
        if served.is_empty() || path.public {
            served.entry(file).or_default();
        }
        served.into_iter().map(|(to, names)| edge(to, names)).collect()
    }

    /// The names of `from` that a glob of the module `spot` serves, by the file that defines them.
    fn served(&self, from: &str, viewer: Viewer<'_>, spot: &Spot) -> BTreeMap<&str, Vec<String>> {
        let own = self.module(viewer.root, viewer.module);
        let mentions = self.context.parsed.get(from).map_or(&[][..], |parsed| &parsed.facts.mentions);
        let mut served: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        // What the module itself says hides what a glob could bring.
        for name in mentions.iter().filter(|name| !own.is_some_and(|module| module.binds(name))) {
            let named = self.named(&spot.root, &spot.module, name, Some(viewer), &mut Search::default());
            let Some(Found::Here(spot)) = named else { continue };
            if let Some(file) = self.file_of(&spot.root, &spot.module).filter(|file| *file != from) {
                served.entry(file).or_default().push(name.clone());
            }
        }
        served
    }

    /// The file of the longest prefix of a module's path that is a module.
    fn file_of(&self, root: &str, module: &str) -> Option<&str> {
        let modules = &self.crates.get(root)?.modules;
        let mut module = module;
        loop {
            if let Some(found) = modules.get(module) {
                return Some(&found.file);
            }
            module = above(module)?;
        }
    }
}

impl Resolve<Facts> for ModuleTree<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let imports = &facts.imports;
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
            Target::Module { name, path, within, declared } => {
                let mut found = self.resolve_module(from, name, path.as_deref(), within);
                found.retain(|resolution| *declared || matches!(resolution, Resolution::File { .. }));
                found
            }
            Target::Path { segments, within, declared, public, .. } => {
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

/// Where a path starts.
pub(super) enum Start<'s> {
    /// Here, with these segments left.
    At {
        spot: Spot,
        rest: &'s [&'s str],
        /// Whether a crate's name or an old edition's rule was assumed.
        guessed: bool,
    },
    /// In no crate of this repository.
    Outside(UnresolvedClass),
}

/// The module above, none above the root.
fn above(module: &str) -> Option<&str> {
    if module.is_empty() { None } else { Some(module.rsplit_once("::").map_or("", |(above, _)| above)) }
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

fn outside(segments: &[&str]) -> UnresolvedClass {
    match segments.first() {
        Some(first) if is_standard(first) => UnresolvedClass::StandardLibrary,
        _ => UnresolvedClass::External,
    }
}
