//! The three output forms, above all under names that try to break out of them.

use recon_graph::output;
use recon_schema::graph::RepoGraph;

use crate::expect;

const EVIL: &str = "a \"b\\\" -> x];\n\u{1b}[2J.py";

fn fixture() -> RepoGraph {
    expect::graph(&[
        (EVIL, "import c\nimport gone_\u{301}\n"),
        ("c.py", "import d\nfrom . import absent\n"),
        ("d.py", "import c\n"),
        ("notes.md", "# words\n"),
    ])
}

#[test]
fn json_is_the_record() {
    let graph = fixture();
    let json = output::json(&graph);
    assert!(json.ends_with("}\n"));
    assert_eq!(serde_json::from_str::<RepoGraph>(&json).unwrap(), graph, "what is written can be read");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["schema", "repository", "files", "edges", "unresolved", "order", "cycles", "diagnostics"]);
    assert_eq!(value["schema"], "recon.graph/1");
}

/// The string literals of a DOT text, each decoded, and what stands outside of them.
fn strings(dot: &str) -> (Vec<String>, String) {
    let (mut found, mut outside, mut open, mut escaped) = (Vec::new(), String::new(), None::<String>, false);
    for c in dot.chars() {
        match &mut open {
            None if c == '"' => open = Some(String::new()),
            None => outside.push(c),
            Some(text) if escaped => {
                text.push(c);
                escaped = false;
            }
            Some(_) if c == '\\' => escaped = true,
            Some(_) if c == '"' => found.extend(open.take()),
            Some(text) => text.push(c),
        }
    }
    assert!(open.is_none(), "a string stays open:\n{dot}");
    (found, outside)
}

#[test]
fn dot_keeps_hostile_names_inside_their_strings() {
    let dot = output::dot(&fixture());
    let (strings, outside) = strings(&dot);
    assert!(!outside.contains("2J"), "part of a name escaped:\n{dot}");
    assert_eq!(outside.matches("->").count(), 3, "three imports:\n{dot}");
    assert_eq!(outside.matches("peripheries=2").count(), 2, "c and d stand in a cycle");
    assert!(strings.iter().any(|text| text == "a \"b\\\" -> x];\\n\\u{1b}[2J.py"), "{strings:?}");
    assert!(!dot.contains("notes.md"), "other text has no edges");
    assert!(!dot.contains('\u{1b}'));
}

#[test]
fn text_tells_the_order_and_moves_no_cursor() {
    let graph = fixture();
    let text = output::text(&graph);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    let line = |wanted: &str| {
        text.lines().position(|line| line.trim() == wanted).unwrap_or_else(|| panic!("{wanted} in\n{text}"))
    };
    assert!(line("<- c.py") > line("order (dependencies first)"));
    assert!(text.contains("cycles\n  c.py, d.py\n") && text.contains("c.py:2: .absent"), "{text}");
    assert!(text.contains("python: 3 files, 5 lines") && text.contains("other text: 1 file, 1 lines"), "{text}");
}
