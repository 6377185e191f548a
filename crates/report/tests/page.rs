//! The page of a small run: every section is there, and what repositories say stays text.

use recon_report::{Fates, Repository, Run, Search, Stage, TrainingStep, page};
use recon_schema::Sha256;
use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::Trajectory;
use serde_json::{Value, json};

const HOSTILE: &str = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x' &amp; ]]>";

fn graph(files: usize) -> RepoGraph {
    let path = |at: usize| if at == 1 { format!("src/{HOSTILE}.py") } else { format!("src/f{at}.py") };
    let paths: Vec<String> = (0..files).map(path).collect();
    let node = |path: &String| json!({"path": path, "language": "python", "bytes": 1, "lines": 1, "sha256": null, "symbols": []});
    let edges: Vec<Value> = (1..files)
        .map(|at| json!({"from": paths[at], "to": paths[at / 2], "kind": "import", "names": [], "line": 1, "confidence": "exact"}))
        .collect();
    serde_json::from_value(json!({
        "schema": recon_schema::graph::SCHEMA,
        "repository": {"name": HOSTILE, "source": "x", "commit": "c0ffee", "licence": "MIT"},
        "files": paths.iter().map(node).collect::<Vec<_>>(),
        "edges": edges,
        "unresolved": [],
        "diagnostics": [],
        "cycles": [],
        "order": paths,
    }))
    .unwrap()
}

fn trajectory() -> Trajectory {
    let think = |subject: Value, search: Value| {
        let mut step = json!({"agent": "main", "kind": "think", "text": format!("thought {HOSTILE}"), "subject": subject,
            "author": "model", "trained": true});
        if !search.is_null() {
            step["search"] = search;
        }
        step
    };
    let candidate = |text: &str, outcome: Value| {
        let mut candidate = json!({"author": "model", "text": text});
        candidate["outcome"] = outcome;
        candidate
    };
    let scored = |nats: f64, accepted: bool| json!({"outcome": "scored", "nats": nats, "accepted": accepted});
    let search = json!({
        "targets": ["src/f0.py"], "baseline_nats": 30.0, "initial_nats": 20.0, "final_nats": 12.5,
        "target_tokens": 10, "target_bytes": 30,
        "initial": {"author": "outline", "text": "first"},
        "rounds": [
            {"candidates": [candidate("better", scored(15.0, true)), candidate("worse", scored(40.0, false))], "incumbent_nats": 15.0},
            {"candidates": [candidate("best of all", scored(12.5, true)),
                candidate("", json!({"outcome": "invalid", "fault": "empty", "reason": HOSTILE}))], "incumbent_nats": 12.5},
        ],
        "control": {"path": "src/f2.py", "nats": 29.0},
    });
    let digest = Sha256::of(b"");
    serde_json::from_value(json!({
        "schema": recon_schema::trajectory::SCHEMA, "id": "r/search#0",
        "repository": {"name": HOSTILE, "source": "x"}, "arm": "search", "part": 0, "seed": 1,
        "steps": [
            {"agent": "main", "kind": "opening", "text": HOSTILE, "author": "repository", "trained": false},
            think(json!({"about": "plan"}), Value::Null),
            think(json!({"about": "writing", "path": "src/f0.py"}), search),
            {"agent": "file:src/f0.py", "kind": "action", "author": "repository", "trained": true,
             "action": {"tool": "write", "path": "src/f0.py", "sha256": digest, "text": HOSTILE}},
        ],
        "summary": {"files": 1, "steps_by_author": {}, "leaks_by_author": {}},
    }))
    .unwrap()
}

fn run(files: usize) -> Run {
    let mut run = Run { title: format!("recon: {HOSTILE}"), repository_count: 3, ..Run::default() };
    let trajectory = trajectory();
    run.search.add(&trajectory);
    run.repositories.push(Repository { graph: graph(files), trajectories: vec![trajectory] });
    run.stages =
        vec![Stage { name: "refine".into(), seconds: 15.0, fresh_tokens: Some(77), generated_tokens: Some(5) }];
    run.training =
        (1..6).map(|step| TrainingStep { step, loss_nats: 5.0 / step as f64, trained_tokens: 100 * step }).collect();
    run.held_out = Some([4.0, 3.5]);
    run
}

#[test]
fn the_page_answers_what_was_planned_what_helped_and_what_it_cost() {
    let page = page(&run(6));
    for id in ["corpus", "search", "training", "cost", "repositories"] {
        assert!(page.contains(&format!("id=\"{id}\"")) && page.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    for said in [
        "1 of 3 are shown",
        "2.0000 → 1.2500 nats a token",
        "<b>7.50</b> nats gained",
        "2.0000 seconds of search a nat gained",
        "4.0000 → 3.5000",
        "best of all",
        "control: the thought found for src/f2.py",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert_eq!(page.matches("<svg").count(), 4, "two curves of the search, the loss, the dependencies");
}

#[test]
fn text_of_repositories_is_shown_and_never_interpreted() {
    let page = page(&run(6));
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.contains("&lt;script&gt;"), "it is shown");
    // Nothing is fetched: the only addresses are those of sections and the namespace of the charts.
    let addresses = page.matches("://").count();
    assert_eq!(addresses, page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count());
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_thousand_files_are_one_chart_and_one_list() {
    let page = page(&run(1000));
    assert!(page.matches("<circle").count() >= 999);
    assert!(page.contains("src/f999.py"));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn searches_of_different_length_are_summed_over_the_same_thoughts() {
    let mut search = Search::default();
    let long = trajectory();
    let mut short = trajectory();
    for step in &mut short.steps {
        if let recon_schema::trajectory::Body::Think { search: Some(search), .. } = &mut step.body {
            search.rounds.truncate(1);
            search.final_nats = 15.0;
        }
    }
    search.add(&long);
    search.add(&short);
    assert_eq!(search.nats, [40.0, 30.0, 27.5]);
    assert_eq!(search.thought_bytes, [2 * 5, 2 * 6, 11 + 6]);
    assert_eq!(search.authors["model"], Fates { accepted: 3, beaten: 2, invalid: 1, ..Fates::default() });
    let mut reversed = Search::default();
    reversed.add(&short);
    reversed.add(&long);
    assert_eq!(reversed, search);
    assert_eq!(page(&Run::default()).matches("<svg").count(), 0, "a run with nothing in it has a page too");
}
