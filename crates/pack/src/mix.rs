//! Which source a position draws from, and which of its rows.
//!
//! Positions are dealt in blocks of [`BLOCK`]. Every block holds each source's quota exactly, in a
//! keyed order, so the shares hold over any long stretch and any position can be found alone. Where
//! the weights change, a new stretch of blocks begins, and the draws go on where they were.

use serde::{Deserialize, Serialize};

use crate::order::Order;
use crate::{Error, Result};

/// Positions a block; weights are rounded to this many parts.
const BLOCK: u64 = 1024;

/// Weights that hold from a position on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The first position.
    pub from: u64,
    /// The weight of each source: 0, or at least 1/1024 of their sum.
    pub weights: Vec<f64>,
}

/// How positions are dealt to sources.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    key: u64,
    sources: usize,
    phases: Vec<Dealt>,
}

#[derive(Debug, Clone)]
struct Dealt {
    from: u64,
    /// Slots of a block before each source's, and in all.
    starts: Vec<u64>,
    /// Draws from each source before this phase.
    before: Vec<u64>,
}

impl Mix {
    /// Deals in proportion to the weights of `phases`, of which the first begins at 0 and each begins after the one
    /// before.
    ///
    /// # Errors
    /// [`Error::Option`] where weights cannot be honoured.
    pub(crate) fn new(key: u64, phases: &[Phase]) -> Result<Self> {
        let (first, rest) = phases.split_first().expect("there is a phase");
        assert!(first.from == 0 && phases.is_sorted_by(|one, next| one.from < next.from), "phases follow each other");
        let sources = first.weights.len();
        let mut mix = Self { key, sources, phases: Vec::new() };
        mix.phases.push(Dealt { from: 0, starts: starts(&first.weights)?, before: vec![0; sources] });
        for phase in rest {
            assert_eq!(phase.weights.len(), sources, "every source has a weight in every phase");
            let before = mix.drawn(phase.from);
            mix.phases.push(Dealt { from: phase.from, starts: starts(&phase.weights)?, before });
        }
        Ok(mix)
    }

    /// The source of `position`, and how many earlier positions drew from it.
    pub(crate) fn draw(&self, position: u64) -> (usize, u64) {
        if self.sources == 1 {
            return (0, position);
        }
        let at = self.phase(position);
        let phase = &self.phases[at];
        let (block, slot) = ((position - phase.from) / BLOCK, (position - phase.from) % BLOCK);
        let block_order = self.block(at, block);
        let source = phase.source(block_order.at(slot));
        let earlier = (0..slot).filter(|&slot| phase.source(block_order.at(slot)) == source).count() as u64;
        (source, phase.before[source] + block * phase.quota(source) + earlier)
    }

    /// How many of the positions before `position` drew from each source.
    fn drawn(&self, position: u64) -> Vec<u64> {
        let at = self.phase(position.saturating_sub(1));
        let phase = &self.phases[at];
        let (blocks, slots) = ((position - phase.from) / BLOCK, (position - phase.from) % BLOCK);
        let mut drawn: Vec<u64> =
            (0..self.sources).map(|source| phase.before[source] + blocks * phase.quota(source)).collect();
        let order = self.block(at, blocks);
        (0..slots).for_each(|slot| drawn[phase.source(order.at(slot))] += 1);
        drawn
    }

    fn phase(&self, position: u64) -> usize {
        self.phases.partition_point(|phase| phase.from <= position) - 1
    }

    fn block(&self, phase: usize, block: u64) -> Order {
        let key = self.key ^ (phase as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
        Order::new(key ^ block.wrapping_mul(0x9e37_79b9_7f4a_7c15), BLOCK)
    }
}

impl Dealt {
    /// The source that has this slot of a block.
    fn source(&self, slot: u64) -> usize {
        self.starts.partition_point(|&start| start <= slot) - 1
    }

