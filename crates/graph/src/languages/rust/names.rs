//! What a name means inside a module: a child module, an item, what a `use` brings in, what a
//! glob brings in.
//!
//! Re-exports are followed to the module that defines the item, through files and crates. An
//! explicit path is taken at its word, private or not; a glob serves only what is visible to the
//! one who wrote it. Invariant: a look-up takes a bounded number of steps, whatever cycles and
//! chains of re-exports a repository holds.
//! Source: the Rust reference, "Use declarations" and "Name resolution".

use std::collections::{BTreeSet, HashMap};

use recon_schema::graph::UnresolvedClass;

use super::super::ParsedFile;
use super::resolve::{ModuleTree, Start};
use super::{Facts, Import, Target};

/// Names one look-up may ask for; the longest chains of real crates take a few dozen.
const MAX_STEPS: usize = 400;
/// Re-exports followed one after another.
const MAX_CHAIN: usize = 48;

/// A module: where it stands and what it names.
#[derive(Debug, Default)]
pub(super) struct Module<'r> {
    /// The file it stands in.
    pub(super) file: String,
    /// Other files that are this module under another condition.
    twins: Vec<String>,
    /// Every file that holds items of it.
    holders: Vec<String>,
    /// Its items.
    items: HashMap<&'r str, Item>,
    /// Names brought in, in source order; `None` for a glob.
    uses: Vec<(Option<&'r str>, &'r [String], bool)>,
}

/// An item: who may see it, and the places of its files in the module's list.
#[derive(Debug, Default)]
struct Item {
    public: bool,
    holder: usize,
    /// Further files, which hold it under other conditions.
    others: Vec<usize>,
}

impl<'r> Module<'r> {
    /// An empty module of `file`.
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    /// A file that is this module as well, under another condition.
    pub(super) fn is_also(&mut self, file: &str) {
        if self.file != file && !self.twins.iter().any(|twin| twin == file) {
            self.twins.push(file.to_owned());
        }
    }

    fn add(&mut self, name: &'r str, public: bool, file: &str) {
        let holder = self.holders.iter().rposition(|holder| holder == file).unwrap_or_else(|| {
            self.holders.push(file.to_owned());
            self.holders.len() - 1
        });
        let item = self.items.entry(name).or_insert_with(|| Item { public, holder, others: Vec::new() });
        item.public |= public;
        if item.holder != holder && !item.others.contains(&holder) {
            item.others.push(holder);
        }
    }

    /// The files that hold an item, or that are the module.
    pub(super) fn files(&self, item: Option<&str>) -> Vec<&str> {
        match item.and_then(|item| self.items.get(item)) {
            Some(item) => {
                let places = std::iter::once(&item.holder).chain(&item.others);
                places.filter_map(|at| self.holders.get(*at)).map(String::as_str).collect()
            }
            None => std::iter::once(&self.file).chain(&self.twins).map(String::as_str).collect(),
        }
    }

    /// Whether the module itself says what `name` is, so that no glob can.
    pub(super) fn binds(&self, name: &str) -> bool {
        self.items.contains_key(name) || self.uses.iter().any(|(bound, ..)| *bound == Some(name))
    }
}

/// Fills in the names of the module `base` and of the inline modules of its file; an exported macro
/// becomes an item of the root.
pub(super) fn collect<'r>(
    modules: &mut HashMap<String, Module<'r>>,
    base: &[String],
    file: &str,
    parsed: &'r ParsedFile<Facts>,
) {
    modules.entry(base.join("::")).or_insert_with(|| Module::of(file));
    // The module that the inside of each symbol belongs to; none inside functions, types and impls.
    let mut inside: Vec<Option<String>> = Vec::with_capacity(parsed.symbols.len());
    for symbol in &parsed.symbols {
        let around = match symbol.parent {
            None => Some(base.join("::")),
            Some(parent) => inside.get(parent as usize).cloned().flatten(),
        };
        let Some(around) = around else {
            inside.push(None);
            continue;
        };
        if symbol.kind == "module" {
            let module = join(&around, plain(&symbol.name));
            modules.entry(module.clone()).or_insert_with(|| Module::of(file));
            inside.push(Some(module));
            continue;
        }
        inside.push(None);
        if symbol.kind != "impl"
            && let Some(module) = modules.get_mut(&around)
        {
            module.add(plain(&symbol.name), symbol.signature.starts_with("pub"), file);
        }
    }
    let root = modules.entry(String::new()).or_insert_with(|| Module::of(file));
    for exported in parsed.facts.macros.iter().filter(|it| it.exported) {
        root.add(&exported.name, true, file);
    }
    for Import { target, .. } in &parsed.facts.imports {
        let Target::Path { segments, alias, within, declared: true, public } = target else { continue };
        let name = match (alias, segments.last()) {
            (Some(alias), _) => Some(alias.as_str()),
            (None, Some(last)) if last != "*" => Some(last.as_str()),
            _ => None,
        };
        let around = base.iter().chain(within).map(String::as_str).collect::<Vec<_>>().join("::");
        if let Some(module) = modules.get_mut(&around) {
            module.uses.push((name, segments, *public));
        }
    }
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// The crate's root file.
    pub(super) root: String,
    /// The module, joined with `::`; `""` for the root.
    pub(super) module: String,
    /// The name of an item in that module; none for the module itself.
    pub(super) item: Option<String>,
    /// What a `use` makes of the same name under another condition.
    pub(super) twin: Option<Box<Spot>>,
}

