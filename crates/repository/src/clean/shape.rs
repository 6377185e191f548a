//! Size and shape: what OpenCoder (arXiv 2411.04905) measures before a file may be trained on.
//!
//! Every limit is a rule of its own with the name of its field. Shares are of characters. Only
//! files in a known language are held to the rules; line length and encoded data concern all.
//!
//! The three lower limits of size are off unless set: OpenCoder judges files that stand alone,
//! while here a file of three lines is often what the other files import.

use recon_schema::graph::SkipReason;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Refusal;

/// Limits; an absent one is not applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShapeOptions {
    /// Fewest characters (OpenCoder: 50).
    pub min_chars: Option<u64>,
    /// Fewest words (OpenCoder: 30).
    pub min_words: Option<u64>,
    /// Fewest lines (OpenCoder: 10).
    pub min_lines: Option<u64>,
    /// Most lines.
    pub max_lines: Option<u64>,
    /// Most bytes.
    pub max_bytes: Option<u64>,
    /// Longest line, in characters.
    pub max_line_chars: Option<u64>,
    /// Shortest mean line, in characters.
    pub min_mean_line_chars: Option<f64>,
    /// Longest mean line, in characters.
    pub max_mean_line_chars: Option<f64>,
    /// Least share of letters among characters that are not white space.
    pub min_alphabetic: Option<f64>,
    /// Greatest share of digits.
    pub max_digits: Option<f64>,
    /// Greatest share of white space.
    pub max_white_space: Option<f64>,
    /// Greatest share of bytes on lines of comments that document nothing, as code that was
    /// commented out.
    pub max_comments: Option<f64>,
    /// Greatest share of U+FFFD, which stands for bytes a decoder did not understand.
    pub max_replacement: Option<f64>,
    /// Greatest share of lines, blank ones aside, that stand in the file already.
    pub max_duplicate_lines: Option<f64>,
    /// Refuse source files that begin like an XML document.
    pub xml_start: bool,
    /// Shares and means are held only against files of this many bytes: of fewer they tell chance.
    pub measured_from_bytes: u64,
}

impl Default for ShapeOptions {
    fn default() -> Self {
        Self {
            min_chars: None,
            min_words: None,
            min_lines: None,
            max_lines: Some(100_000),
            max_bytes: Some(3_000_000),
            max_line_chars: Some(1_000),
            min_mean_line_chars: Some(5.0),
            max_mean_line_chars: Some(100.0),
            min_alphabetic: Some(0.5),
            max_digits: Some(0.2),
            max_white_space: Some(0.5),
            max_comments: Some(0.8),
            max_replacement: Some(0.01),
            max_duplicate_lines: Some(0.7),
            xml_start: true,
            measured_from_bytes: 512,
        }
    }
}

/// The first rule that refuses `text`.
pub(super) fn refuse(path: &str, text: &str, options: &ShapeOptions) -> Option<Refusal> {
    let lines = Lines::measure(text, crate::language::of_path(path));
    if let Some(refusal) = too_long(&lines, options) {
        return Some(refusal);
    }
    crate::language::of_path(path)?;
    let bytes = text.len() as u64;
    if options.xml_start && text.trim_start_matches('\u{feff}').trim_start().starts_with("<?xml") {
        return refusal("xml_start", "it begins like an XML document".into());
    }
    if let Some(refusal) = exceeds("max_bytes", bytes, options.max_bytes) {
        return Some(refusal);
    }
    let counts = Counts::of(text);
    let lower = [
        ("min_chars", counts.chars, options.min_chars),
        ("min_words", options.min_words.map_or(0, |_| text.split_whitespace().count() as u64), options.min_words),
        ("min_lines", lines.count, options.min_lines),
    ];
    for (rule, found, limit) in lower {
        if limit.is_some_and(|limit| found < limit) {
            return refusal(rule, format!("{found}, the limit is {}", limit.unwrap_or_default()));
        }
    }
    if bytes < options.measured_from_bytes {
        return None;
    }
    let share = |count: u64| count as f64 / counts.chars.max(1) as f64;
    // Of what is written: deep indentation is not a lack of letters.
    let letters = counts.alphabetic as f64 / (counts.chars - counts.white_space).max(1) as f64;
    let mean = counts.chars as f64 / lines.count.max(1) as f64;
    below("min_mean_line_chars", mean, options.min_mean_line_chars)
        .or_else(|| above("max_mean_line_chars", mean, options.max_mean_line_chars))
        .or_else(|| below("min_alphabetic", letters, options.min_alphabetic))
        .or_else(|| above("max_digits", share(counts.digits), options.max_digits))
        .or_else(|| above("max_white_space", share(counts.white_space), options.max_white_space))
        .or_else(|| above("max_replacement", share(counts.replacement), options.max_replacement))
        .or_else(|| above("max_comments", lines.comment_bytes as f64 / bytes as f64, options.max_comments))
        .or_else(|| above("max_duplicate_lines", lines.duplicates(), options.max_duplicate_lines))
}

