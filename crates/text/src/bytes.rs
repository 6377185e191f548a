//! The byte-level alphabet: every byte has a printable character, so that a vocabulary of byte
//! strings can be written as JSON text (GPT-2's scheme, used by every byte-level BPE since).

use tokenizers::utils::byte_level::{BYTES_CHAR_LOOKUP, char_to_byte};

/// Writes `bytes` in the alphabet.
pub(crate) fn to_text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| BYTES_CHAR_LOOKUP[usize::from(byte)]).collect()
}

/// Reads a text in the alphabet; `None` if a character is outside it.
pub(crate) fn from_text(text: &str) -> Option<Vec<u8>> {
    text.chars().map(char_to_byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection() {
        let every: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(from_text(&to_text(&every)).unwrap(), every);
        // Known points of GPT-2's table.
        assert_eq!(to_text(&[b' ', b'\n', 0xad]), "ĠĊŃ");
        assert_eq!(from_text(" "), None);
        assert_eq!(from_text("\u{144}"), None);
    }
}
