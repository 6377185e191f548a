//! The graph is a function of the files: not of the order they are met in, nor of the threads.

use proptest::prelude::*;
use recon_graph::{Repository, build};

use crate::expect;

/// A module that imports some of its fellows, in one of two languages.
fn source(at: usize, imports: &[usize], rust: bool) -> (String, String) {
    if rust {
        let uses: String = imports.iter().map(|to| format!("use crate::m{to}::T;\n")).collect();
        (format!("src/m{at}.rs"), format!("{uses}pub struct T;\n"))
    } else {
        let lines: String = imports.iter().map(|to| format!("from pkg.m{to} import T\n")).collect();
        (format!("pkg/m{at}.py"), format!("{lines}class T: pass\n"))
    }
}

fn files(imports: &[Vec<usize>], rust: bool) -> Vec<(String, String)> {
    let mut files: Vec<_> = imports.iter().enumerate().map(|(at, to)| source(at, to, rust)).collect();
    if rust {
        files.push(("Cargo.toml".into(), "[package]\nname = \"x\"\n".into()));
        files.push(("src/lib.rs".into(), (0..imports.len()).map(|at| format!("mod m{at};\n")).collect()));
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn imports_come_first_and_nothing_but_content_counts(
        imports in proptest::collection::vec(proptest::collection::vec(0_usize..12, 0..4), 12),
        rotate in 0_usize..12,
        rust in any::<bool>(),
    ) {
        let mut files = files(&imports, rust);
        let graph = build(&Repository::from_files("r", files.clone()));
        expect::dependencies_first(&graph);
        for (at, to) in imports.iter().enumerate() {
            let name = |at: usize| source(at, &[], rust).0;
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
