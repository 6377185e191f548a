//! What a run on several ranks may be told.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::axes::Axes;
use crate::Result;
use crate::error::Error;

/// What of a model in training lies on one rank of each shard group only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateOn {
    /// Nothing: every rank has all.
    #[default]
    EveryRank,
    /// Moments and masters (ZeRO stage 1).
    Shared,
    /// Gradients too (stage 2): those of a unit are summed over the ranks as soon as they are complete.
    SharedGradients,
    /// Weights too (stage 3): those of a unit are gathered for as long as it computes.
    SharedWeights,
}

/// How a step is spread over ranks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParallelOptions {
    /// Parts of a step whose gradients are summed apart and then as a tree: the order of sums, and so the bits, depend on
    /// it and not on the ranks, which share the parts. Left out: as many as ranks that take rows of their own, and after
    /// a resume as before it; where gradients are shared, one for each micro-batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<NonZeroUsize>,
    /// `every_rank`, `shared`, `shared_gradients` or `shared_weights`. No number depends on it.
    pub state: StateOn,
    /// Ranks over which state lies where it is shared; the others repeat it. Left out: all. As many as a machine has
    /// devices keeps gathers inside the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<NonZeroUsize>,
    /// Ranks that share every row, each with a part of its tokens and, during attention, of its heads (Ulysses). It must
    /// divide the heads of keys and values.
    #[serde(skip_serializing_if = "is_one")]
    pub context: NonZeroUsize,
    /// Seconds that the ranks wait for one that says nothing; longer than the longest step and the longest checkpoint.
    pub timeout_s: NonZeroUsize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(context: &NonZeroUsize) -> bool {
    *context == NonZeroUsize::MIN
}

impl Default for ParallelOptions {
    fn default() -> Self {
        let timeout_s = NonZeroUsize::new(1800).expect("1800 is not 0");
        Self { parts: None, state: StateOn::EveryRank, shards: None, context: NonZeroUsize::MIN, timeout_s }
    }
}

impl ParallelOptions {
    /// How long the ranks wait for one that says nothing.
    pub fn timeout(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.timeout_s.get() as u64)
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Makes sure that `world` ranks can be divided so, for a model of so many heads of keys and values.
    ///
    /// # Errors
    /// [`Error::Option`] where they cannot.
    pub(crate) fn check(&self, world: usize, heads: usize) -> Result<()> {
        let (context, shards) = (self.context.get(), self.shards_of(world));
        let wrong = |key, problem: String| Err(Error::Option { key, problem });
        if !world.is_multiple_of(context) {
            return wrong("parallel.context", format!("is {context}, which does not divide {}", ranks(world)));
        }
        if !heads.is_multiple_of(context) {
            return wrong(
                "parallel.context",
                format!("is {context}: so many ranks cannot share {heads} heads of keys"),
            );
        }
        if !world.is_multiple_of(shards) || shards != world && !shards.is_power_of_two() {
            let problem = format!("is {shards}: expected {world}, or a power of two that divides {}", ranks(world));
            return wrong("parallel.shards", problem);
        }
        Ok(())
    }

    /// Ranks over which state lies.
    pub(crate) fn shards_of(&self, world: usize) -> usize {
        self.shards.map_or(world, NonZeroUsize::get)
    }

    /// Whether the gradients of each part are summed over the ranks before the next part is computed. Otherwise a rank adds
    /// up its own first, which takes fewer exchanges; then they are whole, and a part is one rank's.
    pub(crate) fn in_rounds(&self) -> bool {
        self.context.get() > 1 || self.state >= StateOn::SharedGradients
    }

    /// The parts of a step of `accumulation` micro-batches, of a run that had `saved` parts so far.
    ///
    /// # Errors
    /// [`Error::Option`] where the ranks cannot share a step so that its sums keep their order.
    pub(super) fn parts(&self, axes: &Axes, accumulation: usize, saved: Option<usize>) -> Result<usize> {
        let data = axes.data();
        let each = self.state >= StateOn::SharedGradients;
        let parts = match self.parts {
            Some(asked) => asked.get(),
            None if each => accumulation,
            None => saved.filter(|saved| self.shareable(*saved, axes)).unwrap_or(data),
        };
        if each && parts != accumulation {
            let problem = format!(
                "is {parts}: expected train.accumulation = {accumulation}, as gradients that are shared cannot wait for \
                 another micro-batch"
            );
            return Err(Error::Option { key: "parallel.parts", problem });
        }
        if !self.shareable(parts, axes) {
            let problem =
                format!("is {parts}, which {data} ranks cannot share: expected {data}, or {data} times 2, 4, 8 …");
            return Err(Error::Option { key: if each { "accumulation" } else { "parallel.parts" }, problem });
        }
        if !accumulation.is_multiple_of(parts) {
            let problem = format!(
                "is {accumulation}: a step of so many micro-batches cannot be divided into {parts} equal parts for {}",
                ranks(data)
            );
            return Err(Error::Option { key: "accumulation", problem });
        }
        if let Some(saved) = saved.filter(|saved| *saved != parts) {
            tracing::warn!(
                saved,
                parts,
                "gradients are summed in another order from here on: results differ by rounding"
            );
        }
        Ok(parts)
    }

