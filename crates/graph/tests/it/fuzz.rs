//! Random and damaged source to every outline and every import resolver: nothing panics, and what
//! is said of a file lies inside it.
//!
//! A fixed number of cases from a fixed seed, so a failure is the same everywhere.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use recon_graph::Repository;

use crate::expect;

/// Snippets of each language, and the manifests that resolvers read.
const SEEDS: &[(&str, &str)] = &[
    (
        "a.py",
        "\"\"\"Doc.\"\"\"\nimport b.c as d\nfrom ..e import (f, g as h)\n@x\nclass A(B):\n    def m(self, *, k: int = 1) -> str: ...\n",
    ),
    (
        "a.rs",
        "//! Doc.\nmod b;\nuse crate::{b::c, self as d, super::e::*};\npub fn f<T: A>(x: &T) -> u8 where T: B { 0 }\nimpl A for C { fn g() {} }\n",
    ),
    (
        "a.ts",
        "import x, { y as z } from './b';\nexport * from '../c.js';\nexport class A<T> { private m(x?: T): void {} }\nconst l = await import(`./d`);\n",
    ),
    ("a.tsx", "import React from 'react';\nexport const A = () => <B c={d}>{e}</B>;\n"),
    ("a.js", "const b = require('./b');\nexport default function (a) { return a?.b; }\n"),
    (
        "a.go",
        "package a\n\nimport (\n\t\"fmt\"\n\tb \"x.org/m/b\"\n)\n\ntype T struct{ A int }\n\nfunc (t *T) M() error { return nil }\n",
    ),
    (
        "A.java",
        "package a.b;\nimport static c.D.*;\nimport e.F;\npublic class A<T> extends G implements H { void m(int x) {} }\n",
    ),
    ("a.kt", "package a.b\nimport c.d.E as F\ndata class A(val x: Int) : B() { fun m() = x }\n"),
    ("a.c", "#include \"b.h\"\n#include <c.h>\n#define M(x) (x)\nstatic int f(struct s *p) { return M(1); }\n"),
    (
        "a.hpp",
        "#pragma once\n#include \"a/b.hpp\"\nnamespace n { template <class T> class A : public B { int m() const; }; }\n",
    ),
    ("a.cs", "using A.B;\nnamespace C;\npublic partial class D : E { int F => 1; }\n"),
    ("a.rb", "require_relative 'b'\nmodule A\n  class B < C\n    def m(x) = x\n  end\nend\n"),
    ("a.php", "<?php\nnamespace A\\B;\nuse C\\{D, E as F};\nclass G extends H { public function m(int $x): ?I {} }\n"),
];

