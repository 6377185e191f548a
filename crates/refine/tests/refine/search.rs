//! The search with scripted likelihoods: what is accepted, in which context, and what it records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::scene::{LIMITS, OneByOne, Scene, by_model, scene, searches, thoughts};
use proptest::prelude::*;
use recon_lm::fake::TableModel;
use recon_lm::{RandomKey, RandomStream};
use recon_refine::{BudgetOptions, Error, Models, Proposer, RefineOptions, Report, refine};
use recon_schema::Sha256;
use recon_schema::trajectory::{Agent, Arm, Author, Body, Candidate, Fault, Outcome, Trajectory};
use recon_text::{Renderer, Rendering};

/// The number in the last `worth N.` before a place; what a thought is worth is in its text.
fn worth(before: &str) -> f64 {
    let number = before.rfind("worth ").map(|at| &before[at + 6..]).and_then(|rest| rest.split('.').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

fn worth_of(key: &RandomKey) -> u64 {
    1 + key.stream().bits(0) % 50
}

/// A thought is worth what it says; the more, the likelier every token after it.
fn valued(scene: &Scene) -> TableModel {
    scene.model(
        |before, _| 100.0 - worth(before),
        |key| format!("With `total` this thought is worth {}.", worth_of(key)),
    )
}

fn accepted(candidate: &Candidate) -> bool {
    matches!(candidate.outcome, Outcome::Scored { accepted: true, .. })
}

#[test]
fn the_best_candidate_of_each_round_wins_if_it_beats_the_incumbent() {
    let scene = scene();
    let refined = scene.refine(&valued(&scene), &by_model());
    for (step, text, search) in thoughts(&refined.trajectory) {
        let search = search.expect("every thought was searched for");
        let tokens = search.target_tokens as f64;
        // What the thoughts before it are worth counts too, where it says nothing itself.
        let mut incumbent = 100.0 - search.initial_nats / tokens;
        for round in &search.rounds {
            assert_eq!(round.candidates.len(), 2);
            let best = round.candidates.iter().map(|it| worth(&it.text)).fold(0.0, f64::max);
            let winners: Vec<&Candidate> = round.candidates.iter().filter(|it| accepted(it)).collect();
            assert_eq!(winners.len(), usize::from(best > incumbent));
            assert!(winners.iter().all(|winner| worth(&winner.text) == best));
            incumbent = f64::max(incumbent, best);
            assert_eq!(round.incumbent_nats, tokens * (100.0 - incumbent));
        }
        assert_eq!(search.final_nats, tokens * (100.0 - incumbent));
        assert_eq!(search.initial.author, Author::Outline);
        if search.rounds.iter().flat_map(|round| &round.candidates).any(accepted) {
            assert_eq!((worth(text), step.author), (incumbent, Author::Model));
            assert!(search.final_nats < search.initial_nats);
        } else {
            assert_eq!((text, step.author), (search.initial.text.as_str(), Author::Outline));
        }
    }
    assert_eq!(refined.report.searched as usize, thoughts(&refined.trajectory).len());
    assert!(refined.report.improved > 1);
    assert_eq!((refined.trajectory.arm, refined.trajectory.id.as_str()), (Arm::Search, "shop/search#0"));
}

#[test]
fn an_accepted_thought_is_the_context_of_all_that_follows() {
    let scene = scene();
    let model =
        scene.model(|before, _| if before.contains("apple") { 1.0 } else { 2.0 }, |_| "An apple is `total`.".into());
    let refined = scene.refine(&model, &by_model());
    let searches = searches(&refined.trajectory);
    let tokens = searches[0].target_tokens as f64;
    assert_eq!((searches[0].initial_nats, searches[0].final_nats), (2.0 * tokens, tokens));
    for search in &searches[1..] {
        let tokens = search.target_tokens as f64;
        assert_eq!((search.baseline_nats, search.initial_nats, search.final_nats), (tokens, tokens, tokens));
        assert!(!search.rounds.iter().flat_map(|round| &round.candidates).any(accepted), "a tie keeps the incumbent");
    }
    assert_eq!(refined.report.authors[&Author::Model].accepted, 1);
}

#[test]
fn a_gain_within_the_margin_is_refused() {
    let scene = scene();
    let model =
        || scene.model(|before, _| if before.contains("apple") { 1.5 } else { 2.0 }, |_| "An apple is `total`.".into());
    let improved = |margin| scene.refine(&model(), &RefineOptions { margin, ..by_model() }).report.improved;
    assert_eq!((improved(0.49), improved(0.5), improved(0.6)), (1, 0, 0));
}

#[test]
fn a_thought_is_scored_where_the_document_puts_it() {
    let scene = scene();
    let seen: Arc<Mutex<BTreeSet<Vec<u32>>>> = Arc::default();
    let sink = Arc::clone(&seen);
    let logprob = move |before: &[u32], _: u32| {
        sink.lock().unwrap().insert(before.to_vec());
        -1.0
    };
    let model =
        TableModel::new(LIMITS, logprob, |_, _, key| format!("Idea {} of {} is `total`.", key.candidate, key.round));
    let refined = scene.refine(&model, &by_model());
    let renderer = Renderer::new(&scene.tokenizer, Rendering::Chat);
    let (document, seen) = (renderer.document(&refined.trajectory), seen.lock().unwrap());
    let ids = |trajectory: &Trajectory, step: usize| renderer.step(&trajectory.steps[step]).ids;
    let (begin, none, opening) = (renderer.begin(), Vec::new(), ids(&refined.trajectory, 0));
    let (requirements, plan) = (ids(&refined.trajectory, 1), ids(&refined.trajectory, 2));
    // While requirements are searched for, the plan is still the first one.
    let first_plan = ids(&scene.trajectory, 2);
    for (at, step) in refined.trajectory.steps.iter().enumerate() {
        if step.written().is_none() {
            continue;
        }
        let span = &document.steps[at];
        // The sub-agent's thoughts: the document itself; its last thought's baseline: without that turn.
        assert!(seen.contains(&document.ids[..span.body.start]));
        let thought = &document.steps[at - 1].ids;
        let without = [&document.ids[..thought.start], &document.ids[span.ids.start..span.body.start]].concat();
        assert!(seen.contains(&without), "no baseline before step {at}");
        // Requirements and plan: the write turn right after the plan, and without each of them.
        let header = &document.ids[span.ids.start..span.body.start].to_vec();
        for opening in
            [[&opening, &requirements, &plan], [&opening, &none, &first_plan], [&opening, &requirements, &none]]
        {
            let context = [&begin[..], opening[0], opening[1], opening[2], header].concat();
            assert!(seen.contains(&context), "{}, step {at}", scene.tokenizer.decode(&context));
        }
    }
}

#[test]
fn a_round_is_one_generation_and_one_score_and_batches_change_nothing() {
    let scene = scene();
    let model = valued(&scene);
    let options = RefineOptions { authors: vec![Proposer::Model, Proposer::Outline], ..RefineOptions::default() };
    let one_by_one = OneByOne::new(&model);
    let apart = scene.refine_with(&one_by_one, &one_by_one, &options);
    let together = scene.refine(&model, &options);
    assert_eq!(serde_json::to_string(&apart.trajectory).unwrap(), serde_json::to_string(&together.trajectory).unwrap());
    assert_eq!(apart.report, together.report);
    let searches = searches(&apart.trajectory);
    assert_eq!(one_by_one.generate_calls.get(), 3 * searches.len());
    let scored = |candidate: &&Candidate| matches!(candidate.outcome, Outcome::Scored { .. } | Outcome::Refused { .. });
    let mut expected = vec![1];
    for search in &searches {
        let targets = search.targets.len();
        expected.push(2 * targets);
        let candidates = search.rounds.iter().map(|round| targets * round.candidates.iter().filter(scored).count());
        expected.extend(candidates.filter(|jobs| *jobs > 0));
    }
    expected.push(1);
    assert_eq!(*one_by_one.score_calls.borrow(), expected);
}

#[test]
fn the_outline_proposes_ever_more_detail_and_never_twice_the_same() {
    let scene = scene();
    let model = scene.model(|before, _| 1.0 + 1.0 / before.len() as f64, |_| unreachable!("nobody asks the model"));
    let options = RefineOptions { authors: vec![Proposer::Outline], rescore: false, ..RefineOptions::default() };
    let refined = scene.refine(&model, &options);
    let search = searches(&refined.trajectory)[0];
    let texts: Vec<&str> = search
        .rounds
        .iter()
        .flat_map(|round| &round.candidates)
        .map(|it| it.text.as_str())
        .filter(|it| !it.is_empty())
        .collect();
    assert!(texts.len() >= 2 && texts.windows(2).all(|pair| pair[0].len() < pair[1].len()), "{texts:?}");
    assert!(!texts.contains(&search.initial.text.as_str()));
    let counts = &refined.report.authors[&Author::Outline];
    assert!(counts.accepted > 0 && refined.report.final_thought_bytes > refined.report.initial_thought_bytes);
}

#[test]
fn requirements_and_plan_are_scored_on_a_few_planned_files() {
    let scene = scene();
    for (plan_files, expected) in [(1, 1), (2, 2), (9, 3)] {
        let refined = scene.refine(&valued(&scene), &RefineOptions { plan_files, ..by_model() });
        let searches = searches(&refined.trajectory);
        assert_eq!((searches[0].targets.len(), searches[1].targets.len()), (expected, expected));
        let bytes: usize = searches[0].targets.iter().map(|path| scene.repository.files[path].len()).sum();
        assert_eq!(searches[0].target_bytes as usize, bytes);
        let others = searches[2..].iter().map(|search| search.targets.len());
        assert!(others.clone().count() >= 3 && others.into_iter().all(|targets| targets == 1));
    }
}

#[test]
fn a_control_for_another_file_lowers_this_files_likelihood_less() {
    let scene = scene();
    // A file is likelier only behind a thought about this very file.
    let nats = |before: &str, _| {
        let path = before.rsplit("\"path\":\"").next().and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if before.contains(&format!("all about {path}")) { 1.0 } else { 2.0 }
    };
    let model = scene.model(nats, |key| format!("I know all about {}.", key.file));
    let options = RefineOptions { control_steps: 2, early_thoughts: false, ..by_model() };
    let refined = scene.refine(&model, &options);
    let control = refined.report.control;
    assert_eq!(control.thoughts, 2);
    assert_eq!(control.own_drop_nats(), control.tokens as f64);
    assert_eq!(control.control_drop_nats(), 0.0);
    for (step, _, search) in thoughts(&refined.trajectory) {
        if let (Agent::File(path), Some(control)) = (&step.agent, search.and_then(|search| search.control.as_ref())) {
            assert_ne!(path, &control.path);
        }
    }
}

#[test]
fn a_failing_model_leaves_thoughts_as_they_were_and_is_recorded() {
    let scene = scene();
    let renderer = Renderer::new(&scene.tokenizer, Rendering::Chat);
    let document = renderer.document(&scene.trajectory).ids.len();
    let limits = recon_lm::Limits { context_tokens: document / 2, ..LIMITS };
    let model = TableModel::new(
        limits,
        |_, _| -1.0,
        |_, _, key| format!("Idea {} of {} is `total`.", key.candidate, key.round),
    );
    let refined = scene.refine(&model, &RefineOptions { rescore: true, ..by_model() });
    let failures = &refined.report.failures;
    assert!(failures.iter().any(|failure| failure.reason.contains("do not fit the model's context")), "{failures:?}");
    let unsearched = thoughts(&refined.trajectory).iter().filter(|(_, _, search)| search.is_none()).count();
    assert!(unsearched > 0 && refined.report.searched > 0);
    // The two documents are recorded with the thoughts.
    assert_eq!(failures.len(), unsearched + 2);
    assert_eq!(refined.trajectory.steps.len(), scene.trajectory.steps.len());
}

#[test]
fn a_proposal_the_document_has_no_room_for_is_invalid() {
    let scene = scene();
    let renderer = Renderer::new(&scene.tokenizer, Rendering::Chat);
    let context_tokens = renderer.document(&scene.trajectory).ids.len() + 20;
    let value = |before: &str, _| 1.0 + 1.0 / before.len() as f64;
    let write =
        |key: &RandomKey| (0..1 + 6 * key.round).map(|at| format!("It is `total` number {at}. ")).collect::<String>();
    let refined = scene.refine(&scene.model(value, write), &RefineOptions { context_tokens, ..by_model() });
    assert!(renderer.document(&refined.trajectory).ids.len() <= context_tokens);
    let search = searches(&refined.trajectory)[0];
    let last = &search.rounds[2].candidates[0].outcome;
    assert!(
        matches!(last, Outcome::Invalid { fault: Fault::TooLong, reason } if reason.contains("has room for")),
        "{last:?}"
    );
}

#[test]
fn only_as_many_thoughts_are_searched_for_as_asked() {
    let scene = scene();
    let searched = |options: &RefineOptions| {
        let refined = scene.refine(&valued(&scene), options);
        thoughts(&refined.trajectory).iter().map(|(_, _, search)| search.is_some()).collect::<Vec<_>>()
    };
    let all = searched(&by_model());
    assert!(all.iter().all(|searched| *searched));
    let some = searched(&RefineOptions { max_steps: Some(3), ..by_model() });
    assert_eq!(some.iter().filter(|searched| **searched).count(), 3);
    assert_eq!(some[..3], [true; 3]);
    let late = searched(&RefineOptions { early_thoughts: false, ..by_model() });
    // Requirements, plan, and one thought for each of three files; two files read first.
    assert_eq!((all.len(), late.iter().filter(|searched| **searched).count()), (7, 5));
}

#[test]
fn everything_but_the_thoughts_stays_and_the_same_seed_gives_the_same_bytes() {
    let mut scene = scene();
    let refined = scene.refine(&valued(&scene), &by_model());
    for (before, after) in scene.trajectory.steps.iter().zip(&refined.trajectory.steps) {
        match (&before.body, &after.body) {
            (Body::Think { .. }, Body::Think { .. }) => assert!(after.trained),
            _ => assert_eq!(before, after),
        }
    }
    let bytes = |trajectory: &Trajectory| serde_json::to_vec(trajectory).unwrap();
    assert_eq!(bytes(&refined.trajectory), bytes(&scene.refine(&valued(&scene), &by_model()).trajectory));
    scene.trajectory.seed = 1;
    let other = scene.refine(&valued(&scene), &by_model());
    assert_ne!(searches(&refined.trajectory)[0].rounds, searches(&other.trajectory)[0].rounds);
}

#[test]
fn what_has_no_meaning_is_refused() {
    let scene = scene();
    let (model, renderer) = (valued(&scene), Renderer::new(&scene.tokenizer, Rendering::Chat));
    let models = Models { scorer: &model, generator: None, renderer: &renderer, model: None };
    let fail = |trajectory: &Trajectory, options: &RefineOptions| {
        refine(trajectory.clone(), &scene.graph, &models, options, &mut |_| {}).unwrap_err()
    };
    let outline = RefineOptions { authors: vec![Proposer::Outline], ..RefineOptions::default() };
    for (options, option) in [
        (by_model(), "authors"),
        (RefineOptions { authors: vec![], ..outline.clone() }, "authors"),
        (RefineOptions { margin: -1.0, ..outline.clone() }, "margin"),
        (RefineOptions { margin: f64::NAN, ..outline.clone() }, "margin"),
        (RefineOptions { plan_files: 0, ..outline.clone() }, "plan_files"),
    ] {
        let error = fail(&scene.trajectory, &options);
        assert!(matches!(error, Error::Option { option: named, .. } if named == option), "{error}");
    }
    let raw = Trajectory { arm: Arm::Raw, ..scene.trajectory.clone() };
    assert!(matches!(fail(&raw, &outline), Error::Arm { arm: Arm::Raw, .. }));
}

#[test]
fn a_report_that_contradicts_the_rule_does_not_verify() {
    let scene = scene();
    let report = scene.refine(&valued(&scene), &by_model()).report;
    let mut sum = Report::default();
    sum.merge(&report);
    sum.merge(&report);
    assert_eq!(
        (sum.searched, sum.tokens, sum.final_nats),
        (2 * report.searched, 2 * report.tokens, 2.0 * report.final_nats)
    );
    assert_eq!(sum.rounds_nats.last(), Some(&sum.final_nats));
    sum.verify().unwrap();
    assert!(Report { worse: 1, ..sum.clone() }.verify().is_err());
    assert!(Report { final_nats: sum.initial_nats, ..sum.clone() }.verify().is_err());
}

/// A likelihood without any order: a hash of the last 40 tokens and the next one.
fn arbitrary(seed: u64, calm: bool) -> TableModel {
    let logprob = move |before: &[u32], id: u32| {
        let recent: Vec<u8> = before
            .iter()
            .rev()
            .take(if calm { 400 } else { 40 })
            .chain([&id])
            .flat_map(|id| id.to_le_bytes())
            .collect();
        let key = Sha256::of(&recent).to_u64() ^ seed;
        -(RandomStream::from_key(key).uniform(0) * 3.0) as f32
    };
    TableModel::new(LIMITS, logprob, |_, _, key| format!("Idea number {:x} is `total`.", key.stream().bits(0)))
}

/// What the search decided, without what it cost.
fn decisions(trajectory: &Trajectory) -> Vec<(String, Author, Vec<f64>, Vec<bool>)> {
    let decision =
        |(step, text, search): (&recon_schema::trajectory::Step, &str, Option<&recon_schema::trajectory::Search>)| {
            let rounds = &search.expect("every thought was searched for").rounds;
            let nats = rounds.iter().map(|round| round.incumbent_nats).collect();
            let won = rounds.iter().flat_map(|round| &round.candidates).map(accepted).collect();
            (text.to_string(), step.author, nats, won)
        };
    thoughts(trajectory).into_iter().map(decision).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn early_refusal_saves_tokens_and_never_changes_a_decision(seed in any::<u64>(), margin in 0.0_f64..0.05) {
        let scene = scene();
        let with = |refuse_early| {
            let options = RefineOptions { refuse_early, margin, ..by_model() };
            scene.refine(&arbitrary(seed, true), &options)
        };
        let (early, late) = (with(true), with(false));
        prop_assert_eq!(decisions(&early.trajectory), decisions(&late.trajectory));
        prop_assert_eq!(late.report.refused, 0);
        prop_assert!(early.report.refused > 0);
        let full: BTreeMap<&str, f64> = searches(&late.trajectory).iter().flat_map(|search| &search.rounds)
            .flat_map(|round| &round.candidates).filter_map(|it| match it.outcome {
                Outcome::Scored { nats, .. } => Some((it.text.as_str(), nats)),
                _ => None,
            }).collect();
        for candidate in searches(&early.trajectory).iter().flat_map(|search| &search.rounds).flat_map(|round| &round.candidates) {
            if let Outcome::Refused { nats_at_least, .. } = candidate.outcome {
                prop_assert!(nats_at_least <= full[candidate.text.as_str()]);
            }
        }
    }
}

#[test]
fn what_is_not_reproduced_would_be_seen() {
    let scene = scene();
    let one = scene.refine(&arbitrary(1, false), &by_model());
    let two = scene.refine(&arbitrary(2, false), &by_model());
    assert_ne!(decisions(&one.trajectory), decisions(&two.trajectory));
}

#[test]
fn a_search_that_ends_early_is_the_beginning_of_the_whole_one_and_says_what_it_spared() {
    let scene = scene();
    // After its first rounds a place rarely gains anything more.
    let whole_options = RefineOptions { rounds: 8, control_steps: 2, ..by_model() };
    let budget = BudgetOptions { least_share: 1.0, learn_rounds: 1, probe_every: 100 };
    let options = RefineOptions { budget: Some(budget), ..whole_options.clone() };
    let model = valued(&scene);
    let (whole, brief) = (scene.refine(&model, &whole_options), scene.refine(&valued(&scene), &options));
    let both: Vec<_> = searches(&whole.trajectory).into_iter().zip(searches(&brief.trajectory)).collect();
    let (mut spared, mut ended) = (0, 0);
    for (_, search) in &both {
        let left = search.spared.map_or(0, |spared| spared.rounds);
        assert_eq!(search.rounds.len() as u32 + left, 8);
        assert!(search.rounds.iter().all(|round| round.candidates.len() == 2), "every candidate is recorded");
        (spared, ended) = (spared + left, ended + u64::from(left > 0));
    }
    assert!(spared > 0 && both[0].1.spared.is_none(), "nothing is known at the first place");
    // Up to the first place at which another thought stands, both saw the same.
    for (long, short) in &both {
        assert_eq!(long.rounds[..short.rounds.len()], short.rounds[..]);
        if long.final_nats != short.final_nats {
            break;
        }
    }
    let report = &brief.report;
    assert_eq!((report.spared.rounds, report.ended_early), (spared, ended));
    assert_eq!(report.rounds_nats.len(), 8);
    assert!((report.rounds_nats[7] - report.final_nats).abs() < 1e-6 * report.final_nats);
    assert!(report.rounds_nats.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9), "{:?}", report.rounds_nats);
    assert_eq!(brief, scene.refine(&valued(&scene), &options), "the same again");
    let slow = RefineOptions { refuse_early: false, ..options };
    let texts = |refined: &recon_refine::Refined| -> Vec<String> {
        thoughts(&refined.trajectory).into_iter().map(|(_, text, _)| text.to_owned()).collect()
    };
    assert_eq!(texts(&scene.refine(&valued(&scene), &slow)), texts(&brief), "early refusal decides nothing");
}

#[test]
fn sums_of_reports_with_searches_of_different_length_compare() {
    let scene = scene();
    let run = |rounds| scene.refine(&valued(&scene), &RefineOptions { rounds, ..by_model() }).report;
    let (short, long) = (run(1), run(3));
    for (mut sum, other) in [(short.clone(), &long), (long.clone(), &short)] {
        sum.merge(other);
        assert_eq!(sum.rounds_nats.len(), 3);
        assert!((sum.rounds_nats[0] - (short.rounds_nats[0] + long.rounds_nats[0])).abs() < 1e-6);
        assert!((sum.rounds_nats[2] - sum.final_nats).abs() < 1e-6, "{:?}", sum.rounds_nats);
    }
}
