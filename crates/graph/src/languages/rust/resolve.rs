//! The module tree of every crate, and which file a `mod` or a path names.
//!
//! `mod` edges run from the declaring file to the declared one. A path leads to the file of the
//! module that defines what it names, re-exports followed ([`names`](super::names)): the file that
//! only passes a name on is not what the importing file depends on. A glob leads to the files
//! that define the names it serves; where it serves none that can be seen (methods of a trait, the
//! work of a macro) and where it is a re-export itself, to the module it names.

use std::collections::{BTreeMap, HashMap, HashSet};

use recon_schema::graph::{Confidence, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::cargo;
use super::facts::{Facts, FileModule, Import, Macro, Target};
use super::globs::Globs;
use super::items::{self, Module, Modules};
use super::macros::{self, Used};
use super::names::{Crate, Crates, Found, Search, Spot, Start, Viewer, outside};
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

/// All crates of a repository.
pub(super) struct ModuleTree<'r> {
    context: Context<'r, Facts>,
    crates: Crates<'r>,
    /// How many modules they have.
    modules: usize,
    places: BTreeMap<String, Vec<Place>>,
    /// Macros whose rules declare modules, by name.
    makers: HashMap<&'r str, &'r Macro>,
    /// Macros of other files that a file uses without a path.
    macros: HashMap<String, Used>,
}

