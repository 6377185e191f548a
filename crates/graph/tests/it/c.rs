//! C and C++: the including file's directory, a compilation database, conventions, one suffix.

use recon_schema::graph::Confidence::{self, Exact, Likely};
use recon_schema::graph::RepoGraph;
use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

fn confidence(graph: &RepoGraph, from: &str, to: &str) -> Confidence {
    graph.edges.iter().find(|edge| edge.from == from && edge.to == to).expect("the edge").confidence
}

#[test]
fn a_project_by_convention() {
    let graph = expect::graph(&[
        (
            "src/main.c",
            "#include <stdio.h>\n#include <tool/api.h>\n#include \"util.h\"\n#include \"net/sock.h\"\n#ifdef SSL\n#include <openssl/ssl.h>\n#endif\n#include \"config.h\"\n#include \"table.inc\"\n#include <time.h>\n",
        ),
        ("src/util.h", "#include \"deep.h\"\n"),
        ("src/util.c", "#include \"util.h\"\n"),
        ("src/table.inc", "1, 2,\n"),
        ("src/time.h", "int own;\n"),
        ("src/net/sock.h", "#include \"util.h\"\n#include \"../util.h\"\n"),
        ("include/tool/api.h", "#ifdef __cplusplus\nnamespace no {}\n#endif\nint api(void);\n"),
        ("include/tool/api.hpp", "#include <tool/api.h>\n#include <vector>\n"),
        ("third/lib/part/deep.h", "namespace yes { class X {}; }\n"),
        ("third/adapters/loop.h", "#include <loop.h>\n"),
        ("src/event/loop.h", "int loop;\n"),
        ("a/twin.h", "int a;\n"),
        ("b/twin.h", "int b;\n"),
        ("b/tests/t.cc", "#include \"twin.h\"\n"),
        ("c/t.cc", "#include \"twin.h\"\n#include <string>\n"),
    ]);
    let main = "src/main.c";
    let include = "include";
    expect::edges(
        &graph,
        &[
            (main, "include/tool/api.h", include, "`include` of the project"),
            (main, "src/util.h", include, "beside the including file"),
            (main, "src/net/sock.h", include, "below the including file's directory"),
            (main, "src/table.inc", include, "any text may be included"),
            ("src/util.h", "third/lib/part/deep.h", include, "the one path that ends like that"),
            ("src/util.c", "src/util.h", include, "an implementation includes its header"),
            ("src/net/sock.h", "src/util.h", include, "a directory above"),
            ("include/tool/api.hpp", "include/tool/api.h", include, "a header in the same include directory"),
            ("third/adapters/loop.h", "src/event/loop.h", include, "a file of the same name, not the file itself"),
            ("b/tests/t.cc", "b/twin.h", include, "of two, the one in a directory above"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            ("c/t.cc", "twin.h", Missing),
            ("c/t.cc", "string", StandardLibrary),
            ("include/tool/api.hpp", "vector", StandardLibrary),
            (main, "stdio.h", StandardLibrary),
            (main, "openssl/ssl.h", External),
            (main, "config.h", Missing),
            (main, "time.h", StandardLibrary),
        ],
    );
    assert_eq!(confidence(&graph, main, "src/util.h"), Exact);
    assert_eq!(confidence(&graph, main, "include/tool/api.h"), Likely);
    let language = |path: &str| graph.file(path).unwrap().language.clone().unwrap();
    let languages = ["include/tool/api.h", "third/lib/part/deep.h", "include/tool/api.hpp", main].map(language);
    assert_eq!(languages, ["c", "cpp", "cpp", "c"], "a header is C++ only by what it says outside of conditions");
}

#[test]
fn a_compilation_database_decides() {
    let database = r#"[
        { "directory": "/home/u/proj/build", "file": "../src/a.c", "command": "cc -I../alt -isystem \"/home/u/proj/sys dir\" -I/usr/include -c ../src/a.c" },
        { "directory": "/home/u/proj", "file": "src/b.c", "arguments": ["cc", "-I", "other", "-c", "src/b.c"] },
        { "directory": "/elsewhere", "file": "/elsewhere/gone.c", "command": "cc -I/home" }
    ]"#;
    let graph = expect::graph(&[
        ("build/compile_commands.json", database),
        ("src/a.c", "#include \"pick.h\"\n#include <stdio.h>\n"),
        ("src/b.c", "#include \"pick.h\"\n"),
        ("alt/pick.h", "#include <both.h>\n"),
        ("other/pick.h", "int x;\n"),
        ("other/both.h", "int x;\n"),
        ("include/pick.h", "int x;\n"),
        ("sys dir/stdio.h", "int x;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/a.c", "alt/pick.h", "include", "-I of its own command, seen from the entry's directory"),
            ("src/a.c", "sys dir/stdio.h", "include", "-isystem goes before the library"),
            ("src/b.c", "other/pick.h", "include", "-I in a list of arguments"),
            ("alt/pick.h", "other/both.h", "include", "a header sees the directories of all commands"),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Exact));
}

#[test]
fn hostile_sources_are_survived() {
    let deep = format!("int f(void) {{ {}{} }}\n#include \"x.h\"\n", "{".repeat(50_000), "}".repeat(50_000));
    let stars = format!("int {}p;\nint ({}q{});\n", "*".repeat(50_000), "(".repeat(20_000), ")".repeat(20_000));
    let conditions = format!("{}#include \"x.h\"\n", "#if A\n".repeat(50_000));
    let spaces = format!("{}int x;{}\n", "namespace a { ".repeat(5_000), "}".repeat(5_000));
    let graph = expect::graph(&[
        ("deep.c", &deep),
        ("stars.c", &stars),
        ("conditions.c", &conditions),
        ("spaces.cpp", &spaces),
        ("torn.c", "int before;\nstruct { int \n#include \"x.h\"\n/* never closed\n#include \"no.h\"\n"),
        ("nul.c", "\u{0}#include \"x.h\"\n#include \"\"\n#include \"../../../x.h\"\n#include \"x.h\u{0}\"\n"),
        ("x.h", "int x;\n"),
    ]);
    for from in ["deep.c", "conditions.c", "torn.c"] {
        assert_eq!(graph.dependencies(from), ["x.h"], "{from}");
    }
    assert_eq!(graph.file("spaces.cpp").unwrap().symbols.len(), 5_001);
}
