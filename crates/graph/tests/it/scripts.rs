//! Scripts without extension, known by the interpreter of their first line.

use crate::expect;

#[test]
fn a_script_is_of_its_interpreter_s_language() {
    let scripts = [
        ("bin/p1", "#!/usr/bin/env python3\nimport lib_p\n", "python", "lib_p.py"),
        ("bin/p2", "#!/usr/bin/python3.11 -u\nimport lib_p\n", "python", "lib_p.py"),
        ("bin/p3", "#!/usr/bin/env -S PYTHONPATH=. pypy3\nimport lib_p\n", "python", "lib_p.py"),
        ("bin/n1", "#!/usr/bin/env node\nrequire('../n.js')\n", "javascript", "n.js"),
        ("bin/n2", "#!/usr/bin/env -S node --no-warnings\nimport '../n.js'\n", "javascript", "n.js"),
        ("bin/n3", "#!/usr/bin/env -S tsx\nimport type { T } from '../t'\nlet a: T\n", "typescript", "t.ts"),
        ("bin/r1", "#!/usr/bin/env ruby\nrequire_relative \"../r\"\n", "ruby", "r.rb"),
        ("bin/r2", "#! /usr/local/bin/ruby2.7 -w\nrequire_relative \"../r\"\n", "ruby", "r.rb"),
        ("bin/h1", "#!/usr/bin/env php\n<?php\nrequire __DIR__ . \"/../h.php\";\n", "php", "h.php"),
        ("bin/h2", "#!/usr/bin/php8.2\n<?php\nrequire __DIR__ . '/../h.php';\n", "php", "h.php"),
    ];
    let others = [
        ("lib_p.py", "x = 1\n"),
        ("n.js", "1\n"),
        ("t.ts", "export type T = 1\n"),
        ("r.rb", "R = 1\n"),
        ("h.php", "<?php\n$x = 1;\n"),
        ("bin/shell", "#!/bin/sh\nrequire('../n.js')\n"),
        ("bin/data.txt", "#!/usr/bin/env node\nrequire('../n.js')\n"),
        ("bin/plain", "import lib_p\n"),
    ];
    let files: Vec<(&str, &str)> = scripts.iter().map(|(path, text, ..)| (*path, *text)).chain(others).collect();
    let graph = expect::graph(&files);
    for (path, _, language, imported) in scripts {
        let file = graph.file(path).unwrap();
        assert_eq!(file.language.as_deref(), Some(language), "{path}");
        assert_eq!(graph.dependencies(path), [imported], "{path}");
    }
    for path in ["bin/shell", "bin/data.txt", "bin/plain"] {
        assert_eq!(graph.file(path).unwrap().language, None, "{path}");
    }
    assert!(graph.diagnostics.is_empty(), "each is read by its own grammar: {:?}", graph.diagnostics);
}

#[test]
fn a_repository_of_scripts_alone_has_source() {
    let of = |text: &str| recon_graph::Repository::from_files("r", [("run", text)]).has_source();
    assert!(of("#!/usr/bin/env python3\n"));
    assert!(!of("#!/bin/sh\n"));
}
