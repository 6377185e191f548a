//! What a name means inside a module: a child module, an item, what a `use` brings in, what a
//! glob brings in.
//!
//! Re-exports are followed to the module that defines the item, through files and crates. An
//! explicit path is taken at its word, private or not; a glob serves only what is visible to the
//! one who wrote it. Invariant: a look-up takes a bounded number of steps, whatever cycles and
//! chains of re-exports a repository holds.
//! Source: the Rust reference, "Use declarations" and "Name resolution".

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use recon_schema::graph::UnresolvedClass;

use super::cargo::Package;
use super::globs::Globs;
use super::items::{Module, Modules, Use, above};

/// Names one look-up may ask for; the longest chains of real crates take a few dozen.
const MAX_STEPS: usize = 400;
/// Re-exports followed one after another.
const MAX_CHAIN: usize = 48;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot<'q> {
    /// The crate's root file.
    pub(super) root: &'q str,
    /// The module, joined with `::`; `""` for the root.
    pub(super) module: &'q str,
    /// The name of an item in that module; none for the module itself.
    pub(super) item: Option<&'q str>,
    /// What a `use` makes of the same name under another condition.
    pub(super) twin: Option<Box<Spot<'q>>>,
}

/// What a name or a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found<'q> {
    /// Into a crate of this repository.
    Here(Spot<'q>),
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
pub(super) struct Search<'q> {
    /// The numbers of modules, each with the name asked of it.
    seen: HashSet<(usize, &'q str), RandomState>,
    chain: usize,
}

/// The crates of a repository, by what they name.
pub(super) struct Crates<'r> {
    pub(super) packages: Vec<Package>,
    /// By their root file.
    pub(super) by_root: HashMap<String, Crate<'r>, RandomState>,
}

/// One crate: the package it belongs to and its modules.
pub(super) struct Crate<'r> {
    pub(super) package: usize,
    pub(super) modules: Modules<'r>,
    pub(super) globs: Globs,
    /// The macros it exports, each with its file.
    pub(super) exported: Vec<(&'r str, String)>,
}

