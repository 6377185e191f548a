//! What a sub-agent reads where the model decides, what it drafts, and the arm without agents.

use std::collections::BTreeSet;

use recon_agents::{AgentOptions, DebugOptions, Error, ModelWriter, Reads, simulate};
use recon_graph::build;
use recon_lm::Limits;
use recon_lm::fake::TableModel;
use recon_repository::Repository;
use recon_schema::Sha256;
use recon_schema::trajectory::{Action, Agent, Arm, Author, Body, ModelRef, Observed, Step, Subject, Trajectory};
use recon_text::{Renderer, Rendering, fake};

/// Files that import nothing, so that whatever is read was the model's idea.
fn apart(count: usize) -> Repository {
    let file = |at: usize| (format!("m{at:02}.py"), format!("def f{at:02}(x):\n    return x + {at}\n"));
    Repository::from_files("apart", (0..count).map(file))
}

fn run(repository: &Repository, options: &AgentOptions, model: &TableModel) -> Vec<Trajectory> {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let name = ModelRef { name: "table".into(), sha256: Sha256::of(b"table") };
    let writer = ModelWriter { generator: model, scorer: model, model: name };
    simulate(repository, &build(repository), options, &renderer, Some(writer)).unwrap()
}

/// Likely enough to read about every second time.
fn undecided() -> TableModel {
    with(|before, id| -0.01 - ((before.len() as u32 * 31 + id) % 11) as f32 / 200.0)
}

fn with(logprob: fn(&[u32], u32) -> f32) -> TableModel {
    TableModel::new(Limits { context_tokens: 1 << 20, vocabulary: 1024 }, logprob, |_, _, _| String::new())
}

fn decides(seed: u64) -> AgentOptions {
    AgentOptions { reads: Reads::Model, temperature: 1.0, seed, ..AgentOptions::default() }
}

/// Who reads what, in order.
fn reads(parts: &[Trajectory]) -> Vec<(String, String)> {
    let read = |step: &Step| match (&step.agent, &step.body) {
        (Agent::File(own), Body::Action { action: Action::Read { path } }) => Some((own.clone(), path.clone())),
        _ => None,
    };
    parts.iter().flat_map(|part| &part.steps).filter_map(read).collect()
}

#[test]
fn what_is_read_exists_is_read_once_and_keeps_within_the_limits() {
    let (repository, tokenizer) = (apart(12), fake::tokenizer());
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let length = tokenizer.encode(&repository.files["m00.py"]).len();
    let mut most = 0;
    for (seed, context_tokens) in (0..12).map(|seed| (seed, [2600, 1 << 16][seed as usize % 2])) {
        let options = AgentOptions { context_tokens, max_read_tokens: 3 * length, ..decides(seed) };
        let parts = run(&repository, &options, &undecided());
        let (mut exist, mut read) = (BTreeSet::new(), BTreeSet::new());
        for part in &parts {
            assert!(renderer.document(part).ids.len() <= context_tokens);
            for step in &part.steps {
                match &step.body {
                    Body::Action { action: Action::Delegate { .. } } => read = BTreeSet::new(),
                    Body::Action { action: Action::Read { path } } => {
                        assert!(exist.contains(path) && read.insert(path.clone()), "{path} in {}", part.id);
                        assert_eq!((step.author, step.trained), (Author::Model, true));
                    }
                    Body::Action { action: Action::Write(file) } => drop(exist.insert(file.path.clone())),
                    _ => {}
                }
                most = most.max(read.len());
                assert!(read.len() <= 3);
            }
            assert_eq!(part.model.as_ref().map(|model| model.name.as_str()), Some("table"));
        }
        assert_eq!(exist.len(), 12);
        assert_eq!(parts, run(&repository, &options, &undecided()), "the same again");
    }
    assert_eq!(most, 3, "the limit was met");
}

#[test]
fn the_design_is_thought_of_before_reading_and_details_before_writing() {
    let parts = run(&apart(4), &decides(3), &undecided());
    let steps: Vec<&Step> = parts[0].steps.iter().filter(|step| step.agent != Agent::Main).collect();
    let subjects: Vec<&Subject> = steps
        .iter()
        .filter_map(|step| match &step.body {
            Body::Think { subject, .. } => Some(subject),
            _ => None,
        })
        .collect();
    // Where nothing exists there is nothing to decide.
    assert!(matches!(subjects[0], Subject::Writing { .. }), "{subjects:?}");
    for pair in subjects[1..].chunks(2) {
        assert!(matches!(pair, [Subject::Design { .. }, Subject::Writing { .. }]), "{subjects:?}");
        assert_eq!(pair[0].path(), pair[1].path());
    }
    assert!(!reads(&parts).is_empty());
}

#[test]
fn a_model_that_never_reads_reads_nothing_and_one_that_always_does_reads_all_it_may() {
    let never = with(|_, _| -30.0);
    assert_eq!(reads(&run(&apart(6), &decides(0), &never)), []);
    let always = with(|_, _| 0.0);
    let read = reads(&run(&apart(6), &decides(0), &always));
    // Of 0, 1, 2, 3, 4 and 5 files that exist, at most 4.
    assert_eq!(read.len(), 1 + 2 + 3 + 4 + 4);
    let seeds: BTreeSet<_> = (0..4).map(|seed| reads(&run(&apart(6), &decides(seed), &always))).collect();
    assert!(seeds.len() > 1, "the seed decides among equals");
}

