//! Lists of documents: what they begin with in common is computed once, and any number is scored.

use recon_engine::{Document, Engine, EngineOptions};
use recon_lm::Error;

use crate::support::{Bits, CONTEXT_TOKENS, bits, config, count, engine, ids, score_from_scratch, small};

/// What each document's score says, to the bit; and the tokens that were computed for all.
fn score(engine: &Engine, documents: &[(Vec<u32>, usize)]) -> (Vec<Bits>, u64) {
    let before = engine.stats().fresh_tokens;
    let asked: Vec<Document<'_>> =
        documents.iter().map(|(ids, from)| Document { ids, scored: *from..ids.len() }).collect();
    let scored = engine.caller().score_documents(&asked);
    let scored = scored.iter().map(|scored| bits(scored.as_ref().unwrap())).collect();
    (scored, engine.stats().fresh_tokens - before)
}

fn one_by_one(documents: &[(Vec<u32>, usize)]) -> Vec<Bits> {
    documents.iter().map(|(ids, from)| score_from_scratch(ids, *from)).collect()
}

/// `shared` ids of everybody, then those of each alone; the last `target` are scored.
fn items(number: u64, [shared, own, target]: [usize; 3]) -> Vec<(Vec<u32>, usize)> {
    let shared = ids(100, shared);
    let item = |item| [&shared[..], &ids(200 + item, own + target)].concat();
    (0..number).map(item).map(|ids| (ids, shared.len() + own)).collect()
}

#[test]
fn what_items_begin_with_in_common_is_computed_once() {
    let documents = items(7, [100, 4, 16]);
    let (scored, fresh) = score(&engine(&small()), &documents);
    assert_eq!(scored, one_by_one(&documents));
    assert!(fresh <= 100 + 7 * 20, "{fresh} of {} without what is shared", 7 * 120);
}

#[test]
fn beginnings_inside_of_beginnings_and_inside_of_targets_are_found() {
    let stem = ids(110, 120);
    let branch = |at: usize, seed, own| [&stem[..at], &ids(seed, own)].concat();
    // The third's target begins inside of the first's, and is where the two part.
    let documents = [
        (stem.clone(), 40),
        (branch(30, 111, 30), 31),
        (branch(90, 112, 20), 90),
        (stem.clone(), 119),
        (ids(113, 9), 1),
    ];
    let (scored, fresh) = score(&engine(&small()), &documents);
    assert_eq!(scored, one_by_one(&documents));
    assert_eq!(fresh, 120 + 30 + 20 + 9);
    // The first of equals leads, and scores for the other what it need not score for itself.
    let documents = [(stem.clone(), 100), (stem, 40)];
    let (scored, fresh) = score(&engine(&small()), &documents);
    assert_eq!(scored, one_by_one(&documents));
    assert_eq!(fresh, 120);
}

#[test]
fn any_number_is_scored_of_which_each_fits() {
    // Forty documents, each as long as the whole cache; then with room for two more pages, which what they share is
    // kept in.
    let long = items(40, [100, 20, CONTEXT_TOKENS - 120]);
    let expected = one_by_one(&long);
    let of =
        |cache_tokens| engine(&EngineOptions { cache_tokens: count(cache_tokens), page_tokens: count(16), ..small() });
    let narrow = of(CONTEXT_TOKENS as u32);
    assert_eq!(score(&narrow, &long).0, expected);
    let (scored, fresh) = score(&of(CONTEXT_TOKENS as u32 + 32), &long);
    assert_eq!(scored, expected);
    assert!(fresh <= 100 + 40 * 60, "{fresh}");
    // Many more short ones than there are pages.
    let short: Vec<(Vec<u32>, usize)> = (0..513).map(|item| (ids(1000 + item, 6), 3)).collect();
    let (scored, _) = score(&narrow, &short);
    assert_eq!(scored, one_by_one(&short));
    assert_eq!(narrow.cache_pages().free, narrow.cache_pages().total);
}

#[test]
fn a_bad_document_leaves_the_others_alone() {
    let engine = engine(&small());
    let (good, long, unknown) = (ids(120, 20), ids(121, CONTEXT_TOKENS + 1), [config().vocab_size as u32]);
    let document = |ids, from| Document { ids, scored: from..usize::MAX };
    let results = engine.caller().score_documents(&[
        document(&good[..], 0),
        document(&long, 4),
        document(&good, 5),
        document(&unknown, 1),
        document(&[], 1),
    ]);
    let asked = CONTEXT_TOKENS + 1;
    assert_eq!(*results[0].as_ref().unwrap_err(), Error::EmptyContext);
    assert_eq!(*results[1].as_ref().unwrap_err(), Error::ContextTooLong { asked, limit: CONTEXT_TOKENS });
    assert_eq!(bits(results[2].as_ref().unwrap()), score_from_scratch(&good, 5));
    assert!(matches!(results[3], Err(Error::UnknownToken { .. })));
    assert_eq!(*results[4].as_ref().unwrap_err(), Error::EmptyContext);
}
