//! The checker on trajectories made by the pipeline, and on each way in which one can be wrong.
//!
//! Size: all are changes of the same few trajectories.

use std::collections::BTreeMap;

use recon_agents::{AgentOptions, DebugOptions, ModelWriter, Reads, simulate};
use recon_check::{Checker, Fault, Violation, check};
use recon_graph::{Repository, build};
use recon_lm::Limits;
use recon_lm::fake::TableModel;
use recon_refine::{Models, Proposer, RefineOptions, refine};
use recon_schema::Sha256;
use recon_schema::trajectory::{
    Action, Agent, Arm, Author, Body, Continuation, FileContent, Observed, Outcome, Redaction, Search, Step, Subject,
    Trajectory,
};
use recon_text::{Renderer, Rendering, fake};

type Files = BTreeMap<String, Vec<u8>>;

fn repository(count: usize) -> Repository {
    let file = |at: usize| {
        let import = if at == 0 { "# größe ✓\n".into() } else { format!("from m{} import f{}\n", at - 1, at - 1) };
        (format!("m{at}.py"), format!("{import}def f{at}(x):\n    return x + {at}\n"))
    };
    Repository::from_files("shop", (0..count).map(file))
}

fn parts(arm: Arm, count: usize, context_tokens: usize) -> (Vec<Trajectory>, Files) {
    let (repository, tokenizer) = (repository(count), fake::tokenizer());
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let options = AgentOptions { arm, context_tokens, ..AgentOptions::default() };
    let parts = simulate(&repository, &build(&repository), &options, &renderer, None).unwrap();
    (parts, repository.files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect())
}

/// Parts in which the model decided what is read, and drafted.
fn decided(count: usize) -> (Vec<Trajectory>, Files) {
    let (repository, tokenizer) = (repository(count), fake::tokenizer());
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let limits = Limits { context_tokens: 1 << 16, vocabulary: 1024 };
    let model = TableModel::new(limits, |_, _| -0.02, |_, _, _| "x = 1 )\ny = 2\n".into());
    let writer = ModelWriter { generator: &model, scorer: &model, model: named() };
    let debug = Some(DebugOptions::default());
    let options = AgentOptions { reads: Reads::Model, debug, context_tokens: 7000, ..AgentOptions::default() };
    let parts = simulate(&repository, &build(&repository), &options, &renderer, Some(writer)).unwrap();
    (parts, repository.files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect())
}

/// A refined trajectory in which candidates were accepted, beaten and refused.
fn refined() -> (Trajectory, Files) {
    let (mut parts, files) = parts(Arm::Search, 3, 1 << 15);
    let (graph, tokenizer) = (build(&repository(3)), fake::tokenizer());
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let limits = Limits { context_tokens: 1 << 16, vocabulary: 1024 };
    let logprob = |before: &[u32], id: u32| -(1.0 + ((before.len() * 7919 + id as usize) % 13) as f32 / 13.0);
    let model = TableModel::new(limits, logprob, |_, _, key| {
        let subject = if key.file.is_empty() { "f0" } else { &key.file };
        let long = " and again".repeat(key.stream().bits(0) as usize % 3);
        format!("Thought {} of round {} is about `{subject}`{long}.", key.candidate, key.round)
    });
    let models = Models { scorer: &model, generator: Some(&model), renderer: &renderer, model: Some(named()) };
    let options = RefineOptions { authors: vec![Proposer::Model], control_steps: 1, ..RefineOptions::default() };
    let refined = refine(parts.remove(0), &graph, &models, &options, &mut |_| {}).unwrap();
    assert!(refined.report.improved > 0 && refined.report.refused > 0);
    (refined.trajectory, files)
}

fn named() -> recon_schema::trajectory::ModelRef {
    recon_schema::trajectory::ModelRef { name: "table".into(), sha256: Sha256::of(b"table") }
}

fn faults(trajectory: &Trajectory, files: &Files) -> Vec<Violation> {
    check(trajectory, &|path| files.get(path).cloned())
}

