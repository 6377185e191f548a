//! The leak gate inside the search: a model that copies gains nothing.

use crate::scene::{LIMITS, by_model, scene, searches, thoughts};
use recon_lm::fake::TableModel;
use recon_refine::{RefineOptions, carry_forward};
use recon_schema::trajectory::{
    Agent, Author, Body, Continuation, Decided, Fault, InitialThought, Leak, Outcome, Search, Step, Subject, Trajectory,
};
use recon_text::{Renderer, Rendering};

/// Rewards copying: a token costs little where it follows the same five tokens as before.
fn copying(before: &[u32], id: u32) -> f32 {
    let recent = before.len().saturating_sub(5);
    let next = [&before[recent..], &[id]].concat();
    if before.windows(next.len()).any(|window| window == next) { -0.01 } else { -3.0 }
}

#[test]
fn a_model_that_copies_the_target_is_stopped_by_the_gate() {
    let scene = scene();
    let files = scene.repository.files.clone();
    let write = move |_: &[u32], _: &[u32], key: &recon_lm::RandomKey| {
        // In sentences, as a model would that means to pass for a thought.
        let said = |text: &String| {
            let body = text.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("In round {} the file is {} and it reads `{body}` as it stands.", key.round, key.file)
        };
        files.get(&key.file).map_or_else(|| "Nothing to add to `total`.".into(), said)
    };
    let model = TableModel::new(LIMITS, copying, write);
    let refined = scene.refine(&model, &by_model());
    let mut leaked = 0;
    for search in &searches(&refined.trajectory)[2..] {
        for candidate in search.rounds.iter().flat_map(|round| &round.candidates) {
            assert!(
                matches!(candidate.outcome, Outcome::Leaked { leak: Leak::Run { .. } | Leak::Coverage { .. } })
                    || matches!(&candidate.outcome, Outcome::Invalid { fault: Fault::Repeated, .. }),
                "{candidate:?}"
            );
            leaked += u64::from(matches!(candidate.outcome, Outcome::Leaked { .. }));
        }
        assert_eq!(search.final_nats, search.initial_nats);
    }
    for (_, text, _) in thoughts(&refined.trajectory) {
        assert!(!text.contains("item for item in items") && !text.contains("raise ValueError"), "{text}");
    }
    assert!(leaked > 0);
    assert_eq!(refined.report.authors[&Author::Model].leaked, leaked);
    assert_eq!(refined.trajectory.summary.leaks_by_author[&Author::Model], leaked);
    assert_eq!(refined.report.authors[&Author::Model].accepted, 0);
}

#[test]
fn the_copy_would_have_won_without_the_gate() {
    let scene = scene();
    let renderer = Renderer::new(&scene.tokenizer, Rendering::Chat);
    let text = &scene.repository.files["price.py"];
    let ids = scene.tokenizer.encode(text);
    let cost = |before: Vec<u32>| {
        let mut before = before;
        let mut nats = 0.0;
        for &id in &ids {
            nats -= copying(&before, id);
            before.push(id);
        }
        nats
    };
    let document = renderer.document(&scene.trajectory).ids;
    let opening = document[..200].to_vec();
    assert!(cost([&opening[..], &ids[..]].concat()) < 0.3 * cost(opening));
}

