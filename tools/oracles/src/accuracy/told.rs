//! What the witnesses in `witness/` print: tab-separated lines `seen FILE` for a file that was
//! looked into, `KIND FROM TO LINE NAME` for a pair, and `open FROM NAME` for a name left open.

use std::collections::{BTreeMap, BTreeSet};

use super::oracle::Edges;

/// The lines of one run.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) seen: BTreeSet<String>,
    /// Files and the names in them whose meaning the witness does not know.
    pub(super) open: BTreeSet<(String, String)>,
    pairs: BTreeMap<String, Edges>,
}

impl Told {
    /// Reads them; of a pair told twice the first line stays.
    pub(super) fn of(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["seen", file] => drop(told.seen.insert(file.to_owned())),
                ["open", from, name] => drop(told.open.insert((from.to_owned(), name.to_owned()))),
                [kind, from, to, line, _] => {
                    let edges = told.pairs.entry(kind.to_owned()).or_default();
                    edges.entry((from.to_owned(), to.to_owned())).or_insert(line.parse().unwrap_or(0));
                }
                _ => {}
            }
        }
        told
    }

    /// The pairs of a kind.
    pub(super) fn take(&mut self, kind: &str) -> Edges {
        self.pairs.remove(kind).unwrap_or_default()
    }
}

/// `edges` without the pairs that are in any of `others`.
pub(super) fn without(edges: Edges, others: [&Edges; 2]) -> Edges {
    edges.into_iter().filter(|(pair, _)| !others.iter().any(|other| other.contains_key(pair))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_the_first_of_a_pair_stays() {
        let mut told = Told::of("seen\ta\nuse\ta\tb\t3\tx\nuse\ta\tb\t1\ty\ninclude\ta\tc\t2\tz\nopen\ta\tn\nnoise\n");
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!((told.seen.len(), told.open.contains(&pair("a", "n"))), (1, true));
        let (uses, includes) = (told.take("use"), told.take("include"));
        assert_eq!(uses, Edges::from([(pair("a", "b"), 3)]));
        assert_eq!(includes, Edges::from([(pair("a", "c"), 2)]));
        assert_eq!(without(uses.clone(), [&includes, &uses]), Edges::new());
        assert_eq!(told.take("use"), Edges::new());
    }
}
