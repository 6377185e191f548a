//! Many callers at once: each gets what it would get alone, to the bit, and none waits for ever.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use recon_engine::{Engine, EngineOptions};
use recon_llama::{FlatParams, GradLease, Lease, Params, Unit};
use recon_lm::{Branch, GenJob, Generator, Prompt, Sampling, ScoreJob, Scored, Scorer};
use recon_schema::Sha256;
use recon_schema::trajectory::ModelRef;

use crate::support::{count, engine, ids, key, model, run, small, tokenizer};

/// What one repository asks, as one after another as a search does, and every answer to the bit.
fn search(model: &(impl Scorer + Generator), repository: u64) -> Vec<String> {
    let mut heard = Vec::new();
    let seed = |what: u64| 5000 + 100 * repository + what;
    let mut document = model.extend(None, &ids(seed(0), 20 + repository as usize)).unwrap();
    for step in 0..2 {
        let hint = ids(seed(1 + step), 9);
        let sampling = Sampling { temperature: 0.9, top_p: 0.8, max_new_tokens: 5 + repository as usize };
        let job = |candidate| GenJob {
            prompt: Prompt::Branch { at: &document, hint: &hint },
            sampling,
            key: key(100 * repository as u32 + candidate),
            stop_ids: &[7, 9],
        };
        let texts = model.generate(&(0..3).map(job).collect::<Vec<_>>());
        heard.push(format!("{texts:?}"));
        let thoughts: Vec<Vec<u32>> = texts.into_iter().map(|text| text.unwrap().ids).collect();
        let target = ids(seed(10 + step), 25);
        let runs: Vec<_> = thoughts.iter().map(|thought| [run(thought, false), run(&target, true)]).collect();
        let bound = |candidate| (candidate == 1).then_some(60.0);
        let jobs: Vec<ScoreJob<'_>> = (runs.iter().enumerate())
            .map(|(at, runs)| ScoreJob { at: &document, runs, refuse_above_nats: bound(at) })
            .collect();
        let scored = model.score(&jobs);
        heard.extend(scored.iter().map(said));
        document = kept(scored).unwrap_or(document);
    }
    heard
}

fn said(scored: &recon_lm::Result<Scored>) -> String {
    match scored.as_ref().unwrap() {
        Scored::Full { nats, logprobs, .. } => {
            let logprobs: Vec<u32> = logprobs.iter().map(|it| it.to_bits()).collect();
            format!("{:x} {logprobs:x?}", nats.to_bits())
        }
        Scored::Refused { nats_at_least, tokens_seen } => format!("{:x} at {tokens_seen}", nats_at_least.to_bits()),
    }
}

/// Behind the first that was scored in full.
fn kept(scored: Vec<recon_lm::Result<Scored>>) -> Option<Branch> {
    scored.into_iter().find_map(|scored| match scored {
        Ok(Scored::Full { ends, .. }) => ends.into_iter().next_back(),
        _ => None,
    })
}

const REPOSITORIES: u64 = 6;

/// Each repository alone in an engine of its own, on one thread.
fn alone() -> &'static [Vec<String>] {
    static ALONE: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    ALONE.get_or_init(|| {
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let roomy = EngineOptions { cache_tokens: count(4096), ..EngineOptions::default() };
        one_thread.install(|| (0..REPOSITORIES).map(|repository| search(&engine(&roomy), repository)).collect())
    })
}

/// The repositories in `order`, each on a thread of its own; by repository.
fn together(engine: &Engine, order: &[u64]) -> BTreeMap<u64, Vec<String>> {
    std::thread::scope(|scope| {
        let begin = |&repository: &u64| (repository, scope.spawn(move || search(&engine.caller(), repository)));
        let threads: Vec<_> = order.iter().map(begin).collect();
        threads.into_iter().map(|(repository, thread)| (repository, thread.join().unwrap())).collect()
    })
}

fn assert_as_alone(found: &BTreeMap<u64, Vec<String>>) {
    for (repository, heard) in found {
        assert_eq!(heard, &alone()[*repository as usize], "repository {repository}");
    }
}