/// The faults of a trajectory after a change.
fn after(trajectory: &Trajectory, files: &Files, change: impl FnOnce(&mut Trajectory)) -> Vec<Fault> {
    let mut changed = trajectory.clone();
    change(&mut changed);
    assert_ne!(&changed, trajectory, "the change changes nothing");
    let recount = changed.steps != trajectory.steps;
    if recount {
        let steps = changed.steps.clone();
        changed.summary.recount(&steps);
    }
    faults(&changed, files).into_iter().map(|violation| violation.fault).collect()
}

fn content(step: &mut Step) -> Option<&mut FileContent> {
    match &mut step.body {
        Body::Action { action: Action::Write(file) } => Some(file),
        Body::Observation { observed: Observed::Content(file) } => Some(file),
        _ => None,
    }
}

fn at(trajectory: &Trajectory, wanted: impl Fn(&Step) -> bool) -> usize {
    trajectory.steps.iter().position(wanted).expect("the trajectory has such a step")
}

fn calls(step: &Step, tool: &str) -> bool {
    matches!(&step.body, Body::Action { action } if action.tool() == tool)
}

fn search(trajectory: &mut Trajectory, wanted: impl Fn(&Search) -> bool) -> &mut Search {
    let searches = trajectory.steps.iter_mut().filter_map(|step| match &mut step.body {
        Body::Think { search, .. } => search.as_deref_mut(),
        _ => None,
    });
    searches.into_iter().find(|search| wanted(search)).expect("the trajectory has such a search")
}

#[test]
fn what_the_pipeline_makes_passes() {
    let made = [(Arm::Raw, 1200), (Arm::Thought, 2000), (Arm::Agent, 2600), (Arm::Search, 6000)];
    let made = made.map(|(arm, context_tokens)| parts(arm, 16, context_tokens));
    for (parts, files) in made.into_iter().chain([decided(16)]) {
        assert!(parts.len() > 1, "{}", parts[0].id);
        let lookup = |path: &str| files.get(path).cloned();
        let mut checker = Checker::new(&lookup);
        for part in &parts {
            assert_eq!(checker.check(part), [], "{}", part.id);
            assert_eq!(check(part, &lookup), [], "{} alone", part.id);
        }
    }
    let (trajectory, files) = refined();
    assert_eq!(faults(&trajectory, &files), []);
}

#[test]
fn one_changed_character_in_any_file_is_found() {
    let (trajectory, files) = refined();
    let mut flips = 0;
    for step in 0..trajectory.steps.len() {
        let Some(text) = content(&mut trajectory.steps[step].clone()).map(|file| file.text.clone()) else { continue };
        for (byte, character) in text.char_indices() {
            let flipped = char::from_u32(u32::from(character) ^ 1).expect("the neighbour of a text's character is one");
            let mut changed = trajectory.clone();
            let file = content(&mut changed.steps[step]).expect("the step shows a file");
            file.text.replace_range(byte..byte + character.len_utf8(), flipped.encode_utf8(&mut [0; 4]));
            let found = faults(&changed, &files);
            let here = |violation: &Violation| {
                violation.step == Some(step)
                    && matches!(violation.fault, Fault::Content { byte: at, .. } if at >= byte && at < byte + 4)
            };
            assert!(found.iter().any(here), "step {step}, byte {byte}: {found:?}");
            flips += 1;
        }
    }
    assert!(flips > 200, "{flips}");
}

#[test]
fn one_changed_byte_in_the_repository_is_found() {
    let (trajectory, files) = refined();
    for (path, bytes) in &files {
        for byte in 0..bytes.len() {
            let mut changed = files.clone();
            changed.get_mut(path).expect("the path is one of them")[byte] ^= 0x80;
            let found = faults(&trajectory, &changed);
            assert!(found.iter().any(|it| matches!(&it.fault, Fault::Digest { path: at, .. } if at == path)), "{byte}");
        }
    }
}

