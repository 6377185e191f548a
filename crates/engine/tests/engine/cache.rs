//! The cache: nothing is lost, nothing leaks, branches never see each other.

use proptest::prelude::*;
use recon_engine::{Engine, EngineOptions};
use recon_lm::{Branch, Error, GenJob, Generator, Prompt, Sampling, ScoreJob, Scored, Scorer};

use crate::support::{bits, count, engine, ids, key, run, score, score_from_scratch, small};

fn all_free(engine: &Engine) -> bool {
    engine.cache_pages().free == engine.cache_pages().total
}

#[derive(Debug, Clone)]
enum Op {
    Begin { fresh: usize },
    Extend { branch: usize, fresh: usize },
    Fork { branch: usize },
    ScoreAndKeepAnEnd { branch: usize, fresh: usize },
    Drop { branch: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => (1..12_usize).prop_map(|fresh| Op::Begin { fresh }),
        4 => (0..8_usize, 0..12_usize).prop_map(|(branch, fresh)| Op::Extend { branch, fresh }),
        2 => (0..8_usize).prop_map(|branch| Op::Fork { branch }),
        2 => (0..8_usize, 1..12_usize).prop_map(|(branch, fresh)| Op::ScoreAndKeepAnEnd { branch, fresh }),
        2 => (0..8_usize).prop_map(|branch| Op::Drop { branch }),
    ]
}

