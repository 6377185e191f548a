//! The outline author's text: grounded, bounded, each level telling more.

use recon_schema::graph::RepoGraph;
use recon_schema::trajectory::Subject;
use recon_thought::outline::{Detail, Project};

use crate::fixtures;

const LOADER: &str = "\
\"\"\"Reads the configuration of a run from a file and checks every key of it.\"\"\"
import json
import yaml
from app.errors import Broken
from app.paths import find

LIMIT = 10

class Loader:
    '''Holds what was read.'''
    def load(self, name: str, *, strict: bool = True) -> dict[str, str]:
        '''Reads one file, then checks that all of its keys are known ones.'''
        secret_body = 42
        return find(name)

def main():
    raise Broken
";

fn fixture() -> RepoGraph {
    fixtures::graph(&[
        ("app/__init__.py", "\"\"\"Runs things.\"\"\"\n"),
        ("app/errors.py", "class Broken(Exception):\n    pass\n"),
        ("app/paths.py", "def find(name: str) -> str:\n    return name\n\ndef other(): ...\n"),
        ("app/loader.py", LOADER),
        ("app/cli.py", "from app.loader import Loader, main\n"),
        ("tests/test_loader.py", "from app.loader import Loader\n"),
        ("README.md", "# App\n"),
    ])
}

fn writing(path: &str) -> Subject {
    Subject::Writing { path: path.into() }
}

fn told(graph: &RepoGraph, path: &str, detail: Detail) -> String {
    Project::new(graph).thought(&writing(path), detail)
}

#[test]
fn each_level_names_what_it_promises() {
    let graph = fixture();
    let told = |detail| told(&graph, "app/loader.py", detail);
    // What is told, and the least level that tells it.
    let facts = [
        ("`app/loader.py`", Detail::Brief),
        ("Reads the configuration", Detail::Brief),
        ("`app/errors.py`", Detail::Brief),
        ("`app/paths.py`", Detail::Brief),
        ("`Loader`", Detail::Brief),
        ("`main`", Detail::Brief),
        ("`load", Detail::Names),
        ("`yaml`", Detail::Names),
        ("(for `find`)", Detail::Names),
        ("`app/cli.py` (which takes `Loader` and `main`)", Detail::Names),
        ("`tests/test_loader.py`", Detail::Names),
        ("def load(self, name: str, *, strict: bool = True) -> dict[str, str]", Detail::Signatures),
        ("Holds what was read", Detail::Full),
        ("def find(name: str) -> str", Detail::Full),
        ("17 lines", Detail::Full),
    ];
    for detail in Detail::ALL {
        let text = told(detail);
        for (fact, least) in facts {
            // The names of a level are found inside the signatures of the next.
            let fact = if detail >= Detail::Signatures { fact.trim_matches('`') } else { fact };
            assert_eq!(text.contains(fact), detail >= least, "{detail:?} and {fact}:\n{text}");
        }
        assert!(!text.contains("secret_body") && !text.contains("def other"), "only what the outline holds:\n{text}");
    }
    assert!(told(Detail::Brief).len() < told(Detail::Names).len());
    assert!(told(Detail::Names).len() < told(Detail::Signatures).len());
    assert!(told(Detail::Signatures).len() < told(Detail::Full).len());
}

/// Length of the longest run of bytes both texts hold.
fn longest_shared(thought: &str, target: &str) -> usize {
    let (a, b) = (thought.as_bytes(), target.as_bytes());
    let mut before = vec![0; b.len() + 1];
    let mut longest = 0;
    for &x in a {
        let mut now = vec![0; b.len() + 1];
        for (at, &y) in b.iter().enumerate() {
            if x == y {
                now[at + 1] = before[at] + 1;
                longest = longest.max(now[at + 1]);
            }
        }
        before = now;
    }
    longest
}

#[test]
fn nothing_but_signatures_repeats_a_long_run_of_the_file() {
    let graph = fixture();
    let target = LOADER.split_whitespace().collect::<Vec<_>>().join(" ");
    for detail in Detail::ALL {
        let mut text = told(&graph, "app/loader.py", detail);
        for signature in Project::new(&graph).signatures("app/loader.py") {
            text = text.replace(&signature, "\u{1}");
        }
        let shared = longest_shared(&text, &target);
        assert!(shared < 48, "{detail:?} shares {shared} bytes:\n{text}");
    }
    // The control: the signatures themselves would be caught.
    let full = told(&graph, "app/loader.py", Detail::Full);
    assert!(longest_shared(&full, &target) >= 48);
}

