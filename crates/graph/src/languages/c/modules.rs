//! The modules of C++20 and the files that hold them.
//!
//! An import leads to the interface of a module or to a partition; a file that implements a module
//! sees its interface. Of several files with one module the nearest is meant; where none is
//! nearer, none.

use std::collections::HashMap;

use recon_schema::graph::UnresolvedClass;

use super::super::family::{Context, Link, Resolution};
use super::includes::{Facts, Unit};
use super::nearness;

/// Files by the modules and partitions they provide.
#[derive(Debug, Default)]
pub(super) struct Modules<'r> {
    providers: HashMap<&'r str, Vec<&'r str>>,
}

impl<'r> Modules<'r> {
    pub(super) fn new(context: Context<'r, Facts>) -> Self {
        let mut providers: HashMap<&str, Vec<&str>> = HashMap::new();
        for (&path, file) in context.parsed {
            for (_, unit) in &file.facts.units {
                if let Unit::Provides(name) = unit {
                    providers.entry(name).or_default().push(path);
                }
            }
        }
        Self { providers }
    }

    /// What a declaration or an import of a module leads to.
    pub(super) fn resolve(&self, from: &str, line: u32, unit: &Unit) -> Option<Link> {
        let (Unit::Implements(name) | Unit::Imports(name)) = unit else { return None };
        let providers = self.providers.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        if let Some((to, confidence)) = nearness::only(from, providers.iter().copied()) {
            let names = vec![name.clone()];
            return Some(Resolution::File { to: to.to_owned(), kind: "import", confidence, names }.at(line));
        }
        let class = match unit {
            // `module x;` may as well declare a variable of a type of that name.
            Unit::Provides(_) | Unit::Implements(_) => return None,
            Unit::Imports(name) if name == "std" || name == "std.compat" => UnresolvedClass::StandardLibrary,
            Unit::Imports(name) if name.contains(':') || !providers.is_empty() => UnresolvedClass::Missing,
            Unit::Imports(_) => UnresolvedClass::External,
        };
        Some(Resolution::Unresolved { name: name.clone(), class }.at(line))
    }
}