#[test]
fn text_that_is_missing_or_added_at_the_end_is_found() {
    let (trajectory, files) = refined();
    let write = at(&trajectory, |step| calls(step, "write"));
    for edit in [
        |text: &mut String| text.push('\n'),
        |text: &mut String| text.truncate(text.len() - 1),
        |text: &mut String| text.clear(),
    ] {
        let found = after(&trajectory, &files, |it| edit(&mut content(&mut it.steps[write]).unwrap().text));
        assert!(found.iter().any(|fault| matches!(fault, Fault::Content { .. })), "{found:?}");
    }
}

#[test]
fn redactions_are_replayed() {
    let (trajectory, mut files) = parts(Arm::Raw, 1, 4000);
    let original = "KEY = 'secret'\nMAIL = 'a@b.c'\n";
    files.insert("m0.py".into(), original.into());
    let redaction = |start: u64, end: u64, rule: &str| Redaction {
        start,
        end,
        rule: rule.into(),
        replacement: format!("<{rule}>"),
    };
    let mut redacted = trajectory[0].clone();
    let file = content(&mut redacted.steps[1]).unwrap();
    file.sha256 = Sha256::of(original.as_bytes());
    file.redactions = vec![redaction(7, 13, "token"), redaction(23, 28, "mail")];
    file.text = "KEY = '<token>'\nMAIL = '<mail>'\n".into();
    assert_eq!(faults(&redacted, &files), []);
    let with = |redactions: Vec<Redaction>| {
        after(&redacted, &files, |it| content(&mut it.steps[1]).unwrap().redactions = redactions)
    };
    let (token, mail) = (redaction(7, 13, "token"), redaction(23, 28, "mail"));
    for (redactions, reason) in [
        (vec![mail.clone(), token.clone()], "overlaps the one before it"),
        (vec![redaction(7, 24, "token"), mail.clone()], "overlaps the one before it"),
        (vec![token.clone(), redaction(23, 99, "mail")], "reaches beyond the end of the file"),
        (vec![redaction(7, 7, "token"), mail.clone()], "replaces nothing"),
        (vec![redaction(7, 13, ""), mail.clone()], "names no rule"),
    ] {
        let found = with(redactions);
        assert!(matches!(&found[..], [Fault::Redaction { reason: given, .. }] if *given == reason), "{found:?}");
    }
    for redactions in [vec![token.clone()], vec![redaction(7, 12, "token"), mail.clone()], vec![]] {
        let found = with(redactions);
        assert!(matches!(&found[..], [Fault::Content { .. }]), "{found:?}");
    }
}

#[test]
fn files_exist_once_and_before_they_are_read() {
    let (trajectory, files) = refined();
    let (read, write) = (at(&trajectory, |step| calls(step, "read")), at(&trajectory, |step| calls(step, "write")));
    let unknown = after(&trajectory, &files, |it| content(&mut it.steps[write]).unwrap().path = "gone.py".into());
    assert!(unknown.contains(&Fault::UnknownFile { path: "gone.py".into() }), "{unknown:?}");
    let early = after(&trajectory, &files, |it| {
        it.steps[read].body = Body::Action { action: Action::Read { path: "m2.py".into() } };
        let Body::Think { subject: Subject::Reading { reads, .. }, .. } = &mut it.steps[read - 1].body else {
            panic!("a read comes after a thought about it")
        };
        *reads = vec!["m2.py".into()];
        let text = String::from_utf8(files["m2.py"].clone()).unwrap();
        let file = FileContent { path: "m2.py".into(), sha256: Sha256::of(text.as_bytes()), text, redactions: vec![] };
        *content(&mut it.steps[read + 1]).unwrap() = file;
    });
    assert_eq!(early, [Fault::ReadTooEarly { path: "m2.py".into() }]);
    let (raw, files) = parts(Arm::Raw, 3, 4000);
    let twice = after(&raw[0], &files, |it| it.steps.push(it.steps[1].clone()));
    assert_eq!(twice, [Fault::WrittenTwice { path: "m0.py".into() }]);
}

