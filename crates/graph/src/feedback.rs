//! Orders one component of files that import each other in circles, so that few imports point at
//! later files: a feedback arc set.
//!
//! Up to [`EXACT_NODES`] files get the true minimum, by dynamic programming over subsets. For more,
//! four orders are made: by path, that reversed, by Eades, Lin and Smyth, "A fast and effective
//! heuristic for the feedback arc set problem" (1993), and by least remaining in-degree, the rule of
//! DeepSeek-Coder (arXiv 2401.14196), ties by path instead of at random. Each is improved by moving
//! single files to where they break fewest edges until no move helps ([`Arrangement`]); the best is
//! shaken and improved again while work is left.
//!
//! Legend: as in [`order`](crate::order). Invariants: the result depends on the set of edges only
//! (what shakes is a fixed sequence); within the work allowed no single move improves it.

use std::collections::BTreeSet;

use crate::arrangement::{Arrangement, Work};
use crate::component::Local;

/// Components of up to this many files are ordered at the true minimum (2¹⁷ subsets are weighed).
const EXACT_NODES: usize = 17;
/// How often the best order of a component is shaken, where the work lasts so long.
const SHAKES: u64 = 1_500;
/// Steps of search that one component may take, some hundredths of a second.
const WORK: usize = 24_000_000;

/// The nodes of one component, dependencies first as far as there is a first.
pub(crate) fn order(component: &[usize], edges: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    if component.len() == 1 {
        return component.to_vec();
    }
    let local = Local::new(component, edges);
    let best = if component.len() <= EXACT_NODES { local.exact() } else { local.search() };
    best.into_iter().map(|at| component[at]).collect()
}

impl Local {
    /// The order that breaks fewest edges; among equals the one that takes the smallest path first.
    fn exact(&self) -> Vec<usize> {
        let count = self.imports.len();
        let imports: Vec<usize> = self.imports.iter().map(|to| to.iter().fold(0, |set, to| set | 1 << to)).collect();
        let all = (1_usize << count) - 1;
        // Edges broken when `node` follows the files of `placed`, and the least for all that remain.
        let breaks = |node: usize, placed: usize| (imports[node] & !placed).count_ones();
        let mut least = vec![0_u32; all + 1];
        let left = |placed: usize| (0..count).filter(move |node| placed & 1 << node == 0);
        for placed in (0..all).rev() {
            let costs = left(placed).map(|node| breaks(node, placed) + least[placed | 1 << node]);
            least[placed] = costs.min().expect("a set short of all leaves a node");
        }
        let mut order = Vec::with_capacity(count);
        let mut placed = 0;
        while placed != all {
            let best = |node: &usize| breaks(*node, placed) + least[placed | 1 << node] == least[placed];
            let node = left(placed).find(best).expect("the least is reached by some node");
            order.push(node);
            placed |= 1 << node;
        }
        order
    }

    /// The best of several orders, each improved, and of that one shaken.
    fn search(&self) -> Vec<usize> {
        let mut work = Work(WORK);
        let by_path: Vec<usize> = (0..self.imports.len()).collect();
        let reversed = by_path.iter().rev().copied().collect();
        let starts = [self.eades_lin_smyth(), self.least_in_degree(), by_path, reversed];
        let improved = starts.map(|start| {
            let mut arrangement = Arrangement::new(self, start);
            arrangement.improve(&mut work);
            arrangement
        });
        // Of equals the first.
        let mut best = improved.into_iter().min_by_key(Arrangement::broken).expect("there are four starts");
        let mut current = best.clone();
        for shake in 0..SHAKES {
            if work.is_done() || best.broken() == 0 {
                break;
            }
            let mut shaken = current.clone();
            shaken.shake(shake, &mut work);
            shaken.improve(&mut work);
            // An order as good is gone on from: better ones may lie beyond it.
            if shaken.broken() <= current.broken() {
                current = shaken;
            }
            if current.broken() < best.broken() {
                best = current.clone();
            }
        }
        best.into_order()
    }