/// Applies to every text: nobody writes such lines in any language.
fn too_long(lines: &Lines, options: &ShapeOptions) -> Option<Refusal> {
    exceeds("max_line_chars", lines.longest_chars, options.max_line_chars)
        .or_else(|| exceeds("max_lines", lines.count, options.max_lines))
}

fn refusal(rule: &'static str, message: String) -> Option<Refusal> {
    Some(Refusal::new(rule, SkipReason::Shape, message))
}

fn exceeds(rule: &'static str, found: u64, limit: Option<u64>) -> Option<Refusal> {
    let limit = limit.filter(|limit| found > *limit)?;
    refusal(rule, format!("{found}, the limit is {limit}"))
}

fn above(rule: &'static str, found: f64, limit: Option<f64>) -> Option<Refusal> {
    let limit = limit.filter(|limit| found > *limit)?;
    refusal(rule, format!("{found:.3}, the limit is {limit}"))
}

fn below(rule: &'static str, found: f64, limit: Option<f64>) -> Option<Refusal> {
    let limit = limit.filter(|limit| found < *limit)?;
    refusal(rule, format!("{found:.3}, the limit is {limit}"))
}

/// Characters by kind.
struct Counts {
    chars: u64,
    alphabetic: u64,
    digits: u64,
    white_space: u64,
    replacement: u64,
}

impl Counts {
    fn of(text: &str) -> Self {
        // Four histograms, so that equal neighbours do not wait for each other.
        let mut tables = [[0_u32; 256]; 4];
        let blocks = text.as_bytes().chunks_exact(4);
        for &byte in blocks.remainder() {
            tables[0][byte as usize] += 1;
        }
        for block in blocks {
            for (table, byte) in tables.iter_mut().zip(block) {
                table[*byte as usize] += 1;
            }
        }
        let of = |keep: fn(u8) -> bool| -> u64 {
            (0..=u8::MAX)
                .filter(|byte| keep(*byte))
                .flat_map(|byte| tables.each_ref().map(|it| u64::from(it[byte as usize])))
                .sum()
        };
        let mut counts = Self {
            chars: of(|byte| byte & 0xc0 != 0x80),
            alphabetic: of(|byte| byte.is_ascii_alphabetic()),
            digits: of(|byte| byte.is_ascii_digit()),
            white_space: of(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)),
            replacement: 0,
        };
        if counts.chars < text.len() as u64 {
            for c in text.chars().filter(|c| !c.is_ascii()) {
                counts.alphabetic += u64::from(c.is_alphabetic());
                counts.digits += u64::from(c.is_numeric());
                counts.white_space += u64::from(c.is_whitespace());
                counts.replacement += u64::from(c == '\u{fffd}');
            }
        }
        counts
    }
}

/// What is measured line by line.
struct Lines {
    count: u64,
    longest_chars: u64,
    /// On lines of comments that document nothing.
    comment_bytes: u64,
    /// Of every line that is not blank, without the blanks around it.
    hashes: Vec<u64>,
}

impl Lines {
    fn measure(text: &str, language: Option<&str>) -> Self {
        let marks = language.map_or(Marks::NONE, Marks::of);
        let mut measured = Self { count: 0, longest_chars: 0, comment_bytes: 0, hashes: Vec::new() };
        let bytes = text.as_bytes();
        let mut comments = Comments::default();
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', bytes).chain((!bytes.ends_with(b"\n")).then_some(bytes.len()));
        let mut longest = 0..0;
        for end in ends {
            measured.count += 1;
            if end - start > longest.len() {
                longest = start..end;
            }
            let line = bytes[start..end].trim_ascii();
            if language.is_some() {
                if !line.is_empty() {
                    measured.hashes.push(xxh3_64(line));
                }
                comments.line(line, (end - start + 1) as u64, marks);
            }
            start = end + 1;
        }
        measured.comment_bytes = comments.finish();
        // A line with more bytes may have fewer characters; only lines near the limits differ.
        measured.longest_chars = text[longest].chars().count() as u64;
        measured
    }

    /// Share of lines that repeat one before them.
    fn duplicates(mut self) -> f64 {
        let all = self.hashes.len();
        self.hashes.sort_unstable();
        self.hashes.dedup();
        if all == 0 { 0.0 } else { (all - self.hashes.len()) as f64 / all as f64 }
    }
}