#[test]
fn a_file_may_not_come_twice_in_the_parts_of_one_repository() {
    let (raw, files) = parts(Arm::Raw, 12, 1000);
    let lookup = |path: &str| files.get(path).cloned();
    let mut checker = Checker::new(&lookup);
    assert_eq!(checker.check(&raw[0]), []);
    let again = Trajectory { id: raw[1].id.clone(), part: 1, ..raw[0].clone() };
    let found: Vec<Fault> = checker.check(&again).into_iter().map(|it| it.fault).collect();
    assert!(found.contains(&Fault::WrittenTwice { path: "m0.py".into() }), "{found:?}");
}

#[test]
fn agents_act_in_their_turn() {
    let (trajectory, files) = refined();
    let first = |tool| at(&trajectory, |step| calls(step, tool));
    let (read, write, delegate) = (first("read"), first("write"), first("delegate"));
    let thought = at(&trajectory, |step| matches!((&step.body, &step.agent), (Body::Think { .. }, Agent::File(_))));
    let inner_done = first("done");
    type Change = Box<dyn FnOnce(&mut Trajectory)>;
    let remove = |at: usize| -> Change { Box::new(move |it| drop(it.steps.remove(at))) };
    let repeat = |at: usize| -> Change { Box::new(move |it| it.steps.insert(at, it.steps[at].clone())) };
    let cases: Vec<(Change, &str)> = vec![
        (remove(0), "an opening begins a document"),
        (repeat(0), "an opening begins a document"),
        (Box::new(|it| it.steps.swap(0, 1)), "an opening begins a document"),
        (Box::new(|it| it.steps.swap(1, 2)), "after the one it should precede"),
        (repeat(1), "a thought comes again"),
        (Box::new(|it| it.steps.insert(1, continuation_step())), "only a later part is continued"),
        (Box::new(|it| it.steps[0].agent = Agent::File("m0.py".into())), "an opening belongs to the main agent"),
        (remove(delegate), "acts without a delegation"),
        (repeat(delegate), "a delegation inside a delegation"),
        (remove(thought), "written after a thought about it"),
        (Box::new(move |it| it.steps.swap(thought, write)), "thinks before it writes"),
        (remove(read), "answers no tool call"),
        (remove(read), "other files than those that are read next"),
        (Box::new(move |it| about(it, thought, Subject::Writing { path: "m2.py".into() })), "what another agent does"),
        (
            Box::new(move |it| about(it, thought, Subject::Reading { path: "m0.py".into(), reads: vec![] })),
            "written after a thought about it",
        ),
        (remove(read + 1), "is not answered by that file"),
        (remove(write), "finishes after it has written"),
        (remove(write + 1), "is not answered by its result"),
        (remove(inner_done), "answers no tool call"),
        (remove(inner_done + 1), "is not answered by its result"),
        (Box::new(|it| it.steps.truncate(it.steps.len() - 3)), "ends inside a delegation"),
        (Box::new(|it| it.steps.truncate(it.steps.len() - 2)), "before a tool call is answered"),
        (Box::new(|it| it.steps.push(it.steps[1].clone())), "nothing may follow"),
        (Box::new(move |it| it.steps[thought].agent = Agent::File("m2.py".into())), "whose turn it is not"),
        (Box::new(move |it| it.steps[write].agent = Agent::File("m2.py".into())), "is delegated"),
        (Box::new(move |it| it.steps[write].agent = Agent::Main), "only delegates and finishes"),
        (Box::new(|it| it.steps[0].body = Body::Opening { text: "Files:\n".into() }), "does not name the repository"),
    ];
    for (change, reason) in cases {
        let found = after(&trajectory, &files, change);
        let named = |fault: &Fault| matches!(fault, Fault::Order { reason: given } if given.contains(reason));
        assert!(found.iter().any(named), "{reason}: {found:?}");
    }
    let (mut parts_read, files_read) = decided(4);
    let decided = parts_read.remove(0);
    let design = at(&decided, |step| matches!(&step.body, Body::Think { subject: Subject::Design { .. }, .. }));
    let read = at(&decided, |step| calls(step, "read"));
    let of = |found: &[Fault], reason: &str| {
        found.iter().any(|fault| matches!(fault, Fault::Order { reason: given } if given.contains(reason)))
    };
    let found = after(&decided, &files_read, |it| drop(it.steps.remove(design)));
    assert!(of(&found, "reads after a thought about it"), "{found:?}");
    let found = after(&decided, &files_read, |it| {
        let again: Vec<Step> = it.steps[read..read + 2].to_vec();
        it.steps.splice(read..read, again);
    });
    assert!(of(&found, "is read again"), "{found:?}");
    let draft = at(&decided, |step| calls(step, "draft"));
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(move |it| drop(it.steps.remove(draft + 2))), "and about its draft where there is one"),
        (Box::new(move |it| drop(it.steps.remove(draft + 1))), "is not answered by its result"),
        (Box::new(move |it| drop(it.steps.drain(draft..draft + 2))), "a draft that was not made"),
        (Box::new(move |it| it.steps.swap(draft - 1, draft)), "after a thought about it"),
        (
            Box::new(move |it| {
                let again: Vec<Step> = it.steps[draft..draft + 2].to_vec();
                it.steps.splice(draft..draft, again);
            }),
            "its own file, once",
        ),
    ];
    for (change, reason) in cases {
        let found = after(&decided, &files_read, change);
        assert!(of(&found, reason), "{reason}: {found:?}");
    }
    let (thought, files) = parts(Arm::Thought, 3, 4000);
    for (change, reason) in [
        (Box::new(|it: &mut Trajectory| drop(it.steps.remove(1))) as Change, "written after a thought about it"),
        (Box::new(|it| drop(it.steps.pop())), "before the file that was thought of"),
        (Box::new(|it| it.steps.insert(1, it.steps[1].clone())), "a thought comes again"),
        (Box::new(|it| it.steps.swap(1, 3)), "written after a thought about it"),
        (Box::new(|it| it.steps[1].agent = Agent::File("m0.py".into())), "has no agents"),
        (Box::new(|it| about(it, 1, Subject::Plan)), "thinks of the file it writes"),
        (Box::new(|it| it.steps.push(decided.steps.last().unwrap().clone())), "the `thought` arm only writes"),
    ] {
        let found = after(&thought[0], &files, change);
        assert!(of(&found, reason), "{reason}: {found:?}");
    }
    let (raw, files) = parts(Arm::Raw, 3, 4000);
    let found = after(&raw[0], &files, |it| it.steps.insert(1, trajectory.steps[1].clone()));
    assert!(found.contains(&Fault::Order { reason: "the `raw` arm has no thoughts".into() }), "{found:?}");
}