    /// Files that import nothing left go to the front, files that nothing left imports to the
    /// back; if there is neither, the one with most importers over imports goes to the front.
    fn eades_lin_smyth(&self) -> Vec<usize> {
        let count = self.imports.len();
        let mut left = Remaining::new(self);
        let (mut front, mut back) = (Vec::with_capacity(count), Vec::new());
        loop {
            let node = if let Some(&node) = left.leaves.first() {
                front.push(node);
                node
            } else if let Some(&node) = left.unused.first() {
                back.push(node);
                node
            } else if let Some(&(_, node)) = left.by_difference.first() {
                front.push(node);
                node
            } else {
                break;
            };
            left.take(self, node);
        }
        front.extend(back.into_iter().rev());
        front
    }

    /// Repeatedly the file with the fewest imports still unwritten.
    fn least_in_degree(&self) -> Vec<usize> {
        let mut unwritten: Vec<usize> = self.imports.iter().map(Vec::len).collect();
        let mut queue: BTreeSet<(usize, usize)> = unwritten.iter().enumerate().map(|(node, &n)| (n, node)).collect();
        let mut order = Vec::with_capacity(unwritten.len());
        while let Some((_, node)) = queue.pop_first() {
            order.push(node);
            for &importer in &self.importers[node] {
                if queue.remove(&(unwritten[importer], importer)) {
                    unwritten[importer] -= 1;
                    queue.insert((unwritten[importer], importer));
                }
            }
        }
        order
    }
}

/// The nodes not yet placed by [`Local::eades_lin_smyth`], by degree.
struct Remaining {
    imports: Vec<usize>,
    importers: Vec<usize>,
    present: Vec<bool>,
    leaves: BTreeSet<usize>,
    unused: BTreeSet<usize>,
    /// Keyed by imports minus importers, so the first is the most imported.
    by_difference: BTreeSet<(isize, usize)>,
}

impl Remaining {
    fn new(local: &Local) -> Self {
        let count = local.imports.len();
        let imports: Vec<usize> = local.imports.iter().map(Vec::len).collect();
        let importers: Vec<usize> = local.importers.iter().map(Vec::len).collect();
        let with = |degrees: &[usize]| (0..count).filter(|&node| degrees[node] == 0).collect();
        let by_difference = (0..count).map(|node| (difference(&imports, &importers, node), node)).collect();
        Self {
            leaves: with(&imports),
            unused: with(&importers),
            present: vec![true; count],
            imports,
            importers,
            by_difference,
        }
    }

    fn take(&mut self, local: &Local, node: usize) {
        self.present[node] = false;
        self.leaves.remove(&node);
        self.unused.remove(&node);
        self.by_difference.remove(&(difference(&self.imports, &self.importers, node), node));
        for &importer in local.importers[node].iter().filter(|&&importer| self.present[importer]) {
            self.by_difference.remove(&(difference(&self.imports, &self.importers, importer), importer));
            self.imports[importer] -= 1;
            self.by_difference.insert((difference(&self.imports, &self.importers, importer), importer));
            if self.imports[importer] == 0 {
                self.leaves.insert(importer);
            }
        }
        for &import in local.imports[node].iter().filter(|&&import| self.present[import]) {
            self.by_difference.remove(&(difference(&self.imports, &self.importers, import), import));
            self.importers[import] -= 1;
            self.by_difference.insert((difference(&self.imports, &self.importers, import), import));
            if self.importers[import] == 0 {
                self.unused.insert(import);
            }
        }
    }
}