/// Applies `op`; branches that the cache or the context has no room for stay as they are.
fn apply(engine: &Engine, branches: &mut Vec<(Branch, Vec<u32>)>, op: &Op, fresh_ids: impl Fn(usize) -> Vec<u32>) {
    let known = branches.len();
    match *op {
        Op::Begin { fresh } => {
            let fresh = fresh_ids(fresh);
            if let Ok(branch) = engine.extend(None, &fresh) {
                branches.push((branch, fresh));
            }
        }
        _ if known == 0 => {}
        Op::Extend { branch, fresh } => {
            let (at, before) = &branches[branch % known];
            let fresh = fresh_ids(fresh);
            if let Ok(longer) = engine.extend(Some(at), &fresh) {
                let all = [&before[..], &fresh].concat();
                branches[branch % known] = (longer, all);
            }
        }
        Op::Fork { branch } => branches.push(branches[branch % known].clone()),
        Op::ScoreAndKeepAnEnd { branch, fresh } => {
            let (at, before) = branches[branch % known].clone();
            let fresh = fresh_ids(fresh);
            let runs = [run(&fresh[..fresh.len() / 2], true), run(&fresh[fresh.len() / 2..], false)];
            let scored = engine.score(&[ScoreJob { at: &at, runs: &runs, refuse_above_nats: None }]).pop();
            if let Some(Ok(Scored::Full { ends, .. })) = scored {
                branches.push((ends[0].clone(), [&before[..], &fresh[..fresh.len() / 2]].concat()));
            }
        }
        Op::Drop { branch } => drop(branches.swap_remove(branch % known)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn branches_predict_as_if_they_had_been_computed_alone(ops in prop::collection::vec(op(), 1..20)) {
        let options = EngineOptions { cache_tokens: count(96), page_tokens: count(4), ..small() };
        let engine = engine(&options);
        let mut branches = Vec::new();
        for (seed, op) in ops.iter().enumerate() {
            apply(&engine, &mut branches, op, |fresh| ids(1000 + seed as u64, fresh));
        }
        let probe = [9, 200, 31];
        // Dropping as we go leaves room for the probes.
        while let Some((branch, before)) = branches.pop() {
            prop_assert_eq!(branch.tokens(), before.len());
            let runs = [run(&probe, true)];
            match engine.score(&[ScoreJob { at: &branch, runs: &runs, refuse_above_nats: None }]).pop().unwrap() {
                Ok(scored) => {
                    let document = [&before[..], &probe].concat();
                    prop_assert_eq!(bits(&scored), score_from_scratch(&document, before.len()));
                }
                Err(error) => prop_assert!(matches!(error, Error::ContextTooLong { .. }), "{error}"),
            }
        }
        prop_assert!(all_free(&engine));
    }
}

#[test]
fn what_callers_hold_gives_way_and_is_computed_again() {
    let engine = engine(&EngineOptions { cache_tokens: count(48), page_tokens: count(4), ..small() });
    let document = ids(70, 48);
    let at = engine.extend(None, &document[..30]).unwrap();
    let other = engine.extend(None, &document[..8]).unwrap();
    let before = [score(&engine, &at, &document[30..34]), score(&engine, &other, &document[8..14])];
    assert_eq!((engine.cache_pages().free, engine.stats().evicted_branches), (2, 0));
    // The whole cache: nothing of what is held can stay.
    let whole = engine.extend(Some(&at), &document[30..]).unwrap();
    assert_eq!((whole.tokens(), engine.cache_pages().free), (48, 0));
    assert!(engine.stats().evicted_branches >= 1);
    let fresh = engine.stats().fresh_tokens;
    assert_eq!([score(&engine, &at, &document[30..34]), score(&engine, &other, &document[8..14])], before);
    assert!(engine.stats().fresh_tokens - fresh > 4 + 6, "what was given up is computed again");
    drop((at, other, whole));
    assert!(all_free(&engine));
}

#[test]
fn a_document_longer_than_the_cache_is_too_long() {
    let engine = engine(&EngineOptions { cache_tokens: count(48), ..small() });
    assert_eq!(engine.limits().context_tokens, 48);
    let error = engine.extend(None, &ids(72, 49)).unwrap_err();
    assert_eq!(error, Error::ContextTooLong { asked: 49, limit: 48 });
}

#[test]
fn a_fork_costs_one_page_at_most() {
    let engine = engine(&EngineOptions { page_tokens: count(16), ..small() });
    let at = engine.extend(None, &ids(71, 40)).unwrap();
    let used = |engine: &Engine| engine.cache_pages().total - engine.cache_pages().free;
    assert_eq!(used(&engine), 3);
    let first = engine.extend(Some(&at), &[1]).unwrap();
    assert_eq!(used(&engine), 3, "the first goes on in place");
    let second = engine.extend(Some(&at), &[2]).unwrap();
    assert_eq!(used(&engine), 4, "the second copies the page they share in part");
    drop((at, first));
    assert_eq!(used(&engine), 3);
    drop(second);
    assert!(all_free(&engine));
}

#[test]
fn texts_that_do_not_fit_together_are_written_one_after_another() {
    let sampling = Sampling { temperature: 1.0, top_p: 1.0, max_new_tokens: 24 };
    // Two have the same hint, so one waits for the other's prompt.
    let hints: Vec<Vec<u32>> = (0..4).map(|hint| ids(80 + hint % 3, 6)).collect();
    let write = |engine: &Engine| {
        let at = engine.extend(None, &ids(79, 8)).unwrap();
        let job = |(hint, candidate)| GenJob {
            prompt: Prompt::Branch { at: &at, hint },
            sampling,
            key: key(candidate),
            stop_ids: &[],
        };
        let jobs: Vec<_> = hints.iter().map(Vec::as_slice).zip(0..).map(job).collect();
        engine.generate(&jobs)
    };
    let roomy = engine(&small());
    let expected = write(&roomy);
    // Eight tokens of context and thirty of one text take ten pages; four texts would take 34.
    let narrow = engine(&EngineOptions { cache_tokens: count(60), page_tokens: count(4), ..small() });
    assert_eq!(write(&narrow), expected);
    let forwards = [&roomy, &narrow].map(|engine| engine.stats().forwards);
    assert!(forwards[1] > 2 * forwards[0], "the narrow cache must have been too narrow: {forwards:?}");
    assert_eq!(narrow.stats().rewound_jobs, 0, "nobody began who could not end");
    assert!(all_free(&narrow));
}

#[test]
fn a_job_that_waits_for_room_is_scored_the_same() {
    let (context, target) = (ids(90, 8), ids(91, 48));
    let thoughts = [ids(92, 4), ids(93, 4)];
    let narrow =
        engine(&EngineOptions { cache_tokens: count(80), page_tokens: count(4), prefill_tokens: count(8), ..small() });
    let at = narrow.extend(None, &context).unwrap();
    let runs: Vec<_> = thoughts.iter().map(|thought| [run(thought, false), run(&target, true)]).collect();
    let document = [&context[..], &thoughts[0], &target].concat();
    let (nats, _) = score_from_scratch(&document, 12);
    // The first job fits alone and is refused near its end.
    let bound = Some(f64::from_bits(nats) - 0.01);
    let jobs = [
        ScoreJob { at: &at, runs: &runs[0], refuse_above_nats: bound },
        ScoreJob { at: &at, runs: &runs[1], refuse_above_nats: None },
    ];
    let scored = narrow.score(&jobs);
    assert!(matches!(scored[0], Ok(Scored::Refused { .. })));
    let document = [&context[..], &thoughts[1], &target].concat();
    assert_eq!(bits(scored[1].as_ref().unwrap()), score_from_scratch(&document, 12));
    assert_eq!(narrow.stats().fresh_tokens, 8 + 2 * (4 + 48), "neither was begun in vain");
}

#[test]
fn branches_may_be_dropped_on_other_threads() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    let engine = engine(&small());
    is_shared(&engine);
    let document = ids(95, 30);
    let expected = score_from_scratch(&document, 20);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let at = engine.extend(None, &document[..20]).unwrap();
                    assert_eq!(score(&engine, &at, &document[20..]), expected);
                }
            });
        }
    });
    assert!(all_free(&engine));
}
