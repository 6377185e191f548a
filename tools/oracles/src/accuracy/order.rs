//! The development order of a well-known project: checked, and its longest back edges shown.
//!
//! Invariant checked: a file stands before one it imports only where both are in one cycle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::oracle::{Landmark, Subject};
use super::record::Record;

/// How many back edges the page lists.
const SHOWN: usize = 10;

/// One project's order.
pub(super) struct Checked {
    pub(super) package: String,
    pub(super) files: usize,
    /// Sizes of the cycles, largest first.
    pub(super) cycles: Vec<usize>,
    pub(super) edges: usize,
    pub(super) back_edges: usize,
    /// The longest back edges, one line each.
    pub(super) shown: Vec<String>,
    /// `core` at place …, `entry` at place ….
    pub(super) landmark: String,
    /// What is wrong.
    pub(super) faults: Vec<String>,
}

/// Checks a project's order.
pub(super) fn check(subject: &Subject<'_>, landmark: &Landmark) -> Checked {
    let record = subject.record;
    let place: BTreeMap<&str, usize> = record.order.iter().enumerate().map(|(at, path)| (path.as_str(), at)).collect();
    let ring: BTreeMap<&str, usize> = (record.cycles.iter().enumerate())
        .flat_map(|(at, cycle)| cycle.iter().map(move |path| (path.as_str(), at)))
        .collect();
    let mut faults = Vec::new();
    let pairs: BTreeMap<(&str, &str), u32> =
        record.edges.iter().rev().map(|edge| ((edge.from.as_str(), edge.to.as_str()), edge.line)).collect();
    let mut back = Vec::new();
    let mut ordered = 0;
    for (&(from, to), &line) in &pairs {
        let (Some(&at), Some(&target)) = (place.get(from), place.get(to)) else { continue };
        ordered += 1;
        if target > at {
            match (ring.get(from), ring.get(to)) {
                (Some(a), Some(b)) if a == b => back.push((target - at, from, to, line)),
                _ => faults.push(format!("{from} stands before {to}, which it imports outside any cycle")),
            }
        }
    }
    let position = |path: &str| place.get(path).copied();
    match (position(landmark.core), position(landmark.entry)) {
        (Some(core), Some(entry)) if core < entry => {}
        (core, entry) => faults.push(format!(
            "{} (place {core:?}) should stand before {} (place {entry:?})",
            landmark.core, landmark.entry
        )),
    }
    back.sort_by(|a, b| b.cmp(a));
    let shown = back.iter().take(SHOWN).map(|&(length, from, to, line)| {
        let chain = chain(record, to, from).join(" → ");
        let text = subject.line(from, line);
        // Inside a class of PHP, `use` names a trait.
        let imports = ["import ", "from ", "use "].iter().any(|word| text.starts_with(word)) && !from.ends_with(".php");
        let deferred = if imports && subject.is_indented(from, line) { ", in a function or condition" } else { "" };
        let places = if length == 1 { "place" } else { "places" };
        format!("{length} {places}: `{from}:{line}` → `{to}` (`{text}`{deferred}). In the way: `{chain}`.")
    });
    let shown = shown.collect();
    let mut cycles: Vec<usize> = record.cycles.iter().map(Vec::len).collect();
    cycles.sort_unstable_by(|a, b| b.cmp(a));
    let spot = |path: &str| position(path).map_or_else(|| "nowhere".to_owned(), |at| format!("place {}", at + 1));
    Checked {
        package: format!("{} {}", subject.package.name, subject.package.version),
        files: record.order.len(),
        cycles,
        edges: ordered,
        back_edges: back.len(),
        shown,
        landmark: format!(
            "`{}` at {}, `{}` at {}",
            landmark.core,
            spot(landmark.core),
            landmark.entry,
            spot(landmark.entry)
        ),
        faults,
    }
}

/// A shortest chain of imports from one file to another, both included.
fn chain<'r>(record: &'r Record, from: &'r str, to: &'r str) -> Vec<&'r str> {
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in &record.edges {
        imports.entry(&edge.from).or_default().insert(&edge.to);
    }
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = VecDeque::from([from]);
    while let Some(file) = open.pop_front() {
        for &next in imports.get(file).into_iter().flatten() {
            if next != from && !came_from.contains_key(next) {
                came_from.insert(next, file);
                open.push_back(next);
            }
        }
    }
    let mut chain = vec![to];
    while let Some(&before) = chain.last().and_then(|file| came_from.get(file)) {
        chain.push(before);
    }
    chain.reverse();
    chain
}
