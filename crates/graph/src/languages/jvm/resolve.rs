//! Which files the names of a Java or Kotlin file mean.
//!
//! A simple name is looked up as the compilers do: a type of the file itself, a single import, a
//! member of a supertype, the file's own package, an import on demand. A dotted name starts with
//! such a name or is fully qualified. Imports on demand lead only to what is used of them.
//! Kotlin's top-level functions and properties are found like types; one called on a value counts
//! as an extension only where it is imported, or where no type of the repository has a member of
//! that name.
//!
//! Where several source sets declare the same name, the file's own is meant, then the one of the
//! project that the build files name, then the nearest one, and of two equally near the one that is
//! `actual` before the one that is `expect`; that is [`Confidence::Likely`] unless the file's own
//! set or a build file decides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use recon_schema::graph::{Confidence, Symbol, UnresolvedClass};

use super::super::family::{Context, Link, Resolution, Resolve};
use super::projects::Projects;
use super::{Facts, Import, is_type};
use crate::paths;

/// Imports on demand of a file that are searched.
const MAX_ON_DEMAND: usize = 256;

/// What the files of a repository declare.
pub(super) struct Declarations<'r> {
    pub(super) context: Context<'r, Facts>,
    /// Files by the full names of types, inner ones included.
    pub(super) types: HashMap<String, Vec<&'r str>>,
    /// Files by the full names of Kotlin's functions and properties outside of types.
    callables: HashMap<String, Vec<&'r str>>,
    packages: HashSet<&'r str>,
    /// Names of members of any type.
    members: HashSet<&'r str>,
    /// Names of members by file, and whether one of that name is a type.
    members_of: HashMap<&'r str, HashMap<&'r str, bool>>,
    /// Full names of all supertypes by file.
    supers: HashMap<&'r str, Vec<String>>,
    /// Full names of the types that a type extends, by its full name.
    pub(super) extends: HashMap<String, Vec<String>>,
    /// What the build files say.
    projects: Projects,
    /// Files whose text was not read, with the package their folder tells.
    pub(super) unread: HashMap<&'r str, String>,
    /// Files with declarations that each platform keeps (`expect`).
    promises: HashSet<&'r str>,
}

/// A file whose names are looked up.
pub(super) struct Scope<'f> {
    path: &'f str,
    facts: &'f Facts,
    /// Imports by the name they bind.
    named: HashMap<&'f str, &'f Import>,
    /// Imports on demand by what they open.
    on_demand: Vec<(String, &'f Import)>,
}

impl<'f> Scope<'f> {
    pub(super) fn new(path: &'f str, facts: &'f Facts) -> Self {
        let mut named = HashMap::new();
        for import in facts.imports.iter().filter(|import| !import.wildcard) {
            if let Some(name) = import.alias.as_ref().or(import.path.last()) {
                named.entry(name.as_str()).or_insert(import);
            }
        }
        let on_demand = facts.imports.iter().filter(|import| import.wildcard).take(MAX_ON_DEMAND);
        let on_demand = on_demand.map(|import| (import.path.join("."), import)).collect();
        Self { path, facts, named, on_demand }
    }
}

/// How a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'f> {
    /// Declared or already imported by name.
    Told,
    /// Through an import on demand.
    OnDemand(&'f Import),
    SamePackage,
    /// By its full name, or as a member of a supertype.
    Direct,
}

