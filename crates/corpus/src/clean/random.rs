//! Whether a value looks drawn at random, as keys and good passwords are, or was written to be read.
//!
//! A value → yes or no. Written values consist of words: nine in ten pairs of neighbouring letters
//! in the words of programs are among the 234 most frequent ones, of random pairs one in three.
//! Placeholders, addresses, paths and names of algorithms are known by their marks.

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
    "12345678",
    "abcdef",
    "fedcba",
    "password",
    "secret",
    "0000000",
    "notreal",
    "not_real",
];

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
/// Least pairs of letters by which a value without digits is judged.
const MIN_PAIRS: u32 = 8;
/// Greatest share of frequent pairs, with digits among the letters and without.
const MAX_COMMON: f64 = 0.72;
const MAX_COMMON_OF_LETTERS: f64 = 0.66;

/// Whether a value is no word, no place and no template.
pub(super) fn looks_random(value: &[u8]) -> bool {
    let counts = |of: fn(&u8) -> bool| value.iter().filter(|byte| of(byte)).count();
    let (digits, letters) = (counts(u8::is_ascii_digit), counts(u8::is_ascii_alphabetic));
    let (upper, lower) = (counts(u8::is_ascii_uppercase), counts(u8::is_ascii_lowercase));
    let kinds = usize::from(digits > 0) + usize::from(upper > 0) + usize::from(lower > 0);
    let long = value.len() >= MIN_BYTES_OF_ANY_KIND || value.len() >= MIN_BYTES && kinds == 3;
    if !long || letters < 2 || !of_one_piece(value) || is_placeholder(value) || is_place(value) || is_algorithm(value) {
        return false;
    }
    let bits = bits_a_byte(value);
    if value.len() >= 24 && value.iter().all(u8::is_ascii_hexdigit) && (upper == 0 || lower == 0) {
        return digits >= 3 && bits >= MIN_HEX_BITS;
    }
    let (pairs, common) = pairs(value);
    let share = f64::from(common) / f64::from(pairs.max(1));
    if digits >= 2 {
        // A version or a date beside a word or two is read, not drawn.
        let mixed = value.windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count();
        return bits >= MIN_BITS && mixed >= 3 && (pairs < 4 || share < MAX_COMMON);
    }
    bits >= MIN_BITS && pairs >= MIN_PAIRS && share < MAX_COMMON_OF_LETTERS
}

/// Pairs of neighbouring letters within words, and how many of them are frequent. A capital after
/// a small letter begins a word.
fn pairs(value: &[u8]) -> (u32, u32) {
    let (mut pairs, mut common) = (0, 0);
    for two in value.windows(2).filter(|two| two.iter().all(u8::is_ascii_alphabetic)) {
        if two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase() {
            continue;
        }
        let number = |byte: u8| usize::from(byte.to_ascii_lowercase() - b'a');
        pairs += 1;
        common += COMMON[number(two[0])] >> number(two[1]) & 1;
    }
    (pairs, common)
}

/// No blanks, and none of the marks of templates, calls and markup.
fn of_one_piece(value: &[u8]) -> bool {
    let template =
        |byte: &u8| matches!(byte, b'{' | b'}' | b'$' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b'%' | b'\\');
    value.iter().all(|byte| byte.is_ascii_graphic() && !template(byte))
}

/// Whether the value says that it stands for another, or is a row of the same or of neighbours.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
        || lower.windows(5).any(|five| five.iter().all(|byte| *byte == five[0]))
}

/// A URL, a path, a resource name or the address of a machine.
fn is_place(value: &[u8]) -> bool {
    let begins = ["/", "./", "../", "~/", "arn:", "urn:", "data:", "file:", "@"].iter();
    let dots = value.iter().filter(|byte| **byte == b'.').count();
    // Of base64 one byte in 32 is a slash or a plus; of paths every part is a word.
    let (pairs, common) = pairs(value);
    let parts = value.iter().filter(|byte| matches!(byte, b'/' | b'.' | b'_' | b'-' | b':')).count();
    begins.clone().any(|mark| value.starts_with(mark.as_bytes()) && !is_base64_of_size(value))
        || memchr::memmem::find(value, b"://").is_some()
        || dots >= 2 && parts > dots && common * 4 > pairs * 3
        || parts >= 2 && common * 4 > pairs * 3
}

/// Base64 of 16, 20, 24, 30, 32, 48 or 64 bytes may begin with a slash.
fn is_base64_of_size(value: &[u8]) -> bool {
    let letters = value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let slashes = value.iter().filter(|byte| **byte == b'/').count();
    letters
        && matches!(value.len(), 24 | 28 | 32 | 40 | 44 | 64 | 88)
        && slashes * 8 <= value.len()
        && pairs(value).0 > 4
        && {
            let (pairs, common) = pairs(value);
            common * 3 < pairs * 2
        }
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
