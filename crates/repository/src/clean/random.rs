//! Whether a value looks drawn at random, as keys and good passwords are, or was written to be read.
//!
//! A value → yes or no. Written values consist of words: nine in ten pairs of neighbouring letters
//! in the words of programs are among the 234 most frequent ones, of random pairs one in three; and
//! digits stand beside letters seldom in names. Placeholders, addresses, paths and names of
//! algorithms are known by their marks.

use super::published::is_published;

/// For each letter, those that often follow it in the words of code and English.
const FOLLOWERS: [&str; 26] = [
    "abcdgiklmnprstuvy",
    "aeilorsu",
    "acehiklorstu",
    "adeilorsu",
    "abcdefgilmnpqrstvwx",
    "aefiloru",
    "aehinrsu",
    "aeior",
    "abcdefglmnoprstvz",
    "",
    "eis",
    "adeilostuy",
    "abeimopsu",
    "acdefgiknostuv",
    "bcdfgiklmnoprstuvw",
    "aehiloprstu",
    "u",
    "acdegiklmnorstuy",
    "acehilopstuy",
    "acehilorstuy",
    "abceilmnprst",
    "aei",
    "aeinr",
    "ept",
    "p",
    "e",
];

/// A bit for each follower of a letter.
static COMMON: [u32; 26] = masks();

const fn masks() -> [u32; 26] {
    let mut table = [0; 26];
    let mut letter = 0;
    while letter < 26 {
        let followers = FOLLOWERS[letter].as_bytes();
        let mut at = 0;
        while at < followers.len() {
            table[letter] |= 1 << (followers[at] - b'a');
            at += 1;
        }
        letter += 1;
    }
    table
}

/// Words by which the writer says that the value is none, in lower case.
const PLACEHOLDERS: &[&str] = &[
    "example",
    "changeme",
    "change_me",
    "change-me",
    "your",
    "xxxx",
    "****",
    "placeholder",
    "redacted",
    "dummy",
    "sample",
    "replace",
    "insert",
    "password",
    "secret",
    "notreal",
    "not_real",
    "fake",
    "foobar",
    "deadbeef",
    "...",
];

/// Keys pressed in a row. An issuer's number may hold them, a password that is worth hiding does not.
const ROWS: &[&str] = &["0000000", "qwerty", "asdfgh", "zxcvb"];
/// So many neighbours in the order of the alphabet are a row too, and so many digits.
const LETTERS_IN_ORDER: usize = 6;
const DIGITS_IN_ORDER: usize = 8;

/// How algorithms, hashes and protocols begin.
const ALGORITHMS: &[&str] = &[
    "aes128",
    "aes192",
    "aes256",
    "sha1",
    "sha2",
    "sha3",
    "sha5",
    "hmac",
    "ecdsa",
    "ed25519",
    "curve25519",
    "x25519",
    "chacha",
    "poly1305",
    "pkcs",
    "bcrypt",
    "scrypt",
    "argon2",
    "pbkdf2",
    "diffie",
    "hkdf",
    "kbkdf",
    "md5",
];

/// Shortest value that can be told; a shorter one needs capitals, small letters and digits.
const MIN_BYTES: usize = 12;
const MIN_BYTES_OF_ANY_KIND: usize = 16;
/// Bits a byte of a value, and of one in hexadecimal, which has 4 at most.
const MIN_BITS: f64 = 3.0;
const MIN_HEX_BITS: f64 = 2.7;
/// What a pair of neighbours says, in halves of a nat: the logarithm of how much likelier it is in
/// words than among letters and digits drawn at random. Measured on the names in crates: of 100 pairs
/// 90 are frequent in words and 35 in drawn letters.
const FREQUENT_PAIR: i32 = 2;
const RARE_PAIR: i32 = -4;
const LETTER_BESIDE_DIGIT: i32 = -3;
const NEW_WORD: i32 = -1;