/// Changes what a thought says it is about.
fn about(trajectory: &mut Trajectory, step: usize, now: Subject) {
    let Body::Think { subject, .. } = &mut trajectory.steps[step].body else { panic!("step {step} is no thought") };
    *subject = now;
}

fn continuation_step() -> Step {
    let body = Body::Continuation(Continuation::default());
    Step { agent: Agent::Main, body, author: Author::Tool, trained: false }
}

#[test]
fn a_sub_agent_writes_its_own_file_only() {
    let (trajectory, files) = refined();
    let write = at(&trajectory, |step| calls(step, "write"));
    let found = after(&trajectory, &files, |it| content(&mut it.steps[write]).unwrap().path = "m2.py".into());
    let named = |fault: &Fault| matches!(fault, Fault::Order { reason } if reason.contains("its own file only"));
    assert!(found.iter().any(named), "{found:?}");
}

#[test]
fn a_later_part_repeats_what_was_decided_and_names_what_was_written() {
    let (parts, files) = parts(Arm::Agent, 16, 2600);
    let lookup = |path: &str| files.get(path).cloned();
    let after = |change: &dyn Fn(&mut Continuation)| -> Vec<Fault> {
        let mut checker = Checker::new(&lookup);
        assert_eq!(checker.check(&parts[0]), []);
        let mut part = parts[1].clone();
        let Body::Continuation(continuation) = &mut part.steps[1].body else { panic!("{:?}", part.steps[1]) };
        change(continuation);
        checker.check(&part).into_iter().map(|violation| violation.fault).collect()
    };
    assert_eq!(after(&|_| {}), []);
    type Change = fn(&mut Continuation);
    let cases: [(Change, &str); 7] = [
        (|it| it.decided.as_mut().unwrap().requirements.push('!'), "requirements: not what"),
        (|it| it.decided.as_mut().unwrap().plan.clear(), "plan: not what"),
        (|it| it.decided = None, "neither requirements nor plan"),
        (|it| it.written[0] = "m15.py".into(), "m15.py was not written before"),
        (|it| it.written.swap(0, 1), "stands in another place"),
        (|it| it.written.truncate(1), "files are older"),
        (|it| it.earlier = 7, "7 are recorded"),
    ];
    for (change, wanted) in cases {
        let found = after(&change);
        let named = |fault: &Fault| matches!(fault, Fault::Continuation { reason } if reason.contains(wanted));
        assert!(found.iter().any(named), "{wanted}: {found:?}");
    }
    let mut silent = parts[1].clone();
    silent.steps.remove(1);
    let found = faults(&silent, &files);
    let named =
        |it: &Violation| matches!(&it.fault, Fault::Order { reason } if reason.contains("where the work stands"));
    assert!(found.iter().any(named), "{found:?}");
}