#[test]
fn the_project_is_told_in_its_order() {
    let graph = fixture();
    let project = Project::new(&graph);
    let plan = project.thought(&Subject::Plan, Detail::Names);
    let place = |name: &str| plan.find(&format!("`{name}`:")).unwrap_or_else(|| panic!("{name} in\n{plan}"));
    assert!(place("app/errors.py") < place("app/loader.py") && place("app/loader.py") < place("app/cli.py"));
    let mut before = 0;
    for detail in Detail::ALL {
        let requirements = project.thought(&Subject::Requirements, detail);
        let plan = project.thought(&Subject::Plan, detail);
        assert!(requirements.len() + plan.len() > before, "{detail:?} tells more");
        before = requirements.len() + plan.len();
        assert!(requirements.contains("6 files of python"), "{requirements}");
    }
    assert!(project.thought(&Subject::Requirements, Detail::Full).contains("`yaml`"));
    let hint = project.grounding(&writing("app/loader.py"));
    for said in [
        "It takes `Broken` from `app/errors.py` and `find` from `app/paths.py`.",
        "It is used by `app/cli.py` and `tests/test_loader.py`.",
        "It sets `LIMIT`.",
        "It defines `class Loader` (Holds what was read), with `def load(self",
    ] {
        assert!(hint.contains(said), "{said} in\n{hint}");
    }
    assert!(!hint.contains("secret_body"), "{hint}");
    assert!(project.grounding(&Subject::Plan).contains("It builds on `app/errors.py` and `app/paths.py`."));
}

#[test]
fn every_text_keeps_its_bound() {
    let mut files: Vec<(String, String)> =
        (0..400).map(|at| (format!("pkg{}/sub{}/m{at}.py", at % 9, at % 5), "def f(): ...\n".repeat(3))).collect();
    let huge: String =
        (0..5_000).map(|at| format!("def function_number_{at}(argument: int) -> int:\n    '''Doc.'''\n")).collect();
    files.push(("huge.py".into(), huge));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let graph = fixtures::graph(&files);
    let project = Project::new(&graph);
    for max in [0, 1, 50, 300, 1_000] {
        let bounded = |text: String| assert!(text.chars().count() <= max, "{} > {max}:\n{text}", text.chars().count());
        for detail in Detail::ALL {
            for subject in [writing("huge.py"), Subject::Requirements, Subject::Plan] {
                bounded(project.thought_within(&subject, detail, max));
            }
        }
        bounded(project.tree(max));
    }
    let full = told(&graph, "huge.py", Detail::Full);
    assert!(full.contains("more definitions"), "a cut list says how much is missing");
    assert!(project.tree(600).contains("pkg0/ … "), "deep directories are folded");
}

#[test]
fn the_tree_shows_directories_before_files() {
    let graph = fixtures::graph(&[
        ("z.py", "x = 1\n"),
        ("a.py", "x = 1\n"),
        ("m/n/o.py", "x = 1\n"),
        ("m/b.py", "x = 1\n"),
        ("m/empty.py", ""),
    ]);
    assert_eq!(Project::new(&graph).tree(4_000), "m/\n  n/\n    o.py\n  b.py\na.py\nz.py");
}

#[test]
fn a_file_without_documentation_or_a_node_is_no_trouble() {
    let graph = fixtures::graph(&[("http_client.py", "def get(): ...\n"), ("evil\n`name`.py", "x = 1\n")]);
    let text = told(&graph, "http_client.py", Detail::Brief);
    assert!(text.contains("for http client"), "{text}");
    assert!(!told(&graph, "evil\n`name`.py", Detail::Brief).starts_with("Next is `evil\n"));
    assert_eq!(told(&graph, "absent.py", Detail::Full), "");
    assert_eq!(Project::new(&graph).grounding(&writing("absent.py")), "");
    assert!(Project::new(&graph).signatures("absent.py").is_empty());
}