impl<'r> ModuleTree<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let crates = Crates { packages: cargo::packages(context.repository), by_root: HashMap::default() };
        let makers = context.parsed.values().flat_map(|file| &file.facts.macros);
        let makers = makers.filter(|it| it.declares_arguments || !it.declares.is_empty());
        let makers = makers.map(|it| (it.name.as_str(), it)).collect();
        let (places, macros) = (BTreeMap::new(), HashMap::new());
        let mut tree = Self { context, crates, modules: 0, places, makers, macros };
        for package in 0..tree.crates.packages.len() {
            for root in tree.crates.packages[package].roots.clone() {
                tree.grow(package, &root);
            }
        }
        let roots: Vec<String> = tree.crates.packages.iter().flat_map(|package| package.roots.clone()).collect();
        for root in roots {
            for (file, used) in macros::used(&InCrate { tree: &tree, root: &root }, &root) {
                tree.macros.entry(file).or_default().extend(used);
            }
        }
        tree
    }

    /// Follows the `mod` declarations of one crate.
    fn grow(&mut self, package: usize, root: &str) {
        let mut modules: Modules<'_> = [(String::new(), Module::of(root))].into_iter().collect();
        let mut exported = Vec::new();
        // A file that declares itself by `#[path]` would grow for ever.
        let mut met = HashSet::from([root.to_owned()]);
        let place = Place { root: root.to_owned(), module: Vec::new(), beside: true };
        let mut open = vec![(root.to_owned(), place)];
        while let Some((file, place)) = open.pop() {
            for import in self.context.parsed.get(file.as_str()).map_or(&[][..], |parsed| &parsed.facts.imports) {
                if let Target::Include { within, .. } = &import.target {
                    let mut module = place.module.clone();
                    module.extend(within.iter().map(|inline| inline.name.clone()));
                    if let Some(part) = self.included(&file, package, import).filter(|part| met.insert(part.clone())) {
                        open.push((part, Place { module, beside: true, ..place.clone() }));
                    }
                }
                for declared in self.declared(import) {
                    for child in module_files(self.context.repository, &file, place.beside, &declared) {
                        let mut module = place.module.clone();
                        module.extend(declared.within.iter().map(|inline| inline.name.clone()));
                        module.push(declared.name.clone());
                        modules.entry(module.join("::")).or_insert_with(|| Module::of(&child)).is_also(&child);
                        if met.insert(child.clone()) {
                            let moved = |path: &String| child.ends_with(path.trim_start_matches(['.', '/']));
                            let beside = declared.paths.iter().any(moved) || paths::file_name(&child) == "mod.rs";
                            open.push((child, Place { module, beside, ..place.clone() }));
                        }
                    }
                }
            }
            if let Some(parsed) = self.context.parsed.get(file.as_str()) {
                items::collect(&mut modules, &place.module, &file, parsed);
                let of_file = parsed.facts.macros.iter().filter(|it| it.exported);
                exported.extend(of_file.map(|it| (it.name.as_str(), file.clone())));
            }
            self.places.entry(file).or_default().push(place);
        }
        items::finish(&mut modules, self.modules);
        self.modules += modules.len();
        self.crates.by_root.insert(root.to_owned(), Crate { package, globs: Globs::of(&modules), modules, exported });
    }

    /// The modules in files of their own that a declaration, or a call of a macro, declares.
    fn declared(&self, import: &Import) -> Vec<FileModule> {
        match &import.target {
            Target::Module { module, .. } => vec![module.clone()],
            Target::Call { name, arguments, within } => {
                let Some(maker) = self.makers.get(name.as_str()) else { return Vec::new() };
                let module = |name: &str, path: Option<&String>| FileModule {
                    name: name.to_owned(),
                    paths: path.cloned().into_iter().collect(),
                    always: false,
                    within: within.clone(),
                };
                let named = arguments.iter().filter(|_| maker.declares_arguments);
                let named = named.map(|(name, path)| module(name, path.as_ref().filter(|_| maker.places_arguments)));
                maker.declares.iter().map(|name| module(name, None)).chain(named).collect()
            }
            Target::Include { .. } | Target::Path { .. } => Vec::new(),
        }
    }

    /// The file that an `include!` of `from` names.
    fn included(&self, from: &str, package: usize, import: &Import) -> Option<String> {
        let Target::Include { path, from_package, .. } = &import.target else { return None };
        let base = match from_package {
            true => self.crates.packages.get(package)?.directory.as_str(),
            false => paths::parent(from),
        };
        paths::join(base, path).filter(|found| self.context.repository.contains(found))
    }

    /// The package that a file stands in.
    fn package_of(&self, file: &str) -> Option<usize> {
        self.crates.packages.iter().position(|package| paths::is_below(file, &package.directory))
    }

    /// The places of a file; one outside every module tree stands for itself in its package.
    fn places_of(&self, file: &str) -> Vec<Place> {
        if let Some(places) = self.places.get(file) {
            return places.clone();
        }
        let Some(package) = self.package_of(file) else { return Vec::new() };
        let root = self.crates.packages[package].roots.first().cloned().unwrap_or_default();
        let source = paths::parent(&root);
        let inside = file.strip_prefix(source).unwrap_or(file).trim_matches('/');
        let stem = inside.strip_suffix("/mod.rs").or_else(|| inside.strip_suffix(".rs")).unwrap_or(inside);
        let beside = paths::file_name(file) == "mod.rs";
        vec![Place { root, module: stem.split('/').map(str::to_owned).collect(), beside }]
    }

    fn resolve_module(&self, from: &str, module: &FileModule) -> Vec<Resolution> {
        let places: &[bool] = match self.places.get(from) {
            Some(places) => &[places[0].beside],
            // A file in no module tree may be a crate root that a manifest elsewhere names.
            None if matches!(paths::file_name(from), "mod.rs" | "lib.rs" | "main.rs") => &[true],
            None => &[false, true],
        };
        let confidence = if self.places.contains_key(from) { Confidence::Exact } else { Confidence::Likely };
        let found = places.iter().map(|beside| module_files(self.context.repository, from, *beside, module));
        let found = found.into_iter().find(|files| !files.is_empty()).unwrap_or_default();
        if found.is_empty() {
            let name = format!("mod {}", module.name);
            return vec![Resolution::Unresolved { name, class: UnresolvedClass::Missing }];
        }
        let file = |to| Resolution::File { to, kind: "module", confidence, names: Vec::new() };
        found.into_iter().map(file).collect()
    }

    fn resolve_path(&self, from: &str, path: &Path<'_>) -> Vec<Resolution> {
        let mut class = None;
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).filter(|segment| *segment != "*").collect();
        for place in &self.places_of(from) {
            let module = place.module.iter().chain(path.within).map(String::as_str).collect::<Vec<_>>().join("::");
            let mut search = Search::default();
            match self.crates.start(&place.root, &module, &segments, path.declared, &mut search) {
                Start::At { spot, rest, guessed } => {
                    let spot = match self.crates.descend(spot, rest, &mut search) {
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

    /// The edges of a path that leads to `spot`.
    fn found(
        &self,
        from: &str,
        viewer: Viewer<'_>,
        spot: &Spot<'_>,
        path: &Path<'_>,
        confidence: Confidence,
    ) -> Vec<Resolution> {
        let kind = if path.public { "reexport" } else { "import" };
        let files = self.crates.files_of(spot);
        let edge = |to: &str, names: Vec<String>| Resolution::File { to: to.to_owned(), kind, confidence, names };
        let glob = path.segments.last().is_some_and(|last| last == "*");
        if !glob || spot.item.is_some() || files.contains(&from) {
            return files
                .into_iter()
                .map(|file| edge(file, spot.item.map(str::to_owned).into_iter().collect()))
                .collect();
        }
        let mut served = self.served(from, viewer, spot);
        if served.is_empty() || path.public {
            for file in files {
                served.entry(file).or_default();
            }
        }
        served.into_iter().map(|(to, names)| edge(to, names)).collect()
    }

    /// The names of `from` that a glob of the module `spot` serves, by the file that defines them.
    fn served(&self, from: &str, viewer: Viewer<'_>, spot: &Spot<'_>) -> BTreeMap<&str, Vec<String>> {
        let own = self.crates.module(viewer.root, viewer.module);
        let mentions = self.context.parsed.get(from).map_or(&[][..], |parsed| &parsed.facts.mentions);
        let mut served: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        // What the module itself says hides what a glob could bring.
        for name in mentions.iter().filter(|name| !own.is_some_and(|module| module.binds(name))) {
            let named = self.crates.named(spot.root, spot.module, name, Some(viewer), &mut Search::default());
            let Some(Found::Here(spot)) = named else { continue };
            for file in self.crates.files_of(&spot).into_iter().filter(|file| *file != from) {
                served.entry(file).or_default().push(name.clone());
            }
        }
        served
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
        for ((name, to), line) in self.macros.get(from).into_iter().flatten() {
            let (to, names) = (to.clone(), vec![name.clone()]);
            links.push(Resolution::File { to, kind: "import", confidence: Confidence::Exact, names }.at(*line));
        }
        links
    }
}

impl ModuleTree<'_> {
    /// All that one declaration or path names.
    fn import(&self, from: &str, import: &Import) -> Vec<Resolution> {
        match &import.target {
            Target::Module { module, declared } => {
                let mut found = self.resolve_module(from, module);
                found.retain(|resolution| *declared || matches!(resolution, Resolution::File { .. }));
                found
            }
            Target::Call { .. } => {
                let declared = self.declared(import);
                let found = declared.iter().flat_map(|module| self.resolve_module(from, module));
                found.filter(|resolution| matches!(resolution, Resolution::File { .. })).collect()
            }
            Target::Include { .. } => {
                let found = self.package_of(from).or(Some(usize::MAX)).and_then(|it| self.included(from, it, import));
                let (kind, confidence, names) = ("include", Confidence::Exact, Vec::new());
                found.map(|to| Resolution::File { to, kind, confidence, names }).into_iter().collect()
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

/// The files of `mod name;` in `from`, several where conditions choose between them (reference, "Module source
/// filenames" and "The path attribute").
fn module_files(repository: &Repository, from: &str, beside: bool, module: &FileModule) -> Vec<String> {
    let FileModule { name, paths: moved, always, within } = module;
    let here = paths::parent(from).to_owned();
    let of_name = || if beside { Some(here.clone()) } else { paths::join(&here, paths::stem(from)) };
    let mut directory = of_name();
    for (at, inline) in within.iter().enumerate() {
        let base = if inline.explicit && at == 0 { Some(&here) } else { directory.as_ref() };
        directory = base.and_then(|base| paths::join(base, &inline.directory));
    }
    let Some(directory) = directory else { return Vec::new() };
    let base = if within.is_empty() { &here } else { &directory };
    let existing = |path: Option<String>| path.filter(|path| repository.contains(path));
    let mut found: Vec<String> = moved.iter().filter_map(|path| existing(paths::join(base, path))).collect();
    if !always {
        let named = [format!("{name}.rs"), format!("{name}/mod.rs")];
        found.extend(named.iter().find_map(|path| existing(paths::join(&directory, path))));
    }
    found
}

/// The modules of a crate, for a walk in the order of the text.
struct InCrate<'t, 'r> {
    tree: &'t ModuleTree<'r>,
    root: &'t str,
}

impl<'r> macros::Modules<'r> for InCrate<'_, 'r> {
    fn facts(&self, file: &str) -> Option<&'r Facts> {
        self.tree.context.parsed.get(file).map(|parsed| &parsed.facts)
    }

    fn files(&self, file: &str, import: usize) -> Vec<String> {
        let Some(import) = self.facts(file).and_then(|facts| facts.imports.get(import)) else { return Vec::new() };
        let places = self.tree.places.get(file).map_or(&[][..], Vec::as_slice);
        let Some(place) = places.iter().find(|place| place.root == self.root) else { return Vec::new() };
        let declared = self.tree.declared(import);
        declared.iter().flat_map(|it| module_files(self.tree.context.repository, file, place.beside, it)).collect()
    }

    fn exported(&self, name: &str) -> Vec<(&'r str, String)> {
        let library = self
            .tree
            .crates
            .crate_named(self.root, name)
            .and_then(|(library, _)| self.tree.crates.by_root.get(library));
        library.map(|library| library.exported.clone()).unwrap_or_default()
    }
}
