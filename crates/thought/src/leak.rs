//! The leak gate: a thought must not hand the target over.
//!
//! Two tests, both against what the document showed before the thought:
//!
//! 1. *Run.* With white space collapsed, thought and target share a run of at least 48 bytes
//!    that does not occur in the context. Bytes that stand inside a signature the outline gave
//!    do not count; a thought that passes only for that is marked as exempted.
//! 2. *Coverage.* Runs of at least 5 tokens that thought and target share and that do not occur
//!    in the context cover more than a tenth of the target.
//!
//! Linear in context, thought and target: the context's automata grow with the document.
//!
//! Source: PAPER.md, definition 8.

use recon_schema::trajectory::Leak;
use recon_text::Tokenizer;

use crate::automaton::Automaton;

/// Shortest run, in bytes with white space collapsed, that counts as copied.
pub const RUN_BYTES: usize = 48;
/// Shortest run, in tokens, that counts towards coverage.
pub const RUN_TOKENS: usize = 5;
/// Largest share of the target that such runs may cover.
pub const COVERED: f64 = 0.10;

/// What the document showed so far.
pub struct Context {
    bytes: Automaton,
    tokens: Automaton,
}

impl Default for Context {
    fn default() -> Self {
        Self { bytes: Automaton::new(), tokens: Automaton::new() }
    }
}

impl Context {
    /// Adds a text that follows in the document. Pieces do not match across texts, but by their
    /// common space.
    pub fn push(&mut self, tokenizer: &Tokenizer, text: &str) {
        let spaced = format!(" {} ", collapse(text));
        symbols(&spaced).for_each(|byte| self.bytes.push(byte));
        self.tokens.push(BORDER);
        tokenizer.encode(text).into_iter().for_each(|id| self.tokens.push(id));
    }
}

/// A symbol that is neither a byte nor a token.
const BORDER: u32 = u32::MAX;

/// One target as the gate sees it, in one context.
pub struct Guarded {
    bytes: Automaton,
    tokens: Vec<u32>,
    /// For each target token: how much before it (itself included) the context shows.
    shown_tokens: Vec<usize>,
    signatures: Vec<String>,
}

/// What the gate says of one thought.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Why the thought is refused.
    pub leak: Option<Leak>,
    /// Whether the run test would refuse it, were signatures not exempt.
    pub exempted: bool,
}

impl Guarded {
    /// `signatures`: declarations the outline gave, which a thought may repeat.
    pub fn new<'s>(
        tokenizer: &Tokenizer,
        context: &Context,
        target: &str,
        signatures: impl IntoIterator<Item = &'s str>,
    ) -> Self {
        let tokens = tokenizer.encode(target);
        let signatures = signatures.into_iter().map(collapse).filter(|signature| !signature.is_empty()).collect();
        Self {
            bytes: Automaton::of(symbols(&collapse(target))),
            shown_tokens: context.tokens.matches(tokens.iter().copied()),
            tokens,
            signatures,
        }
    }

    /// Judges `thought`, which is to stand after `context`.
    pub fn judge(&self, tokenizer: &Tokenizer, context: &Context, thought: &str) -> Verdict {
        let text = collapse(thought);
        let unexempted = self.longest_run(context, &text, &vec![false; text.len()]);
        let counted = self.longest_run(context, &text, &self.inside_signatures(&text));
        let run = (counted >= RUN_BYTES).then_some(Leak::Run { bytes: counted as u64 });
        let fraction = self.coverage(tokenizer, thought);
        let leak = run.or_else(|| (fraction > COVERED).then_some(Leak::Coverage { fraction }));
        Verdict { leak, exempted: unexempted >= RUN_BYTES && counted < RUN_BYTES }
    }

    /// The most bytes, exempt ones aside, in a run shared with the target and not in the context.
    fn longest_run(&self, context: &Context, text: &str, exempt: &[bool]) -> usize {
        let shared = self.bytes.matches(symbols(text));
        let shown = context.bytes.matches(symbols(text));
        let mut counted_before = vec![0; text.len() + 1];
        for (at, exempt) in exempt.iter().enumerate() {
            counted_before[at + 1] = counted_before[at] + usize::from(!exempt);
        }
        let run = |at: usize| counted_before[at + 1] - counted_before[at + 1 - shared[at]];
        (0..text.len()).filter(|&at| shared[at] > shown[at]).map(run).max().unwrap_or(0)
    }

    fn inside_signatures(&self, text: &str) -> Vec<bool> {
        let mut inside = vec![false; text.len()];
        for signature in &self.signatures {
            for (at, _) in text.match_indices(signature.as_str()) {
                inside[at..at + signature.len()].fill(true);
            }
        }
        inside
    }

    fn coverage(&self, tokenizer: &Tokenizer, thought: &str) -> f64 {
        if self.tokens.is_empty() {
            return 0.0;
        }
        let said = Automaton::of(tokenizer.encode(thought)).matches(self.tokens.iter().copied());
        let mut covered = vec![false; self.tokens.len()];
        for (at, (&said, &shown)) in said.iter().zip(&self.shown_tokens).enumerate() {
            if said >= RUN_TOKENS && said > shown {
                covered[at + 1 - said..=at].fill(true);
            }
        }
        covered.iter().filter(|&&covered| covered).count() as f64 / self.tokens.len() as f64
    }
}