#[test]
fn authors_and_loss_follow_from_the_kind_of_step() {
    let (trajectory, files) = refined();
    for step in 0..trajectory.steps.len() {
        let found = after(&trajectory, &files, |it| it.steps[step].trained ^= true);
        assert!(matches!(&found[..], [Fault::Trained { .. }]), "step {step}: {found:?}");
        let wrong = match trajectory.steps[step].body {
            Body::Action { action: Action::Write(_) } => Author::Model,
            Body::Think { .. } | Body::Action { .. } => Author::Tool,
            _ => Author::Model,
        };
        let found = after(&trajectory, &files, |it| it.steps[step].author = wrong);
        assert!(found.iter().any(|fault| matches!(fault, Fault::Author { .. })), "step {step}: {found:?}");
    }
    let unnamed = after(&trajectory, &files, |it| it.model = None);
    assert!(unnamed.iter().any(|fault| matches!(fault, Fault::Author { author: Author::Model, .. })), "{unnamed:?}");
}

#[test]
fn the_record_agrees_with_itself() {
    let (trajectory, files) = refined();
    let is = |change: &dyn Fn(&mut Trajectory), wanted: &dyn Fn(&Fault) -> bool| {
        let found = after(&trajectory, &files, change);
        assert!(found.iter().any(wanted), "{found:?}");
    };
    is(&|it| it.schema = "recon.trajectory/1".into(), &|fault| matches!(fault, Fault::Schema { .. }));
    is(&|it| it.id = "shop/search".into(), &|fault| matches!(fault, Fault::Identity { .. }));
    is(&|it| it.part = 1, &|fault| matches!(fault, Fault::Identity { .. }));
    is(&|it| it.arm = Arm::Agent, &|fault| matches!(fault, Fault::Identity { .. }));
    is(&|it| it.arm = Arm::Agent, &|fault| matches!(fault, Fault::Likelihood { .. }));
    is(&|it| it.summary.files += 1, &|fault| matches!(fault, Fault::Summary { .. }));
    is(&|it| it.summary.steps_by_author.clear(), &|fault| matches!(fault, Fault::Summary { .. }));
    is(&|it| it.summary.left_out = [("m1.py".into(), 9)].into(), &|fault| matches!(fault, Fault::Summary { .. }));
}

