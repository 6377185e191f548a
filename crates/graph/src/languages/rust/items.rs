//! What each module of a crate says itself: its items and the names it brings in.
//!
//! Outline and facts of a file → modules by path. A file may be a module, hold inline ones, and be one of several that
//! are the same module under different conditions; an item remembers the files that hold it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::super::family::ParsedFile;
use super::facts::{Facts, Import, Target};

/// The modules of a crate by path, joined with `::`.
pub(super) type Modules<'r> = HashMap<String, Module<'r>, RandomState>;

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
    pub(super) items: HashMap<&'r str, Item, RandomState>,
    /// What brings in a name, in source order.
    pub(super) uses: HashMap<&'r str, Vec<Use<'r>>, RandomState>,
    /// What brings in all of a module, in source order.
    pub(super) globs: Vec<Use<'r>>,
    /// Which module of the repository it is; see [`finish`].
    pub(super) number: usize,
    /// The paths of the modules directly below it, by name; see [`finish`].
    pub(super) children: HashMap<String, String, RandomState>,
}

/// A `use` of one path.
#[derive(Debug)]
pub(super) struct Use<'r> {
    /// Its segments, a `*` left out.
    pub(super) path: Vec<&'r str>,
    pub(super) public: bool,
}

/// An item: who may see it, and the places of its files in the module's list.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) public: bool,
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
        self.items.contains_key(name) || self.uses.contains_key(name)
    }
}

/// Fills in the names of the module `base` and of the inline modules of its file; an exported macro
/// becomes an item of the root.
pub(super) fn collect<'r>(modules: &mut Modules<'r>, base: &[String], file: &str, parsed: &'r ParsedFile<Facts>) {
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
            let path = segments.iter().map(String::as_str).filter(|segment| *segment != "*").collect();
            let it = Use { path, public: *public };
            match name {
                Some(name) => module.uses.entry(name).or_default().push(it),
                None => module.globs.push(it),
            }
        }
    }
}

/// Once all modules of a crate are known: numbers them, from `first` on, and tells each what stands below it.
pub(super) fn finish(modules: &mut Modules<'_>, first: usize) {
    let paths: Vec<String> = modules.keys().cloned().collect();
    for (at, path) in paths.into_iter().enumerate() {
        modules.get_mut(&path).expect("it was listed just now").number = first + at;
        let (above, name) = path.rsplit_once("::").unwrap_or(("", &path));
        if let Some(above) = modules.get_mut(above).filter(|_| !path.is_empty()) {
            above.children.insert(name.to_owned(), path);
        }
    }
}

/// A raw identifier names the same thing as the plain one.
fn plain(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// `name` below `module`.
pub(super) fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The module above, none above the root.
pub(super) fn above(module: &str) -> Option<&str> {
    if module.is_empty() { None } else { Some(module.rsplit_once("::").map_or("", |(above, _)| above)) }
}
