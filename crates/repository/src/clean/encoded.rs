//! Data in the form of text: base64, hexadecimal, escapes, long lists of numbers.
//!
//! A table tells the classes of a byte. A run is a stretch of one class; the file is
//! refused when one run is longer than [`MAX_RUN_BYTES`] or all runs together are most of it.
//! Source: The Stack v2 (arXiv 2402.19173, section 3.3): 1,024 characters, half of the file.

use std::ops::Range;

use recon_schema::graph::SkipReason;

use super::Refusal;

const RULE: &str = "encoded_data";
/// Longest run that is let pass.
const MAX_RUN_BYTES: usize = 1_024;
/// Share of the file that runs may cover.
const MAX_SHARE: f64 = 0.5;
/// A stretch of base64 on one line is a run from this length; identifiers and paths are shorter.
const MIN_BASE64_BYTES: usize = 64;
/// What may stand between two stretches of base64 that are one run.
const MAX_BETWEEN_BYTES: usize = 8;
/// Numbers in a row are a run from this many bytes.
const MIN_NUMBERS_BYTES: usize = 128;
/// A base64 stretch holds at least this many kinds of: upper case, lower case, digit.
const MIN_KINDS: u32 = 3;

const BASE64: u8 = 1;
const NUMBER: u8 = 2;
const UPPER: u8 = 4;
const LOWER: u8 = 8;
const DIGIT: u8 = 16;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = match byte {
            b'0'..=b'9' => BASE64 | NUMBER | DIGIT,
            b'a'..=b'f' | b'x' => BASE64 | NUMBER | LOWER,
            b'A'..=b'F' | b'X' => BASE64 | NUMBER | UPPER,
            b'a'..=b'z' => BASE64 | LOWER,
            b'A'..=b'Z' => BASE64 | UPPER,
            b'+' | b'/' | b'=' => BASE64,
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b'\\' | b'-' | b'.' | b'\'' | b'"' => NUMBER,
            _ => 0,
        };
        at += 1;
    }
    table
}

static CLASSES: [u8; 256] = classes();

pub(super) fn refuse(text: &str) -> Option<Refusal> {
    if text.len() <= MIN_BASE64_BYTES {
        return None;
    }
    let bytes = text.as_bytes();
    let (base64_longest, base64_covered) = base64(bytes);
    let (numbers_longest, numbers_covered) = numbers(bytes);
    let longest = base64_longest.max(numbers_longest);
    if longest > MAX_RUN_BYTES {
        return Some(Refusal::new(RULE, SkipReason::EncodedData, format!("a run of {longest} bytes of data")));
    }
    let share = (base64_covered.max(numbers_covered)) as f64 / text.len() as f64;
    (share > MAX_SHARE)
        .then(|| Refusal::new(RULE, SkipReason::EncodedData, format!("{:.0} % of the file is data", 100.0 * share)))
}

/// The stretches of at least `least` bytes whose classes all hold `class`, in order.
///
/// Such a stretch covers the byte `least - 1` behind its first, so that byte is looked at first:
/// of ordinary text, whose stretches are short, only a small part is ever read.
fn stretches(bytes: &[u8], class: u8, least: usize) -> impl Iterator<Item = Range<usize>> {
    let holds = move |byte: &u8| CLASSES[*byte as usize] & class != 0;
    // No stretch reaches over this place, and all before it are done.
    let mut border = 0;
    std::iter::from_fn(move || {
        loop {
            let probe = border + least - 1;
            if !holds(bytes.get(probe)?) {
                border = probe + 1;
                continue;
            }
            let start = border;
            border = bytes[start..probe].iter().rposition(|byte| !holds(byte)).map_or(start, |at| start + at + 1);
            if border == start {
                let end = bytes[probe..].iter().position(|byte| !holds(byte)).map_or(bytes.len(), |at| probe + at);
                border = end + 1;
                return Some(start..end);
            }
        }
    })
}

