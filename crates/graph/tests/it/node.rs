//! Node.js and TypeScript: what manifests and configurations say of a name.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{Computed, External, Missing};

use crate::expect;

#[test]
fn the_first_argument_of_a_call_counts_and_what_is_computed_is_told() {
    let graph = expect::graph(&[
        (
            "a.js",
            "const x = () => import(/* webpackChunkName: \"k\" */ './k.js');\nconst y = require( /* the other */ './l.js');\nrequire(\n  // a line\n  './m.js'\n);\nrequire(process.env.NAME);\nimport(`./${x}.js`);\n",
        ),
        ("k.js", "1\n"),
        ("l.js", "1\n"),
        ("m.js", "1\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a.js", "k.js", "import", "a comment before the argument of import()"),
            ("a.js", "l.js", "import", "a comment before the argument of require()"),
            ("a.js", "m.js", "import", "a line comment"),
        ],
    );
    expect::unresolved(&graph, &[("a.js", "process.env.NAME", Computed), ("a.js", "`./${x}.js`", Computed)]);
}

#[test]
fn exports_are_read_by_node_s_rules() {
    let graph = expect::graph(&[
        ("package.json", "{ \"private\": true, \"workspaces\": [\"p/*\"] }"),
        (
            "p/f/package.json",
            "{ \"name\": \"f\", \"exports\": { \"./feat/*\": \"./src/*/*.js\", \"./old/\": \"./lib/\", \"./i\": { \"import\": \"./src/i.mjs\" }, \"./r\": { \"require\": \"./src/r.cjs\" }, \"./n\": { \"browser\": \"./no.js\", \"node\": { \"import\": \"./src/n.mjs\", \"default\": \"./src/n.cjs\" } }, \"./feat/private\": null } }",
        ),
        ("p/f/src/a/a.js", "1\n"),
        ("p/f/src/private/private.js", "1\n"),
        ("p/f/src/i.mjs", "export {}\n"),
        ("p/f/src/r.cjs", "1\n"),
        ("p/f/src/n.mjs", "export {}\n"),
        ("p/f/src/n.cjs", "1\n"),
        ("p/f/lib/x.js", "1\n"),
        ("p/s/package.json", "{ \"name\": \"s\", \"exports\": \"./x.js\" }"),
        ("p/s/x.js", "1\n"),
        ("p/s/y.js", "1\n"),
        ("p/m/package.json", "{ \"name\": \"m\", \"module\": \"./es.js\", \"main\": \"./cjs.js\" }"),
        ("p/m/es.js", "export {}\n"),
        ("p/m/cjs.js", "1\n"),
        (
            "p/u/a.mjs",
            "import 's';\nimport 'f/feat/a';\nimport 'f/i';\nimport 'f/n';\nimport 'm';\nimport 'f/r';\nimport 's/y.js';\nimport 'f/feat/private';\n",
        ),
        (
            "p/u/c.cjs",
            "require('s');\nrequire('m');\nrequire('f/n');\nrequire('f/i');\nimport('f/i');\nrequire('f/old/x.js');\n",
        ),
        ("p/u/d.cts", "import r from 'f/r';\n"),
    ]);
    let (esm, cjs) = ("p/u/a.mjs", "p/u/c.cjs");
    expect::edges(
        &graph,
        &[
            (esm, "p/s/x.js", "import", "a string is the main entry"),
            (esm, "p/f/src/a/a.js", "import", "each `*` of a target is the part matched"),
            (esm, "p/f/src/i.mjs", "import", "the import condition"),
            (esm, "p/f/src/n.mjs", "import", "a condition inside of a condition"),
            (esm, "p/m/es.js", "import", "a bundler's field"),
            (cjs, "p/s/x.js", "import", "a string has no conditions"),
            (cjs, "p/m/cjs.js", "import", "require loads main"),
            (cjs, "p/f/src/n.cjs", "import", "the default inside of a condition"),
            (cjs, "p/f/src/i.mjs", "import", "import() takes the import condition in a .cjs too"),
            (cjs, "p/f/lib/x.js", "import", "a folder, as bundlers still map it"),
            ("p/u/d.cts", "p/f/src/r.cjs", "import", "an import in a .cts is a require"),
        ],
    );
    expect::unresolved(
        &graph,
        &[(esm, "f/r", External), (esm, "s/y.js", External), (esm, "f/feat/private", External), (cjs, "f/i", External)],
    );
}

