//! What types a file can name that other files declare for it: members of supertypes, and the types
//! of files whose text was not read.
//!
//! Invariant: a look-up follows at most [`MAX_SUPERS`] supertypes, whatever circles they form.
//! Source: the Java language specification, 8.2 "Class Members" and 8.5 "Member Class Declarations".

use std::collections::{HashMap, HashSet};

use super::Facts;
use super::resolve::{Declarations, Scope, full_name};
use crate::paths;

/// Supertypes that are followed.
const MAX_SUPERS: usize = 64;

impl Declarations<'_> {
    /// Files without text are taken for what their names say: `p/A.java` declares `p.A`.
    pub(super) fn guess_unread(&mut self) {
        let mut packages: HashMap<&str, &str> = HashMap::new();
        let mut roots: HashSet<&str> = HashSet::new();
        for (&path, file) in self.context.parsed {
            packages.entry(paths::parent(path)).or_insert(&file.facts.package);
            let root = self.source_root(path);
            if root != paths::parent(path) || file.facts.package.is_empty() {
                roots.insert(root);
            }
        }
        let unread =
            self.context.repository.skipped.keys().filter(|path| matches!(paths::extension(path), "java" | "kt"));
        for path in unread {
            let folder = paths::parent(path);
            let by_root = || {
                let root = paths::ancestors(path).find(|above| roots.contains(above))?;
                Some(folder[root.len()..].trim_matches('/').replace('/', "."))
            };
            let beside = packages.get(folder).map(|package| (*package).to_owned());
            let Some(package) = beside.or_else(by_root) else { continue };
            let name = full_name(&package, paths::stem(path));
            if !paths::stem(path).contains(['-', '.']) {
                self.types.entry(name).or_default().push(path);
                self.unread.insert(path, package);
            }
        }
    }

    /// The types that a file's types extend: full names of both.
    pub(super) fn direct_supers(&self, path: &str, facts: &Facts) -> Vec<(String, String)> {
        let scope = Scope::new(path, facts);
        let named = |(owner, chain): &(Vec<String>, Vec<String>)| {
            let (outer, _, used) = self.outer_type(&scope, chain)?;
            let name = self.members_on(outer, chain.get(used..).unwrap_or_default()).pop()?;
            let owner = full_name(&facts.package, &owner.join("."));
            self.types.contains_key(&name).then_some((owner, name))
        };
        facts.supers.iter().filter_map(named).take(MAX_SUPERS).collect()
    }

    /// All supertypes of these types and the types themselves, nearest first.
    pub(super) fn closure(&self, names: Vec<String>) -> Vec<String> {
        let mut met: HashSet<String> = HashSet::new();
        let mut found: Vec<String> = names.into_iter().filter(|name| met.insert(name.clone())).collect();
        let mut at = 0;
        while let Some(name) = found.get(at).filter(|_| found.len() < MAX_SUPERS) {
            let more: Vec<String> = self.extends.get(name).into_iter().flatten().cloned().collect();
            found.extend(more.into_iter().filter(|name| met.insert(name.clone())));
            at += 1;
        }
        found
    }

    /// The full name of a member type, which may be declared in a supertype.
    fn member(&self, outer: &str, name: &str) -> Option<String> {
        let own = full_name(outer, name);
        if self.types.contains_key(&own) {
            return Some(own);
        }
        let supers = self.closure(self.extends.get(outer)?.clone());
        supers.into_iter().map(|outer| full_name(&outer, name)).find(|name| self.types.contains_key(name))
    }

    /// A type and the member types that the segments after it name, one inside the other.
    pub(super) fn members_on(&self, outer: String, rest: &[String]) -> Vec<String> {
        let mut found = vec![outer];
        for segment in rest {
            let Some(next) = found.last().and_then(|outer| self.member(outer, segment)) else { break };
            found.push(next);
        }
        found
    }
}