const MANIFESTS: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[package]\nname = \"a\"\n[workspace]\nmembers = [\"x/*\"]\n[dependencies]\nb = { path = \"../b\" }\n",
    ),
    ("pyproject.toml", "[project]\nname = \"a\"\n[tool.setuptools.packages.find]\nwhere = [\"src\"]\n"),
    (
        "package.json",
        "{\"name\": \"a\", \"exports\": {\"./x\": {\"import\": \"./x.js\"}}, \"imports\": {\"#y\": \"./y.js\"}}",
    ),
    (
        "tsconfig.json",
        "{\"extends\": \"./base.json\", \"compilerOptions\": {\"baseUrl\": \".\", \"paths\": {\"@/*\": [\"src/*\"]}}}",
    ),
    ("go.mod", "module x.org/m\n\ngo 1.22\n\nreplace y.org/z => ./z\n"),
    ("composer.json", "{\"autoload\": {\"psr-4\": {\"A\\\\\": \"src/\"}, \"files\": [\"x.php\"]}}"),
    ("compile_commands.json", "[{\"directory\": \".\", \"file\": \"a.c\", \"command\": \"cc -I inc -c a.c\"}]"),
    ("build.gradle", "sourceSets { main { java { srcDirs = ['src'] } } }\n"),
];

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Characters put in, taken out and repeated at any place.
fn damaged(text: &str, damages: &[(usize, usize, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, many, insert) in damages {
        let at = at % (chars.len() + 1);
        let end = (at + many % 12).min(chars.len());
        let part: Vec<char> = chars[at..end].to_vec();
        match many % 3 {
            0 => drop(chars.drain(at..end)),
            1 => drop(chars.splice(at..at, part.iter().cycle().take(part.len() * 3).copied())),
            _ => drop(chars.splice(at..at, insert.chars())),
        }
    }
    chars.into_iter().collect()
}

type Damages = Vec<(usize, usize, String)>;

fn damages() -> impl Strategy<Value = Damages> {
    let text = prop_oneof![
        ".{0,8}",
        Just("{{{{((((".to_owned()),
        Just("\"".to_owned()),
        Just("/*".to_owned()),
        Just("../".repeat(40)),
        Just("\u{0}\u{feff}\u{202e}".to_owned()),
    ];
    vec((any::<usize>(), any::<usize>(), text), 0..8)
}

/// Builds the graph and holds what it says against the files.
fn build(files: &[(String, String)]) {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let graph = expect::graph(&files);
    for node in &graph.files {
        for (at, symbol) in node.symbols.iter().enumerate() {
            assert!(symbol.start_line >= 1 && symbol.start_line <= symbol.end_line, "{}: {symbol:?}", node.path);
            assert!(
                u64::from(symbol.end_line) <= node.lines.max(1),
                "{}: {symbol:?} of {} lines",
                node.path,
                node.lines
            );
            assert!(symbol.parent.is_none_or(|parent| (parent as usize) < at), "{}: {symbol:?}", node.path);
        }
    }
    for edge in &graph.edges {
        assert!(graph.file(&edge.from).is_some() && graph.file(&edge.to).is_some(), "{edge:?}");
    }
}

#[test]
fn damaged_source_and_manifests_never_panic() {
    let one = (0..SEEDS.len(), damages(), "[a-z]{1,3}(/[a-z]{1,3}){0,2}");
    let strategy = (vec(one, 1..5), vec((0..MANIFESTS.len(), damages()), 0..3));
    type Sources = Vec<(usize, Damages, String)>;
    let run = |(sources, manifests): (Sources, Vec<(usize, Damages)>)| {
        let mut files: Vec<(String, String)> = Vec::new();
        for (at, damages, folder) in sources {
            let (name, text): (&str, &str) = SEEDS[at];
            files.push((format!("{folder}/{name}"), damaged(text, &damages)));
            files.push((name.into(), text.into()));
        }
        for (at, damages) in manifests {
            let (name, text): (&str, &str) = MANIFESTS[at];
            files.push((name.into(), damaged(text, &damages)));
        }
        build(&files);
        Ok(())
    };
    runner(400).run(&strategy, run).unwrap();
}

#[test]
fn noise_in_any_language_never_panics() {
    let strategy = (0..SEEDS.len(), "(?s).{0,400}");
    let run = |(at, text): (usize, String)| {
        build(&[(SEEDS[at].0.to_owned(), text)]);
        Ok(())
    };
    runner(400).run(&strategy, run).unwrap();
}

/// Every resolver's own statement naming paths that climb, loop and do not end.
#[test]
fn hostile_specifiers_lead_nowhere() {
    let names = ["..", ".", "/", "//", "a/../../..", "\\", "*", "", "C:\\x", "a\u{0}b", "%2e%2e/"];
    let strategy = vec((0..names.len(), 1..400_usize), 1..6);
    let run = |parts: Vec<(usize, usize)>| {
        let name: String = parts.iter().map(|(at, times)| names[*at].repeat(*times)).collect::<Vec<_>>().join("/");
        let files = [
            ("a.ts", format!("import '{name}';\n")),
            ("a.js", format!("require('{name}');\n")),
            ("a.py", format!("from {name} import x\n")),
            ("a.rs", format!("#[path = \"{name}\"]\nmod x;\n")),
            ("a.c", format!("#include \"{name}\"\n")),
            ("a.go", format!("package a\nimport \"{name}\"\n")),
            ("a.rb", format!("require_relative '{name}'\n")),
            ("a.php", format!("<?php\nrequire '{name}';\n")),
            ("tsconfig.json", format!("{{\"extends\": \"{}\"}}", name.replace(['\\', '\u{0}'], ""))),
            ("package.json", format!("{{\"main\": \"{}\"}}", name.replace(['\\', '\u{0}'], ""))),
        ];
        let repository = Repository::from_files("r", files.iter().map(|(path, text)| (*path, text.clone())));
        let graph = recon_graph::build(&repository);
        assert!(graph.edges.iter().all(|edge| repository.files.contains_key(&edge.to)), "{:?}", graph.edges);
        Ok(())
    };
    runner(150).run(&strategy, run).unwrap();
}