#[test]
fn types_versions_lead_typescript_where_nothing_else_does() {
    let graph = expect::graph(&[
        ("package.json", "{ \"private\": true, \"workspaces\": [\"p/*\"] }"),
        (
            "p/t/package.json",
            "{ \"name\": \"t\", \"types\": \"index.d.ts\", \"typesVersions\": { \"<4.0\": { \"*\": [\"old/*\"] }, \">=4.0\": { \"*\": [\"types/*\", \"more/*\"] } } }",
        ),
        ("p/t/types/index.d.ts", "export {}\n"),
        ("p/t/types/a.d.ts", "export {}\n"),
        ("p/t/more/b.d.ts", "export {}\n"),
        ("p/t/old/a.d.ts", "export {}\n"),
        ("p/u/x.ts", "import 't';\nimport 't/a';\nimport 't/b';\nimport 't/c';\n"),
        ("p/u/x.js", "import 't/a';\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("p/u/x.ts", "p/t/types/index.d.ts", "import", "the package's own types"),
            ("p/u/x.ts", "p/t/types/a.d.ts", "import", "the first range that admits today's version"),
            ("p/u/x.ts", "p/t/more/b.d.ts", "import", "the second place of a pattern"),
        ],
    );
    expect::unresolved(&graph, &[("p/u/x.js", "t/a", External), ("p/u/x.ts", "t/c", External)]);
}

#[test]
fn module_suffixes_go_before_the_extension() {
    let graph = expect::graph(&[
        (
            "app/base.json",
            "{ \"compilerOptions\": { \"moduleSuffixes\": [\".ios\", \"\"], \"paths\": { \"@/*\": [\"./*\"] } } }",
        ),
        ("app/tsconfig.json", "{ \"extends\": \"./base.json\" }"),
        ("app/a.ts", "import './b';\nimport './c.js';\nimport './d';\nimport '@/e';\nimport './f';\n"),
        ("app/b.ts", "export {}\n"),
        ("app/b.ios.ts", "export {}\n"),
        ("app/c.ios.tsx", "export {}\n"),
        ("app/c.tsx", "export {}\n"),
        ("app/d/index.ios.ts", "export {}\n"),
        ("app/d/index.ts", "export {}\n"),
        ("app/e.ios.ts", "export {}\n"),
        ("app/f.ts", "export {}\n"),
        ("lib/tsconfig.json", "{}"),
        ("lib/a.ts", "import './b';\n"),
        ("lib/b.ts", "export {}\n"),
        ("lib/b.ios.ts", "export {}\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("app/a.ts", "app/b.ios.ts", "import", "the first suffix that has a file"),
            ("app/a.ts", "app/c.ios.tsx", "import", "also for an extension as output has it"),
            ("app/a.ts", "app/d/index.ios.ts", "import", "also for the index of a directory"),
            ("app/a.ts", "app/e.ios.ts", "import", "also behind an alias"),
            ("app/a.ts", "app/f.ts", "import", "the empty suffix"),
            ("lib/a.ts", "lib/b.ts", "import", "another configuration sets none"),
        ],
    );
}

#[test]
fn the_nearest_configuration_serves_files_that_none_includes() {
    let graph = expect::graph(&[
        (
            "tsconfig.json",
            "{ \"files\": [], \"compilerOptions\": { \"paths\": { \"@lib/*\": [\"./src/lib/*\"] } }, \"references\": [{ \"path\": \"./tsconfig.app.json\" }] }",
        ),
        ("tsconfig.app.json", "{ \"extends\": \"./tsconfig.json\", \"files\": [\"app/m.ts\"] }"),
        ("app/m.ts", "import '@lib/u';\n"),
        ("src/lib/u.ts", "export {}\n"),
        ("stories/s.ts", "import '@lib/u';\nimport '@lib/gone';\n"),
        ("stories/S.vue", "<script>\nimport '@lib/u';\n</script>\n"),
        ("web/tsconfig.json", "{ \"files\": [], \"references\": [{ \"path\": \"./tsconfig.app.json\" }] }"),
        (
            "web/tsconfig.app.json",
            "{ \"include\": [\"src\"], \"compilerOptions\": { \"paths\": { \"$w/*\": [\"./src/*\"] } } }",
        ),
        ("web/src/v.ts", "export {}\n"),
        ("web/tests/t.ts", "import '$w/v';\nimport '@lib/u';\n"),
        ("old/tsconfig.json", "{ \"include\": [\"src\"], \"compilerOptions\": { \"baseUrl\": \"./src\" } }"),
        ("old/src/deep/o.ts", "export {}\n"),
        ("old/tools/t.ts", "import 'deep/o';\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("app/m.ts", "src/lib/u.ts", "import", "its own configuration extends the paths"),
            ("stories/s.ts", "src/lib/u.ts", "import", "no configuration includes it, the nearest has paths"),
            ("stories/S.vue", "src/lib/u.ts", "import", "a component is included by none"),
            ("web/tests/t.ts", "web/src/v.ts", "import", "one that only refers to others speaks through them"),
            ("old/tools/t.ts", "old/src/deep/o.ts", "import", "baseUrl of the nearest"),
        ],
    );
    let exact: Vec<_> =
        graph.edges.iter().filter(|it| it.confidence == Confidence::Exact).map(|it| it.from.as_str()).collect();
    assert_eq!(exact, ["app/m.ts"], "nothing says that the others are built so");
    expect::unresolved(&graph, &[("stories/s.ts", "@lib/gone", External), ("web/tests/t.ts", "@lib/u", External)]);
}

#[test]
fn an_alias_may_begin_with_a_dot() {
    let graph = expect::graph(&[
        (
            "tsconfig.json",
            "{ \"compilerOptions\": { \"paths\": { \".sb/*\": [\"./conf/*\"], \"..al/m\": [\"./conf/m.ts\"], \".sb/deep/*\": [\"./deep/*\"], \"./no/*\": [\"./conf/*\"] } } }",
        ),
        ("a.ts", "import '.sb/p';\nimport '..al/m';\nimport '.sb/deep/q';\nimport './no/p';\nimport '.gone/p';\n"),
        ("conf/p.ts", "export {}\n"),
        ("conf/m.ts", "export {}\n"),
        ("deep/q.ts", "export {}\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a.ts", "conf/p.ts", "import", "only `./` and `../` are relative"),
            ("a.ts", "conf/m.ts", "import", "two dots and a letter are a name"),
            ("a.ts", "deep/q.ts", "import", "the longest prefix"),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Exact));
    expect::unresolved(&graph, &[("a.ts", "./no/p", Missing), ("a.ts", ".gone/p", External)]);
}
