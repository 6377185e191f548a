//! Simulated trajectories: their order, their grounding, their length, and who wrote what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use recon_agents::{AgentOptions, Error, FirstAuthor, ModelWriter, select, simulate};
use recon_graph::build;
use recon_lm::fake::TableModel;
use recon_lm::{Limits, RandomKey};
use recon_repository::Repository;
use recon_schema::Sha256;
use recon_schema::trajectory::{
    Action, Agent, Arm, Author, Body, Continuation, Fault, FileContent, ModelRef, Observed, Step, Subject, Trajectory,
};
use recon_text::{Renderer, Rendering, fake};

const BODY: &str = "    return first_secret_of_the_body + second_secret_of_the_body\n";

fn small() -> Repository {
    Repository::from_files(
        "shop",
        [
            ("shop/__init__.py", String::from("\"\"\"A small shop.\"\"\"\n")),
            ("shop/cart.py", format!("from shop.price import total\n\ndef pay(cart):\n{BODY}")),
            ("shop/price.py", format!("def total(items):\n{BODY}")),
            ("app.py", format!("from shop.cart import pay\nfrom shop.price import total\n\ndef main():\n{BODY}")),
        ],
    )
}

/// `count` files in a chain, each importing the one before.
fn chain(count: usize) -> Repository {
    let file = |at: usize| {
        let import = if at == 0 { String::new() } else { format!("from m{:02} import f{:02}\n", at - 1, at - 1) };
        (format!("m{at:02}.py"), format!("{import}def f{at:02}(x):\n    return x + {at}\n"))
    };
    Repository::from_files("chain", (0..count).map(file))
}

fn run(repository: &Repository, options: &AgentOptions, model: Option<&TableModel>) -> Vec<Trajectory> {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let name = ModelRef { name: "table".into(), sha256: Sha256::of(b"table") };
    let writer = model.map(|model| ModelWriter { generator: model, scorer: model, model: name });
    simulate(repository, &build(repository), options, &renderer, writer).unwrap()
}

fn model(write: impl Fn(&[u32], &[u32], &RandomKey) -> String + Send + Sync + 'static) -> TableModel {
    TableModel::new(Limits { context_tokens: 1 << 20, vocabulary: 1024 }, |_, _| -1.0, write)
}

/// A name that what `key` asks for may speak of.
fn about(key: &RandomKey) -> String {
    if key.file.is_empty() { "`total`".into() } else { format!("`{}`", key.file) }
}

fn asks_model() -> AgentOptions {
    AgentOptions { first_author: FirstAuthor::Model, ..AgentOptions::default() }
}

/// One word a step, so that a whole trajectory can be read at once.
fn shape(step: &Step) -> String {
    let who = match &step.agent {
        Agent::Main => String::new(),
        Agent::File(path) => format!("{path}: "),
    };
    let what = match &step.body {
        Body::Opening { .. } => "opening".into(),
        Body::Continuation(_) => "continuation".into(),
        Body::Think { .. } => "think".into(),
        Body::Action { action } => format!("{} {}", action.tool(), action.path().unwrap_or_default()).trim().into(),
        Body::Observation { observed: Observed::Text(text) } => format!("-> {text}"),
        Body::Observation { observed: Observed::Content(file) } => format!("-> <{}>", file.path),
    };
    who + &what
}

fn contents(trajectory: &Trajectory) -> Vec<&FileContent> {
    trajectory.steps.iter().filter_map(Step::shown).collect()
}

fn writes(trajectory: &Trajectory) -> Vec<&str> {
    trajectory.steps.iter().filter_map(|step| Some(step.written()?.path.as_str())).collect()
}

