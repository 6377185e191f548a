//! Likelihoods: one value however computed, equal to the training loss, refused exactly.

use recon_engine::EngineOptions;
use recon_llama::Packed;
use recon_lm::{Error, ScoreJob, Scored, Scorer};

use crate::support::{CONTEXT_TOKENS, bits, config, count, engine, ids, model, run, score, score_from_scratch, small};

fn full(job: ScoreJob<'_>) -> ScoreJob<'_> {
    ScoreJob { refuse_above_nats: None, ..job }
}

#[test]
fn a_likelihood_does_not_depend_on_chunks_pages_or_branches() {
    let document = ids(1, 120);
    let expected = score_from_scratch(&document, 40);
    for (page, prefill) in [(1, 1), (4, 7), (16, 50), (64, 512), (3, 33)] {
        let options = EngineOptions { page_tokens: count(page), prefill_tokens: count(prefill), ..small() };
        let engine = engine(&options);
        let context = engine.extend(None, &document[..40]).unwrap();
        assert_eq!(score(&engine, &context, &document[40..]), expected, "pages of {page}, {prefill} a forward");
        let in_two = engine.extend(None, &document[..13]).unwrap();
        let in_two = engine.extend(Some(&in_two), &document[13..40]).unwrap();
        assert_eq!(score(&engine, &in_two, &document[40..]), expected, "after a branch at 13");
    }
}

#[test]
fn a_likelihood_does_not_depend_on_its_company() {
    let document = ids(2, 100);
    let engine = engine(&small());
    let at = engine.extend(None, &document[..30]).unwrap();
    let alone = score(&engine, &at, &document[30..]);
    let others: Vec<Vec<u32>> = (0..6).map(|other| ids(20 + other, 3 + 9 * other as usize)).collect();
    let runs: Vec<_> = others.iter().map(|other| [run(other, true)]).collect();
    let ours = [run(&document[30..70], true), run(&[], true), run(&document[70..], true)];
    for place in 0..=others.len() {
        let mut jobs: Vec<ScoreJob<'_>> =
            runs.iter().map(|runs| ScoreJob { at: &at, runs, refuse_above_nats: None }).collect();
        jobs.insert(place, ScoreJob { at: &at, runs: &ours, refuse_above_nats: None });
        let scored = engine.score(&jobs);
        assert_eq!(bits(scored[place].as_ref().unwrap()), alone);
    }
}

#[test]
fn scored_nats_are_the_training_loss() {
    let document = ids(3, 90);
    let from = 25;
    let (llama, params) = model();
    let mask = (0..document.len()).map(|id| u8::from(id >= from)).collect();
    let span = 0..document.len();
    let packed = Packed { ids: document.clone(), mask, spans: vec![span] };
    let loss = llama.loss(&params, &packed).unwrap();
    let (nats, logprobs) = score_from_scratch(&document, from);
    let nats = f64::from_bits(nats);
    assert_eq!(loss.tokens, logprobs.len() as u64);
    assert!((nats - loss.nats).abs() <= 1e-5 * loss.nats, "{nats} scored, {} trained", loss.nats);
    assert!(nats / logprobs.len() as f64 > 1.0, "the small model must be unsure of random tokens");
}

#[test]
fn a_refused_job_reports_the_sum_at_the_first_border_above_the_bound() {
    let document = ids(4, 80);
    let (_, logprobs) = score_from_scratch(&document, 20);
    let sums: Vec<f64> = logprobs
        .iter()
        .scan(0.0, |sum, bits| {
            *sum -= f64::from(f32::from_bits(*bits));
            Some(*sum)
        })
        .collect();
    for refusal_tokens in [1, 5, 64] {
        let engine = engine(&EngineOptions { refusal_tokens: count(refusal_tokens), ..small() });
        let at = engine.extend(None, &document[..10]).unwrap();
        let runs = [run(&document[10..20], false), run(&document[20..], true)];
        let job = ScoreJob { at: &at, runs: &runs, refuse_above_nats: None };
        for seen in [1, 2, 29, 60] {
            // Exactly at the sum is not above it.
            let bound = if seen == 1 { 0.0 } else { sums[seen - 2] };
            let before = engine.stats().fresh_tokens;
            let found = engine.score(&[ScoreJob { refuse_above_nats: Some(bound), ..job }]).pop().unwrap().unwrap();
            let Scored::Refused { nats_at_least, tokens_seen } = found else { panic!("{found:?}") };
            assert_eq!((nats_at_least.to_bits(), tokens_seen), (sums[seen - 1].to_bits(), seen));
            let computed = engine.stats().fresh_tokens - before;
            assert!(computed <= (10 + seen as u64 + u64::from(refusal_tokens)).min(70), "{computed} for {seen} seen");
        }
        let kept = engine.score(&[ScoreJob { refuse_above_nats: sums.last().copied(), ..job }]).pop().unwrap().unwrap();
        assert_eq!(bits(&kept).1, logprobs);
        drop(kept);
        assert_eq!(engine.stats().refused_jobs, 4);
        drop(at);
        assert_eq!(engine.cache_pages().free, engine.cache_pages().total);
    }
}

#[test]
fn a_refusal_leaves_its_neighbours_alone() {
    let (thoughts, target) = ([ids(50, 9), ids(51, 14), ids(52, 3)], ids(53, 40));
    let engine = engine(&small());
    let at = engine.extend(None, &ids(54, 21)).unwrap();
    let runs: Vec<_> = thoughts.iter().map(|thought| [run(thought, false), run(&target, true)]).collect();
    let job = |runs| ScoreJob { at: &at, runs, refuse_above_nats: None };
    let alone: Vec<_> = runs.iter().map(|runs| bits(engine.score(&[job(runs)])[0].as_ref().unwrap())).collect();
    let mut jobs: Vec<_> = runs.iter().map(|runs| job(runs)).collect();
    // The fourth takes the second's thought over from it, and the second is refused right behind it.
    jobs.push(jobs[1]);
    jobs[1].refuse_above_nats = Some(3.0);
    let scored = engine.score(&jobs);
    assert!(matches!(scored[1], Ok(Scored::Refused { .. })));
    for (job, alone) in [(0, 0), (2, 2), (3, 1)].map(|(job, as_alone)| (job, &alone[as_alone])) {
        assert_eq!(bits(scored[job].as_ref().unwrap()), *alone, "job {job}");
    }
}

#[test]
fn ends_continue_where_the_runs_ended() {
    let document = ids(5, 90);
    let engine = engine(&small());
    let at = engine.extend(None, &document[..11]).unwrap();
    let runs = [
        run(&[], false),
        run(&document[11..30], false),
        run(&document[30..31], true),
        run(&[], true),
        run(&document[31..60], true),
    ];
    let scored = engine.score(&[ScoreJob { at: &at, runs: &runs, refuse_above_nats: None }]).pop().unwrap();
    let Ok(Scored::Full { ends, .. }) = scored else { panic!("{scored:?}") };
    assert_eq!(ends.iter().map(recon_lm::Branch::tokens).collect::<Vec<_>>(), [11, 30, 31, 31, 60]);
    let fresh = engine.stats().fresh_tokens;
    for end in &ends {
        assert_eq!(score(&engine, end, &document[end.tokens()..]), score_from_scratch(&document, end.tokens()));
    }
    let computed: usize = ends.iter().map(|end| document.len() - end.tokens()).sum();
    assert_eq!(engine.stats().fresh_tokens - fresh, computed as u64, "a branch's own tokens are not computed again");
}

#[test]
fn leading_runs_that_jobs_share_are_computed_once() {
    let (contexts, plan) = ([ids(60, 17), ids(65, 17)], ids(61, 22));
    let targets = [ids(62, 12), ids(63, 12), ids(64, 30)];
    let engine = engine(&small());
    let branches = [&contexts[0], &contexts[1]].map(|context| engine.extend(None, context).unwrap());
    let runs: Vec<_> = targets.iter().map(|target| [run(&plan, false), run(target, true)]).collect();
    // The last job has another context, as long as the first's: nothing to share.
    let places = [(0, 0), (0, 1), (0, 2), (1, 0)];
    let jobs = places.map(|(at, target)| ScoreJob { at: &branches[at], runs: &runs[target], refuse_above_nats: None });
    let before = engine.stats();
    let scored = engine.score(&jobs);
    let after = engine.stats();
    assert_eq!(after.fresh_tokens - before.fresh_tokens, (22 + 12 + 12 + 30) + (22 + 12));
    assert_eq!(after.reused_tokens - before.reused_tokens, 4 * 17 + 2 * 22);
    for ((at, target), scored) in places.into_iter().zip(&scored) {
        let document = [&contexts[at][..], &plan, &targets[target]].concat();
        let scored = scored.as_ref().unwrap();
        assert_eq!(bits(scored), score_from_scratch(&document, 39));
        let Scored::Full { ends, .. } = scored else { unreachable!("bits() has seen it full") };
        assert_eq!((ends.len(), ends[0].tokens()), (2, 39));
    }
}

#[test]
fn bad_jobs_are_refused_one_by_one() {
    let engine = engine(&small());
    let other = crate::support::engine(&small());
    let vocabulary = config().vocab_size;
    let at = engine.extend(None, &ids(6, 10)).unwrap();
    let foreign = other.extend(None, &ids(6, 10)).unwrap();
    let (unknown, long, good) = ([vocabulary as u32], ids(7, CONTEXT_TOKENS - 9), ids(8, 5));
    let (unknown, long, good) = ([run(&unknown, true)], [run(&long, true)], [run(&good, true)]);
    let job = |at, runs| full(ScoreJob { at, runs, refuse_above_nats: None });
    let results = engine.score(&[job(&at, &unknown), job(&foreign, &good), job(&at, &good), job(&at, &long)]);
    assert_eq!(*results[0].as_ref().unwrap_err(), Error::UnknownToken { id: vocabulary as u32, vocabulary });
    assert_eq!(*results[1].as_ref().unwrap_err(), Error::ForeignBranch);
    assert!(results[2].is_ok());
    let too_long = Error::ContextTooLong { asked: CONTEXT_TOKENS + 1, limit: CONTEXT_TOKENS };
    assert_eq!(*results[3].as_ref().unwrap_err(), too_long);
    assert_eq!(engine.extend(None, &[]).unwrap_err(), Error::EmptyContext);
    assert!(matches!(engine.extend(Some(&foreign), &[1]), Err(Error::ForeignBranch)));
    assert_eq!(engine.extend(Some(&at), &[]).unwrap().tokens(), 10);
    assert!(engine.score(&[]).is_empty());
}
