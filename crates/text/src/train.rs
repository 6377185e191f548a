//! Training of a byte-level BPE in Llama-3 form, for the embedded nano model.
//!
//! The rule is that of every BPE trainer: cut texts into words with Llama-3's expression, then
//! merge the most frequent pair of neighbours until the vocabulary is full. Ties go to the pair
//! with the smaller ids, and words are visited in byte order, so one corpus always gives one
//! tokenizer. (The trainer of `tokenizers` visits words in the order of a randomly seeded hash
//! table, which decides ties between occurrences of a token that two merges produce.)

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use tokenizers::SplitDelimiterBehavior;
use tokenizers::pipeline::{PreTokenizer as _, PreTokenizerScratch};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use crate::llama3::{self, TokenizerFiles};

/// The context recorded for `transformers` in the files of [`train_bpe`].
const MODEL_TOKENS: usize = 8192;

type Pair = (u32, u32);

/// Trains a vocabulary of `vocabulary_tokens` byte-level tokens on `texts`; the 256 control
/// tokens of Llama 3 follow it. Ids 0–255 are the bytes by value, later ids follow the order of
/// their merges. The vocabulary stays smaller if no pair is left that occurs twice.
///
/// # Panics
/// If `vocabulary_tokens` is below 256.
pub fn train_bpe(texts: impl Iterator<Item = String>, vocabulary_tokens: usize) -> TokenizerFiles {
    assert!(vocabulary_tokens >= 256, "a byte-level vocabulary holds at least the 256 bytes");
    let mut trainer = Trainer::new(count_words(texts));
    while trainer.vocabulary.len() < vocabulary_tokens {
        let Some(pair) = trainer.most_frequent() else { break };
        trainer.merge(pair);
    }
    llama3::files(&trainer.vocabulary, &trainer.merges, MODEL_TOKENS)
}

/// Words of at least two bytes with their number of occurrences.
fn count_words(texts: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let split = Split::new(SplitPattern::Regex(llama3::SPLIT.into()), SplitDelimiterBehavior::Isolated, false)
        .expect("Llama-3's expression is one the library has built in");
    let mut words: BTreeMap<String, u64> = BTreeMap::new();
    let mut scratch = PreTokenizerScratch::default();
    let mut spans = Vec::new();
    for text in texts {
        spans.clear();
        split.pre_tokenize(&text, &mut scratch, &mut spans).expect("a built-in expression never fails");
        for span in &spans {
            let word = &text[span.range()];
            match words.get_mut(word) {
                Some(count) => *count += 1,
                None if word.len() > 1 => drop(words.insert(word.into(), 1)),
                None => {}
            }
        }
    }
    words
}

struct Trainer {
    vocabulary: Vec<Vec<u8>>,
    ids: HashMap<Vec<u8>, u32>,
    merges: Vec<Pair>,
    words: Vec<(Vec<u32>, u64)>,
    counts: HashMap<Pair, u64>,
    /// Words that hold, or once held, a pair.
    places: HashMap<Pair, BTreeSet<usize>>,
    /// Pairs by count, then by smaller ids. An entry whose count is out of date is skipped.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Trainer {
    fn new(words: BTreeMap<String, u64>) -> Self {
        let vocabulary: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        let mut trainer = Self {
            ids: vocabulary.iter().cloned().zip(0..).collect(),
            vocabulary,
            merges: Vec::new(),
            words: words.into_iter().map(|(word, count)| (word.bytes().map(u32::from).collect(), count)).collect(),
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        let mut touched = BTreeSet::new();
        for at in 0..trainer.words.len() {
            trainer.add_pairs(at, &mut touched);
        }
        trainer.enqueue(touched);
        trainer
    }

    /// The most frequent pair that occurs at least twice.
    fn most_frequent(&mut self) -> Option<Pair> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            if count >= 2 && self.counts.get(&pair) == Some(&count) {
                return Some(pair);
            }
        }
        None
    }

    fn merge(&mut self, pair: Pair) {
        let token = [&self.vocabulary[pair.0 as usize][..], &self.vocabulary[pair.1 as usize]].concat();
        let next = self.vocabulary.len() as u32;
        let id = *self.ids.entry(token.clone()).or_insert(next);
        if id == next {
            self.vocabulary.push(token);
        }
        self.merges.push(pair);
        let mut touched = BTreeSet::new();
        for at in self.places.remove(&pair).unwrap_or_default() {
            self.remove_pairs(at, &mut touched);
            replace(&mut self.words[at].0, pair, id);
            self.add_pairs(at, &mut touched);
        }
        self.enqueue(touched);
    }

    fn add_pairs(&mut self, at: usize, touched: &mut BTreeSet<Pair>) {
        let (word, count) = &self.words[at];
        for pair in word.windows(2).map(|pair| (pair[0], pair[1])) {
            *self.counts.entry(pair).or_default() += count;
            self.places.entry(pair).or_default().insert(at);
            touched.insert(pair);
        }
    }

    fn remove_pairs(&mut self, at: usize, touched: &mut BTreeSet<Pair>) {
        let (word, count) = &self.words[at];
        for pair in word.windows(2).map(|pair| (pair[0], pair[1])) {
            *self.counts.get_mut(&pair).expect("a pair of a word was counted") -= count;
            touched.insert(pair);
        }
    }

    fn enqueue(&mut self, touched: BTreeSet<Pair>) {
        for pair in touched {
            match self.counts[&pair] {
                0 => drop(self.counts.remove(&pair)),
                count => self.queue.push((count, Reverse(pair))),
            }
        }
    }
}

