//! A trained sentence about the project is true: everything the outline author can say is parsed
//! back and held against the whole graph.

use std::collections::BTreeSet;

use proptest::prelude::*;
use recon_graph::build;
use recon_schema::graph::{Diagnostic, Edge, RepoGraph, SkipReason};
use recon_schema::trajectory::Subject;
use recon_thought::outline::{Detail, Project};

use crate::claims::Claim;
use crate::facts::Facts;
use crate::fixtures::{Fate, made_up, shop, skip, workspace};
use crate::grammar;

/// Long enough that nothing is cut.
const UNBOUNDED: usize = usize::MAX / 2;

/// A text with the file it is about; empty for the project.
type Said = (String, String);

/// Everything the outline author can say of a project.
fn everything(graph: &RepoGraph) -> Vec<Said> {
    let (project, facts) = (Project::new(graph), Facts(graph));
    let mut said = Vec::new();
    let mut say = |subject: &Subject| {
        let about = subject.path().unwrap_or_default().to_owned();
        let details = Detail::ALL.map(|detail| project.thought_within(subject, detail, UNBOUNDED));
        said.extend(details.into_iter().chain([project.least(subject)]).map(|text| (about.clone(), text)));
    };
    say(&Subject::Requirements);
    say(&Subject::Plan);
    graph.order.iter().for_each(|path| say(&Subject::Writing { path: path.clone() }));
    let place = |path: &str| graph.order.iter().position(|other| other == path);
    for path in &graph.order {
        said.push((path.clone(), project.first(&Subject::Design { path: path.clone() })));
        let earlier = facts.imports(path).into_iter().filter(|to| place(to).is_some() && place(to) < place(path));
        let reads: Vec<String> = earlier.map(String::from).collect();
        if !reads.is_empty() {
            said.push((path.clone(), project.first(&Subject::Reading { path: path.clone(), reads })));
        }
    }
    said
}

/// The kinds of claim made, or the first that does not hold.
fn judge(graph: &RepoGraph, said: &[Said]) -> Result<BTreeSet<&'static str>, String> {
    let mut kinds = BTreeSet::new();
    for (about, text) in said {
        let claims = grammar::claims(text).map_err(|error| format!("{error}\n\n{text}"))?;
        for claim in &claims {
            Facts(graph).check(about, claim).map_err(|error| format!("{error}\n\n{text}"))?;
            kinds.insert(claim.kind());
        }
        Facts(graph).holds(about, &claims).map_err(|error| format!("{error}\n\n{text}"))?;
        says_what_it_builds_on(graph, about, &claims).map_err(|error| format!("{error}\n\n{text}"))?;
    }
    Ok(kinds)
}

/// A thought about a file that builds on others names them.
fn says_what_it_builds_on(graph: &RepoGraph, about: &str, claims: &[Claim]) -> Result<(), String> {
    let imports = !about.is_empty() && !Facts(graph).imports(about).is_empty();
    let is_thought = claims.iter().any(|claim| matches!(claim, Claim::Next(_)));
    let says = claims.iter().any(|claim| matches!(claim, Claim::BuildsOn(_)));
    if imports && is_thought && !says { Err(format!("{about} builds on others, which is not said")) } else { Ok(()) }
}

fn holds(graph: &RepoGraph) -> BTreeSet<&'static str> {
    judge(graph, &everything(graph)).unwrap_or_else(|error| panic!("{}: {error}", graph.repository.name))
}

#[test]
fn every_kind_of_sentence_is_met_and_true() {
    let mut kinds = holds(&build(&shop()));
    // Without a ring, the order has no exception.
    let mut straight = shop();
    straight.insert("shop/order.py".into(), "class Order:\n    pass\n".into());
    kinds.extend(holds(&build(&straight)));
    let all: BTreeSet<&str> = Claim::KINDS.into();
    assert_eq!(kinds, all);
}

