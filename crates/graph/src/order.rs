//! The order in which files would be written: dependencies first.
//!
//! Strongly connected components are condensed; the condensation is ordered topologically. Among
//! those that are ready goes first what people turn to first (a [`Rank`]: the role of the file, or of
//! what waits for it, then its distance from the project's root), then the smallest path. How one
//! component is ordered says [`feedback`].
//!
//! Legend: `N` files, node `i` is the `i`-th path in sorted order; an edge `(i, j)` says that `i`
//! imports `j`, so `j` should stand first. Invariant: the result depends on the set of edges only.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use petgraph::graph::{DiGraph, NodeIndex};

use crate::feedback;
use crate::role::Role;

/// What decides between files that imports leave free.
pub(crate) type Rank = (Role, usize);

/// An order of nodes `0..N` and the components of two nodes or more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Every node once, dependencies first.
    pub(crate) nodes: Vec<usize>,
    /// Components in which every node reaches every other, each sorted, sorted among themselves.
    pub(crate) cycles: Vec<Vec<usize>>,
}

/// Orders the nodes that have these ranks.
pub(crate) fn order(ranks: &[Rank], edges: &BTreeSet<(usize, usize)>) -> Order {
    let count = ranks.len();
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
    let least = |component: &Vec<usize>| component.iter().map(|node| ranks[*node]).min().unwrap_or((Role::Given, 0));
    let ranks = components.iter().map(least).collect();
    let nodes =
        topological(ranks, &between).into_iter().flat_map(|at| feedback::order(&components[at], &within[at])).collect();
    let cycles = components.into_iter().filter(|component| component.len() > 1).collect();
    Order { nodes, cycles }
}

/// Kahn's algorithm; components are numbered by their smallest path, so the heap breaks ties by path.
fn topological(mut ranks: Vec<Rank>, edges: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    let mut neighbours =
        Neighbours { imports: vec![Vec::new(); ranks.len()], importers: vec![Vec::new(); ranks.len()] };
    for &(from, to) in edges {
        neighbours.imports[from].push(to);
        neighbours.importers[to].push(from);
    }
    // Whatever a source needs is written as early as a source, be it a page of documentation:
    // importers first, each hands its role down.
    for node in neighbours.in_order(&ranks).into_iter().rev() {
        for &import in &neighbours.imports[node] {
            ranks[import].0 = ranks[import].0.min(ranks[node].0);
        }
    }
    neighbours.in_order(&ranks)
}

/// The edges of an acyclic graph, by node.
struct Neighbours {
    imports: Vec<Vec<usize>>,
    importers: Vec<Vec<usize>>,
}

impl Neighbours {
    /// Imports before importers, among those that are free the least rank, then the least number.
    fn in_order(&self, ranks: &[Rank]) -> Vec<usize> {
        let mut waits_for: Vec<usize> = self.imports.iter().map(Vec::len).collect();
        let free = |node: usize| Reverse((ranks[node], node));
        let mut ready: BinaryHeap<_> = (0..ranks.len()).filter(|node| waits_for[*node] == 0).map(free).collect();
        let mut order = Vec::with_capacity(ranks.len());
        while let Some(Reverse((_, node))) = ready.pop() {
            order.push(node);
            for &importer in &self.importers[node] {
                waits_for[importer] -= 1;
                if waits_for[importer] == 0 {
                    ready.push(free(importer));
                }
            }
        }
        assert_eq!(order.len(), ranks.len(), "a condensation has no cycles");
        order
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Files of one rank.
    fn order(count: usize, edges: &BTreeSet<(usize, usize)>) -> Order {
        super::order(&vec![(Role::Source, 0); count], edges)
    }

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
    fn free_files_go_by_role_and_what_is_needed_goes_with_what_needs_it() {
        let roles = [
            Role::Given,
            Role::Documentation,
            Role::Test,
            Role::Source,
            Role::Documentation,
            Role::Manifest,
            Role::Source,
        ];
        let distances = [0, 0, 0, 2, 0, 0, 1];
        let ranks: Vec<Rank> = roles.into_iter().zip(distances).collect();
        // The source 3 includes the page 4.
        let edges = BTreeSet::from([(3, 4), (2, 3)]);
        assert_eq!(super::order(&ranks, &edges).nodes, [5, 4, 6, 3, 2, 1, 0]);
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
