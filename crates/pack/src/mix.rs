//! Which source a position draws from, and which of its rows.
//!
//! Positions are dealt in blocks of [`BLOCK`]. Every block holds each source's quota exactly, in a
//! keyed order, so the shares hold over any long stretch and any position can be found alone.

use crate::order::Order;
use crate::{Error, Result};

/// Positions a block; weights are rounded to this many parts.
const BLOCK: u64 = 1024;

/// How positions are dealt to sources.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    key: u64,
    /// Slots of a block before each source's, and in all.
    starts: Vec<u64>,
}

impl Mix {
    /// Deals in proportion to `weights`.
    pub(crate) fn new(key: u64, weights: &[f64]) -> Result<Self> {
        let fail = |value: f64| Error::Option {
            name: "weight",
            value: value.to_string(),
            expected: "a positive number, at least 1/1024 of the sum",
        };
        let total: f64 = weights.iter().sum();
        let mut quotas = Vec::with_capacity(weights.len());
        for &weight in weights {
            let exact = weight / total * BLOCK as f64;
            if !(weight > 0.0 && exact >= 1.0 && total.is_finite()) {
                return Err(fail(weight));
            }
            quotas.push((exact.floor() as u64, exact.fract()));
        }
        // What rounding down left over goes to the largest remainders, earlier sources first.
        let left = BLOCK - quotas.iter().map(|quota| quota.0).sum::<u64>();
        let mut by_remainder: Vec<usize> = (0..quotas.len()).collect();
        by_remainder.sort_by(|&a, &b| quotas[b].1.total_cmp(&quotas[a].1));
        by_remainder.iter().take(left as usize).for_each(|&source| quotas[source].0 += 1);
        let mut starts = vec![0];
        for (quota, _) in quotas {
            starts.push(starts[starts.len() - 1] + quota);
        }
        Ok(Self { key, starts })
    }

    /// The source of `position`, and how many earlier positions drew from it.
    pub(crate) fn draw(&self, position: u64) -> (usize, u64) {
        let (block, slot) = (position / BLOCK, position % BLOCK);
        if self.starts.len() == 2 {
            return (0, position);
        }
        let order = Order::new(self.key ^ block.wrapping_mul(0x9e37_79b9_7f4a_7c15), BLOCK);
        let source_at = |slot| self.starts.partition_point(|&start| start <= order.at(slot)) - 1;
        let source = source_at(slot);
        let earlier = (0..slot).filter(|&slot| source_at(slot) == source).count() as u64;
        let quota = self.starts[source + 1] - self.starts[source];
        (source, block * quota + earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_a_source_are_counted_without_gap() {
        let mix = Mix::new(5, &[0.3, 0.3, 0.1, 0.3]).unwrap();
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
    fn quotas_fill_the_block() {
        for weights in [vec![1.0], vec![1.0; 3], vec![1.0, 1e3], vec![0.2, 0.3, 0.7, 11.0]] {
            let mix = Mix::new(0, &weights).unwrap();
            assert_eq!(mix.starts[weights.len()], BLOCK);
        }
    }

    #[test]
    fn weights_that_cannot_be_honoured_are_refused() {
        for weights in [
            vec![1.0, 0.0],
            vec![1.0, -1.0],
            vec![-1.0, -1.0],
            vec![f64::NAN],
            vec![f64::INFINITY, 1.0],
            vec![1.0, 1e-5],
        ] {
            assert!(matches!(Mix::new(0, &weights), Err(Error::Option { .. })), "{weights:?}");
        }
    }
}