/// Runs of white space become one space; none at the ends.
fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn symbols(text: &str) -> impl Iterator<Item = u32> {
    text.bytes().map(u32::from)
}

#[cfg(test)]
mod tests {
    use recon_text::fake;

    use super::*;

    /// Text without long repetitions.
    fn unlike(bytes: usize, from: u8) -> String {
        let pairs = (from..=b'z').flat_map(|first| (first + 1..=b'z').map(move |second| [first, second]));
        let text: String = pairs.flatten().map(char::from).take(bytes).collect();
        assert_eq!(text.len(), bytes);
        text
    }

    fn judge(context: &[&str], target: &str, signatures: &[&str], thought: &str) -> Verdict {
        let tokenizer = fake::tokenizer();
        let mut shown = Context::default();
        context.iter().for_each(|text| shown.push(&tokenizer, text));
        Guarded::new(&tokenizer, &shown, target, signatures.iter().copied()).judge(&tokenizer, &shown, thought)
    }

    /// A target so long that 60 bytes of it are no tenth.
    fn long_target(run: &str) -> String {
        format!("{run}\n{}", "0123456789\n".repeat(200))
    }

    #[test]
    fn a_run_of_48_bytes_leaks_and_one_of_47_does_not() {
        let run = unlike(60, b'a');
        let target = long_target(&run);
        for (length, leak) in [(47, None), (48, Some(Leak::Run { bytes: 48 })), (60, Some(Leak::Run { bytes: 60 }))] {
            let thought = format!("I write <{}> here.", &run[..length]);
            assert_eq!(judge(&[], &target, &[], &thought).leak, leak, "{length}");
        }
    }

    #[test]
    fn white_space_neither_hides_nor_makes_a_run() {
        let run = unlike(52, b'a');
        let spaced: Vec<String> =
            run.as_bytes().chunks(10).map(|piece| String::from_utf8_lossy(piece).into()).collect();
        let (target, thought) = (long_target(&spaced.join("\n    ")), spaced.join(" "));
        assert_eq!(judge(&[], &target, &[], &thought).leak, Some(Leak::Run { bytes: 57 }));
        let thought = format!("{}{}{}", &run[..20], " ".repeat(60), "x");
        assert_eq!(judge(&[], &long_target(&run), &[], &thought).leak, None);
    }

    #[test]
    fn what_the_context_shows_is_no_leak_and_what_goes_beyond_is() {
        let run = unlike(80, b'a');
        let target = long_target(&run);
        assert_eq!(judge(&["other", &run[..70]], &target, &[], &run[..70]).leak, None);
        assert_eq!(judge(&["other", &run[..70]], &target, &[], &run[..71]).leak, Some(Leak::Run { bytes: 71 }));
        // Two texts that only together hold the run do not show it.
        assert_eq!(judge(&[&run[..30], &run[30..60]], &target, &[], &run[..60]).leak, Some(Leak::Run { bytes: 60 }));
    }

    #[test]
    fn signatures_the_outline_gave_may_be_repeated_and_are_counted_apart() {
        let signature = format!("def {}(x)", unlike(50, b'a'));
        let target = long_target(&format!("{signature}:\n    return x"));
        let given = judge(&[], &target, &[&signature], &format!("It offers `{signature}`."));
        assert_eq!(given, Verdict { leak: None, exempted: true });
        let unknown = judge(&[], &target, &[], &format!("It offers `{signature}`."));
        assert!(matches!(unknown.leak, Some(Leak::Run { .. })) && !unknown.exempted);
        // The bytes that follow the signature count alone.
        let body = unlike(60, b'k');
        let target = long_target(&format!("{signature}{body}"));
        for (length, leak) in [(47, None), (48, Some(Leak::Run { bytes: 48 }))] {
            let verdict = judge(&[], &target, &[&signature], &format!("{signature}{}", &body[..length]));
            assert_eq!(verdict.leak, leak, "{length}");
        }
    }

    #[test]
    fn more_than_a_tenth_of_the_target_in_short_runs_leaks() {
        let stream = recon_lm::RandomStream::from_key(7);
        let varied: String = (0..200).map(|at| char::from(b'0' + (stream.bits(at) % 40) as u8)).collect();
        assert_eq!(fake::tokenizer().encode(&varied).len(), 200, "one token a byte");
        let piece = |at: usize| &varied[at..at + 5];
        let four = format!("{} ~ {} ~ {} ~ {}", piece(0), piece(40), piece(80), piece(120));
        assert_eq!(judge(&[], &varied, &[], &four).leak, None, "20 of 200 tokens are a tenth, not more");
        let more = format!("{four}{}", &varied[125..126]);
        assert_eq!(judge(&[], &varied, &[], &more).leak, Some(Leak::Coverage { fraction: 0.105 }));
        let short: Vec<&str> = (0..40).map(|at| &varied[at * 5..at * 5 + 4]).collect();
        assert_eq!(judge(&[], &varied, &[], &short.join(" ~ ")).leak, None, "runs of 4 tokens do not count");
        assert_eq!(judge(&[&varied], &varied, &[], &more).leak, None, "what the context shows does not count");
    }

    #[test]
    fn an_empty_target_has_nothing_to_leak() {
        assert_eq!(judge(&[], "", &[], "anything"), Verdict { leak: None, exempted: false });
    }
}
