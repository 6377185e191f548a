//! A keyed permutation of `0..n` in which any element can be asked for alone.
//!
//! A Feistel network over the smallest even number of bits that holds `n`, with the SplitMix64
//! finaliser as its round function; values outside `0..n` are sent through again until they fall
//! inside (cycle walking), which keeps it a bijection. No table, so a restart needs no state.

/// The permutation of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    key: u64,
    length: u64,
    half_bits: u32,
}

const ROUNDS: u64 = 6;

impl Order {
    /// A permutation of `0..length`.
    pub(crate) fn new(key: u64, length: u64) -> Self {
        let bits = u64::BITS - length.saturating_sub(1).leading_zeros();
        Self { key, length, half_bits: bits.div_ceil(2).max(1) }
    }

    /// The element at `index`.
    ///
    /// # Panics
    /// If `index` is not below the length.
    pub(crate) fn at(&self, index: u64) -> u64 {
        assert!(index < self.length, "index {index} of a permutation of {}", self.length);
        let mut value = self.scramble(index);
        while value >= self.length {
            value = self.scramble(value);
        }
        value
    }

    fn scramble(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for round in 0..ROUNDS {
            let mixed = mix(self.key ^ mix((round << 32) ^ right.wrapping_add(1)));
            (left, right) = (right, (left ^ mixed) & mask);
        }
        left << self.half_bits | right
    }
}

/// The SplitMix64 finaliser (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_element_comes_once(key: u64, length in 1_u64..3000) {
            let order = Order::new(key, length);
            let mut seen: Vec<u64> = (0..length).map(|index| order.at(index)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn lengths_at_the_top_of_the_range_work() {
        for length in [u64::from(u32::MAX), (1 << 48) + 1, u64::MAX] {
            let order = Order::new(7, length);
            assert!((0..100).all(|index| order.at(index) < length));
        }
    }

    /// Every element is about equally often at every place: chi-square over 20 × 20 cells.
    #[test]
    fn keys_shuffle_evenly() {
        const N: usize = 20;
        const KEYS: u64 = 20_000;
        let mut counts = [[0_u32; N]; N];
        for key in 0..KEYS {
            let order = Order::new(mix(key), N as u64);
            (0..N).for_each(|index| counts[index][order.at(index as u64) as usize] += 1);
        }
        let expected = KEYS as f64 / N as f64;
        let chi_square: f64 =
            counts.iter().flatten().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        // 361 degrees of freedom: mean 361, standard deviation 27; five deviations above.
        assert!(chi_square < 361.0 + 5.0 * 27.0, "{chi_square}");
    }
}