impl<'r> Declarations<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let mut all = Self {
            context,
            types: HashMap::new(),
            callables: HashMap::new(),
            packages: HashSet::new(),
            members: HashSet::new(),
            members_of: HashMap::new(),
            supers: HashMap::new(),
            extends: HashMap::new(),
            projects: Projects::new(context.repository),
            unread: HashMap::new(),
            promises: HashSet::new(),
        };
        for (&path, file) in context.parsed {
            all.packages.insert(&file.facts.package);
            all.declare(path, &file.facts, &file.symbols);
        }
        for files in all.types.values_mut().chain(all.callables.values_mut()) {
            files.dedup();
        }
        all.guess_unread();
        // A supertype may be a member of another: the second look sees what the first found.
        for _ in 0..2 {
            let mut extends: HashMap<String, Vec<String>> = HashMap::new();
            let mut direct: Vec<(&str, Vec<String>)> = Vec::new();
            for (&path, file) in context.parsed {
                let named = all.direct_supers(path, &file.facts);
                for (owner, name) in &named {
                    extends.entry(owner.clone()).or_default().push(name.clone());
                }
                direct.push((path, named.into_iter().map(|(_, name)| name).collect()));
            }
            all.extends = extends;
            all.supers = direct.into_iter().map(|(path, names)| (path, all.closure(names))).collect();
        }
        all
    }

    fn declare(&mut self, path: &'r str, facts: &Facts, symbols: &'r [Symbol]) {
        // Parents stand before their children.
        let mut names: Vec<Option<String>> = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            if symbol.parent.is_none() && is_expected(symbol) {
                self.promises.insert(path);
            }
            let outer = match symbol.parent {
                None => Some(facts.package.clone()),
                Some(parent) => names.get(parent as usize).cloned().flatten(),
            };
            let full = outer.map(|outer| full_name(&outer, &symbol.name)).filter(|name| name.len() < 1_024);
            let is_type = is_type(symbol);
            if let (Some(full), true) = (&full, is_type) {
                self.types.entry(full.clone()).or_default().push(path);
            } else if let (Some(full), None, true) = (&full, symbol.parent, facts.facade.is_some()) {
                self.callables.entry(full.clone()).or_default().push(path);
                let facade = facts.facade.as_deref().unwrap_or_default();
                self.types.entry(full_name(&facts.package, facade)).or_default().push(path);
            }
            if symbol.parent.is_some() {
                self.members.insert(&symbol.name);
                *self.members_of.entry(path).or_default().entry(&symbol.name).or_default() |= is_type;
            }
            names.push(full.filter(|_| is_type));
        }
    }

    /// The full name of the type that a chain starts with, how it was found, and the segments it took.
    pub(super) fn outer_type<'f>(&self, scope: &Scope<'f>, chain: &[String]) -> Option<(String, Found<'f>, usize)> {
        let head = chain.first()?;
        let own = full_name(&scope.facts.package, head);
        let here = |files: &Vec<&str>| files.contains(&scope.path);
        if scope.facts.own_types.contains(head) || self.types.get(&own).is_some_and(here) {
            return Some((own, Found::Told, 1));
        }
        let inner = self.members_of.get(scope.path).and_then(|members| members.get(head.as_str()));
        if inner.is_some_and(|is_type| *is_type) {
            return None;
        }
        if let Some(import) = scope.named.get(head.as_str()) {
            return Some((import.path.join("."), Found::Told, 1));
        }
        let inherited = self.supers.get(scope.path).into_iter().flatten().map(|outer| full_name(outer, head));
        if let Some(name) = inherited.into_iter().find(|name| self.types.contains_key(name)) {
            return Some((name, Found::Direct, 1));
        }
        if self.types.contains_key(&own) {
            return Some((own, Found::SamePackage, 1));
        }
        if let Some((name, found)) = on_demand(scope, head, &self.types) {
            return Some((name, found, 1));
        }
        let mut full = (2..=chain.len()).map(|end| (chain[..end].join("."), end));
        full.find(|(name, _)| self.types.contains_key(name)).map(|(name, end)| (name, Found::Direct, end))
    }

    /// A function or property outside of types that a simple name means.
    fn callable<'f>(&self, scope: &Scope<'f>, name: &str, extension: bool) -> Option<(String, Found<'f>)> {
        scope.facts.facade.as_ref()?;
        let own = full_name(&scope.facts.package, name);
        let here = |files: &Vec<&str>| files.contains(&scope.path);
        if self.callables.get(&own).is_some_and(here) || scope.named.contains_key(name) {
            return None;
        }
        let member = |path: &str| self.members_of.get(path).is_some_and(|members| members.contains_key(name));
        let inherited = || {
            let files = self.supers.get(scope.path).into_iter().flatten().filter_map(|full| self.types.get(full));
            member(scope.path) || files.flatten().any(|path| member(path))
        };
        if if extension { self.members.contains(name) } else { inherited() } {
            return None;
        }
        if self.callables.contains_key(&own) {
            return Some((own, Found::SamePackage));
        }
        on_demand(scope, name, &self.callables)
    }

    /// The file meant where several declare the same name: of the file's own source set, else of the
    /// project it is built with, else the nearest.
    fn choose(&self, from: &str, files: &[&'r str]) -> Option<(&'r str, Confidence)> {
        if let [only] = files {
            return Some((only, if self.unread.contains_key(*only) { Confidence::Likely } else { Confidence::Exact }));
        }
        let own_root = self.source_root(from);
        let folders = |path: &str| paths::parent(path).split('/').count();
        let shared =
            |path: &str| paths::parent(from).split('/').zip(path.split('/')).take_while(|(a, b)| a == b).count();
        let steps: Vec<usize> =
            files.iter().map(|path| self.projects.steps(from, path).unwrap_or(usize::MAX)).collect();
        let rank = |at: usize| {
            let path = files[at];
            let near = (shared(path), Reverse(folders(path)));
            (self.source_root(path) == own_root, Reverse(steps[at]), near, !self.promises.contains(path))
        };
        let best = (0..files.len()).max_by_key(|at| (rank(*at), Reverse(files[*at])))?;
        let alike = (0..files.len()).filter(|at| rank(*at) == rank(best)).count();
        // The order of paths means nothing; only of the platforms of one promise any will do.
        if alike > 1 && !files.iter().any(|path| self.promises.contains(path)) {
            return None;
        }
        let told = steps[best] < usize::MAX && steps.iter().filter(|it| **it == steps[best]).count() == 1;
        let sure = self.source_root(files[best]) == own_root || told;
        Some((files[best], if sure { Confidence::Exact } else { Confidence::Likely }))
    }

    /// The files meant where several declare functions of the same name: all of the nearest source set.
    fn overloads(&self, from: &str, files: &[&'r str]) -> Vec<(&'r str, Confidence)> {
        let Some((nearest, confidence)) = self.choose(from, files) else { return Vec::new() };
        let root = self.source_root(nearest);
        let together = files.iter().filter(|path| self.source_root(path) == root);
        // One set alone leaves no choice.
        let all: Vec<&str> = together.copied().collect();
        let confidence = if all.len() == files.len() { Confidence::Exact } else { confidence };
        all.into_iter().map(|path| (path, confidence)).collect()
    }

    /// The directory of a file without the directories of its package, of which Kotlin leaves out
    /// the first that all files share.
    pub(super) fn source_root<'p>(&self, path: &'p str) -> &'p str {
        let unread = || self.unread.get(path).map_or("", String::as_str);
        let package = self.context.parsed.get(path).map_or_else(unread, |file| &file.facts.package);
        let mut root = paths::parent(path);
        for part in package.rsplit('.') {
            if paths::file_name(root) != part {
                break;
            }
            root = paths::parent(root);
        }
        root
    }

    /// What one import by name leads to; one on demand leads to the type it opens, if it is one.
    fn import(&self, from: &str, import: &Import) -> Vec<Resolution> {
        let mut ends = (1..=import.path.len()).rev();
        let name = import.path.join(".");
        let longest = ends.find(|end| self.types.contains_key(&import.path[..*end].join(".")));
        let callables = self.callables.get(&name).filter(|_| !import.wildcard);
        let names =
            if import.wildcard { vec!["*".to_owned()] } else { import.path.last().cloned().into_iter().collect() };
        let file = |(to, confidence): (&str, Confidence)| Resolution::File {
            to: to.into(),
            kind: "import",
            confidence,
            names: names.clone(),
        };
        if let Some(files) = callables {
            return self.overloads(from, files).into_iter().map(file).collect();
        }
        if let Some(end) = longest {
            // What follows the type may be a member type that a supertype declares.
            let members = self.members_on(import.path[..end].join("."), &import.path[end..]);
            let found = members.iter().filter_map(|name| self.choose(from, self.types.get(name)?));
            let found: BTreeMap<&str, Confidence> = found.collect();
            return found.into_iter().map(file).collect();
        }
        let package =
            if import.wildcard { &import.path[..] } else { &import.path[..import.path.len().saturating_sub(1)] };
        let known = self.packages.contains(package.join(".").as_str()) && !package.is_empty();
        let class = match import.path.first().map(String::as_str) {
            // What is used of it is told by the names.
            _ if known && import.wildcard => return Vec::new(),
            Some("java" | "javax" | "jdk" | "sun" | "kotlin") => UnresolvedClass::StandardLibrary,
            Some("com") if import.path.get(1).is_some_and(|second| second == "sun") => UnresolvedClass::StandardLibrary,
            Some("org") if import.path.get(1).is_some_and(|it| it == "w3c" || it == "xml" || it == "ietf") => {
                UnresolvedClass::StandardLibrary
            }
            _ if known => UnresolvedClass::Missing,
            _ => UnresolvedClass::External,
        };
        let star = if import.wildcard { ".*" } else { "" };
        vec![Resolution::Unresolved { name: format!("{name}{star}"), class }]
    }
}

