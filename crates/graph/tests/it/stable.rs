//! The graph is a function of the files: not of the order they are met in, nor of the threads.

use proptest::prelude::*;
use recon_graph::{Repository, build};

use crate::expect;

/// Languages whose modules can import each other in a circle, each with its manifest.
const LANGUAGES: [(&str, &[(&str, &str)]); 6] = [
    ("py", &[]),
    ("rs", &[("Cargo.toml", "[package]\nname = \"x\"\n")]),
    ("vue", &[("package.json", "{}")]),
    ("cs", &[("x.csproj", "<Project/>")]),
    ("rb", &[("x.gemspec", "Gem::Specification.new\n")]),
    ("php", &[("composer.json", "{ \"autoload\": { \"psr-4\": { \"A\\\\\": \"src\" } } }")]),
];

/// A module that imports some of its fellows.
fn source(at: usize, imports: &[usize], language: &str) -> (String, String) {
    let each = |line: &dyn Fn(usize) -> String| imports.iter().map(|to| line(*to)).collect::<String>();
    match language {
        "rs" => (format!("src/m{at}.rs"), each(&|to| format!("use crate::m{to}::T;\n")) + "pub struct T;\n"),
        "vue" => {
            let lines = each(&|to| format!("import M{to} from './M{to}.vue';\n"));
            (format!("src/M{at}.vue"), format!("<script>\n{lines}</script>\n<template/>\n"))
        }
        "cs" => {
            let fields = each(&|to| format!("  M{to} f{to};\n"));
            (format!("M{at}.cs"), format!("namespace A;\npartial class M{at} {{\n{fields}}}\n"))
        }
        "rb" => (format!("lib/m{at}.rb"), each(&|to| format!("require 'm{to}'\n")) + "module M; end\n"),
        "php" => {
            let fields = each(&|to| format!("  private M{to} $f{to};\n"));
            (format!("src/M{at}.php"), format!("<?php\nnamespace A;\nclass M{at} {{\n{fields}}}\n"))
        }
        _ => (format!("pkg/m{at}.py"), each(&|to| format!("from pkg.m{to} import T\n")) + "class T: pass\n"),
    }
}

fn files(imports: &[Vec<usize>], (language, manifest): (&str, &[(&str, &str)])) -> Vec<(String, String)> {
    let mut files: Vec<_> = imports.iter().enumerate().map(|(at, to)| source(at, to, language)).collect();
    files.extend(manifest.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    if language == "rs" {
        files.push(("src/lib.rs".into(), (0..imports.len()).map(|at| format!("mod m{at};\n")).collect()));
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn imports_come_first_and_nothing_but_content_counts(
        imports in proptest::collection::vec(proptest::collection::vec(0_usize..12, 0..4), 12),
        rotate in 0_usize..12,
        language in 0_usize..LANGUAGES.len(),
    ) {
        let mut files = files(&imports, LANGUAGES[language]);
        let graph = build(&Repository::from_files("r", files.clone()));
        expect::dependencies_first(&graph);
        for (at, to) in imports.iter().enumerate() {
            let name = |at: usize| source(at, &[], LANGUAGES[language].0).0;
            for to in to.iter().filter(|to| **to != at) {
                prop_assert!(graph.dependencies(&name(at)).contains(&name(*to).as_str()), "import of {} in {}", to, at);
            }
        }
        let record = serde_json::to_string(&graph).unwrap();
        files.rotate_left(rotate);
        files.reverse();
        for threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| build(&Repository::from_files("r", files.clone())));
            prop_assert_eq!(&serde_json::to_string(&again).unwrap(), &record, "{} threads", threads);
        }
    }
}