#[test]
fn a_search_record_follows_the_rule_of_acceptance() {
    let (trajectory, files) = refined();
    let accepts = |outcome: &Outcome| matches!(outcome, Outcome::Scored { accepted: true, .. });
    let won = |search: &Search| search.rounds[0].candidates.iter().any(|candidate| accepts(&candidate.outcome));
    let wrong = |change: &dyn Fn(&mut Search), reason: &str| {
        let found = after(&trajectory, &files, |it| change(search(it, won)));
        let named = |fault: &Fault| matches!(fault, Fault::Likelihood { reason: given } if given.contains(reason));
        assert!(found.iter().any(named), "{reason}: {found:?}");
    };
    wrong(&|it| it.final_nats = it.initial_nats, "the rounds say");
    wrong(&|it| it.initial_nats = it.final_nats, "accepts");
    wrong(&|it| it.baseline_nats = -1.0, "is no likelihood");
    wrong(&|it| it.baseline_nats = f64::NAN, "is no likelihood");
    wrong(&|it| it.rounds[2].incumbent_nats += 0.5, "its candidates say");
    wrong(&|it| it.rounds.clear(), "the rounds say");
    wrong(&|it| it.targets.clear(), "no target");
    wrong(&|it| it.targets[0] = "m9.py".into(), "m9.py");
    wrong(&|it| it.target_bytes += 1, "bytes");
    wrong(&|it| winner(it).text.push('!'), "not the last one accepted");
    wrong(&|it| winner(it).author = Author::Outline, "not the last one accepted");
    wrong(&|it| every(it, |outcome| *outcome = Outcome::Scored { nats: 0.5, accepted: true }), "accepts 2 candidates");
    wrong(
        &|it| every(it, |outcome| *outcome = Outcome::Refused { nats_at_least: f64::INFINITY, tokens_seen: 1 }),
        "no likelihood",
    );
    let seen = after(&trajectory, &files, |it| {
        let refused = |search: &Search| {
            search
                .rounds
                .iter()
                .flat_map(|round| &round.candidates)
                .any(|it| matches!(it.outcome, Outcome::Refused { .. }))
        };
        every(search(it, refused), |outcome| {
            if let Outcome::Refused { tokens_seen, .. } = outcome {
                *tokens_seen = 1 << 40;
            }
        });
    });
    assert!(matches!(&seen[..], [Fault::Likelihood { reason }] if reason.contains("tokens were seen")), "{seen:?}");
}

/// The last candidate that was accepted.
fn winner(search: &mut Search) -> &mut recon_schema::trajectory::Candidate {
    let candidates = search.rounds.iter_mut().flat_map(|round| &mut round.candidates);
    candidates
        .filter(|it| matches!(it.outcome, Outcome::Scored { accepted: true, .. }))
        .last()
        .expect("one was accepted")
}

fn every(search: &mut Search, change: impl Fn(&mut Outcome)) {
    search.rounds.iter_mut().flat_map(|round| &mut round.candidates).for_each(|it| change(&mut it.outcome));
}

#[test]
fn tools_answer_a_draft_as_it_is_recorded() {
    let (mut parts, files) = decided(2);
    let trajectory = parts.remove(0);
    let draft = at(&trajectory, |step| calls(step, "draft"));
    let answers = |change: &dyn Fn(&mut Trajectory)| -> Vec<String> {
        let found = after(&trajectory, &files, change);
        let reasons = found.into_iter().map(|fault| match fault {
            Fault::Answer { reason, .. } => reason,
            other => other.to_string(),
        });
        reasons.collect()
    };
    let text = |it: &mut Trajectory, now: &str| {
        let Body::Action { action: Action::Draft { text, .. } } = &mut it.steps[draft].body else { panic!() };
        *text = now.into();
    };
    assert_eq!(answers(&|it| text(it, "x = 1\n")), ["run again, the tool answers otherwise"]);
    let observed = Observed::Text("parser: no syntax errors".into());
    let claimed = answers(&|it| it.steps[draft + 1].body = Body::Observation { observed: observed.clone() });
    assert_eq!(claimed, ["run again, the tool answers otherwise"]);
    let thought = answers(&|it| {
        let Body::Think { subject: Subject::Revising { faults, .. }, .. } = &mut it.steps[draft + 2].body else {
            panic!()
        };
        *faults += 1;
    });
    assert_eq!(thought, ["the tool finds 1 faults, the thought speaks of 2"]);
    assert_eq!(answers(&|it| it.steps[draft].trained = true), ["a draft is recorded as trained"]);
    assert_eq!(answers(&|it| it.steps[draft].author = Author::Outline), ["a draft cannot be composed by the outline"]);
}
