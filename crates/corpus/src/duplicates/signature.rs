//! MinHash: 256 numbers that agree between two texts as often as their runs of words do.
//!
//! Permutation `i` of a 32-bit hash `h` is `aᵢ·h + bᵢ` modulo 2³², `aᵢ` odd; the signature holds the
//! least value of each. Work is one multiplication, one addition and one comparison for each run
//! and place; the loop is compiled for the widest instructions of the machine.

use crate::words::for_each_run;

/// Numbers in a signature.
pub const PERMUTATIONS: usize = 256;
/// Words in a run.
const RUN_WORDS: usize = 5;
/// Runs hashed at once; the constants of the permutations are loaded once for all of them.
const BLOCK: usize = 64;

/// The least value of each permutation over the runs of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u32; PERMUTATIONS]);

/// Factors and summands of the permutations, from a counter by splitmix64; fixed for all time,
/// since signatures of two corpora may be compared.
static PERMUTE: ([u32; PERMUTATIONS], [u32; PERMUTATIONS]) = constants();

const fn constants() -> ([u32; PERMUTATIONS], [u32; PERMUTATIONS]) {
    let (mut factors, mut summands) = ([0; PERMUTATIONS], [0; PERMUTATIONS]);
    let (mut state, mut at) = (0_u64, 0);
    while at < PERMUTATIONS {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        factors[at] = mixed as u32 | 1;
        summands[at] = (mixed >> 32) as u32;
        at += 1;
    }
    (factors, summands)
}

impl Signature {
    /// That of a text without words; it is no text's own and equals nothing.
    pub(super) const NONE: Self = Self([u32::MAX; PERMUTATIONS]);

    /// Of a text; `None` where it has no words.
    pub fn of(text: &str) -> Option<Self> {
        let mut signature = Self::NONE;
        let (mut block, mut filled, mut any) = ([0_u32; BLOCK], 0, false);
        let arch = pulp::Arch::new();
        for_each_run(text, RUN_WORDS, |hash| {
            any = true;
            block[filled] = (hash >> 32) as u32;
            filled += 1;
            if filled == BLOCK {
                arch.dispatch(|| lower(&mut signature.0, &block));
                filled = 0;
            }
        });
        arch.dispatch(|| lower(&mut signature.0, &block[..filled]));
        any.then_some(signature)
    }

    /// Becomes the signature of the union.
    pub(super) fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).min(*theirs);
        }
    }

    /// The share of places that agree: an estimate of the Jaccard index, standard error below 0.03.
    pub fn likeness(&self, other: &Self) -> f64 {
        let equal = self.0.iter().zip(&other.0).filter(|(mine, theirs)| mine == theirs).count();
        equal as f64 / PERMUTATIONS as f64
    }

    pub(super) fn as_bytes(&self) -> [u8; PERMUTATIONS * 4] {
        let mut bytes = [0; PERMUTATIONS * 4];
        for (place, value) in bytes.chunks_exact_mut(4).zip(&self.0) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; PERMUTATIONS * 4]) -> Self {
        let mut signature = Self::NONE;
        for (value, place) in signature.0.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = u32::from_le_bytes(*place);
        }
        signature
    }
}

/// Sixteen places at a time stay in registers while all runs of the block pass over them.
#[inline(always)]
fn lower(signature: &mut [u32; PERMUTATIONS], runs: &[u32]) {
    const LANES: usize = 16;
    let factors = PERMUTE.0.as_chunks::<LANES>().0;
    let summands = PERMUTE.1.as_chunks::<LANES>().0;
    let places = signature.as_chunks_mut::<LANES>().0;
    for ((places, factors), summands) in places.iter_mut().zip(factors).zip(summands) {
        let mut least = *places;
        for run in runs {
            for lane in 0..LANES {
                least[lane] = least[lane].min(run.wrapping_mul(factors[lane]).wrapping_add(summands[lane]));
            }
        }
        *places = least;
    }
}
