//! What a run on several ranks may be told.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::Error;

/// Who keeps the optimizer's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateOn {
    /// Every rank all of it.
    #[default]
    EveryRank,
    /// Each rank its share of every unit (ZeRO stage 1): moments and masters take one `W`-th of the memory.
    Shared,
}

/// How a step is spread over ranks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParallelOptions {
    /// Parts of a step whose gradients are summed apart and then as a tree: the order of sums, and so the bits, depend on
    /// it and not on the ranks, which share the parts. Left out: as many as ranks, and after a resume as before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<NonZeroUsize>,
    /// `every_rank` or `shared`. No number depends on it.
    pub state: StateOn,
    /// Seconds that the ranks wait for one that says nothing; longer than the longest step and the longest checkpoint.
    pub timeout_s: NonZeroUsize,
}

impl Default for ParallelOptions {
    fn default() -> Self {
        let timeout_s = NonZeroUsize::new(1800).expect("1800 is not 0");
        Self { parts: None, state: StateOn::EveryRank, timeout_s }
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

    /// The parts of a step of `accumulation` micro-batches on `world` ranks, of a run that had `saved` parts so far.
    ///
    /// # Errors
    /// [`Error::Option`] where the ranks cannot share a step so that its sums keep their order.
    pub(super) fn parts(&self, world: usize, accumulation: usize, saved: Option<usize>) -> Result<usize> {
        let parts = match self.parts {
            Some(asked) => asked.get(),
            None => saved.filter(|saved| shareable(*saved, world)).unwrap_or(world),
        };
        if !shareable(parts, world) {
            let problem =
                format!("is {parts}, which {world} ranks cannot share: expected {world}, or {world} times 2, 4, 8 …");
            return Err(Error::Option { key: "parallel.parts", problem });
        }
        if !accumulation.is_multiple_of(parts) {
            let problem = format!(
                "is {accumulation}: a step of so many micro-batches cannot be divided into {parts} equal parts for {world} \
                 {}",
                if world == 1 { "rank" } else { "ranks" }
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
}

/// Whether each of `world` ranks can take neighbouring parts that are a node of the tree of sums.
fn shareable(parts: usize, world: usize) -> bool {
    world == 1 || parts.is_multiple_of(world) && (parts / world).is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(asked: Option<usize>, world: usize, accumulation: usize, saved: Option<usize>) -> Option<usize> {
        let parts = asked.and_then(NonZeroUsize::new);
        ParallelOptions { parts, ..ParallelOptions::default() }.parts(world, accumulation, saved).ok()
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
}
