//! Go: modules, a workspace, replacements, vendored copies, packages of several files and tests.

use recon_schema::graph::Confidence;
use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn a_module() {
    let graph = expect::graph(&[
        (
            "go.mod",
            "module example.com/tool // the path\n\ngo 1.21\nrequire example.com/old v1.0.0\nreplace (\n\texample.com/old => ./fork\n)\n",
        ),
        (
            "main.go",
            "package main\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/old/part\"\n\tsh \"example.com/tool/internal/shape\"\n\t_ \"example.com/tool/drivers\"\n\t\"example.com/tool/gone\"\n\t\"github.com/else/where\"\n\t\"github.com/kept/copy\"\n)\n\nfunc main() {\n\tfmt.Println(sh.NewCircle(where.X), part.P, copy.C)\n\trun()\n}\n",
        ),
        ("run.go", "package main\n\nfunc run() { helper := 1; _ = helper }\nfunc main2() { limit() }\n"),
        ("helper.go", "package main\n\nfunc helper() {}\nfunc limit() { run() }\n\ntype byName map[string]int\n"),
        ("keys.go", "package main\n\nconst key = \"k\"\n"),
        ("table.go", "package main\n\nvar table = byName{key: 1}\n\ntype pair struct{ key int }\n"),
        ("pairs.go", "package main\n\nvar pairs = pair{key: 1}\n"),
        ("fork/go.mod", "module example.com/old\n"),
        ("fork/part/part.go", "package part\n\nconst P = 1\n"),
        ("vendor/github.com/kept/copy/copy.go", "package copy\n\nvar C = 1\n"),
        ("drivers/a.go", "package drivers\n\nfunc init() {}\n"),
        ("drivers/b.go", "package drivers\n\nvar B = 1\n"),
        (
            "internal/shape/circle.go",
            "package shape\n\ntype Circle struct{ Point }\n\nfunc NewCircle(x int) Circle { return Circle{} }\n",
        ),
        ("internal/shape/point.go", "package shape\n\ntype Point struct{ X int }\n\nfunc (p Point) NewCircle() {}\n"),
        ("internal/shape/gen.go", "//go:build ignore\n\npackage main\n\nfunc NewCircle() { run() }\n"),
        ("internal/shape/in_test.go", "package shape\n\nvar Exported = Circle{}\n"),
        (
            "internal/shape/out_test.go",
            "package shape_test\n\nimport . \"example.com/tool/internal/shape\"\n\nvar x = Exported\nvar y Point\n",
        ),
    ]);
    let main = "main.go";
    let shape = |name: &str| format!("internal/shape/{name}");
    let (circle, point, inner, outer) =
        (shape("circle.go"), shape("point.go"), shape("in_test.go"), shape("out_test.go"));
    expect::edges(
        &graph,
        &[
            (main, "fork/part/part.go", "import", "`replace` with a local path"),
            (main, &circle, "import", "an alias; only the file that defines the name, methods are no bare names"),
            (main, "drivers/a.go", "import", "a blank import runs `init`"),
            (main, "vendor/github.com/kept/copy/copy.go", "import", "a vendored copy"),
            (main, "run.go", "same_package", "files of a package see each other"),
            ("run.go", "helper.go", "same_package", "`limit`; the local `helper` shadows the other"),
            ("helper.go", "run.go", "same_package", "in both directions"),
            ("table.go", "helper.go", "same_package", "the type of a literal"),
            ("table.go", "keys.go", "same_package", "a key of a literal whose type is a map"),
            ("pairs.go", "table.go", "same_package", "a struct's type; its key is a field"),
            (&circle, &point, "same_package", "an embedded type"),
            (&inner, &circle, "same_package", "a test in the package"),
            (&outer, &inner, "import", "a test outside of it sees what its tests export"),
            (&outer, &point, "import", "a dot import"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            (main, "fmt", StandardLibrary),
            (main, "example.com/tool/gone", Missing),
            (main, "github.com/else/where", External),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Confidence::Exact));
    let names = |to: &str| &graph.edges.iter().find(|edge| edge.from == main && edge.to == to).unwrap().names;
    assert_eq!(names(&circle), &["NewCircle"]);
    let run = graph.edges.iter().find(|edge| edge.from == "run.go").unwrap();
    assert_eq!((run.line, run.names.as_slice()), (4, &["limit".to_owned()][..]));
}

#[test]
fn a_workspace_and_files_for_several_systems() {
    let graph = expect::graph(&[
        ("go.work", "go 1.21\nuse (\n\t./app\n\t./lib\n)\n"),
        ("app/go.mod", "module corp.io/app\n"),
        (
            "app/app.go",
            "package app\n\nimport (\n\t\"corp.io/lib\"\n\t\"corp.io/lib/v2\"\n\t\"corp.io/apart\"\n)\n\nvar X = lib.Open()\nvar Y = other.Z\nvar Z = apart.Nothing\n",
        ),
        ("lib/go.mod", "module corp.io/lib\n"),
        ("lib/open_linux.go", "package lib\n\nfunc Open() int { return flags }\n"),
        ("lib/open_windows.go", "package lib\n\nfunc Open() int { return flags }\n"),
        ("lib/flags_linux.go", "package lib\n\nconst flags = 1\n"),
        ("lib/flags_windows_amd64.go", "package lib\n\nconst flags = 2\n"),
        ("lib2/go.mod", "module corp.io/lib/v2\n"),
        ("lib2/z.go", "package other\n\nvar Z = 1\n"),
        ("apart/go.mod", "module corp.io/apart\n"),
        ("apart/apart.go", "package apart\n\nvar Something = 1\n"),
    ]);
    let app = "app/app.go";
    expect::edges(
        &graph,
        &[
            (app, "lib/open_linux.go", "import", "a module of the workspace"),
            (app, "lib/open_windows.go", "import", "every system's file"),
            (app, "lib2/z.go", "import", "the longest module path; the package's name is in its clause"),
            (app, "apart/apart.go", "import", "nothing can be attributed: all files"),
            ("lib/open_linux.go", "lib/flags_linux.go", "same_package", "not the file of another system"),
            ("lib/open_windows.go", "lib/flags_windows_amd64.go", "same_package", "not the file of another system"),
        ],
    );
    let likely: Vec<&str> =
        graph.edges.iter().filter(|edge| edge.confidence == Confidence::Likely).map(|edge| edge.to.as_str()).collect();
    assert_eq!(likely, ["apart/apart.go", "lib2/z.go"], "neither is in the workspace");
}

#[test]
fn a_tree_older_than_modules() {
    let graph = expect::graph(&[
        (
            "a.go",
            "package root\n\nimport (\n\t\"host.org/u/r/sub\"\n\t\"host.org/u/r/sub/deep\"\n\t\"host.org/pkg/sub\"\n\t\"plain/x\"\n)\n\nvar _ = sub.S + deep.D\n",
        ),
        ("sub/s.go", "package sub\n\nvar S = 1\n"),
        ("sub/deep/d.go", "package deep\n\nvar D = 1\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a.go", "sub/s.go", "import", "most directories are imported under this prefix"),
            ("a.go", "sub/deep/d.go", "import", "most directories are imported under this prefix"),
        ],
    );
    expect::unresolved(&graph, &[("a.go", "host.org/pkg/sub", External), ("a.go", "plain/x", Missing)]);
}

#[test]
fn damaged_files_and_manifests_are_survived() {
    let deep = format!("package x\nfunc f() {{ {}{} }}\n", "{".repeat(50_000), "}".repeat(50_000));
    let calls = format!("package x\nvar v = {}1{}\n", "f(".repeat(50_000), ")".repeat(50_000));
    let torn = format!("package x\nfunc before() {{}}\nfunc ( {}\n", "[".repeat(50_000));
    let graph = expect::graph(&[
        ("go.mod", "module\nreplace (\nreplace => =>\n\u{0}"),
        ("deep.go", &deep),
        ("calls.go", &calls),
        ("torn.go", &torn),
        ("nul.go", "package x\n\u{0}\nimport \"\"\nimport \"/\"\nimport \"../../..\"\n"),
    ]);
    let names: Vec<&str> = graph.file("torn.go").unwrap().symbols.iter().map(|symbol| symbol.name.as_str()).collect();
    assert!(names.contains(&"before"));
    assert_eq!(graph.dependencies("calls.go"), ["deep.go"]);
}

#[test]
fn what_stands_inside_of_a_value_is_no_declaration_of_the_package() {
    let graph = expect::graph(&[
        ("go.mod", "module m\n"),
        (
            "a.go",
            "package m\n\nvar table = []struct {\n\tpanicky int\n}{{1}}\n\nvar run = func() {\n\tvar local int\n\ttype inner struct{}\n\tconst fixed = 1\n\t_ = local\n}\n\ntype T struct {\n\tnested struct{ deep int }\n}\n\nfunc F(p struct{ held int }) {}\n",
        ),
        (
            "b.go",
            "package m\n\nfunc G() {\n\tpanicky()\n\tlocal()\n\t_ = inner{}\n\t_ = fixed\n\tdeep()\n\theld()\n}\n",
        ),
        ("c.go", "package m\n\nvar _ = table\n"),
    ]);
    expect::edges(&graph, &[("c.go", "a.go", "same_package", "the variable itself is")]);
}

#[test]
fn names_of_files_without_text_lead_to_them() {
    let mut repository = recon_graph::Repository::from_files(
        "fixture",
        [
            ("go.mod", "module m\n"),
            ("pb/api.pb.go", "package pb\n\ntype Request struct{}\n"),
            ("mixed/api.pb.go", "package mixed\n\ntype Reply struct{}\n"),
            ("mixed/own.go", "package mixed\n\ntype Own struct{}\n\nfunc f(r *Reply) { panic(len(\"x\")) }\n"),
            ("mixed/alone.go", "package mixed\n\nfunc g(s string) error { return nil }\n"),
            (
                "main.go",
                "package main\n\nimport (\n\t\"m/pb\"\n\t\"m/mixed\"\n)\n\nvar a pb.Request\nvar b mixed.Reply\nvar c mixed.Own\n",
            ),
        ],
    );
    for path in ["pb/api.pb.go", "mixed/api.pb.go"] {
        repository.skip(path, recon_schema::graph::SkipReason::Generated);
    }
    let graph = recon_graph::build(&repository);
    assert_eq!(graph.dependencies("main.go"), ["mixed/api.pb.go", "mixed/own.go", "pb/api.pb.go"]);
    assert_eq!(graph.dependencies("mixed/own.go"), ["mixed/api.pb.go"], "the one file that can declare it");
    assert!(graph.dependencies("mixed/alone.go").is_empty(), "what the language declares is from nowhere");
    assert!(graph.unresolved.is_empty(), "{:?}", graph.unresolved);
}