#[test]
fn a_first_thought_that_leaks_is_replaced_whether_searched_for_or_not() {
    for (rounds, max_steps) in [(1, None), (1, Some(0))] {
        let mut scene = scene();
        let leaky = format!("I will write this: {}", scene.repository.files["price.py"]);
        let own = |step: &Step| step.agent == Agent::File("price.py".into());
        let step = scene.trajectory.steps.iter_mut().find(|step| own(step)).unwrap();
        let subject = Subject::Writing { path: "price.py".into() };
        step.body = Body::Think { text: leaky.clone(), subject, search: None };
        step.author = Author::Model;
        let model = TableModel::new(LIMITS, |_, _| -1.0, |_, _, _| "Nothing to add to `total`.".into());
        let refined = scene.refine(&model, &RefineOptions { rounds, max_steps, ..by_model() });
        let all = thoughts(&refined.trajectory);
        let (step, text, search) = all.iter().find(|(step, _, _)| own(step)).unwrap();
        assert!(!text.contains("item for item"), "{text}");
        assert_eq!(step.author, Author::Outline);
        assert_eq!(search.is_some(), max_steps.is_none());
        if let Some(search) = search {
            assert!(matches!(search.initial.replaced, Some(Leak::Run { .. })), "{:?}", search.initial);
        }
        let counts = &refined.report.authors[&Author::Model];
        assert_eq!((counts.first, counts.first_leaked), (1, 1));
        assert_eq!(counts.leak_rate(), 1.0 / (1 + counts.proposed) as f64);
        let first: u64 = refined.report.authors.values().map(|counts| counts.first).sum();
        assert_eq!(first as usize, all.len(), "every thought is held against the gate");
        assert_eq!(refined.trajectory.summary.leaks_by_author[&Author::Model], 1);
        let renderer = Renderer::new(&scene.tokenizer, Rendering::Chat);
        assert!(!scene.tokenizer.decode(&renderer.document(&refined.trajectory).ids).contains(&leaky));
    }
}

/// A first part that decided `goals`, found from `initial` where it was searched for.
fn first_part(trajectory: &Trajectory, goals: &str, initial: Option<&str>) -> Trajectory {
    let mut first = trajectory.clone();
    let search = initial.map(|text| {
        let initial = InitialThought { author: Author::Outline, text: text.into(), replaced: None };
        Box::new(Search {
            targets: vec!["app.py".into()],
            baseline_nats: 2.0,
            initial_nats: 2.0,
            final_nats: 1.0,
            target_tokens: 1,
            target_bytes: 1,
            initial,
            rounds: Vec::new(),
            control: None,
            spared: None,
        })
    });
    first.steps[1].body = Body::Think { text: goals.into(), subject: Subject::Requirements, search };
    first
}

#[test]
fn refined_requirements_reach_the_openings_of_later_parts_where_there_is_room() {
    let scene = scene();
    let renderer = Renderer::new(&scene.tokenizer, Rendering::Chat);
    let first = first_part(&scene.trajectory, "Better goals, at length", Some("Old goals"));
    let Body::Think { text: plan, .. } = &first.steps[2].body else { panic!("the plan is a thought") };
    let decided = |requirements: &str| Decided { requirements: requirements.into(), plan: plan.clone() };
    let mut part = scene.trajectory.clone();
    part.steps.truncate(1);
    let continuation =
        Continuation { decided: Some(decided("Old goals")), written: vec!["price.py".into()], earlier: 0 };
    part.steps.push(Step { body: Body::Continuation(continuation), ..scene.trajectory.steps[0].clone() });
    let carried = |context_tokens: usize| {
        let mut part = part.clone();
        carry_forward(&first, &mut part, &renderer, context_tokens);
        match &part.steps[1].body {
            Body::Continuation(continuation) => continuation.decided.clone().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(carried(1 << 15), decided("Better goals, at length"));
    assert_eq!(carried(renderer.document(&part).ids.len()), decided("Old goals"), "no room for more");
}

#[test]
fn what_the_gate_refused_does_not_come_back_in_a_later_part() {
    let scene = scene();
    let renderer = Renderer::new(&scene.tokenizer, Rendering::Chat);
    // The first thought leaked and was replaced without a search.
    let first = first_part(&scene.trajectory, "Safe goals", None);
    let mut part = first_part(&scene.trajectory, "Safe goals", None);
    part.steps.truncate(1);
    let decided = Some(Decided { requirements: "the leak, word by word".into(), plan: "a plan".into() });
    let continuation = Continuation { decided, ..Continuation::default() };
    part.steps.push(Step { body: Body::Continuation(continuation), ..scene.trajectory.steps[0].clone() });
    carry_forward(&first, &mut part, &renderer, 1 << 15);
    assert!(!format!("{:?}", part.steps[1]).contains("word by word"), "{:?}", part.steps[1]);
}