#[test]
fn everything_said_of_this_workspace_is_true() {
    for mut repository in workspace() {
        holds(&build(&repository));
        // Every fifth file is held out, every seventh dropped.
        let paths: Vec<String> = repository.files.keys().cloned().collect();
        for (at, path) in paths.iter().enumerate() {
            match at {
                at if at % 5 == 1 => repository.untrain(path, SkipReason::HeldOut),
                at if at % 7 == 2 => repository.untrain(path, SkipReason::Generated),
                _ => {}
            }
        }
        let mut graph = build(&repository);
        holds(&graph);
        graph.order.truncate(graph.order.len() / 2);
        holds(&graph);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn everything_said_of_a_made_up_project_is_true(
        fates in prop::collection::vec(prop_oneof![4 => Just(Fate::Kept), 2 => prop::sample::select(&Fate::ALL[..])], 2..14),
        imports in prop::collection::vec((0_usize..14, 0_usize..14), 0..40),
        missing in prop::option::weighted(0.2, 0_usize..14),
        developed in 1_usize..16,
    ) {
        let mut graph = build(&made_up(&fates, &imports, missing));
        graph.order.truncate(developed);
        if let Err(error) = judge(&graph, &everything(&graph)) {
            return Err(TestCaseError::fail(error));
        }
    }
}

#[test]
fn with_any_import_taken_away_something_said_is_false() {
    let graph = build(&shop());
    let said = everything(&graph);
    judge(&graph, &said).unwrap();
    let pairs: BTreeSet<(&str, &str)> = graph.edges.iter().map(|edge| (&*edge.from, &*edge.to)).collect();
    let developed = |path: &str| graph.order.iter().any(|other| other == path);
    let spoken_of: Vec<_> = pairs.into_iter().filter(|(from, to)| developed(from) || developed(to)).collect();
    assert!(spoken_of.len() > 10, "{spoken_of:?}");
    for (from, to) in spoken_of {
        let mut other = graph.clone();
        other.edges.retain(|edge| (&*edge.from, &*edge.to) != (from, to));
        assert!(judge(&other, &said).is_err(), "{from} -> {to}");
    }
}

#[test]
fn with_any_import_added_something_said_is_false() {
    let graph = build(&shop());
    let said = everything(&graph);
    let facts = Facts(&graph);
    let mut added = 0;
    for from in &graph.order {
        for to in graph.files.iter().map(|file| &file.path) {
            if from == to || facts.imports(from).contains(to.as_str()) {
                continue;
            }
            let mut other = graph.clone();
            let kind = "import".to_owned();
            let confidence = recon_schema::graph::Confidence::Exact;
            other.edges.push(Edge { from: from.clone(), to: to.clone(), kind, line: 1, confidence, names: vec![] });
            other.edges.sort();
            assert!(judge(&other, &said).is_err(), "{from} -> {to}");
            added += 1;
        }
    }
    assert!(added > 50, "{added}");
}

#[test]
fn with_any_definition_renamed_or_moved_something_said_is_false() {
    let graph = build(&shop());
    let said = everything(&graph);
    let mut changed = 0;
    for (file, node) in graph.files.iter().enumerate().filter(|(_, node)| graph.order.contains(&node.path)) {
        for at in 0..node.symbols.len() {
            let mut other = graph.clone();
            let symbol = &mut other.files[file].symbols[at];
            (symbol.name, symbol.signature) = ("renamed".into(), "renamed".into());
            assert!(judge(&other, &said).is_err(), "{} {}", node.path, node.symbols[at].name);
            let mut other = graph.clone();
            let symbol = &mut other.files[file].symbols[at];
            symbol.parent = if symbol.parent.is_some() || at == 0 { None } else { Some(0) };
            if symbol.parent != node.symbols[at].parent {
                assert!(judge(&other, &said).is_err(), "{} {}", node.path, node.symbols[at].name);
            }
            changed += 1;
        }
    }
    assert!(changed > 20, "{changed}");
}

#[test]
fn a_sentence_nobody_knows_is_refused() {
    let graph = build(&shop());
    for text in [
        "It is wonderful.",
        "It builds on nothing.",
        "Its parts:\n- `shop/`: 3 files",
        "Next is `app.py`: what a name.\n\nTrust me.",
    ] {
        assert!(judge(&graph, &[("app.py".into(), text.into())]).is_err(), "{text}");
    }
}

#[test]
fn a_file_that_is_not_developed_is_named_and_nothing_of_it_is_told() {
    let graph = build(&shop());
    let project = Project::new(&graph);
    let told = |path: &str| project.thought(&Subject::Writing { path: path.into() }, Detail::Full);
    let price = told("shop/price.py");
    assert!(price.contains("`shop/wire_pb2.py` (not developed here)"), "{price}");
    assert!(price.contains("`shop/secret.py` (not developed here)"), "held out, and a user:\n{price}");
    for (path, text) in everything(&graph) {
        assert!(!text.contains("hidden") && !text.contains("DESCRIPTOR"), "{path}:\n{text}");
    }
    assert!(told("shop/rates.py").contains("It builds on no other file of the project."));
}

/// Which of the sentences that say something is absent are said of a project.
fn says_absent(graph: &RepoGraph) -> [bool; 3] {
    let texts: Vec<String> = everything(graph).into_iter().map(|(_, text)| text).collect();
    let sentences = ["It builds on no other file", "No other file imports these", "From outside"];
    sentences.map(|sentence| texts.iter().any(|text| text.contains(sentence)))
}

#[test]
fn where_source_was_left_unread_nothing_is_said_to_be_absent() {
    use SkipReason::{Ambiguous, Binary, Link, NotUtf8, OverBudget, TooLarge, Unreadable};
    let said = |reason: SkipReason, path: &str| {
        let mut repository = shop();
        skip(&mut repository, path, reason);
        says_absent(&build(&repository))
    };
    for reason in [OverBudget, TooLarge, Unreadable, NotUtf8, Ambiguous, Link] {
        assert_eq!(said(reason, "tools/unread.py"), [false; 3], "{reason:?}");
        assert_eq!(said(reason, "tools/unread.bin"), [true; 3], "{reason:?}, and no source");
    }
    assert_eq!(said(Binary, "tools/unread.py"), [true; 3], "what is binary is no source");
}

#[test]
fn where_files_are_not_listed_or_not_understood_nothing_is_said_to_be_absent() {
    let said = |rule: &str, path: &str| {
        let mut graph = build(&shop());
        let (path, rule, message) = (path.to_owned(), rule.to_owned(), String::new());
        graph.diagnostics.push(Diagnostic { path, rule, message });
        says_absent(&graph)
    };
    for rule in ["not_listed", "path_not_utf8", "unsafe_path", "unreadable", "parse_budget"] {
        assert_eq!(said(rule, ""), [false; 3], "{rule}");
    }
    assert_eq!(said("unsafe_path", "../x.py"), [false; 3]);
    assert_eq!(said("unsafe_path", "../x.png"), [true; 3], "no source");
    assert_eq!(said("syntax_error", "app.py"), [true, false, true], "whom it imports is not known");
    assert!(!said("syntax_error", "shop/rates.py")[1]);
    assert_eq!(said("case_collision", "app.py"), [true; 3]);
}