/// Replaces each occurrence of `pair` by `id`, from the left.
fn replace(word: &mut Vec<u32>, pair: Pair, id: u32) {
    let mut merged = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        if word.get(at..at + 2) == Some(&[pair.0, pair.1]) {
            merged.push(id);
            at += 2;
        } else {
            merged.push(word[at]);
            at += 1;
        }
    }
    *word = merged;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenizer;

    fn read(files: &TokenizerFiles) -> Tokenizer {
        Tokenizer::from_bytes(files.tokenizer_json.as_bytes(), Some(files.tokenizer_config_json.as_bytes())).unwrap()
    }

    fn corpus() -> impl Iterator<Item = String> {
        let line = "def rebuild(path):\n    return repository.read(path)\n";
        (0..40).map(move |at| format!("{line}# {at}: wählt 東京 · {}\n", &line[..at]))
    }

    #[test]
    fn the_most_frequent_pair_is_merged_first_and_ties_go_to_smaller_ids() {
        // `ab` occurs three times; then `abc` and `xy` twice each: (120, 121) < (256, 99).
        let tokenizer = read(&train_bpe(["ab abc abc xy xy".to_string()].into_iter(), 258));
        assert_eq!(tokenizer.token_bytes(256), Some(&b"ab"[..]));
        assert_eq!(tokenizer.token_bytes(257), Some(&b" x"[..]));
    }

    #[test]
    fn control_tokens_follow_the_vocabulary() {
        let tokenizer = read(&train_bpe(corpus(), 300));
        assert_eq!(tokenizer.special_id(llama3::BEGIN_OF_TEXT), Some(300));
        assert_eq!(tokenizer.special_id(llama3::EOT_ID), Some(309));
        assert_eq!(tokenizer.vocabulary(), 556);
        let text = corpus().next().unwrap();
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text)), text);
        assert!(tokenizer.encode(&text).len() * 2 < text.len(), "nothing was learned");
    }

    #[test]
    fn a_small_corpus_gives_a_small_vocabulary() {
        let tokenizer = read(&train_bpe(["aa aa".to_string()].into_iter(), 4096));
        assert_eq!(tokenizer.special_id(llama3::BEGIN_OF_TEXT), Some(257));
    }

    #[test]
    fn one_corpus_gives_one_tokenizer() {
        assert_eq!(train_bpe(corpus(), 400), train_bpe(corpus(), 400));
    }

    #[test]
    fn counts_after_many_merges_equal_a_fresh_count() {
        let mut trainer = Trainer::new(count_words(corpus()));
        while let Some(pair) = trainer.most_frequent() {
            trainer.merge(pair);
            let mut fresh: HashMap<Pair, u64> = HashMap::new();
            for (word, count) in &trainer.words {
                word.windows(2).for_each(|pair| *fresh.entry((pair[0], pair[1])).or_default() += count);
            }
            assert_eq!(trainer.counts, fresh);
        }
        assert!(trainer.merges.len() > 30, "the corpus is too small to say anything");
    }
}
