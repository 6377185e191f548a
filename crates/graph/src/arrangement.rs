//! An order of a component's files that is changed move by move, with the number of edges it breaks.
//!
//! A file is moved to where it breaks fewest edges. Between two neighbours (what it imports, what
//! imports it) every place is equal, so only the places behind neighbours are looked at.
//!
//! Whether a file can be moved with gain depends on the order of itself and its neighbours alone. So after a move only
//! the neighbours of what was moved are looked at again: the moves are those of a search that looks at all.
//!
//! Invariant: `place` and `order` are each other's inverse, `broken` is the count of the order; a file
//! that is not `open` cannot be moved with gain.

use crate::component::Local;

/// Steps of search that are left.
#[derive(Debug)]
pub(crate) struct Work(pub(crate) usize);

impl Work {
    fn spend(&mut self, steps: usize) {
        self.0 = self.0.saturating_sub(steps);
    }

    /// Whether none are.
    pub(crate) fn is_done(&self) -> bool {
        self.0 == 0
    }
}

/// An order in the making.
#[derive(Debug, Clone)]
pub(crate) struct Arrangement<'l> {
    local: &'l Local,
    order: Vec<usize>,
    place: Vec<usize>,
    broken: usize,
    /// Files that a move may help, and how many they are.
    open: Vec<bool>,
    left: usize,
    /// Kept for its memory.
    passed: Vec<Neighbour>,
}

/// A neighbour of a file: its place in the order times two, and 1 more where it imports the file. Passing it makes one
/// edge more broken then, and one fewer where the file imports it.
type Neighbour = u32;

impl<'l> Arrangement<'l> {
    /// The arrangement of an order of all nodes.
    pub(crate) fn new(local: &'l Local, order: Vec<usize>) -> Self {
        let mut place = vec![0; order.len()];
        for (at, &node) in order.iter().enumerate() {
            place[node] = at;
        }
        let broken = local.broken(&place);
        let (open, left) = (vec![true; order.len()], order.len());
        Self { local, order, place, broken, open, left, passed: Vec::new() }
    }

    /// Edges whose imported file stands after the importing one.
    pub(crate) fn broken(&self) -> usize {
        self.broken
    }

    pub(crate) fn into_order(self) -> Vec<usize> {
        self.order
    }

    /// Moves single files until no move helps or the work is done.
    pub(crate) fn improve(&mut self, work: &mut Work) {
        for node in (0..self.order.len()).cycle() {
            if self.left == 0 || work.is_done() {
                return;
            }
            if std::mem::take(&mut self.open[node]) {
                self.left -= 1;
                self.improve_one(node, work);
            }
        }
    }

    /// A move may help `node` again.
    fn reopen(&mut self, node: usize) {
        self.left += usize::from(!std::mem::replace(&mut self.open[node], true));
    }

    /// Those whose order with `node` may be another now.
    fn reopen_neighbours(&mut self, node: usize) {
        let local = self.local;
        local.imports[node].iter().chain(&local.importers[node]).for_each(|neighbour| self.reopen(*neighbour));
    }

    /// Moves a file to where it breaks fewest edges.
    fn improve_one(&mut self, node: usize, work: &mut Work) {
        let here = self.place[node];
        // Standing first breaks every import of the node; each neighbour it passes makes an import
        // good or breaks an importer.
        let neighbour = |node: &usize, imports: u32| (self.place[*node] as u32) << 1 | imports;
        let imports = self.local.imports[node].iter().map(|to| neighbour(to, 0));
        let importers = self.local.importers[node].iter().map(|from| neighbour(from, 1));
        let mut passed = std::mem::take(&mut self.passed);
        passed.clear();
        passed.extend(imports.chain(importers));
        work.spend(4 * passed.len() + 1);
        passed.sort_unstable();
        let first = self.local.imports[node].len().cast_signed();
        let (mut cost, mut now) = (first, first);
        let (mut best, mut best_after) = (first, None);
        for (at, &neighbour) in passed.iter().enumerate() {
            let place = (neighbour >> 1) as usize;
            cost += if neighbour & 1 == 0 { -1 } else { 1 };
            if place < here {
                now = cost;
            }
            // A neighbour that both imports and is imported is passed twice at one place.
            let whole = passed.get(at + 1).is_none_or(|next| (next >> 1) as usize != place);
            if whole && cost < best {
                (best, best_after) = (cost, Some(place));
            }
        }
        self.passed = passed;
        if best >= now {
            return;
        }
        // What stands behind the node moves up as it is taken out.
        let to = best_after.map_or(0, |after| if after < here { after + 1 } else { after });
        self.shift(here, to, work);
        self.broken -= (now - best).unsigned_abs();
        self.reopen_neighbours(node);
    }

    /// Takes a file from one place to another, those between move up.
    fn shift(&mut self, from: usize, to: usize, work: &mut Work) {
        let (low, high) = (from.min(to), from.max(to));
        work.spend(high - low);
        if from < to {
            self.order[low..=high].rotate_left(1);
        } else {
            self.order[low..=high].rotate_right(1);
        }
        for at in low..=high {
            self.place[self.order[at]] = at;
        }
    }

    /// Puts a few files in places drawn by the number of the shake.
    pub(crate) fn shake(&mut self, shake: u64, work: &mut Work) {
        let count = self.order.len();
        let mut state = shake;
        let mut draw = || {
            // SplitMix64: a counter, mixed.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = (state ^ shake << 32).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((mixed ^ (mixed >> 31)) >> 33) as usize % count
        };
        // Mostly a few moves, now and then a third of the files.
        let most = if shake % 16 == 15 { count / 3 } else { count / 8 };
        let moves = 2 + draw() % (most.min(64) + 2);
        let drawn: Vec<(usize, usize)> = (0..moves).map(|_| (draw(), draw())).collect();
        for (from, to) in drawn {
            let node = self.order[from];
            self.shift(from, to, work);
            self.reopen(node);
            self.reopen_neighbours(node);
        }
        self.broken = self.local.broken(&self.place);
        work.spend(self.local.imports.iter().map(|all| all.len() + 1).sum());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_count_follows_every_move() {
        let edges: BTreeSet<(usize, usize)> = (0..40).flat_map(|n| [(n, n * 7 % 40), (n, (n * n + 3) % 40)]).collect();
        let edges = edges.into_iter().filter(|(from, to)| from != to).collect();
        let local = Local::new(&(0..40).collect::<Vec<_>>(), &edges);
        let mut arrangement = Arrangement::new(&local, (0..40).collect());
        for shake in 0..20 {
            arrangement.improve(&mut Work(1_000_000));
            assert_eq!(arrangement.broken(), local.broken(&arrangement.place), "after moves, shake {shake}");
            let mut sorted = arrangement.order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..40).collect::<Vec<_>>(), "every file stays");
            arrangement.shake(shake, &mut Work(1_000_000));
            assert_eq!(arrangement.broken(), local.broken(&arrangement.place));
        }
    }

    #[test]
    fn work_that_is_done_ends_the_search() {
        let edges: BTreeSet<(usize, usize)> = (0..100).map(|node| (node, (node + 1) % 100)).collect();
        let local = Local::new(&(0..100).collect::<Vec<_>>(), &edges);
        let mut arrangement = Arrangement::new(&local, (0..100).collect());
        arrangement.improve(&mut Work(1));
        assert!(arrangement.broken() > 90, "nothing moved far");
        arrangement.improve(&mut Work(10_000_000));
        assert_eq!(arrangement.broken(), 1, "a ring breaks once");
    }
}