#[test]
fn decisions_need_a_model_and_are_made_by_agents_alone() {
    let (repository, tokenizer) = (apart(2), fake::tokenizer());
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let without = |options: &AgentOptions| simulate(&repository, &build(&repository), options, &renderer, None);
    assert!(matches!(without(&decides(0)), Err(Error::NoModel)));
    assert!(matches!(without(&debugs(9)), Err(Error::NoModel)));
    for arm in [Arm::Raw, Arm::Thought] {
        let options = AgentOptions { arm, reads: Reads::Model, ..debugs(9) };
        assert!(!options.asks_model() && without(&options).is_ok(), "{arm}");
    }
}

#[test]
fn the_thought_arm_puts_one_thought_before_each_file_and_nothing_else() {
    let options = AgentOptions { arm: Arm::Thought, context_tokens: 1400, ..AgentOptions::default() };
    let parts = run(&apart(12), &options, &undecided());
    assert!(parts.len() > 1);
    let mut written = 0;
    for (at, part) in parts.iter().enumerate() {
        assert_eq!((part.id.clone(), &part.model), (format!("apart/thought#{at}"), &None));
        let work = &part.steps[1 + usize::from(at > 0)..];
        for pair in work.chunks(2) {
            let [thought, write] = pair else { panic!("{pair:?}") };
            let path = &write.written().expect("a file follows its thought").path;
            assert!(matches!(&thought.body, Body::Think { subject: Subject::Writing { path: of }, .. } if of == path));
            assert_eq!((&thought.agent, &write.agent, thought.trained), (&Agent::Main, &Agent::Main, true));
            written += 1;
        }
    }
    assert_eq!(written, 12);
}

fn debugs(draft_tokens: usize) -> AgentOptions {
    AgentOptions { debug: Some(DebugOptions { draft_tokens }), ..AgentOptions::default() }
}

fn drafting(write: fn(&str) -> String) -> TableModel {
    let limits = Limits { context_tokens: 1 << 20, vocabulary: 1024 };
    TableModel::new(limits, |_, _| -1.0, move |_, _, key| write(&key.file))
}

/// Each draft with its answer, and what is thought of it.
fn drafts(parts: &[Trajectory]) -> Vec<(&str, &str, u64)> {
    let mut found = Vec::new();
    for part in parts {
        for (at, step) in part.steps.iter().enumerate() {
            let Body::Action { action: Action::Draft { path, text } } = &step.body else { continue };
            assert_eq!((step.author, step.trained), (Author::Model, false), "a draft is context");
            let Body::Observation { observed: Observed::Text(answer) } = &part.steps[at + 1].body else {
                panic!("{at}")
            };
            let Body::Think { subject: Subject::Revising { path: of, faults }, .. } = &part.steps[at + 2].body else {
                panic!("{at}")
            };
            assert!(part.steps[at + 2].trained && of == path);
            assert_eq!(&part.steps[at + 3].written().expect("then the file is written").path, path);
            found.push((text.as_str(), answer.as_str(), *faults));
        }
    }
    found
}

#[test]
fn a_draft_is_answered_by_the_parser_and_thought_about_before_the_file_is_written() {
    let model = drafting(|path| if path == "m01.py" { "y = 2\n)\n".into() } else { "x = 1\n".into() });
    let parts = run(&apart(3), &debugs(64), &model);
    let fine = ("x = 1\n", "parser: no syntax errors", 0);
    assert_eq!(drafts(&parts), [fine, ("y = 2\n)\n", "parser: 1 syntax error\n2:1: cannot be read: `)`", 1), fine]);
    let tokenizer = fake::tokenizer();
    let document = Renderer::new(&tokenizer, Rendering::Chat).document(&parts[0]);
    let draft = parts[0]
        .steps
        .iter()
        .position(|step| matches!(&step.body, Body::Action { action } if action.tool() == "draft"));
    let span = &document.steps[draft.unwrap()];
    assert_eq!(tokenizer.decode(&document.ids[span.body.clone()]), "x = 1\n");
    assert!(document.mask[span.ids.clone()].iter().all(|bit| *bit == 0), "no token of it is trained");
}

#[test]
fn what_is_no_draft_is_left_out() {
    let own = apart(3).files["m01.py"].clone();
    for (write, options) in [
        (drafting(|_| " \n".into()), debugs(64)),
        // Longer than allowed in its first line.
        (drafting(|_| "x".repeat(900)), debugs(8)),
        (drafting(|_| apart(3).files["m01.py"].clone()), debugs(400)),
    ] {
        let parts = run(&apart(3), &options, &write);
        assert!(drafts(&parts).iter().all(|(text, ..)| *text == own), "{:?}", drafts(&parts));
        assert_eq!(parts.iter().map(|part| part.summary.files).sum::<u64>(), 3);
    }
    let copied = run(&apart(3), &debugs(400), &drafting(|_| apart(3).files["m01.py"].clone()));
    assert_eq!(drafts(&copied).len(), 2, "the file itself is no draft of it");
    let text = Repository::from_files("notes", [("a.c", "int a;\n".to_owned())]);
    assert_eq!(drafts(&run(&text, &debugs(64), &drafting(|_| "int".into()))), [], "no tool answers for it");
}

#[test]
fn drafts_keep_within_the_document() {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    for context_tokens in [2600, 4000, 6000] {
        let options = AgentOptions { context_tokens, ..debugs(100) };
        let parts = run(&apart(12), &options, &drafting(|_| "y = (1\n".repeat(40)));
        assert!(parts.iter().all(|part| renderer.document(part).ids.len() <= context_tokens));
        assert_eq!(parts.iter().map(|part| part.summary.files).sum::<u64>(), 12);
    }
}
