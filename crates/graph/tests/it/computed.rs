//! Imports whose argument only a run can tell: listed as they are written, never lost in silence.

use recon_schema::graph::UnresolvedClass::Computed;

use crate::expect;

#[test]
fn calls_with_computed_arguments_are_listed() {
    let graph = expect::graph(&[
        (
            "a.py",
            "name = 'b'\nimportlib.import_module(name)\n__import__(name + '.c')\nimportlib.import_module('.d', pick())\nimportlib.import_module('b')\n",
        ),
        ("b.py", "x = 1\n"),
        (
            "lib/a.rb",
            "require name\nrequire_relative \"parts/#{kind}\"\nload path_of(:x)\nrequire_relative 'b'\nautoload :Thing, where\n",
        ),
        ("lib/b.rb", "X = 1\n"),
        (
            "a.php",
            "<?php\ninclude $path;\nrequire_once __DIR__ . '/' . $name . '.php';\ninclude view('x');\nrequire __DIR__ . '/b.php';\n",
        ),
        ("b.php", "<?php\n"),
        ("a.js", "require(name);\nimport(`./${x}`);\nrequire('./b');\n"),
        ("b.js", ""),
    ]);
    expect::unresolved(
        &graph,
        &[
            ("a.js", "name", Computed),
            ("a.js", "`./${x}`", Computed),
            ("a.php", "$path", Computed),
            ("a.php", "__DIR__ . '/' . $name . '.php'", Computed),
            ("a.php", "view('x')", Computed),
            ("a.py", "name", Computed),
            ("a.py", "name + '.c'", Computed),
            ("a.py", "importlib.import_module('.d', pick())", Computed),
            ("lib/a.rb", "name", Computed),
            ("lib/a.rb", "\"parts/#{kind}\"", Computed),
            ("lib/a.rb", "path_of(:x)", Computed),
            ("lib/a.rb", "where", Computed),
        ],
    );
    expect::edges(
        &graph,
        &[
            ("a.py", "b.py", "import", "a literal is followed"),
            ("lib/a.rb", "lib/b.rb", "import", "a literal is followed"),
            ("a.php", "b.php", "include", "a constant expression is followed"),
            ("a.js", "b.js", "import", "a literal is followed"),
        ],
    );
}

#[test]
fn a_long_expression_is_cut() {
    let call = format!("require x({})\n", "1, ".repeat(1_000));
    let graph = expect::graph(&[("a.rb", &call)]);
    assert_eq!(graph.unresolved.len(), 1);
    assert!(graph.unresolved[0].name.chars().count() <= 120, "{}", graph.unresolved[0].name);
}
