//! Counter-based random numbers: a choice depends on its key and its index, on nothing else.

use recon_schema::Sha256;

/// Names one random choice in a synthesis run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RandomKey {
    /// Seed of the run.
    pub seed: u64,
    /// Repository name.
    pub repository: String,
    /// File, or empty for the main agent.
    pub file: String,
    /// Step in the trajectory.
    pub step: u64,
    /// Round of the search; 0 is the first thought.
    pub round: u32,
    /// Candidate in the round.
    pub candidate: u32,
}

impl RandomKey {
    /// The stream of numbers this key stands for.
    pub fn stream(&self) -> RandomStream {
        let digest = Sha256::of_fields([
            &self.seed.to_le_bytes()[..],
            self.repository.as_bytes(),
            self.file.as_bytes(),
            &self.step.to_le_bytes(),
            &self.round.to_le_bytes(),
            &self.candidate.to_le_bytes(),
        ]);
        RandomStream { key: digest.to_u64() }
    }
}

/// Uniform numbers by index; stateless, so it may be asked in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomStream {
    key: u64,
}

impl RandomStream {
    /// A stream named by an integer.
    pub fn from_key(key: u64) -> Self {
        Self { key }
    }

    /// The 64 bits at `index`: the SplitMix64 finaliser (Steele, Lea, Flood 2014) over a Weyl sequence.
    pub fn bits(self, index: u64) -> u64 {
        let mut z = self.key.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1) with 53 bits.
    pub fn uniform(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_changes_the_stream() {
        let key = RandomKey { seed: 1, repository: "r".into(), file: "f".into(), step: 2, round: 3, candidate: 4 };
        let base = key.stream();
        assert_eq!(base, key.clone().stream());
        for other in [
            RandomKey { seed: 2, ..key.clone() },
            RandomKey { repository: "s".into(), ..key.clone() },
            RandomKey { file: "g".into(), ..key.clone() },
            RandomKey { step: 3, ..key.clone() },
            RandomKey { round: 4, ..key.clone() },
            RandomKey { candidate: 5, ..key.clone() },
        ] {
            assert_ne!(base, other.stream(), "{other:?}");
        }
    }

    #[test]
    fn numbers_are_uniform() {
        let stream = RandomStream::from_key(7);
        let mean = (0..100_000).map(|i| stream.uniform(i)).sum::<f64>() / 100_000.0;
        // Standard error of the mean is 0.0009; five of them.
        assert!((mean - 0.5).abs() < 0.0046, "{mean}");
    }
}