/// `PROPTEST_CASES=1000` for the long run; `RAYON_NUM_THREADS` for other thread counts.
fn cases(few: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(few), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(12))]
    #[test]
    fn shuffled_callers_get_what_they_get_alone(
        order in Just((0..REPOSITORIES).collect::<Vec<_>>()).prop_shuffle(),
        callers in 1..=REPOSITORIES as usize,
        page_tokens in 1..20_u32,
        prefill_tokens in 3..80_u32,
        refusal_tokens in 1..40_u32,
        cache_tokens in 160..700_u32,
    ) {
        let [page_tokens, prefill_tokens, refusal_tokens, cache_tokens] =
            [page_tokens, prefill_tokens, refusal_tokens, cache_tokens].map(count);
        let options = EngineOptions { page_tokens, prefill_tokens, refusal_tokens, cache_tokens, ..small() };
        let engine = engine(&options);
        for order in order.chunks(callers) {
            assert_as_alone(&together(&engine, order));
        }
        prop_assert_eq!(engine.cache_pages().free, engine.cache_pages().total);
    }
}

#[test]
fn callers_ride_in_the_same_forwards() {
    let order: Vec<u64> = (0..REPOSITORIES).collect();
    let one_after_another = engine(&small());
    order.iter().for_each(|repository| assert_as_alone(&together(&one_after_another, &[*repository])));
    let at_once = engine(&EngineOptions { cache_tokens: count(2048), ..small() });
    assert_as_alone(&together(&at_once, &order));
    let [apart, joined] = [&one_after_another, &at_once].map(Engine::stats);
    assert!(joined.forwards < apart.forwards, "{} forwards together, {} apart", joined.forwards, apart.forwards);
}

#[test]
fn branches_of_those_who_wait_are_evicted_and_rebuilt() {
    // Each search comes to more than 70 tokens, and there is room for about two.
    let narrow = engine(&EngineOptions { cache_tokens: count(160), ..small() });
    assert_as_alone(&together(&narrow, &(0..REPOSITORIES).collect::<Vec<_>>()));
    assert!(narrow.stats().evicted_branches > 0);
    let held = narrow.extend(None, &ids(1, 150)).unwrap();
    assert_as_alone(&together(&narrow, &[3]));
    assert_eq!(narrow.extend(Some(&held), &[5]).unwrap().tokens(), 151);
}

#[test]
fn costs_are_counted_by_caller() {
    let engine = engine(&small());
    let [one, other] = [engine.caller(), engine.caller()];
    std::thread::scope(|scope| {
        scope.spawn(|| search(&one, 0));
        scope.spawn(|| search(&other, 1));
    });
    let (all, one, other) = (engine.stats(), one.stats(), other.stats());
    assert!(one.fresh_tokens > 0 && other.generated_tokens > 0);
    assert_eq!(one.fresh_tokens + other.fresh_tokens, all.fresh_tokens);
    assert_eq!(one.generated_tokens + other.generated_tokens, all.generated_tokens);
    assert_eq!(one.scored_tokens + other.scored_tokens, all.scored_tokens);
    assert!(one.seconds + other.seconds <= all.seconds * (1.0 + 1e-9));
}

/// Parameters that can be told to panic.
struct Faulty {
    params: FlatParams,
    throws: Arc<AtomicBool>,
}

impl Params for Faulty {
    fn lease(&self, unit: Unit) -> recon_llama::Result<Lease> {
        assert!(!self.throws.load(Ordering::Relaxed), "on purpose");
        self.params.lease(unit)
    }

    fn grads(&self, unit: Unit) -> recon_llama::Result<GradLease> {
        self.params.grads(unit)
    }
}

#[test]
fn a_panic_under_one_caller_answers_all_and_ends_nothing() {
    let ((llama, params), throws) = (model(), Arc::new(AtomicBool::new(false)));
    let model = ModelRef { name: "faulty".into(), sha256: Sha256::of(b"faulty") };
    let faulty = Faulty { params, throws: Arc::clone(&throws) };
    let engine = Engine::from_parts(llama, faulty, tokenizer(), model, &small()).unwrap();
    throws.store(true, Ordering::Relaxed);
    // Each either makes the forward that panics or is answered with an error; none waits for ever.
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| engine.extend(None, &ids(1, 30)).is_err())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(true)).collect::<Vec<_>>()
    });
    assert_eq!(failed, [true; 4]);
    throws.store(false, Ordering::Relaxed);
    assert_as_alone(&together(&engine, &[2, 4]));
    assert_eq!(engine.cache_pages().free, engine.cache_pages().total);
}