impl Resolve<Facts> for Declarations<'_> {
    fn resolve(&self, from: &str, facts: &Facts) -> Vec<Link> {
        let mut links = Vec::new();
        for import in facts.imports.iter().filter(|import| !import.path.is_empty()) {
            links.extend(self.import(from, import).into_iter().map(|resolution| resolution.at(import.line)));
        }
        let scope = Scope::new(from, facts);
        let mut used = Used { files: BTreeMap::new() };
        let values = facts.values.iter().filter(|(chain, _)| !facts.variables.contains(&chain[0]));
        for (chain, &line) in facts.types.iter().chain(values) {
            let Some((name, found, used_up)) = self.outer_type(&scope, chain) else {
                // A function written out with its package.
                let full = (2..=chain.len()).map(|end| chain[..end].join("."));
                let files = full.filter_map(|name| self.callables.get(&name)).next().map_or(&[][..], Vec::as_slice);
                for (path, sure) in self.overloads(from, files) {
                    used.add(Some((path, sure)), &chain[0], Found::Direct, line);
                }
                continue;
            };
            let file = self.types.get(&name).and_then(|files| self.choose(from, files));
            used.add(file, &chain[0], found, line);
            let members = self.members_on(name, chain.get(used_up..).unwrap_or_default());
            for (member, segment) in members.iter().skip(1).zip(&chain[used_up..]) {
                // A member that stands with its outer type is told by that.
                let inherited = self.types.get(member).and_then(|files| self.choose(from, files));
                let inherited = inherited.filter(|(path, _)| file.is_none_or(|(outer, _)| outer != *path));
                used.add(inherited, segment, Found::Direct, line);
            }
        }
        let heads: BTreeSet<(&str, u32)> = facts
            .values
            .iter()
            .filter(|(chain, _)| !facts.variables.contains(&chain[0]))
            .map(|(chain, line)| (chain[0].as_str(), *line))
            .chain(facts.invoked.iter().map(|(name, line)| (name.as_str(), *line)))
            .collect();
        let calls = facts.calls.iter().map(|(name, line)| (name.as_str(), *line, true));
        for (name, line, extension) in heads.into_iter().map(|(name, line)| (name, line, false)).chain(calls) {
            let Some((full, found)) = self.callable(&scope, name, extension) else { continue };
            let files = self.callables.get(&full).map_or(&[][..], Vec::as_slice);
            for (path, sure) in self.overloads(from, files) {
                let confidence = if extension { Confidence::Likely } else { sure };
                used.add(Some((path, confidence)), name, found, line);
            }
        }
        links.extend(used.links(from));
        links
    }
}

