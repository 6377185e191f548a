//! Which of a run's shards one worker takes.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// A worker's share of the shards: `I/N`, `I` from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    index: u32,
    count: NonZeroU32,
}

impl Share {
    /// All of them.
    pub const WHOLE: Self = Self { index: 1, count: NonZeroU32::MIN };

    /// Whether the shard belongs to the share.
    pub fn holds(self, shard: u32) -> bool {
        shard % self.count == self.index - 1
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (index, count) = text.split_once('/')?;
            let (index, count) = (index.parse().ok()?, count.parse().ok()?);
            Some(Self { index, count }).filter(|share| (1..=share.count.get()).contains(&share.index))
        };
        parsed().ok_or_else(|| format!("`{text}` is no share: expected I/N with I from 1 to N"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_every_shard_once() {
        for count in [1, 3, 7] {
            let shares: Vec<Share> = (1..=count).map(|index| format!("{index}/{count}").parse().unwrap()).collect();
            for shard in 0..100 {
                assert_eq!(shares.iter().filter(|share| share.holds(shard)).count(), 1);
                assert!(Share::WHOLE.holds(shard));
            }
        }
        for wrong in ["0/3", "4/3", "1/0", "1", "a/b", "-1/2"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