/// What a name or a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Into a crate of this repository.
    Here(Spot),
    /// Out of it, by way of a re-export.
    Outside(UnresolvedClass),
}

/// The module that asks, for what it may see; none where anything may be seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer<'a> {
    pub(super) root: &'a str,
    pub(super) module: &'a str,
}

/// One look-up: what it has asked already, so that circles end.
#[derive(Debug, Default)]
pub(super) struct Search {
    seen: BTreeSet<(String, String, String)>,
    chain: usize,
}

impl ModuleTree<'_> {
    /// What `name` means in a module; none where nothing there says so.
    pub(super) fn named(
        &self,
        root: &str,
        module: &str,
        name: &str,
        viewer: Option<Viewer<'_>>,
        search: &mut Search,
    ) -> Option<Found> {
        let here = self.module(root, module)?;
        let spot = |module: &str, item| Spot { root: root.to_owned(), module: module.to_owned(), item, twin: None };
        let all = viewer.is_none_or(|viewer| viewer.root == root && is_within(viewer.module, module));
        let child = join(module, name);
        if self.module(root, &child).is_some() {
            return Some(Found::Here(spot(&child, None)));
        }
        // Both an item and a `use` say so only where conditions choose, or where the two are of different kinds.
        let imported = here.uses.iter().any(|(bound, ..)| *bound == Some(name));
        let item = here.items.get(name).is_some_and(|item| all || item.public);
        let own = || item.then(|| Found::Here(spot(module, Some(name.to_owned()))));
        if item && !imported {
            return own();
        }
        let key = (root.to_owned(), module.to_owned(), name.to_owned());
        if search.seen.len() >= MAX_STEPS || search.chain >= MAX_CHAIN || !search.seen.insert(key) {
            return own();
        }
        search.chain += 1;
        let found = self.brought_in(root, module, name, viewer, all, search);
        search.chain -= 1;
        match (own(), found) {
            (Some(Found::Here(own)), Some(Found::Here(other))) => {
                let twin = Some(Box::new(Spot { twin: None, ..other }));
                Some(Found::Here(Spot { twin, ..own }))
            }
            (own, found) => own.or(found),
        }
    }

    /// What the `use` declarations of a module make of `name`: what stands here goes before what
    /// stands outside, for alternatives of a configuration look the same as both.
    fn brought_in(
        &self,
        root: &str,
        module: &str,
        name: &str,
        viewer: Option<Viewer<'_>>,
        all: bool,
        search: &mut Search,
    ) -> Option<Found> {
        let mut outside = None;
        let uses =
            || self.module(root, module).into_iter().flat_map(|here| &here.uses).filter(|(.., public)| all || *public);
        for (_, segments, _) in uses().filter(|(bound, ..)| *bound == Some(name)) {
            match self.follow(root, module, segments, search) {
                Some(Found::Outside(class)) => outside = outside.or(Some(Found::Outside(class))),
                None => {}
                here => return here,
            }
        }
        if outside.is_some() {
            return outside;
        }
        for (_, segments, public) in uses().filter(|(bound, ..)| bound.is_none()) {
            let seen_by = viewer.or(Some(Viewer { root, module }));
            match self.follow(root, module, segments, search) {
                Some(Found::Here(Spot { root, module, item: None, .. })) => {
                    match self.named(&root, &module, name, seen_by, search) {
                        Some(Found::Outside(class)) => outside = outside.or(Some(Found::Outside(class))),
                        None => {}
                        here => return here,
                    }
                }
                // All of another crate's module, offered here: what nothing else explains is from there.
                Some(Found::Outside(class)) if *public && viewer.is_none() => {
                    outside = outside.or(Some(Found::Outside(class)));
                }
                _ => {}
            }
        }
        outside
    }

    /// Where a `use` of these segments, standing in a module, leads; a glob leads to its module.
    fn follow(&self, root: &str, module: &str, segments: &[String], search: &mut Search) -> Option<Found> {
        let path: Vec<&str> = segments.iter().map(String::as_str).filter(|segment| *segment != "*").collect();
        match self.start(root, module, &path, true, search) {
            Start::At { spot, rest, .. } => Some(self.descend(spot, rest, search)),
            // A `use` that finds only itself on the way says nothing.
            Start::Outside(UnresolvedClass::Missing) => None,
            Start::Outside(class) => Some(Found::Outside(class)),
        }
    }

    /// Walks the segments of a path from a spot on. A name that nothing explains is taken for an
    /// item of the module it is asked of (a macro may have made it); what follows an item are its
    /// parts: variants, associated items.
    pub(super) fn descend(&self, mut spot: Spot, rest: &[&str], search: &mut Search) -> Found {
        for segment in rest {
            if spot.item.is_some() {
                break;
            }
            match self.named(&spot.root, &spot.module, segment, None, search) {
                Some(Found::Here(next)) => spot = next,
                Some(outside) => return outside,
                None => spot.item = Some((*segment).to_owned()),
            }
        }
        Found::Here(spot)
    }
}

/// Whether `inner` is `module` or stands below it.
fn is_within(inner: &str, module: &str) -> bool {
    module.is_empty() || inner.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A raw identifier names the same thing as the plain one.
fn plain(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// `name` below `module`.
pub(super) fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}
