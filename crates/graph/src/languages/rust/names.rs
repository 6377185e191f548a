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

use super::cargo::Package;
use super::items::{Module, join};

/// Names one look-up may ask for; the longest chains of real crates take a few dozen.
const MAX_STEPS: usize = 400;
/// Re-exports followed one after another.
const MAX_CHAIN: usize = 48;

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

/// The crates of a repository, by what they name.
pub(super) struct Crates<'r> {
    pub(super) packages: Vec<Package>,
    /// By their root file.
    pub(super) by_root: HashMap<String, Crate<'r>>,
}

/// One crate: the package it belongs to and its modules by path, joined with `::`.
pub(super) struct Crate<'r> {
    pub(super) package: usize,
    pub(super) modules: HashMap<String, Module<'r>>,
    /// The macros it exports, each with its file.
    pub(super) exported: Vec<(&'r str, String)>,
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

impl<'r> Crates<'r> {
    /// A module of a crate.
    pub(super) fn module(&self, root: &str, module: &str) -> Option<&Module<'r>> {
        self.by_root.get(root)?.modules.get(module)
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
            let spot = Spot { root: root.to_owned(), module: module.to_owned(), item: None, twin: None };
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
    pub(super) fn crate_named(&self, root: &str, name: &str) -> Option<(String, bool)> {
        let package = self.packages.get(self.by_root.get(root)?.package)?;
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
    /// The files of an item, or of the module itself: several where conditions choose between them. Of a path
    /// that is no module, those of the longest prefix that is.
    pub(super) fn files_of(&self, spot: &Spot) -> Vec<&str> {
        let twin = spot.twin.as_deref().map(|twin| self.files_of(twin)).unwrap_or_default();
        let Some(found) = self.by_root.get(&spot.root) else { return twin };
        let mut module = spot.module.as_str();
        loop {
            if let Some(found) = found.modules.get(module) {
                let mut files = found.files(spot.item.as_deref().filter(|_| module == spot.module));
                files.extend(twin);
                return files;
            }
            match above(module) {
                Some(outer) => module = outer,
                None => return twin,
            }
        }
    }
}

/// Whether `inner` is `module` or stands below it.
fn is_within(inner: &str, module: &str) -> bool {
    module.is_empty() || inner.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The module above, none above the root.
fn above(module: &str) -> Option<&str> {
    if module.is_empty() { None } else { Some(module.rsplit_once("::").map_or("", |(above, _)| above)) }
}

fn is_standard(name: &str) -> bool {
    matches!(name, "std" | "core" | "alloc" | "proc_macro" | "test")
}

pub(super) fn outside(segments: &[&str]) -> UnresolvedClass {
    match segments.first() {
        Some(first) if is_standard(first) => UnresolvedClass::StandardLibrary,
        _ => UnresolvedClass::External,
    }
}
