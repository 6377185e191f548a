//! One component of files that import each other in circles, by itself.
//!
//! Files and edges among them → neighbours as lists, files numbered from 0 in the order given.
//! Invariant: every edge stands once in `imports` and once in `importers`.

use std::collections::BTreeSet;

/// A component with nodes renumbered from 0, neighbours as lists.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) imports: Vec<Vec<usize>>,
    pub(crate) importers: Vec<Vec<usize>>,
}

impl Local {
    pub(crate) fn new(component: &[usize], edges: &BTreeSet<(usize, usize)>) -> Self {
        let at = |node: &usize| component.binary_search(node).expect("an inner edge joins nodes of the component");
        let mut local =
            Self { imports: vec![Vec::new(); component.len()], importers: vec![Vec::new(); component.len()] };
        for (from, to) in edges {
            local.imports[at(from)].push(at(to));
            local.importers[at(to)].push(at(from));
        }
        local
    }

    /// Edges whose imported file stands after the importing one, where the files stand at these places.
    pub(crate) fn broken(&self, place: &[usize]) -> usize {
        let later = |from: usize| self.imports[from].iter().filter(|&&to| place[to] > place[from]).count();
        (0..place.len()).map(later).sum()
    }
}