/// How comments are marked.
#[derive(Clone, Copy)]
struct Marks {
    line: &'static [u8],
    block: Option<(&'static [u8], &'static [u8])>,
}

impl Marks {
    const NONE: Self = Self { line: b"", block: None };

    fn of(language: &str) -> Self {
        match language {
            "python" => Self { line: b"#", block: None },
            "ruby" => Self { line: b"#", block: Some((b"=begin", b"=end")) },
            _ => Self { line: b"//", block: Some((b"/*", b"*/")) },
        }
    }

    /// Whether a line, blanks taken off, is nothing but comment.
    fn is_comment(self, line: &[u8], in_block: &mut bool) -> bool {
        let Some((open, close)) = self.block else { return !self.line.is_empty() && line.starts_with(self.line) };
        if *in_block {
            *in_block = memchr::memmem::find(line, close).is_none();
            return true;
        }
        if let Some(rest) = line.strip_prefix(open) {
            *in_block = memchr::memmem::find(rest, close).is_none();
            return *in_block || rest.ends_with(close);
        }
        line.starts_with(self.line)
    }
}

/// Tells comments that document from those that do not, line by line.
///
/// Why: the limit is there for files that were commented out and files of remarks alone. A
/// header with a page on each function, a `lib.rs` that is the crate's guide or a module of three
/// lines under its licence are what one wants to learn from. So three kinds of comments weigh
/// nothing where there is code: the first of the file, those in the marks of documentation
/// (`///`, `//!`, `/**`, `/*!`), and those that stand directly above code and do not look like
/// code themselves.
#[derive(Default)]
struct Comments {
    in_block: bool,
    code_seen: bool,
    /// Of the run of comment lines that is not judged yet: bytes, lines, lines that look like code.
    bytes: u64,
    lines: u64,
    like_code: u64,
    documents: bool,
    /// Bytes of comments before any code.
    leading_bytes: u64,
    floating_bytes: u64,
}

impl Comments {
    fn line(&mut self, line: &[u8], bytes: u64, marks: Marks) {
        if self.in_block && line.is_empty() {
            self.bytes += bytes;
        } else if line.is_empty() {
            self.end_run(false);
        } else if marks.is_comment(line, &mut self.in_block) {
            if self.lines == 0 {
                const DOCUMENTATION: [&[u8]; 4] = [b"///", b"//!", b"/**", b"/*!"];
                self.documents = DOCUMENTATION.iter().any(|mark| line.starts_with(mark));
            }
            self.bytes += bytes;
            self.lines += 1;
            self.like_code += u64::from(matches!(line.last(), Some(b';' | b'{' | b'}' | b')' | b',')));
        } else {
            self.end_run(true);
            self.code_seen = true;
        }
    }

    fn end_run(&mut self, above_code: bool) {
        let documents = self.documents || above_code && self.like_code * 2 <= self.lines;
        if !self.code_seen && !self.documents {
            self.leading_bytes += self.bytes;
        } else if !documents {
            self.floating_bytes += self.bytes;
        }
        (self.bytes, self.lines, self.like_code, self.documents) = (0, 0, 0, false);
    }

