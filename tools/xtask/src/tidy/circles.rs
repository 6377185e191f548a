//! No circles between files: a room is understood without the rooms that are understood through it.
//!
//! Input: who uses whom within a crate. A circle is a strongly connected set of files; it is refused unless every use in
//! it is one between a module and what lies below it. Circles that stand today are listed in `known-circles.toml` with
//! what would dissolve them. A circle passes if an entry has all its files; an entry that no circle needs is refused, so
//! the list only gets shorter.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use serde::Deserialize;

use super::modules::{Modules, Uses};
use super::{Tree, Violation};

const RULE: &str = "no-circles";
const KNOWN: &str = "tools/xtask/known-circles.toml";

/// The list of circles that stand.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    circle: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Paths from the root of the workspace.
    files: BTreeSet<String>,
    /// What would dissolve it.
    fix: String,
}

pub(super) fn no_circles(tree: &Tree) -> Vec<Violation> {
    let violation = |place: &str, message: String| Violation { rule: RULE, place: place.into(), message };
    let mut violations = Vec::new();
    let known = match tree.files.get(KNOWN).map(|file| toml::from_str::<Known>(&file.text)) {
        None => Known::default(),
        Some(Ok(known)) => known,
        Some(Err(error)) => return vec![violation(KNOWN, error.to_string())],
    };
    let mut needed = vec![false; known.circle.len()];
    for member in tree.members() {
        let modules = Modules::read(tree, &member);
        for (file, error) in &modules.unreadable {
            violations.push(violation(file, format!("not read as Rust: {error}")));
        }
        for circle in circles(&modules) {
            match known.circle.iter().position(|entry| circle.files.is_subset(&entry.files)) {
                Some(entry) => needed[entry] = true,
                None => violations.push(violation(&circle.around[0].0, circle.message())),
            }
        }
    }
    for (entry, _) in known.circle.iter().zip(needed).filter(|(_, needed)| !needed) {
        let files: Vec<&str> = entry.files.iter().map(String::as_str).collect();
        violations.push(violation(KNOWN, format!("no circle stands between {}; remove the entry", files.join(", "))));
    }
    for entry in known.circle.iter().filter(|entry| entry.fix.trim().is_empty()) {
        violations.push(violation(KNOWN, format!("an entry of {} files says no fix", entry.files.len())));
    }
    violations
}

/// A set of files each of which leads to each.
struct Circle {
    files: BTreeSet<String>,
    /// One way around, through a use that is not along the module tree: files, each with what it uses of the next.
    around: Vec<(String, String)>,
}

impl Circle {
    fn message(&self) -> String {
        let mut text = format!("{} files in a circle: ", self.files.len());
        for (file, names) in &self.around {
            text.push_str(&format!("{file} → ({names}) "));
        }
        text + &self.around[0].0
    }
}

/// The circles of a crate.
fn circles(modules: &Modules) -> Vec<Circle> {
    let uses = modules.uses();
    let graph: DiGraphMap<&str, ()> = uses.keys().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let mut circles = Vec::new();
    for files in tarjan_scc(&graph).into_iter().filter(|files| files.len() > 1) {
        let files: BTreeSet<String> = files.into_iter().map(str::to_owned).collect();
        let sideways = uses
            .keys()
            .filter(|(from, to)| files.contains(from) && files.contains(to) && !modules.is_along_the_tree(from, to));
        let ways = sideways.filter_map(|(from, to)| way(&uses, to, from).map(|way| (way.len(), way)));
        if let Some((_, around)) = ways.min() {
            circles.push(Circle { files, around });
        }
    }
    circles.sort_by(|one, other| one.files.cmp(&other.files));
    circles
}

/// The shortest way `from` a file `to` a file and from there straight back, with names.
fn way(uses: &Uses, from: &str, to: &str) -> Option<Vec<(String, String)>> {
    let mut came: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        for next in uses.keys().filter(|(user, _)| user == at).map(|(_, used)| used.as_str()) {
            if next != from && !came.contains_key(next) {
                came.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    let mut files = vec![to];
    while files.last() != Some(&from) {
        files.push(came.get(files.last()?)?);
    }
    files.reverse();
    let after = files.iter().cycle().skip(1);
    let name = |(one, next): (&&str, &&str)| {
        let names = &uses[&(one.to_string(), next.to_string())];
        let shown: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        let more = if names.len() > 3 { ", …" } else { "" };
        (one.to_string(), format!("{}{more}", shown.join(", ")))
    };
    Some(files.iter().zip(after).map(name).collect())
}

#[cfg(test)]
mod tests;
