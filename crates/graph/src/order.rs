//! The order in which files would be written: dependencies first.
//!
//! Strongly connected components are condensed; the condensation is ordered topologically, the
//! smallest path first among those that are ready. A component of up to [`EXACT_NODES`] files gets
//! the order with the fewest edges that point at later files, by dynamic programming over its
//! subsets. In a larger one two greedy orders are made: Eades, Lin and Smyth, "A fast and effective
//! heuristic for the feedback arc set problem" (1993), and least remaining in-degree, the rule of
//! DeepSeek-Coder (arXiv 2401.14196), ties by path instead of at random; both are improved by
//! moving single files while that helps, and the better one is taken.
//!
//! Legend: `N` files, node `i` is the `i`-th path in sorted order; an edge `(i, j)` says that `i`
//! imports `j`, so `j` should stand first. Invariant: the result depends on the set of edges only.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use petgraph::graph::{DiGraph, NodeIndex};

/// Components of up to this many files are ordered at the true minimum (2¹³ subsets are weighed).
const EXACT_NODES: usize = 13;
/// Components above this size are not improved file by file, which takes quadratic time.
const SIFTED_NODES: usize = 2_000;
/// Rounds of moving files; most components need two or three.
const SIFTING_ROUNDS: usize = 8;

/// An order of nodes `0..N` and the components of two nodes or more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Every node once, dependencies first.
    pub(crate) nodes: Vec<usize>,
    /// Components in which every node reaches every other, each sorted, sorted among themselves.
    pub(crate) cycles: Vec<Vec<usize>>,
}

/// Orders `count` nodes.
pub(crate) fn order(count: usize, edges: &BTreeSet<(usize, usize)>) -> Order {
    let mut graph = DiGraph::<(), (), usize>::default();
    for _ in 0..count {
        graph.add_node(());
    }
    for &(from, to) in edges.iter().filter(|(from, to)| from != to) {
        graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), ());
    }
    let mut components: Vec<Vec<usize>> = petgraph::algo::tarjan_scc(&graph)
        .into_iter()
        .map(|component| {
            let mut nodes: Vec<usize> = component.into_iter().map(NodeIndex::index).collect();
            nodes.sort_unstable();
            nodes
        })
        .collect();
    components.sort();
    let mut component_of = vec![0; count];
    for (at, component) in components.iter().enumerate() {
        for &node in component {
            component_of[node] = at;
        }
    }
    let between: BTreeSet<(usize, usize)> = edges
        .iter()
        .map(|&(from, to)| (component_of[from], component_of[to]))
        .filter(|(from, to)| from != to)
        .collect();
    let mut within = vec![BTreeSet::new(); components.len()];
    for &(from, to) in edges.iter().filter(|(from, to)| from != to && component_of[*from] == component_of[*to]) {
        within[component_of[from]].insert((from, to));
    }
    let nodes = topological(components.len(), &between)
        .into_iter()
        .flat_map(|at| break_cycle(&components[at], &within[at]))
        .collect();
    let cycles = components.into_iter().filter(|component| component.len() > 1).collect();
    Order { nodes, cycles }
}

/// Kahn's algorithm; components are numbered by their smallest path, so the heap breaks ties by path.
fn topological(count: usize, edges: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    let mut waits_for = vec![0_usize; count];
    let mut importers = vec![Vec::new(); count];
    for &(from, to) in edges {
        waits_for[from] += 1;
        importers[to].push(from);
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..count).filter(|&node| waits_for[node] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for &importer in &importers[node] {
            waits_for[importer] -= 1;
            if waits_for[importer] == 0 {
                ready.push(Reverse(importer));
            }
        }
    }
    assert_eq!(order.len(), count, "a condensation has no cycles");
    order
}

fn break_cycle(component: &[usize], edges: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    if component.len() == 1 {
        return component.to_vec();
    }
    let local = Local::new(component, edges);
    let best = if component.len() <= EXACT_NODES {
        local.exact()
    } else {
        let [a, b] = [local.eades_lin_smyth(), local.least_in_degree()].map(|order| local.sift(order));
        if local.broken(&b) < local.broken(&a) { b } else { a }
    };
    best.into_iter().map(|at| component[at]).collect()
}

/// One component with nodes renumbered from 0, neighbours as lists.
struct Local {
    imports: Vec<Vec<usize>>,
    importers: Vec<Vec<usize>>,
}

impl Local {
    fn new(component: &[usize], edges: &BTreeSet<(usize, usize)>) -> Self {
        let at = |node: &usize| component.binary_search(node).expect("an inner edge joins nodes of the component");
        let mut local =
            Self { imports: vec![Vec::new(); component.len()], importers: vec![Vec::new(); component.len()] };
        for (from, to) in edges {
            local.imports[at(from)].push(at(to));
            local.importers[at(to)].push(at(from));
        }
        local
    }

    /// Edges whose imported file stands after the importing one.
    fn broken(&self, order: &[usize]) -> usize {
        let mut place = vec![0; order.len()];
        for (at, &node) in order.iter().enumerate() {
            place[node] = at;
        }
        let later = |from: usize| self.imports[from].iter().filter(|&&to| place[to] > place[from]).count();
        (0..order.len()).map(later).sum()
    }

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