/// The files whose declarations are used without being imported by name.
struct Used {
    /// By file, kind of edge, and line of an import on demand (0 for none).
    files: BTreeMap<(String, &'static str, u32), Use>,
}

/// What is used of one file.
struct Use {
    line: u32,
    confidence: Confidence,
    names: BTreeSet<String>,
}

impl Used {
    fn add(&mut self, file: Option<(&str, Confidence)>, name: &str, found: Found<'_>, line: u32) {
        let Some((to, confidence)) = file else { return };
        let (kind, import) = match found {
            Found::Told => return,
            Found::OnDemand(import) => ("import", import.line),
            Found::SamePackage => ("same_package", 0),
            Found::Direct => ("import", 0),
        };
        let line = if import > 0 { import } else { line };
        let first = || Use { line, confidence, names: BTreeSet::new() };
        let entry = self.files.entry((to.to_owned(), kind, import)).or_insert_with(first);
        entry.line = entry.line.min(line);
        entry.confidence = entry.confidence.min(confidence);
        entry.names.insert(name.to_owned());
    }

    fn links(self, from: &str) -> Vec<Link> {
        let others = self.files.into_iter().filter(|((to, ..), _)| to != from);
        let link = |((to, kind, _), of): ((String, &'static str, u32), Use)| {
            let names = of.names.into_iter().collect();
            Resolution::File { to, kind, confidence: of.confidence, names }.at(of.line)
        };
        others.map(link).collect()
    }
}

/// Whether a declaration of Kotlin says that each platform has one of its own.
fn is_expected(symbol: &Symbol) -> bool {
    let mut words = symbol.signature.split_whitespace();
    words.by_ref().take_while(|word| !DECLARES.contains(word)).any(|word| word == "expect")
}

/// Words that end the modifiers of a declaration.
const DECLARES: [&str; 7] = ["class", "interface", "object", "fun", "val", "var", "typealias"];

/// Packages that every file of Kotlin imports on demand.
const DEFAULT_IMPORTS: [&str; 10] = [
    "kotlin",
    "kotlin.annotation",
    "kotlin.collections",
    "kotlin.comparisons",
    "kotlin.io",
    "kotlin.ranges",
    "kotlin.sequences",
    "kotlin.text",
    "kotlin.jvm",
    "java.lang",
];

pub(super) fn full_name(outer: &str, name: &str) -> String {
    if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") }
}

/// The declaration of this name that an import on demand opens, one of the language's own last.
fn on_demand<'f>(scope: &Scope<'f>, name: &str, declared: &HashMap<String, Vec<&str>>) -> Option<(String, Found<'f>)> {
    let written = scope.on_demand.iter().map(|(opened, import)| (opened.as_str(), Found::OnDemand(import)));
    let kotlin = scope.facts.facade.is_some();
    let own = DEFAULT_IMPORTS.into_iter().filter(|package| kotlin || *package == "java.lang");
    let all = written.chain(own.map(|package| (package, Found::Direct)));
    all.map(|(opened, found)| (full_name(opened, name), found)).find(|(full, _)| declared.contains_key(full))
}
