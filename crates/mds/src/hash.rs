//! Hashes of shard files, under the names Python's `hashlib` and `xxhash` give them.

use std::fmt;

use sha1::Digest as _;
use xxhash_rust::xxh64::Xxh64;

/// A hash the writer can add and the reader checks. Others in an index are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// `sha1`
    Sha1,
    /// `xxh64`
    Xxh64,
}

impl HashAlgorithm {
    /// The name in an index.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Xxh64 => "xxh64",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Xxh64].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A running hash.
pub(crate) enum Hasher {
    Sha1(sha1::Sha1),
    Xxh64(Xxh64),
}

impl Hasher {
    pub(crate) fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            HashAlgorithm::Xxh64 => Self::Xxh64(Xxh64::new(0)),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Xxh64(hasher) => hasher.update(bytes),
        }
    }

    /// Lower-case hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        match self {
            Self::Sha1(hasher) => hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Xxh64(hasher) => format!("{:016x}", hasher.digest()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_published_ones() {
        let digest = |algorithm, text: &str| {
            let mut hasher = Hasher::new(algorithm);
            text.bytes().for_each(|byte| hasher.update(&[byte]));
            hasher.finish()
        };
        assert_eq!(digest(HashAlgorithm::Sha1, "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(digest(HashAlgorithm::Xxh64, ""), "ef46db3751d8e999");
        assert_eq!(digest(HashAlgorithm::Xxh64, "abc"), "44bc2cf5ad770999");
    }
}
