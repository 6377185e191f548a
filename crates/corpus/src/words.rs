//! Words of a text and rolling hashes over `N` of them in a row.
//!
//! A word is a run of letters, digits, `_` and bytes beyond ASCII; what separates words does not
//! count, so neither layout nor punctuation shows (BigCode's deduplication splits alike).

use xxhash_rust::xxh3::xxh3_64;

/// An odd number with well mixed bits: the base of the polynomial over words.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

const fn word_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        at += 1;
    }
    table
}

static WORD: [bool; 256] = word_bytes();

/// The words of `text`.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &[u8]> {
    text.as_bytes().split(|byte| !WORD[*byte as usize]).filter(|word| !word.is_empty())
}

/// Calls `each` with the hash of every run of `n` words; a text with fewer words is one run.
///
/// The hash is a polynomial over the hashes of the words, so one step costs one word.
pub(crate) fn for_each_run(text: &str, n: usize, mut each: impl FnMut(u64)) {
    let oldest = (1..n).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut window = vec![0_u64; n];
    let (mut hash, mut count) = (0_u64, 0_usize);
    for word in words(text) {
        let word = xxh3_64(word);
        let slot = &mut window[count % n];
        hash = hash.wrapping_sub(slot.wrapping_mul(oldest)).wrapping_mul(BASE).wrapping_add(word);
        *slot = word;
        count += 1;
        if count >= n {
            each(mix(hash));
        }
    }
    if count > 0 && count < n {
        each(mix(hash));
    }
}

/// The finaliser of MurmurHash3: every bit of the result depends on every bit of the sum.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str, n: usize) -> Vec<u64> {
        let mut all = Vec::new();
        for_each_run(text, n, |hash| all.push(hash));
        all
    }

    #[test]
    fn a_run_depends_on_its_words_and_their_order_only() {
        let long = runs("a b c d e f g", 3);
        assert_eq!(long.len(), 5);
        assert_eq!(runs("x(b,\n  c; d)", 3)[1..], long[1..2], "b c d, wherever it stands");
        assert_ne!(runs("d c b", 3), runs("b c d", 3));
        assert_eq!(runs("a b", 3), runs("a, b", 3));
        assert_eq!(runs("a b", 3).len(), 1, "a short text is one run");
        assert!(runs(" ;; ", 3).is_empty());
    }
}