/// Where a path starts.
pub(super) enum Start<'q> {
    /// Here, with these segments left.
    At {
        spot: Spot<'q>,
        rest: &'q [&'q str],
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
    pub(super) fn start<'q>(
        &'q self,
        root: &'q str,
        module: &'q str,
        segments: &'q [&'q str],
        declared: bool,
        search: &mut Search<'q>,
    ) -> Start<'q> {
        let at = |root, module, rest, guessed| {
            let spot = Spot { root, module, item: None, twin: None };
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
            return at(library, "", rest, guessed);
        }
        // Edition 2015: a `use` starts at the crate's root.
        if declared && self.module(root, first).is_some() {
            return at(root, "", segments, true);
        }
        Start::Outside(outside(segments))
    }

    /// The library that `name` stands for in a crate of this repository, and whether that is a guess.
    pub(super) fn crate_named(&self, root: &str, name: &str) -> Option<(&str, bool)> {
        let package = self.packages.get(self.by_root.get(root)?.package)?;
        if let Some(root) = package.dependencies.get(name) {
            return Some((root, false));
        }
        if package.crate_name == name
            && let Some(library) = &package.library
        {
            return Some((library, false));
        }
        if package.external.contains(name) || is_standard(name) {
            return None;
        }
        let member = self.packages.iter().find(|member| member.crate_name == name && !name.is_empty())?;
        Some((member.library.as_deref()?, true))
    }

    /// What `name` means in a module; none where nothing there says so.
    pub(super) fn named<'q>(
        &'q self,
        root: &'q str,
        module: &'q str,
        name: &'q str,
        viewer: Option<Viewer<'q>>,
        search: &mut Search<'q>,
    ) -> Option<Found<'q>> {
        let here = self.module(root, module)?;
        let spot = |module, item| Spot { root, module, item, twin: None };
        if let Some(child) = here.children.get(name) {
            return Some(Found::Here(spot(child, None)));
        }
        let all = viewer.is_none_or(|viewer| viewer.root == root && is_within(viewer.module, module));
        // Both an item and a `use` say so only where conditions choose, or where the two are of different kinds.
        let imported = here.uses.contains_key(name);
        let item = here.items.get(name).is_some_and(|item| all || item.public);
        let own = || item.then(|| Found::Here(spot(module, Some(name))));
        if item && !imported {
            return own();
        }
        if search.seen.len() >= MAX_STEPS || search.chain >= MAX_CHAIN || !search.seen.insert((here.number, name)) {
            return own();
        }
        search.chain += 1;
        let found = self.brought_in(here, (root, module), name, viewer, all, search);
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
    fn brought_in<'q>(
        &'q self,
        here: &'q Module<'r>,
        (root, module): (&'q str, &'q str),
        name: &'q str,
        viewer: Option<Viewer<'q>>,
        all: bool,
        search: &mut Search<'q>,
    ) -> Option<Found<'q>> {
        let mut outside = None;
        let seen = |it: &&Use<'_>| all || it.public;
        for it in here.uses.get(name).into_iter().flatten().filter(seen) {
            match self.follow(root, module, it, search) {
                Some(Found::Outside(class)) => outside = outside.or(Some(Found::Outside(class))),
                None => {}
                here => return here,
            }
        }
        if outside.is_some() {
            return outside;
        }
        let globs = self.by_root.get(root).map(|found| found.globs.serving(module, here, name));
        for it in globs.into_iter().flatten().filter(seen) {
            let seen_by = viewer.or(Some(Viewer { root, module }));
            match self.follow(root, module, it, search) {
                Some(Found::Here(Spot { root, module, item: None, .. })) => {
                    match self.named(root, module, name, seen_by, search) {
                        Some(Found::Outside(class)) => outside = outside.or(Some(Found::Outside(class))),
                        None => {}
                        here => return here,
                    }
                }
                // All of another crate's module, offered here: what nothing else explains is from there.
                Some(Found::Outside(class)) if it.public && viewer.is_none() => {
                    outside = outside.or(Some(Found::Outside(class)));
                }
                _ => {}
            }
        }
        outside
    }

    /// Where a `use` that stands in a module leads; a glob leads to its module.
    fn follow<'q>(
        &'q self,
        root: &'q str,
        module: &'q str,
        it: &'q Use<'r>,
        search: &mut Search<'q>,
    ) -> Option<Found<'q>> {
        match self.start(root, module, &it.path, true, search) {
            Start::At { spot, rest, .. } => Some(self.descend(spot, rest, search)),
            // A `use` that finds only itself on the way says nothing.
            Start::Outside(UnresolvedClass::Missing) => None,
            Start::Outside(class) => Some(Found::Outside(class)),
        }
    }

    /// Walks the segments of a path from a spot on. A name that nothing explains is taken for an
    /// item of the module it is asked of (a macro may have made it); what follows an item are its
    /// parts: variants, associated items.
    pub(super) fn descend<'q>(&'q self, mut spot: Spot<'q>, rest: &[&'q str], search: &mut Search<'q>) -> Found<'q> {
        for segment in rest {
            if spot.item.is_some() {
                break;
            }
            match self.named(spot.root, spot.module, segment, None, search) {
                Some(Found::Here(next)) => spot = next,
                Some(outside) => return outside,
                None => spot.item = Some(segment),
            }
        }
        Found::Here(spot)
    }

    /// The files of an item, or of the module itself: several where conditions choose between them. Of a path
    /// that is no module, those of the longest prefix that is.
    pub(super) fn files_of(&self, spot: &Spot<'_>) -> Vec<&str> {
        let twin = spot.twin.as_deref().map(|twin| self.files_of(twin)).unwrap_or_default();
        let Some(found) = self.by_root.get(spot.root) else { return twin };
        let mut module = spot.module;
        loop {
            if let Some(found) = found.modules.get(module) {
                let mut files = found.files(spot.item.filter(|_| module == spot.module));
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

fn is_standard(name: &str) -> bool {
    matches!(name, "std" | "core" | "alloc" | "proc_macro" | "test")
}

pub(super) fn outside(segments: &[&str]) -> UnresolvedClass {
    match segments.first() {
        Some(first) if is_standard(first) => UnresolvedClass::StandardLibrary,
        _ => UnresolvedClass::External,
    }
}