/// Whether a value is no word, no place and no template.
pub(super) fn looks_random(value: &[u8]) -> bool {
    let counts = |of: fn(&u8) -> bool| value.iter().filter(|byte| of(byte)).count();
    let (digits, letters) = (counts(u8::is_ascii_digit), counts(u8::is_ascii_alphabetic));
    let (upper, lower) = (counts(u8::is_ascii_uppercase), counts(u8::is_ascii_lowercase));
    let kinds = usize::from(digits > 0) + usize::from(upper > 0) + usize::from(lower > 0);
    let long = value.len() >= MIN_BYTES_OF_ANY_KIND || value.len() >= MIN_BYTES && kinds == 3;
    let holds = |word: &&str| value.windows(word.len()).any(|it| it.eq_ignore_ascii_case(word.as_bytes()));
    let typed = is_placeholder(value) || ROWS.iter().any(holds) || is_in_order(value);
    if !long || letters < 3 || typed || !of_one_piece(value) || is_place(value) || is_algorithm(value) {
        return false;
    }
    let bits = bits_a_byte(value);
    if value.len() >= 24 && value.iter().all(u8::is_ascii_hexdigit) && (upper == 0 || lower == 0) {
        return digits >= 3 && bits >= MIN_HEX_BITS;
    }
    bits >= MIN_BITS && likeness_to_words(value) < 0
}

/// Whether letters or digits follow each other in their order, up or down.
fn is_in_order(value: &[u8]) -> bool {
    let (mut up, mut down) = (1, 1);
    value.windows(2).any(|two| {
        let (first, second) = (two[0].to_ascii_lowercase(), two[1].to_ascii_lowercase());
        let alike = first.is_ascii_digit() && second.is_ascii_digit()
            || first.is_ascii_alphabetic() && second.is_ascii_alphabetic();
        up = if alike && second == first + 1 { up + 1 } else { 1 };
        down = if alike && first == second + 1 { down + 1 } else { 1 };
        up.max(down) >= if second.is_ascii_digit() { DIGITS_IN_ORDER } else { LETTERS_IN_ORDER }
    })
}

/// How much likelier the value is as words than as letters and digits drawn at random.
fn likeness_to_words(value: &[u8]) -> i32 {
    let pairs =
        value.windows(2).map(|two| match (two[0], two[1]) {
            (first, second) if first.is_ascii_lowercase() && second.is_ascii_uppercase() => NEW_WORD,
            (first, second) if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                if follows(first, second) { FREQUENT_PAIR } else { RARE_PAIR }
            }
            (first, second)
                if first.is_ascii_alphanumeric()
                    && second.is_ascii_alphanumeric()
                    && first.is_ascii_digit() != second.is_ascii_digit() =>
            {
                LETTER_BESIDE_DIGIT
            }
            _ => 0,
        });
    pairs.sum()
}

/// Whether the second letter often follows the first in words.
fn follows(first: u8, second: u8) -> bool {
    let number = |byte: u8| byte.to_ascii_lowercase() - b'a';
    COMMON[usize::from(number(first))] >> number(second) & 1 == 1
}

/// No blanks, and none of the marks of templates, calls and markup.
fn of_one_piece(value: &[u8]) -> bool {
    let template =
        |byte: &u8| matches!(byte, b'{' | b'}' | b'$' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b'%' | b'\\');
    value.iter().all(|byte| byte.is_ascii_graphic() && !template(byte))
}

/// Whether the value says that it stands for another, is one of a manual, or a row of the same.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
        || is_published(value)
        || lower.windows(5).any(|five| five.iter().all(|byte| *byte == five[0]))
}

/// A URL, a path, a resource name or the address of a machine.
fn is_place(value: &[u8]) -> bool {
    // Base64 may begin with a slash; its letters tell it from a path.
    let mut begins = ["/", "./", "../", "~/", "arn:", "urn:", "data:", "file:", "@"].iter();
    let separators = value.iter().filter(|byte| matches!(byte, b'/' | b'.' | b'_' | b'-' | b':')).count();
    begins.any(|mark| value.starts_with(mark.as_bytes())) && likeness_to_words(value) > -20
        || memchr::memmem::find(value, b"://").is_some()
        || separators >= 2 && likeness_to_words(value) >= 0
}

/// A name with an algorithm among its parts.
pub(super) fn is_algorithm(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let mut parts = lower.split(|byte| !byte.is_ascii_alphanumeric());
    parts.any(|part| ALGORITHMS.iter().any(|name| part.starts_with(name.as_bytes())))
}

/// Shannon's entropy of the bytes.
fn bits_a_byte(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        counts[*byte as usize] += 1;
    }
    let share = |count: u32| f64::from(count) / value.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| -share(*count) * share(*count).log2()).sum()
}