    /// Bytes of comments that document nothing.
    fn finish(mut self) -> u64 {
        self.end_run(false);
        if self.code_seen { self.floating_bytes } else { self.leading_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENCODER: ShapeOptions = ShapeOptions {
        min_chars: Some(50),
        min_words: Some(30),
        min_lines: Some(10),
        max_lines: Some(100_000),
        max_bytes: Some(3_000_000),
        max_line_chars: Some(1_000),
        min_mean_line_chars: Some(5.0),
        max_mean_line_chars: Some(100.0),
        min_alphabetic: Some(0.5),
        max_digits: Some(0.2),
        max_white_space: Some(0.5),
        max_comments: Some(0.8),
        max_replacement: Some(0.01),
        max_duplicate_lines: Some(0.7),
        xml_start: true,
        measured_from_bytes: 0,
    };

    fn rule(path: &str, text: &str) -> Option<&'static str> {
        refuse(path, text, &OPENCODER).map(|refusal| refusal.rule)
    }

    fn good(lines: usize) -> String {
        (0..lines).map(|at| format!("def handle_{}(request, session): return session.answer\n", letters(at))).collect()
    }

    fn letters(mut at: usize) -> String {
        let mut word = String::new();
        for _ in 0..4 {
            word.push(char::from(b'a' + (at % 26) as u8));
            at /= 26;
        }
        word
    }

    #[test]
    fn every_rule_refuses_what_it_names_and_nothing_else() {
        assert_eq!(rule("a.py", &good(40)), None);
        let wide = |text: &str| format!("{}{text}", good(40));
        let cases: Vec<(&str, String)> = vec![
            ("min_chars", "x = 1\n".into()),
            ("min_words", "abcdefgh\n".repeat(9)),
            ("min_lines", good(9)),
            ("max_lines", "value = other_value\n".repeat(100_001)),
            ("max_line_chars", wide(&"word ".repeat(201))),
            ("min_mean_line_chars", (0..200).map(|at| format!("{}\n", &letters(at)[..3])).collect()),
            ("max_mean_line_chars", (0..20).map(|at| format!("{} {}\n", letters(at), "word ".repeat(25))).collect()),
            ("min_alphabetic", (0..40).map(|at| format!("{} + ({{[]}}) - (*&^) <> !\n", letters(at))).collect()),
            (
                "max_digits",
                (0..40).map(|at| format!("value_{}_name_of_the = {}\n", letters(at), 10_000_000 + at)).collect(),
            ),
            (
                "max_white_space",
                (0..40).map(|at| format!("{}{} = value_name\n", " ".repeat(40), letters(at))).collect(),
            ),
            (
                "max_comments",
                format!(
                    "{}{}",
                    "# a remark on what follows, number ".to_owned() + "\n",
                    (0..60).map(|at| format!("# a remark {}\n", letters(at))).collect::<String>()
                ),
            ),
            ("max_replacement", wide(&"\u{fffd}".repeat(60))),
            ("max_duplicate_lines", format!("{}{}", good(10), "return session_value\n".repeat(40))),
            ("xml_start", format!("<?xml version=\"1.0\"?>\n{}", good(40))),
        ];
        for (expected, text) in cases {
            assert_eq!(rule("a.py", &text), Some(expected), "{}", &text[..text.len().min(80)]);
        }
        let big = "value = other_value_name\n".repeat(130_000);
        let lenient = ShapeOptions { max_lines: None, ..OPENCODER };
        assert_eq!(refuse("a.py", &big, &lenient).map(|it| it.rule), Some("max_bytes"));
        let none = ShapeOptions { max_duplicate_lines: None, max_bytes: None, ..lenient };
        assert_eq!(refuse("a.py", &big, &none), None, "each rule can be switched off");
    }

    #[test]
    fn documents_are_held_to_line_length_only() {
        assert_eq!(rule("notes.txt", "1\n"), None);
        assert_eq!(rule("data.json", &"[1,2],".repeat(400)), Some("max_line_chars"));
    }

    /// Share of bytes of comments that document nothing.
    fn share(path: &str, text: &str) -> f64 {
        let lines = Lines::measure(text, crate::language::of_path(path));
        lines.comment_bytes as f64 / text.len() as f64
    }

    #[test]
    fn comments_of_each_family_are_seen() {
        assert_eq!(share("a.py", "x = 1\n# one\n"), 0.5);
        assert_eq!(share("a.rs", "x = 12\n// one\n"), 0.5);
        assert_eq!(share("a.rs", "/* one\n\ntwo\n*/\n"), 1.0);
        assert_eq!(share("a.rs", "/* one */ x\n"), 0.0);
        assert_eq!(share("a.txt", "# one\n"), 0.0);
    }

    #[test]
    fn documentation_weighs_nothing_and_dead_code_weighs_all() {
        let licence = format!("/*\n{} */\n\n", " * words of a licence that go on and on\n".repeat(30));
        let documented = "/* Adds two numbers.\n * The sum is exact.\n */\nint add(int a, int b);\n\n".repeat(20);
        assert_eq!(share("a.h", &format!("{licence}{documented}")), 0.0, "a documented header");
        let guide = "//! How this crate is used, at length.\n".repeat(60);
        assert_eq!(share("src/lib.rs", &format!("{guide}\npub mod a;\n")), 0.0);
        assert_eq!(share("src/mod.rs", &format!("{}\npub mod a;\n", "// words\n".repeat(60))), 0.0);
        assert_eq!(share("src/guide.rs", &guide), 0.0, "documentation stands without code too");
        let dead = "// let value = call(other);\n// }\n".repeat(30);
        assert!(share("a.rs", &format!("use a::b;\n\n{dead}\nfn main() {{}}\n")) > 0.9);
        assert!(share("a.rs", &format!("use a::b;\n{dead}fn main() {{}}\n")) > 0.9, "directly above code, too");
        assert!(share("a.rs", &format!("{dead}\n// done\n")) > 0.9, "nothing but comments");
    }
}
