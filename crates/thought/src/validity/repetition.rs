//! Repetition: few words, the same sentence, or the same run of words, over and over.

use std::collections::{BTreeMap, BTreeSet};

use recon_schema::trajectory::Fault;

use super::Found;
use super::sentences::pieces;

/// Words above which the variety of a text is judged.
const JUDGED_WORDS: usize = 24;
/// Words in a run.
const RUN: usize = 5;

/// Refuses a text that repeats itself.
pub(super) fn check(text: &str) -> Result<(), Found> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let found = |reason| Err((Fault::Repetitive, reason));
    let distinct = words.iter().collect::<BTreeSet<_>>().len();
    if words.len() > JUDGED_WORDS && distinct * 5 < words.len() {
        return found(format!("{distinct} distinct words of {}", words.len()));
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for piece in pieces(text) {
        let said = piece.trim_start_matches(|c: char| !c.is_alphabetic() && c != '`').to_lowercase();
        *times.entry(said).or_default() += 1;
    }
    let (all, different) = (times.values().sum::<usize>(), times.len());
    if times.values().any(|times| *times > 2) || (all - different) * 4 > all {
        return found(format!("{different} different sentences of {all}"));
    }
    let mut runs = BTreeSet::new();
    let again = words.windows(RUN).filter(|run| !runs.insert(*run)).count();
    let all = words.len().saturating_sub(RUN - 1);
    if words.len() > JUDGED_WORDS && again * 4 > all {
        return found(format!("{again} of {all} runs of {RUN} words come again"));
    }
    Ok(())
}
