//! What a sub-agent reads where the model decides, and the arm without agents.

use std::collections::BTreeSet;

use recon_agents::{AgentOptions, Error, ModelWriter, Reads, simulate};
use recon_graph::build;
use recon_lm::Limits;
use recon_lm::fake::TableModel;
use recon_repository::Repository;
use recon_schema::Sha256;
use recon_schema::trajectory::{Action, Agent, Arm, Author, Body, ModelRef, Step, Subject, Trajectory};
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
    for arm in [Arm::Raw, Arm::Thought] {
        let options = AgentOptions { arm, ..decides(0) };
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