    /// Moves one file after the other to where it breaks fewest edges, until nothing improves.
    fn sift(&self, mut order: Vec<usize>) -> Vec<usize> {
        if order.len() > SIFTED_NODES {
            return order;
        }
        for _ in 0..SIFTING_ROUNDS {
            let before = self.broken(&order);
            for node in 0..self.imports.len() {
                let at = order.iter().position(|&placed| placed == node).expect("every node is placed");
                order.remove(at);
                // Standing first breaks every import of the node; each place further makes good an
                // import it passes and breaks an importer it passes.
                let mut broken = self.imports[node].len().cast_signed();
                let (mut best, mut best_at) = (broken, 0);
                let mut best_here = isize::MAX;
                for (place, passed) in order.iter().enumerate() {
                    if place == at {
                        best_here = broken;
                    }
                    broken -= isize::from(self.imports[node].contains(passed));
                    broken += isize::from(self.importers[node].contains(passed));
                    if broken < best {
                        (best, best_at) = (broken, place + 1);
                    }
                }
                if at == order.len() {
                    best_here = broken;
                }
                order.insert(if best < best_here { best_at } else { at }, node);
            }
            if self.broken(&order) >= before {
                break;
            }
        }
        order
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
    use proptest::prelude::*;

    use super::*;

    fn broken(order: &Order, edges: &BTreeSet<(usize, usize)>) -> Vec<(usize, usize)> {
        let place = |node: usize| order.nodes.iter().position(|&at| at == node).expect("every node is placed");
        edges.iter().copied().filter(|&(from, to)| from != to && place(to) > place(from)).collect()
    }

    #[test]
    fn ties_go_by_path_and_dependencies_go_first() {
        // 3 imports 0; 1 imports 2; nothing else: 0 is ready first, then 2 frees 1, which goes before 3.
        let order = order(4, &BTreeSet::from([(3, 0), (1, 2)]));
        assert_eq!(order, Order { nodes: vec![0, 2, 1, 3], cycles: vec![] });
    }

    #[test]
    fn a_ring_is_broken_once() {
        let ring: BTreeSet<_> = (0..50).map(|node| (node, (node + 1) % 50)).collect();
        let order = order(50, &ring);
        assert_eq!(order.cycles, [(0..50).collect::<Vec<_>>()]);
        assert_eq!(broken(&order, &ring).len(), 1, "one edge breaks a ring");
    }

    #[test]
    fn a_hub_goes_where_it_breaks_fewest() {
        // Node 0 imports all the others, two of which import it back: placing it last breaks two edges.
        let hub: BTreeSet<_> = (1..10).map(|node| (0, node)).chain([(3, 0), (4, 0)]).collect();
        assert_eq!(broken(&order(10, &hub), &hub).len(), 2);
    }

    /// Every order of a few nodes, for the true minimum.
    fn fewest(count: usize, edges: &BTreeSet<(usize, usize)>) -> usize {
        let mut fewest = usize::MAX;
        let mut open = vec![Vec::new()];
        while let Some(nodes) = open.pop() {
            if nodes.len() == count {
                fewest = fewest.min(broken(&Order { nodes, cycles: Vec::new() }, edges).len());
                continue;
            }
            for node in (0..count).filter(|node| !nodes.contains(node)) {
                open.push([&nodes[..], &[node]].concat());
            }
        }
        fewest
    }

    proptest! {
        #[test]
        fn a_small_component_breaks_as_few_edges_as_any_order(
            edges in proptest::collection::btree_set((0_usize..6, 0_usize..6), 0..24)
        ) {
            prop_assert_eq!(broken(&order(6, &edges), &edges).len(), fewest(6, &edges));
        }

        #[test]
        fn never_more_is_broken_than_by_least_in_degree(
            edges in proptest::collection::btree_set((0_usize..40, 0_usize..40), 0..200)
        ) {
            let order = order(40, &edges);
            let forward = broken(&order, &edges).len();
            let by_degree: usize = order.cycles.iter().map(|cycle| {
                let inner = edges.iter().copied().filter(|(a, b)| a != b && cycle.contains(a) && cycle.contains(b));
                let local = Local::new(cycle, &inner.collect());
                local.broken(&local.least_in_degree())
            }).sum();
            prop_assert!(forward <= by_degree, "{} broken, {} by least in-degree", forward, by_degree);
        }

        #[test]
        fn only_edges_inside_cycles_point_forward(
            edges in proptest::collection::btree_set((0_usize..30, 0_usize..30), 0..120)
        ) {
            let order = order(30, &edges);
            let mut seen = order.nodes.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..30).collect::<Vec<_>>());
            let together = |a: usize, b: usize| order.cycles.iter().any(|cycle| cycle.contains(&a) && cycle.contains(&b));
            let inner = edges.iter().filter(|(from, to)| from != to && together(*from, *to)).count();
            let forward = broken(&order, &edges);
            for &(from, to) in &forward {
                prop_assert!(together(from, to), "{} -> {} joins no cycle", from, to);
            }
            // Any order or its reverse breaks at most half of the edges; Eades, Lin and Smyth do no worse.
            prop_assert!(2 * forward.len() <= inner, "{} of {} inner edges broken", forward.len(), inner);
        }
    }
}