fn difference(imports: &[usize], importers: &[usize], node: usize) -> isize {
    imports[node].cast_signed() - importers[node].cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digraph of `count` nodes and about `edges` edges, by a fixed sequence.
    fn digraph(count: usize, edges: usize, seed: u64) -> BTreeSet<(usize, usize)> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        };
        (0..edges).map(|_| (next(), next())).filter(|(from, to)| from != to).collect()
    }

    fn broken(order: &[usize], edges: &BTreeSet<(usize, usize)>) -> usize {
        let place = |node: usize| order.iter().position(|at| *at == node).expect("every node is placed");
        edges.iter().filter(|(from, to)| place(*to) > place(*from)).count()
    }

    /// Every order of a few nodes, node by node: the true minimum.
    fn fewest(count: usize, edges: &BTreeSet<(usize, usize)>) -> usize {
        let (mut fewest, mut open) = (usize::MAX, vec![Vec::new()]);
        while let Some(nodes) = open.pop() {
            if nodes.len() == count {
                fewest = fewest.min(broken(&nodes, edges));
                continue;
            }
            open.extend((0..count).filter(|node| !nodes.contains(node)).map(|node| [&nodes[..], &[node]].concat()));
        }
        fewest
    }

    /// Takes out one node after the other and tries every place, until nothing improves.
    fn plain_insertion(mut order: Vec<usize>, edges: &BTreeSet<(usize, usize)>) -> usize {
        loop {
            let before = broken(&order, edges);
            for node in 0..order.len() {
                order.retain(|at| *at != node);
                let with = |place: usize| {
                    let mut order = order.clone();
                    order.insert(place, node);
                    order
                };
                let best = (0..=order.len()).min_by_key(|place| broken(&with(*place), edges)).expect("some place");
                order = with(best);
            }
            if broken(&order, edges) >= before {
                return before;
            }
        }
    }

    #[test]
    fn a_small_component_breaks_as_few_edges_as_any_order() {
        for seed in 0..60 {
            let edges = digraph(7, 10 + seed as usize % 25, seed);
            let all: Vec<usize> = (0..7).collect();
            assert_eq!(broken(&order(&all, &edges), &edges), fewest(7, &edges), "{edges:?}");
        }
    }

    #[test]
    fn the_search_finds_the_true_minimum_where_it_is_known() {
        for (count, seed) in (9..=EXACT_NODES).flat_map(|count| (0..6).map(move |seed| (count, seed))) {
            let edges = digraph(count, count * (2 + seed as usize % 3), seed);
            let local = Local::new(&(0..count).collect::<Vec<_>>(), &edges);
            let broken = |order| Arrangement::new(&local, order).broken();
            assert_eq!(broken(local.search()), broken(local.exact()), "{count} nodes: {edges:?}");
        }
    }

    #[test]
    fn a_plain_insertion_search_is_never_better() {
        for (count, seed) in [14, 16, 18, 22, 30, 45].into_iter().flat_map(|count| (0..8).map(move |it| (count, it))) {
            let edges = digraph(count, count * (2 + seed as usize % 4), seed);
            let all: Vec<usize> = (0..count).collect();
            let ours = broken(&order(&all, &edges), &edges);
            let turned = |by: usize| {
                let mut turned = all.clone();
                turned.rotate_left(by);
                turned
            };
            let starts = [all.clone(), all.iter().rev().copied().collect(), turned(count / 3), turned(count / 2)];
            for start in starts.into_iter().chain([order(&all, &edges)]) {
                let plain = plain_insertion(start, &edges);
                assert!(ours <= plain, "{count} nodes, seed {seed}: {ours} broken, {plain} by insertion");
            }
        }
    }

    #[test]
    fn a_component_of_thousands_of_files_ends_in_time() {
        let count = 4_000;
        let ring = (0..count).map(|node| (node, (node + 1) % count));
        let edges: BTreeSet<(usize, usize)> = ring.chain(digraph(count, 3 * count, 5)).collect();
        let all: Vec<usize> = (0..count).collect();
        let local = Local::new(&all, &edges);
        let broken = |order| Arrangement::new(&local, order).broken();
        let greedy = broken(local.eades_lin_smyth()).min(broken(local.least_in_degree()));
        let found = broken(order(&all, &edges));
        assert!(found < greedy, "{found} broken, {greedy} without search");
    }
}