/// The longest run of base64 and the bytes of all; lines that are nothing else form one run.
fn base64(bytes: &[u8]) -> (usize, usize) {
    let (mut longest, mut covered) = (0, 0);
    let (mut joined, mut ended) = (0, 0);
    for stretch in stretches(bytes, BASE64, MIN_BASE64_BYTES) {
        let kinds = bytes[stretch.clone()].iter().fold(0, |kinds, byte| kinds | CLASSES[*byte as usize]);
        if (kinds & (UPPER | LOWER | DIGIT)).count_ones() < MIN_KINDS {
            continue;
        }
        covered += stretch.len();
        // What stands between two such stretches on neighbouring lines is quotes and blanks.
        let neighbour = joined > 0 && stretch.start - ended <= MAX_BETWEEN_BYTES;
        joined = if neighbour { joined + stretch.len() } else { stretch.len() };
        longest = longest.max(joined);
        ended = stretch.end;
    }
    (longest, covered)
}

/// The longest run of numbers, hexadecimal or decimal, with what separates them, and all of them.
fn numbers(bytes: &[u8]) -> (usize, usize) {
    let (mut longest, mut covered) = (0, 0);
    for stretch in stretches(bytes, NUMBER, MIN_NUMBERS_BYTES) {
        let digits = bytes[stretch.clone()].iter().filter(|byte| CLASSES[**byte as usize] & DIGIT != 0).count();
        // A quarter of digits tells numbers from words of the letters a to f and from blanks.
        if digits * 4 >= stretch.len() {
            covered += stretch.len();
            longest = longest.max(stretch.len());
        }
    }
    (longest, covered)
}

#[cfg(test)]
mod tests {
    use super::{BASE64, CLASSES, NUMBER, refuse, stretches};

    /// Bytes that look random, as base64 would.
    fn noise(length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        (0..length as u64).map(|at| LETTERS[(at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize] as char).collect()
    }

    #[test]
    fn data_is_found_in_its_usual_forms() {
        let code = "def load():\n    return decode(DATA)\n".repeat(100);
        let wrapped: String = noise(2_000)
            .as_bytes()
            .chunks(76)
            .map(|line| format!("    \"{}\"\n", String::from_utf8_lossy(line)))
            .collect();
        let hex: String = (0..600).map(|at| format!("0x{:02x}, ", at % 256)).collect();
        let escapes: String = (0..600).map(|at| format!("\\x{:02x}", at % 256)).collect();
        let decimals: String = (0..400).map(|at| format!("{}.{},\n", at * 7, at * 13)).collect();
        for data in [noise(1_100), wrapped, hex, escapes, decimals] {
            assert!(refuse(&format!("{code}DATA = {data}\n{code}")).is_some(), "{}", &data[..60]);
        }
        let mostly = format!("x = '{}'\n", noise(600));
        assert!(refuse(&mostly).is_some(), "most of the file");
    }

    #[test]
    fn code_prose_and_a_short_hash_are_not_data() {
        let code = "fn area(width: f64, height: f64) -> f64 {\n    width * height * 1.0e-3\n}\n".repeat(200);
        assert_eq!(refuse(&code), None);
        assert_eq!(refuse(&format!("{code}let digest = \"{}\";\n", noise(88))), None);
        assert_eq!(
            refuse(&"supercalifragilistic/expialidocious/path/to/some/deep/module/of/this/project.py\n".repeat(30)),
            None
        );
        assert_eq!(refuse(&"deadbeef cafe babe\n".repeat(100)), None);
        assert_eq!(refuse(&" ".repeat(5_000)), None);
    }

    #[test]
    fn stretches_are_those_that_a_look_at_every_byte_finds() {
        // Random lengths around the least one, so that every way to meet a border occurs.
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..2_000 {
            let mut text = String::new();
            for _ in 0..random(6) {
                let (letter, length) = ([('1', 12), ('z', 12), (';', 3)][random(3) as usize], random(12));
                text.extend(std::iter::repeat_n(letter.0, length.min(letter.1) as usize));
            }
            for (class, least) in [(BASE64, 5), (NUMBER, 8), (BASE64, 1)] {
                let mut expected = Vec::new();
                let mut start = 0;
                for part in text.as_bytes().split(|byte| CLASSES[*byte as usize] & class == 0) {
                    expected.extend((part.len() >= least).then_some(start..start + part.len()));
                    start += part.len() + 1;
                }
                assert_eq!(stretches(text.as_bytes(), class, least).collect::<Vec<_>>(), expected, "{text} {least}");
            }
        }
    }
}
