//! Joins what is alike: buckets of equal bands, each member held against the bucket's first.
//!
//! Legend: `N` things, 32 bands of 8 places. For each band the keys of all things are read from
//! disk, sorted, and walked once; where keys and numbers of all `N` exceed [`SORT_BYTES`], the band
//! is walked in several rounds, each over its share of the key space.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::{PERMUTATIONS, Signature};
use crate::{Error, Result};

pub(super) const BANDS: usize = 32;
/// Endings of the files that hold digests and signatures.
pub(super) const DIGESTS: &str = "digests";
pub(super) const SIGNATURES: &str = "signatures";
const BAND_BYTES: usize = PERMUTATIONS / BANDS * 4;
const SIGNATURE_BYTES: usize = PERMUTATIONS * 4;
const DIGEST_BYTES: usize = 16;
/// Memory of keys and numbers while they are sorted.
const SORT_BYTES: u64 = 512 << 20;
/// The key of what is like nothing.
const NO_KEY: u64 = 0;

/// The ending of the file that holds a band's keys.
pub(super) fn band_ending(band: usize) -> String {
    format!("band-{band:02}")
}

/// The key of a band of a signature; a text without words is like no other.
pub(super) fn band_key(signature: &[u8; SIGNATURE_BYTES], band: usize) -> u64 {
    let places = &signature[band * BAND_BYTES..(band + 1) * BAND_BYTES];
    if places.iter().all(|byte| *byte == 0xff) { NO_KEY } else { xxh3_64(places).max(1) }
}

/// Groups of things that are one, by union and find; the first of a group is its root.
pub(super) struct Groups {
    parents: Vec<u32>,
    /// For roots: who stays. `u32::MAX` where nobody was asked yet.
    keepers: Vec<u32>,
}

impl Groups {
    /// Everything alone.
    pub(super) fn singletons(count: u64) -> Self {
        let count = u32::try_from(count).expect("fewer than 2^32 files in one run; split the corpus with --shard");
        Self { parents: (0..count).collect(), keepers: Vec::new() }
    }

    /// The first of the group.
    pub(super) fn first(&self, of: u64) -> u64 {
        let mut at = of as u32;
        while self.parents[at as usize] != at {
            at = self.parents[at as usize];
        }
        u64::from(at)
    }

    fn first_compressing(&mut self, mut at: u32) -> u32 {
        while self.parents[at as usize] != at {
            let above = self.parents[self.parents[at as usize] as usize];
            self.parents[at as usize] = above;
            at = above;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.first_compressing(a), self.first_compressing(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }

    pub(super) fn keeper(&self, first: u64) -> Option<u64> {
        self.keepers.get(first as usize).filter(|keeper| **keeper != u32::MAX).map(|keeper| u64::from(*keeper))
    }

    pub(super) fn set_keeper(&mut self, first: u64, keeper: u64) {
        if self.keepers.is_empty() {
            self.keepers = vec![u32::MAX; self.parents.len()];
        }
        self.keepers[first as usize] = keeper as u32;
    }
}

/// Groups the `count` things whose files lie in `directory` under `name`.
pub(super) fn group(directory: &Path, name: &str, count: u64, jaccard: f64) -> Result<Groups> {
    let mut groups = Groups::singletons(count);
    let path = |ending: &str| directory.join(format!("{name}.{ending}"));
    let fail = |ending: &str| {
        let path = path(ending);
        move |source| Error::Read { path, source }
    };
    let keys = Keys { record_bytes: DIGEST_BYTES, count };
    let digests = Records::<DIGEST_BYTES>::open(&path(DIGESTS)).map_err(fail(DIGESTS))?;
    // Half the digest is the key; all of it decides.
    let equal = |first, other| Ok(digests.read(first)? == digests.read(other)?);
    keys.join(&path(DIGESTS), &mut groups, equal).map_err(fail(DIGESTS))?;

    let signatures = Records::<SIGNATURE_BYTES>::open(&path(SIGNATURES)).map_err(fail(SIGNATURES))?;
    let keys = Keys { record_bytes: 8, count };
    for band in 0..BANDS {
        let mut leader: Option<(u32, Signature)> = None;
        let alike = |first, other| {
            let signature = match leader {
                Some((number, signature)) if number == first => signature,
                _ => Signature::from_bytes(&signatures.read(first)?),
            };
            leader = Some((first, signature));
            Ok(signature.likeness(&Signature::from_bytes(&signatures.read(other)?)) >= jaccard)
        };
        let ending = band_ending(band);
        keys.join(&path(&ending), &mut groups, alike).map_err(fail(&ending))?;
    }
    Ok(groups)
}

/// Records of one size in a file, by number.
struct Records<const BYTES: usize>(File);

impl<const BYTES: usize> Records<BYTES> {
    fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    fn read(&self, number: u32) -> io::Result<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        let mut file = &self.0;
        file.seek(SeekFrom::Start(u64::from(number) * BYTES as u64))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A file of records that begin with a key.
struct Keys {
    record_bytes: usize,
    count: u64,
}

impl Keys {
    /// Joins each further member of a bucket of equal keys to the first, where `same` says so.
    fn join(
        &self,
        path: &Path,
        groups: &mut Groups,
        mut same: impl FnMut(u32, u32) -> io::Result<bool>,
    ) -> io::Result<()> {
        let rounds = (self.count * size_of::<(u64, u32)>() as u64).div_ceil(SORT_BYTES).max(1);
        for round in 0..rounds {
            let mut keys: Vec<(u64, u32)> = Vec::new();
            let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
            let mut record = vec![0; self.record_bytes];
            for number in 0..self.count as u32 {
                reader.read_exact(&mut record)?;
                let key = u64::from_le_bytes(record[..8].try_into().expect("records have eight bytes or more"));
                if key != NO_KEY && key % rounds == round {
                    keys.push((key, number));
                }
            }
            keys.par_sort_unstable();
            for bucket in keys.chunk_by(|a, b| a.0 == b.0) {
                let first = bucket[0].1;
                for &(_, other) in &bucket[1..] {
                    if groups.first_compressing(first) != groups.first_compressing(other) && same(first, other)? {
                        groups.join(first, other);
                    }
                }
            }
        }
        Ok(())
    }
}