    fn quota(&self, source: usize) -> u64 {
        self.starts[source + 1] - self.starts[source]
    }
}

/// The slots of a block before each source's, and in all.
fn starts(weights: &[f64]) -> Result<Vec<u64>> {
    let fail = |value: f64, expected| Error::Option { name: "weight", value: value.to_string(), expected };
    if let Some(&weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
        return Err(fail(weight, "0, or a positive number"));
    }
    let total: f64 = weights.iter().sum();
    if !(total.is_finite() && total > 0.0) {
        let value = total.to_string();
        return Err(Error::Option { name: "sum of the weights", value, expected: "a positive number" });
    }
    let mut quotas = Vec::with_capacity(weights.len());
    for &weight in weights {
        let exact = weight / total * BLOCK as f64;
        if weight > 0.0 && exact < 1.0 {
            return Err(fail(weight, "0, or at least 1/1024 of the sum of the weights"));
        }
        quotas.push((exact.floor() as u64, exact.fract()));
    }
    // What rounding down left over goes to the largest remainders, earlier sources first.
    let left = BLOCK - quotas.iter().map(|quota| quota.0).sum::<u64>();
    let mut by_remainder: Vec<usize> = (0..quotas.len()).filter(|&source| quotas[source].0 > 0).collect();
    by_remainder.sort_by(|&a, &b| quotas[b].1.total_cmp(&quotas[a].1));
    by_remainder.iter().take(left as usize).for_each(|&source| quotas[source].0 += 1);
    let mut starts = vec![0];
    for (quota, _) in quotas {
        starts.push(starts[starts.len() - 1] + quota);
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(key: u64, weights: &[f64]) -> Result<Mix> {
        Mix::new(key, &[Phase { from: 0, weights: weights.to_vec() }])
    }

    #[test]
    fn draws_of_a_source_are_counted_without_gap() {
        let mix = constant(5, &[0.3, 0.3, 0.1, 0.3]).unwrap();
        let mut next = [0; 4];
        for position in 0..3 * BLOCK {
            let (source, draw) = mix.draw(position);
            assert_eq!(draw, next[source], "position {position}");
            next[source] += 1;
            if (position + 1) % BLOCK == 0 {
                let shares = next.map(|count| count as f64 / (position + 1) as f64);
                assert!((shares[2] - 0.1).abs() < 1e-3 && (shares[0] - 0.3).abs() < 1e-3, "{shares:?}");
            }
        }
        assert_ne!(mix.draw(0).0 + mix.draw(1).0 + mix.draw(2).0 + mix.draw(3).0 + mix.draw(4).0, 0, "sources mingle");
    }

    #[test]
    fn draws_go_on_without_gap_where_weights_change() {
        let phases = [(0, [1.0, 0.0]), (700, [1.0, 3.0]), (701, [0.0, 2.0]), (4000, [1.0, 1.0])];
        let phases = phases.map(|(from, weights)| Phase { from, weights: weights.to_vec() });
        let mix = Mix::new(9, &phases).unwrap();
        let (mut next, mut at) = ([0; 2], Vec::new());
        for position in 0..4000 + BLOCK {
            if phases.iter().any(|phase| phase.from == position) {
                at.push(next);
            }
            let (source, draw) = mix.draw(position);
            assert_eq!(draw, next[source], "position {position}");
            next[source] += 1;
        }
        assert_eq!(at[1], [700, 0]);
        assert_eq!([at[3][0] - at[2][0], at[3][1] - at[2][1]], [0, 4000 - 701]);
        assert_eq!([next[0] - at[3][0], next[1] - at[3][1]], [512, 512]);
    }

    #[test]
    fn quotas_fill_the_block() {
        for weights in [vec![1.0], vec![1.0; 3], vec![1.0, 1e3], vec![0.2, 0.3, 0.7, 11.0], vec![0.3, 0.0, 0.3, 0.4]] {
            let mix = constant(0, &weights).unwrap();
            assert_eq!(mix.phases[0].starts[weights.len()], BLOCK);
            let none = weights.iter().position(|weight| *weight == 0.0);
            assert!(none.is_none_or(|source| mix.phases[0].quota(source) == 0));
        }
    }

    #[test]
    fn weights_that_cannot_be_honoured_are_refused() {
        for weights in [
            vec![0.0, 0.0],
            vec![1.0, -1.0],
            vec![-1.0, -1.0],
            vec![f64::NAN],
            vec![f64::INFINITY, 1.0],
            vec![1.0, 1e-5],
            vec![f64::MAX, f64::MAX],
        ] {
            assert!(matches!(constant(0, &weights), Err(Error::Option { .. })), "{weights:?}");
        }
    }
}
