//! Counts how far two sets of edges agree, and sorts what is left into classes.

use std::collections::{BTreeMap, BTreeSet};

use super::oracle::{Comparison, Difference, Oracle, Subject};

/// How far two sets agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) both: usize,
    pub(super) ours_only: usize,
    pub(super) theirs_only: usize,
}

impl Counts {
    /// The share of our edges that the witness has; 1 where we have none.
    pub(super) fn precision(self) -> f64 {
        share(self.both, self.ours_only)
    }

    /// The share of the witness's edges that we have; 1 where it has none.
    pub(super) fn recall(self) -> f64 {
        share(self.both, self.theirs_only)
    }

    /// The harmonic mean of both.
    pub(super) fn f1(self) -> f64 {
        share(2 * self.both, self.ours_only + self.theirs_only)
    }

    /// Counts of two comparisons together, so that each edge weighs the same.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            both: self.both + other.both,
            ours_only: self.ours_only + other.ours_only,
            theirs_only: self.theirs_only + other.theirs_only,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "edges are counted in thousands")]
fn share(part: usize, rest: usize) -> f64 {
    if part + rest == 0 { 1.0 } else { part as f64 / (part + rest) as f64 }
}

/// A class of differences: how many, and one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) count: usize,
    pub(super) example: String,
}

/// Classes by side (ours first) and name.
pub(super) type Classes = BTreeMap<(bool, String), Class>;

/// One package, measured.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) package: String,
    /// What kind of edge, and whether only files that cleaning keeps.
    pub(super) what: String,
    /// Whether the package was looked at by nobody who wrote a rule.
    pub(super) held_out: bool,
    pub(super) counts: Counts,
    /// What is not told of the same package already.
    pub(super) classes: Classes,
    /// Every difference, for the terminal.
    pub(super) differences: Vec<String>,
}

impl Measured {
    /// The row as a line for a terminal.
    pub(super) fn line(&self) -> String {
        let Self { package, what, counts, .. } = self;
        let (precision, recall, f1) = (counts.precision(), counts.recall(), counts.f1());
        format!(
            "{package:32} {what:16} both {:5} ours only {:4} theirs only {:4}  P {precision:.4} R {recall:.4} F1 {f1:.4}",
            counts.both, counts.ours_only, counts.theirs_only
        )
    }
}

/// Differences that were told: kind of edge, both files.
pub(super) type Told = BTreeSet<(&'static str, String, String)>;

/// Compares both sides; what is in `told` is counted and not told again.
pub(super) fn measure(
    oracle: &dyn Oracle,
    subject: &Subject<'_>,
    comparison: &Comparison,
    held_out: bool,
    told: &mut Told,
) -> Measured {
    let Comparison { what, ours, theirs } = comparison;
    let mut counts = Counts::default();
    let mut classes = Classes::new();
    let mut differences = Vec::new();
    let mut differ = |pair: &(String, String), line: u32, ours: bool| {
        if !told.insert((*what, pair.0.clone(), pair.1.clone())) {
            return;
        }
        let difference = Difference { from: &pair.0, to: &pair.1, line, ours };
        let class = oracle.class(subject, &difference);
        let package = subject.package;
        let text = if line > 0 { subject.line(&pair.0, line) } else { String::new() };
        let example = format!("{} {}: {}:{line} → {} `{text}`", package.name, package.version, pair.0, pair.1);
        differences.push(format!("{} {example} ({class})", if ours { "ours only:" } else { "theirs only:" }));
        classes.entry((!ours, class)).or_insert(Class { count: 0, example }).count += 1;
    };
    for (pair, &line) in ours {
        if theirs.contains_key(pair) {
            counts.both += 1;
        } else {
            counts.ours_only += 1;
            differ(pair, line, true);
        }
    }
    for (pair, &line) in theirs.iter().filter(|(pair, _)| !ours.contains_key(*pair)) {
        counts.theirs_only += 1;
        differ(pair, line, false);
    }
    let package = format!("{} {}", subject.package.name, subject.package.version);
    Measured { package, what: (*what).to_owned(), held_out, counts, classes, differences }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_their_definitions() {
        let counts = Counts { both: 6, ours_only: 2, theirs_only: 4 };
        assert_eq!((counts.precision(), counts.recall()), (0.75, 0.6));
        let harmonic = 2.0 * 0.75 * 0.6 / (0.75 + 0.6);
        assert!((counts.f1() - harmonic).abs() < 1e-12);
        assert_eq!(Counts::default().f1(), 1.0, "nothing to find and nothing found");
        assert_eq!(Counts { both: 0, ours_only: 1, theirs_only: 0 }.precision(), 0.0);
    }
}