    /// Whether the sums of the ranks are nodes of one tree over parts: of neighbouring parts, as many on each rank, or of
    /// one part of each rank after the other.
    fn shareable(&self, parts: usize, axes: &Axes) -> bool {
        let (data, world) = (axes.data(), axes.world);
        let nodes = if self.in_rounds() { world } else { parts / data };
        world == 1 || parts.is_multiple_of(data) && (nodes.is_power_of_two() || self.in_rounds() && parts == data)
    }
}

fn ranks(count: usize) -> String {
    if count == 1 { "1 rank".into() } else { format!("{count} ranks") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &ParallelOptions, world: usize, accumulation: usize, saved: Option<usize>) -> Option<usize> {
        let axes = Axes { rank: 0, world, context: options.context.get(), shards: options.shards_of(world) };
        options.parts(&axes, accumulation, saved).ok()
    }

    fn parts(asked: Option<usize>, world: usize, accumulation: usize, saved: Option<usize>) -> Option<usize> {
        let parts = asked.and_then(NonZeroUsize::new);
        of(&ParallelOptions { parts, ..ParallelOptions::default() }, world, accumulation, saved)
    }

    #[test]
    fn parts_stay_where_the_ranks_can_share_them() {
        assert_eq!(parts(None, 4, 8, None), Some(4));
        assert_eq!(parts(None, 1, 8, None), Some(1));
        for world in [1, 2, 4] {
            assert_eq!(parts(None, world, 8, Some(4)), Some(4));
            assert_eq!(parts(Some(4), world, 8, None), Some(4));
        }
        assert_eq!(parts(None, 8, 8, Some(4)), Some(8), "in another order of sums, but it goes on");
        assert_eq!(parts(Some(6), 3, 12, None), Some(6));
    }

    #[test]
    fn ranks_that_cannot_share_a_step_are_refused() {
        assert_eq!(parts(None, 3, 8, None), None, "eight micro-batches on three ranks");
        assert_eq!(parts(Some(6), 2, 12, None), None, "three parts a rank are no node of the tree");
        assert_eq!(parts(Some(2), 4, 8, None), None);
        assert_eq!(parts(Some(4), 1, 2, None), None);
    }

    #[test]
    fn where_gradients_are_shared_every_micro_batch_is_a_part() {
        let options = |parts: Option<usize>| ParallelOptions {
            parts: parts.and_then(NonZeroUsize::new),
            state: StateOn::SharedGradients,
            ..ParallelOptions::default()
        };
        for world in [1, 2, 4, 8] {
            assert_eq!(of(&options(None), world, 8, Some(4)), Some(8));
        }
        assert_eq!(of(&options(None), 2, 12, None), Some(12), "six rounds of a node of two");
        assert_eq!(of(&options(None), 3, 3, None), Some(3), "one round");
        assert_eq!(of(&options(None), 3, 6, None), None);
        assert_eq!(of(&options(Some(4)), 2, 8, None), None);
    }

    #[test]
    fn groups_that_do_not_divide_the_ranks_are_refused() {
        let check = |context: usize, shards: Option<usize>, world| {
            let context = context.try_into().unwrap();
            let shards = shards.and_then(NonZeroUsize::new);
            ParallelOptions { context, shards, ..ParallelOptions::default() }.check(world, 8).is_ok()
        };
        assert!(check(1, None, 3) && check(8, Some(8), 16) && check(2, Some(4), 4));
        assert!(!check(2, None, 3), "ranks of a row");
        assert!(!check(16, None, 16), "eight heads");
        assert!(!check(1, Some(3), 6) && !check(1, Some(8), 4), "shards");
    }
}
