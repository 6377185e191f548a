//! Which globs of a module can serve a name, so that a look-up need not follow all of them: bindings re-export
//! thousands of modules into one (`pub use part::*`), and every name of every file is asked of it.
//!
//! A glob whose path leads through child modules alone to a module without globs serves what that module names itself,
//! and is listed under those names; any other is open: it may serve every name.
//! Invariant: a glob that is neither open nor listed under a name does not serve it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::items::{Module, Modules, Use, above};

/// Names listed in one crate at most; past it, globs stay open.
const MAX_LISTED: usize = 1 << 21;

/// The globs of the modules of a crate that have any, by the module's path.
#[derive(Debug, Default)]
pub(super) struct Globs(HashMap<String, Index, RandomState>);

/// Places in the list of a module's globs, ascending.
#[derive(Debug, Default)]
struct Index {
    listed: HashMap<String, Vec<usize>, RandomState>,
    open: Vec<usize>,
}

impl Globs {
    pub(super) fn of(modules: &Modules<'_>) -> Self {
        let mut left = MAX_LISTED;
        let mut paths: Vec<&String> = modules.keys().filter(|path| !modules[*path].globs.is_empty()).collect();
        paths.sort_unstable();
        Self(paths.into_iter().map(|path| (path.clone(), index(modules, path, &mut left))).collect())
    }

    /// The globs of the module at `path` that may serve `name`, in source order.
    pub(super) fn serving<'m, 'r>(
        &'m self,
        path: &str,
        module: &'m Module<'r>,
        name: &str,
    ) -> impl Iterator<Item = &'m Use<'r>> {
        let index = self.0.get(path);
        let listed = index.and_then(|index| index.listed.get(name)).map_or(&[][..], Vec::as_slice);
        let open = index.map_or(&[][..], |index| &index.open);
        let (mut listed, mut open) = (listed.iter().peekable(), open.iter().peekable());
        let mut next = move || match (listed.peek(), open.peek()) {
            (Some(one), Some(other)) if one < other => listed.next(),
            (Some(_), None) => listed.next(),
            _ => open.next(),
        };
        std::iter::from_fn(move || module.globs.get(*next()?))
    }
}

fn index(modules: &Modules<'_>, path: &str, left: &mut usize) -> Index {
    let mut index = Index::default();
    for (at, glob) in modules[path].globs.iter().enumerate() {
        let target = target(modules, path, &glob.path).filter(|target| target.globs.is_empty());
        let names = |target: &Module<'_>| target.items.len() + target.uses.len() + target.children.len();
        match target.and_then(|target| Some((target, left.checked_sub(names(target))?))) {
            None => index.open.push(at),
            Some((target, rest)) => {
                *left = rest;
                let named = target.items.keys().chain(target.uses.keys()).copied();
                for name in named.chain(target.children.keys().map(String::as_str)) {
                    let places = index.listed.entry(name.to_owned()).or_default();
                    if places.last() != Some(&at) {
                        places.push(at);
                    }
                }
            }
        }
    }
    index
}

/// The module that a path in `module` leads to by way of child modules alone.
fn target<'m, 'r>(modules: &'m Modules<'r>, module: &str, path: &[&str]) -> Option<&'m Module<'r>> {
    let (mut at, mut rest) = (module, path);
    if let ["crate", tail @ ..] = rest {
        (at, rest) = ("", tail);
    } else {
        while let [step @ ("self" | "super"), tail @ ..] = rest {
            if *step == "super" {
                at = above(at)?;
            }
            rest = tail;
        }
    }
    rest.iter().try_fold(modules.get(at)?, |here, name| modules.get(here.children.get(*name)?))
}