fn action_path(step: &Step) -> &str {
    match &step.body {
        Body::Action { action } => action.path().unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

fn thought(step: &Step) -> Option<(&str, Author)> {
    match &step.body {
        Body::Think { text, .. } => Some((text, step.author)),
        _ => None,
    }
}

fn thoughts(trajectory: &Trajectory) -> Vec<(&str, Author)> {
    trajectory.steps.iter().filter_map(thought).collect()
}

#[test]
fn agents_develop_files_in_order_of_their_dependencies() {
    let trajectories = run(&small(), &AgentOptions::default(), None);
    let [trajectory] = &trajectories[..] else { panic!("{} parts", trajectories.len()) };
    let shapes: Vec<String> = trajectory.steps.iter().map(shape).collect();
    let cart = "shop/cart.py: ";
    let cart_at = shapes.iter().position(|shape| shape == "delegate shop/cart.py").unwrap();
    assert_eq!(shapes[..4], ["opening", "think", "think", &format!("delegate {}", writes(trajectory)[0])]);
    assert_eq!(shapes.last().unwrap(), "done");
    let reads: Vec<&String> = shapes.iter().filter(|shape| shape.starts_with(&format!("{cart}read"))).collect();
    assert!(reads.contains(&&format!("{cart}read shop/price.py")), "{shapes:#?}");
    let mut expected = vec![format!("{cart}think")];
    for read in reads {
        expected.push(read.clone());
        expected.push(format!("{cart}-> <{}>", read.rsplit(' ').next().unwrap()));
    }
    expected.extend(
        ["think", "write shop/cart.py", "-> wrote shop/cart.py, 4 lines", "done"].map(|s| cart.to_string() + s),
    );
    expected.push("-> shop/cart.py is done".into());
    assert_eq!(shapes[cart_at + 1..][..expected.len()], expected);
    let order = writes(trajectory);
    let at = |path: &str| order.iter().position(|written| *written == path).unwrap();
    assert!(at("shop/price.py") < at("shop/cart.py") && at("shop/cart.py") < at("app.py"), "{order:?}");
    assert_eq!((trajectory.id.as_str(), trajectory.arm, &trajectory.model), ("shop/agent#0", Arm::Agent, &None));
    assert_eq!(trajectory.summary.files, 4);
}

#[test]
fn the_raw_arm_writes_the_same_files_in_the_same_order_and_nothing_else() {
    let agent = run(&small(), &AgentOptions::default(), None);
    let raw = run(&small(), &AgentOptions { arm: Arm::Raw, ..AgentOptions::default() }, None);
    assert_eq!(raw[0].steps[0], agent[0].steps[0], "the opening is the same");
    assert_eq!(writes(&raw[0]), writes(&agent[0]));
    assert_eq!(raw[0].steps.len(), 1 + 4);
}

#[test]
fn files_are_the_repositorys_and_only_thoughts_and_actions_are_trained() {
    let repository = small();
    for arm in [Arm::Raw, Arm::Agent] {
        for trajectory in run(&repository, &AgentOptions { arm, ..AgentOptions::default() }, None) {
            for file in contents(&trajectory) {
                assert_eq!(file.text, repository.files[&file.path]);
                assert_eq!(file.sha256, Sha256::of(repository.files[&file.path].as_bytes()));
            }
            for step in &trajectory.steps {
                let expected = matches!(step.body, Body::Think { .. } | Body::Action { .. });
                assert_eq!(step.trained, expected, "{}", shape(step));
            }
        }
    }
}

#[test]
fn a_long_repository_is_cut_at_sub_agent_borders_into_parts_that_fit() {
    let (repository, tokenizer) = (chain(24), fake::tokenizer());
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    for arm in [Arm::Raw, Arm::Agent] {
        for context_tokens in [3000, 5000, 9000] {
            let options = AgentOptions { arm, context_tokens, ..AgentOptions::default() };
            let parts = run(&repository, &options, None);
            assert!(parts.len() > 1 || context_tokens > 5000 || arm == Arm::Raw, "{} parts", parts.len());
            let written: Vec<&str> = parts.iter().flat_map(writes).collect();
            assert_eq!(written, repository.files.keys().map(String::as_str).collect::<Vec<_>>());
            let mut exist = BTreeSet::new();
            for (at, part) in parts.iter().enumerate() {
                let tokens = renderer.document(part).ids.len();
                assert!(tokens <= context_tokens, "{tokens} of {context_tokens}");
                assert_eq!((part.id.clone(), part.part as usize), (format!("chain/{arm}#{at}"), at));
                let shapes: Vec<String> = part.steps.iter().take(2).map(shape).collect();
                assert_eq!((&*shapes[0], shapes[1] == "continuation"), ("opening", at > 0));
                for step in &part.steps {
                    match &step.body {
                        Body::Action { action: Action::Read { path } } => {
                            assert!(exist.contains(path), "{}", shape(step));
                        }
                        Body::Action { action: Action::Write(file) } => {
                            exist.insert(file.path.clone());
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

fn continuation(part: &Trajectory) -> &Continuation {
    match &part.steps[1].body {
        Body::Continuation(continuation) => continuation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn later_parts_repeat_what_was_decided_without_training_on_it_again() {
    let options = AgentOptions { context_tokens: 3000, ..AgentOptions::default() };
    let parts = run(&chain(24), &options, None);
    let decided = thoughts(&parts[0]);
    let mut newest_first: Vec<&str> = writes(&parts[0]);
    newest_first.reverse();
    for part in &parts[1..] {
        let Continuation { decided: repeated, written, earlier } = continuation(part);
        let repeated = repeated.as_ref().expect("the agent arm decides");
        assert_eq!((&*repeated.requirements, &*repeated.plan), (decided[0].0, decided[1].0));
        assert_eq!((written.iter().map(String::as_str).collect::<Vec<_>>(), *earlier), (newest_first.clone(), 0));
        assert!(!part.steps[1].trained);
        assert!(part.steps.iter().all(|step| step.agent != Agent::Main || !matches!(step.body, Body::Think { .. })));
        newest_first = writes(part).into_iter().rev().chain(newest_first).collect();
    }
}

#[test]
fn a_list_of_files_too_long_for_its_room_names_the_newest_and_counts_the_rest() {
    let repository = chain(60);
    let parts = run(&repository, &AgentOptions { arm: Arm::Raw, context_tokens: 1200, ..Default::default() }, None);
    let last = continuation(parts.last().unwrap());
    let before: usize = parts[..parts.len() - 1].iter().map(|part| writes(part).len()).sum();
    assert!(last.decided.is_none() && last.earlier > 0, "{last:?}");
    assert_eq!(last.written.len() + last.earlier as usize, before);
    let tokens = |named: &[String]| fake::tokenizer().encode(&named.join("\n")).len();
    assert!(tokens(&last.written) <= 1200 / 8);
    let oldest: usize = last.written.last().unwrap()[1..3].parse().unwrap();
    let one_more = [&last.written[..], &[format!("m{:02}.py", oldest - 1)]].concat();
    assert!(tokens(&one_more) > 1200 / 8, "as many as there is room for");
}

#[test]
fn a_thought_says_what_it_is_about() {
    let parts = run(&small(), &AgentOptions::default(), None);
    let steps = &parts[0].steps;
    let mut subjects = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let Body::Think { subject, .. } = &step.body else { continue };
        assert_eq!(subject.agent(), step.agent);
        match subject {
            Subject::Reading { reads, .. } => {
                let next: Vec<&str> = (0..reads.len()).map(|read| action_path(&steps[at + 1 + 2 * read])).collect();
                assert_eq!(*reads, next);
            }
            Subject::Writing { path } => assert_eq!(steps[at + 1].written().map(|file| &file.path), Some(path)),
            Subject::Requirements | Subject::Plan | Subject::Design { .. } | Subject::Revising { .. } => {}
        }
        subjects.push(subject.clone());
    }
    assert_eq!(subjects[..2], [Subject::Requirements, Subject::Plan]);
    assert!(subjects.iter().any(|subject| matches!(subject, Subject::Reading { .. })));
}

#[test]
fn what_will_be_refined_keeps_room_for_its_thoughts_to_grow() {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let limits =
        AgentOptions { context_tokens: 4000, max_thought_tokens: 300, max_plan_tokens: 600, ..Default::default() };
    let room = |part: &Trajectory| -> usize {
        let tokens = |text: &str| tokenizer.encode(text).len();
        let limit = |at: usize, part: &Trajectory| if at == 1 && part.part == 0 { 600 } else { 300 };
        thoughts(part).iter().enumerate().map(|(at, (text, _))| limit(at, part) - tokens(text)).sum()
    };
    let over = |arm| {
        let parts = run(&chain(24), &AgentOptions { arm, ..limits.clone() }, None);
        assert!(parts.iter().all(|part| part.arm == Arm::Agent));
        let grown = parts.iter().map(|part| renderer.document(part).ids.len() + room(part));
        grown.filter(|tokens| *tokens > 4000).count()
    };
    assert_eq!(over(Arm::Search), 0);
    assert!(over(Arm::Agent) > 0, "without it there would be none");
}

#[test]
fn a_file_that_the_tokenizer_cannot_restore_is_left_out_with_the_reason() {
    let tokenizer = fake::without_bytes(&[0x13]);
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let mut repository = chain(4);
    repository.files.insert("m02.py".into(), "from m01 import f01\nTABLE = \"\u{13}\"\n".into());
    let graph = build(&repository);
    for arm in [Arm::Raw, Arm::Agent] {
        let options = AgentOptions { arm, ..AgentOptions::default() };
        let parts = simulate(&repository, &graph, &options, &renderer, None).unwrap();
        let written: BTreeSet<&str> = parts.iter().flat_map(writes).collect();
        assert_eq!(written, ["m00.py", "m01.py", "m03.py"].into());
        let unencodable: Vec<_> = parts.iter().flat_map(|part| &part.summary.unencodable).collect();
        assert_eq!(unencodable, [(&"m02.py".to_string(), &'\u{13}')]);
    }
}

#[test]
fn a_file_too_long_alone_is_left_out_and_recorded() {
    let mut repository = chain(6);
    let long = format!("from m01 import f01\nTABLE = \"{}\"\n", "z".repeat(4000));
    repository.files.insert("m02.py".into(), long.clone());
    for arm in [Arm::Raw, Arm::Agent] {
        let parts = run(&repository, &AgentOptions { arm, context_tokens: 3500, ..AgentOptions::default() }, None);
        let written: BTreeSet<&str> = parts.iter().flat_map(writes).collect();
        assert_eq!(written, ["m00.py", "m01.py", "m03.py", "m04.py", "m05.py"].into());
        let left_out: Vec<_> = parts.iter().flat_map(|part| &part.summary.left_out).collect();
        let tokens = fake::tokenizer().encode(&long).len() as u64;
        assert_eq!(left_out, [(&"m02.py".to_string(), &tokens)]);
    }
}

#[test]
fn reads_stay_within_their_limits() {
    let names: Vec<String> = (0..6).map(|at| format!("m{at}.py")).collect();
    let imports: String = (0..6).map(|at| format!("import m{at}\n")).collect();
    let files = names.iter().map(|name| (name.clone(), "def f(x):\n    return x\n".to_string()));
    let repository = Repository::from_files("fan", files.chain([("z.py".into(), imports)]));
    let reads = |options: &AgentOptions| {
        let parts = run(&repository, options, None);
        parts[0].steps.iter().filter(|step| shape(step).contains(": read")).count()
    };
    let length = fake::tokenizer().encode("def f(x):\n    return x\n").len();
    assert_eq!(reads(&AgentOptions { max_reads: 9, ..AgentOptions::default() }), 6);
    assert_eq!(reads(&AgentOptions { max_reads: 3, ..AgentOptions::default() }), 3);
    assert_eq!(reads(&AgentOptions { max_read_tokens: 2 * length, ..AgentOptions::default() }), 2);
    assert_eq!(reads(&AgentOptions { max_reads: 0, ..AgentOptions::default() }), 0);
}

#[test]
fn the_model_writes_after_the_document_so_far_and_its_hint_stays_outside() {
    type Asked = Vec<(Vec<u32>, Vec<u32>)>;
    let asked: Arc<Mutex<Asked>> = Arc::default();
    let seen = Arc::clone(&asked);
    let model = model(move |branch, hint, key| {
        seen.lock().unwrap().push((branch.to_vec(), hint.to_vec()));
        format!("  I think about {} at step {}.\n", about(key), key.step)
    });
    let parts = run(&small(), &asks_model(), Some(&model));
    let tokenizer = fake::tokenizer();
    let document = Renderer::new(&tokenizer, Rendering::Chat).document(&parts[0]);
    let at = parts[0].steps.iter().enumerate().filter(|(_, step)| matches!(step.body, Body::Think { .. }));
    let at: Vec<usize> = at.map(|(at, _)| at).collect();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), at.len());
    for ((branch, hint), at) in asked.iter().zip(&at) {
        assert_eq!(branch[..], document.ids[..document.steps[*at].ids.start], "step {at}");
        let hint = tokenizer.decode(hint);
        assert!(!hint.contains("first_secret_of_the_body"), "{hint}");
        let own = hint.lines().find(|line| line.starts_with("You are a developer")).unwrap();
        assert!(!tokenizer.decode(&document.ids).contains(own));
    }
    let texts = thoughts(&parts[0]);
    assert!(texts.iter().all(|(_, author)| *author == Author::Model));
    assert_eq!(texts[0].0, "I think about `total` at step 1.");
    assert!(texts.iter().any(|(text, _)| text.starts_with("I think about `shop/cart.py` at step")), "{texts:?}");
    assert_eq!(parts[0].model.as_ref().map(|model| model.name.as_str()), Some("table"));
    assert_eq!(parts[0].summary.steps_by_author[&Author::Model], texts.len() as u64);
}

#[test]
fn where_the_model_writes_no_thought_the_outline_does_and_says_so() {
    let outline = run(&small(), &AgentOptions::default(), None);
    let model = model(
        |_, _, key| if key.file == "shop/cart.py" { "  \n".into() } else { format!("A thought of {}.", about(key)) },
    );
    let mixed = run(&small(), &asks_model(), Some(&model));
    for (mixed, outline) in mixed[0].steps.iter().zip(&outline[0].steps) {
        let Body::Think { text, .. } = &mixed.body else { continue };
        match &mixed.agent {
            Agent::File(path) if path == "shop/cart.py" => assert_eq!(mixed, outline),
            _ => assert!(text.starts_with("A thought of ") && mixed.author == Author::Model, "{text}"),
        }
    }
    assert_eq!(mixed[0].summary.first_refused, BTreeMap::from([(Fault::Empty, 2)]));
    assert!(outline[0].summary.first_refused.is_empty());
}

#[test]
fn a_long_answer_is_cut_to_its_limit() {
    let model = model(|_, _, key| (0..400).map(|at| format!("It is {} number {at}. ", about(key))).collect());
    let options = AgentOptions { max_thought_tokens: 60, max_plan_tokens: 90, ..asks_model() };
    let parts = run(&small(), &options, Some(&model));
    let tokens: Vec<usize> = thoughts(&parts[0]).iter().map(|(text, _)| fake::tokenizer().encode(text).len()).collect();
    assert!(tokens[1] <= 90 && tokens[1] > 60, "{tokens:?}");
    assert!(tokens.iter().enumerate().all(|(at, tokens)| at == 1 || (*tokens <= 60 && *tokens >= 30)), "{tokens:?}");
    assert!(thoughts(&parts[0]).iter().all(|(_, author)| *author == Author::Model));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_text() {
    let write =
        |_: &[u32], _: &[u32], key: &RandomKey| format!("It is thought {:x} of {}.", key.stream().bits(0), about(key));
    let with = |seed: u64| {
        let parts = run(&small(), &AgentOptions { seed, ..asks_model() }, Some(&model(write)));
        serde_json::to_string(&parts).unwrap()
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn only_the_first_files_are_written_when_their_number_is_limited_and_the_others_still_exist() {
    let (repository, limited) = (chain(6), AgentOptions { max_files: Some(2), ..AgentOptions::default() });
    let graph = build(&repository);
    let selected = select(&graph, Some(2));
    assert_eq!((&selected.files, &selected.edges), (&graph.files, &graph.edges));
    let parts = run(&repository, &limited, None);
    assert_eq!(writes(&parts[0]), ["m00.py", "m01.py"]);
    let Body::Opening { text } = &parts[0].steps[0].body else { panic!("{:?}", parts[0].steps[0]) };
    assert_eq!(text, "Repository: chain\nFiles:\nm00.py\nm01.py\n");
    let requirements = thoughts(&parts[0])[0].0;
    assert!(requirements.contains("4 files exist without being developed here"), "{requirements}");
}

#[test]
fn what_cannot_be_simulated_is_an_error() {
    let tokenizer = fake::tokenizer();
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let repository = small();
    let graph = build(&repository);
    let fail = |options: &AgentOptions, graph| simulate(&repository, graph, options, &renderer, None).unwrap_err();
    assert!(matches!(fail(&asks_model(), &graph), Error::NoModel));
    let none = AgentOptions { max_files: Some(0), ..AgentOptions::default() };
    assert!(matches!(fail(&none, &graph), Error::NoFiles { .. }));
    let foreign = build(&chain(2));
    assert!(matches!(fail(&AgentOptions::default(), &foreign), Error::ForeignGraph { .. }));
    let narrow = AgentOptions { context_tokens: 60, ..AgentOptions::default() };
    assert!(matches!(fail(&narrow, &graph), Error::OpeningTooLong { context_tokens: 60, .. }));
}
