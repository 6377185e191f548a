//! The axes of a run: which ranks compute the same rows, and which share the state.
//!
//! Legend: `W` ranks, `C` ranks that share a row (axis *context*), `D = W / C` that take rows of their own (axis *data*),
//! `S` ranks over which state lies (axis *shard*; the others repeat it, axis *replica*). Rank `r` has place `r mod C` on
//! the context axis and `r / C` on the data axis, `r mod S` on the shard axis and `r / S` on the replica axis: neighbours,
//! which are on one machine, exchange most.
//!
//! A unit's flat buffers fall into [`SLICES`] slices, whatever `W` is; a rank of the shard axis has neighbouring ones.

use std::ops::Range;

use recon_comm::even;
use recon_llama::ALIGNMENT;

/// Slices of a unit: enough for as many ranks.
const SLICES: usize = 64;

/// One rank's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axes {
    pub(super) rank: usize,
    pub(super) world: usize,
    pub(super) context: usize,
    pub(super) shards: usize,
}

impl Axes {
    /// Ranks that take rows of their own, where each group that shares rows counts once.
    pub(super) fn data(&self) -> usize {
        self.world / self.context
    }

    /// This rank's place among those.
    pub(super) fn data_place(&self) -> usize {
        self.rank / self.context
    }

    /// The ranks that share rows with this one.
    pub(super) fn of_row(&self) -> Vec<usize> {
        let first = self.rank / self.context * self.context;
        (first..first + self.context).collect()
    }

    /// The ranks over which state lies, with this one.
    pub(super) fn of_shards(&self) -> Vec<usize> {
        let first = self.rank / self.shards * self.shards;
        (first..first + self.shards).collect()
    }

    /// The ranks that keep the same state as this one.
    pub(super) fn of_replicas(&self) -> Vec<usize> {
        (self.rank % self.shards..self.world).step_by(self.shards).collect()
    }

    /// Of a unit of so many elements, what each rank of the shard axis keeps.
    pub(super) fn ranges(&self, elements: usize) -> Vec<Range<usize>> {
        let slices: Vec<Range<usize>> = slices(elements).collect();
        let of_rank = |own: Range<usize>| match slices.get(own.clone()) {
            Some([first, .., last]) => first.start..last.end,
            Some([only]) => only.clone(),
            _ => elements..elements,
        };
        even(SLICES, self.shards).into_iter().map(of_rank).collect()
    }

    /// Of those, this rank's.
    pub(super) fn range(&self, elements: usize) -> Range<usize> {
        self.ranges(elements)[self.rank % self.shards].clone()
    }
}

/// The slices of a unit of `elements`; the last ones of a small unit are empty.
pub(super) fn slices(elements: usize) -> impl Iterator<Item = Range<usize>> {
    let length = elements.div_ceil(SLICES).next_multiple_of(ALIGNMENT);
    (0..SLICES).map(move |at| (at * length).min(elements)..((at + 1) * length).min(elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_is_in_one_group_of_each_axis() {
        let axes = |rank| Axes { rank, world: 16, context: 2, shards: 8 };
        assert_eq!(axes(11).of_row(), [10, 11]);
        assert_eq!(axes(11).of_shards(), (8..16).collect::<Vec<_>>());
        assert_eq!(axes(11).of_replicas(), [3, 11]);
        assert_eq!((axes(11).data(), axes(11).data_place()), (8, 5));
    }

    #[test]
    fn ranges_cover_a_unit_once() {
        for elements in [64, 4096, 4160, 1 << 20] {
            let ranges: Vec<_> =
                (0..4).map(|rank| Axes { rank, world: 4, context: 1, shards: 4 }.range(elements)).collect();
            assert_eq!((ranges[0].start, ranges[3].end), (0, elements));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
        }
    }
}
