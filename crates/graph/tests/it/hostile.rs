//! Content made to break a parser: depth, damage, size, names.

use std::time::{Duration, Instant};

use recon_schema::graph::RepoGraph;

use crate::expect;

/// Far above what any of these files may take, far below what quadratic work would.
const LIMIT: Duration = Duration::from_secs(60);

fn build(files: &[(&str, &str)]) -> RepoGraph {
    let start = Instant::now();
    let graph = expect::graph(files);
    assert!(start.elapsed() < LIMIT, "took {:?}", start.elapsed());
    graph
}

/// The deepest syntax a stack of any size could be asked to follow.
const DEPTH: usize = 100_000;

#[test]
fn nested_brackets_do_not_overflow_the_stack() {
    for (open, close) in [("[", "]"), ("(", ")"), ("{", "}")] {
        let closed = format!("x = {}{}\nimport late\n", open.repeat(DEPTH), close.repeat(DEPTH));
        let torn = format!("x = {}\n", open.repeat(DEPTH));
        let block = format!("fn f() {{ let x = {}0{}; }}\n", open.repeat(DEPTH), close.repeat(DEPTH));
        let tokens = format!("m!{}{};\n", open.repeat(DEPTH), close.repeat(DEPTH));
        build(&[
            ("closed.py", &closed),
            ("torn.py", &torn),
            ("late.py", "x = 1\n"),
            ("block.rs", &block),
            ("m.rs", &tokens),
        ]);
    }
}

#[test]
fn nested_definitions_do_not_overflow_the_stack() {
    let classes: String = (0..400).map(|depth| format!("{}class C{depth}:\n", " ".repeat(depth))).collect();
    let python = format!("{classes}{}pass\n", " ".repeat(400));
    let modules = format!("{}mod leaf;{}", "mod m { ".repeat(20_000), "}".repeat(20_000));
    let uses = format!("use a::{}b{};\n", "{c::".repeat(20_000), "}".repeat(20_000));
    let graph = build(&[("deep.py", &python), ("lib.rs", &modules), ("uses.rs", &uses)]);
    assert_eq!(graph.file("deep.py").unwrap().symbols.len(), 400);
    assert_eq!(graph.file("lib.rs").unwrap().symbols.len(), 20_000);
}

#[test]
fn damaged_syntax_is_a_diagnostic_and_the_rest_is_kept() {
    let graph = build(&[
        ("torn.py", "def before(): pass\n\ndef broken(:\n\nimport good\n\nclass After: pass\n"),
        ("good.py", "x = 1\n"),
        ("torn.rs", "fn before() {}\n}} fn (\nfn after() {}\n"),
    ]);
    let names = |path: &str| graph.file(path).unwrap().symbols.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    assert!(names("torn.py").contains(&"before".into()) && names("torn.py").contains(&"After".into()));
    assert!(names("torn.rs").contains(&"before".into()) && names("torn.rs").contains(&"after".into()));
    assert_eq!(graph.dependencies("torn.py"), ["good.py"]);
    let rules: Vec<(&str, &str)> = graph.diagnostics.iter().map(|d| (d.path.as_str(), d.rule.as_str())).collect();
    assert_eq!(rules, [("torn.py", "syntax_error"), ("torn.rs", "syntax_error")]);
}

#[test]
fn noise_is_survived() {
    let noise: String =
        (0..60_000_u32).map(|at| char::from(33 + (at.wrapping_mul(2_654_435_761) >> 25) as u8 % 94)).collect();
    let lines = noise
        .as_bytes()
        .chunks(37)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect::<Vec<_>>()
        .join("\n");
    build(&[
        ("noise.py", &noise),
        ("lines.py", &lines),
        ("noise.rs", &noise),
        ("lines.rs", &lines),
        ("ok.py", "\u{0}\u{1}\n"),
    ]);
}

#[test]
fn a_long_flat_file_is_read_in_linear_time() {
    let python: String = (0..20_000).map(|at| format!("name_{at} = {at}\n")).collect();
    let rust: String = (0..20_000).map(|at| format!("/// Doc {at}.\nconst N{at}: u8 = 0;\n")).collect();
    let graph = build(&[("flat.py", &python), ("flat.rs", &rust)]);
    assert_eq!(graph.file("flat.py").unwrap().symbols.len(), 20_000);
    assert_eq!(graph.file("flat.rs").unwrap().symbols[19_999].doc, "Doc 19999.");
}

#[test]
fn endless_specifiers_are_not_followed() {
    let long = format!("import './{}b';\nimport '{}';\n", "a/../".repeat(50_000), "@".repeat(100_000));
    let dots = format!("from {} import x\nimport {}\n", ".".repeat(50_000), vec!["a"; 50_000].join("."));
    let graph = build(&[("long.ts", &long), ("dots.py", &dots), ("b.ts", "export {};\n")]);
    assert!(graph.edges.is_empty());
    assert_eq!(graph.unresolved.len(), 4);
}

#[test]
fn odd_names_pass_through_resolution() {
    let graph = build(&[
        ("a b/\"quoted\"\n.py", "from . import x\n"),
        ("a b/x.py", "import é\n"),
        ("a b/é.py", "x = 1\n"),
        ("src/lib.rs", "mod r#type;\n#[path = \"we ird.rs\"]\nmod w;\n"),
        ("src/we ird.rs", "pub fn f() {}\n"),
        ("Cargo.toml", "[package]\nname = \"x\"\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("a b/\"quoted\"\n.py", "a b/x.py", "import", "a relative import from a file of any name"),
            ("a b/x.py", "a b/é.py", "import", "an identifier may hold any letter"),
            ("src/lib.rs", "src/we ird.rs", "module", "#[path] may hold blanks"),
        ],
    );
}

#[test]
fn deep_and_damaged_files_of_classes_are_survived() {
    let open = |unit: &str| unit.repeat(20_000);
    let parens = format!("{}1{}", "(".repeat(DEPTH), ")".repeat(DEPTH));
    let cs = format!("class C {{ int x = {parens}; }}\nclass After : Base {{ }}\n");
    let members = format!("class C {{ int F() => {}b; }}\n", open("a."));
    let ruby = format!("{}require 'late'\n", open("module M\n"));
    let chain = format!("x = {}B\nrequire_relative 'late'\n", open("A::"));
    let php = format!("<?php\nnamespace N;\n$x = {parens};\nnew Base();\n");
    let blocks = format!("<?php\n{}", open("if (a) {"));
    let graph = build(&[
        ("a.cs", &cs),
        ("members.cs", &members),
        ("base.cs", "class Base { }\n"),
        ("deep.rb", &ruby),
        ("chain.rb", &chain),
        ("late.rb", "X = 1\n"),
        ("a.php", &php),
        ("blocks.php", &blocks),
        ("base.php", "<?php\nnamespace N;\nclass Base {}\n"),
        ("composer.json", "{ torn"),
        ("x.csproj", "<Project><ProjectReference Include=\"..\\..\\..\\up.csproj\" <Using Include="),
        ("x.gemspec", "s.require_paths = %w[../.. \"x"),
        ("config/application.rb", "}} end end\n"),
    ]);
    assert_eq!(graph.dependencies("chain.rb"), ["late.rb"]);
    assert_eq!(graph.dependencies("a.php"), ["base.php"]);
}

/// Time and memory grow with the file: each of these made some reader ask the root for a parent,
/// or write out all names around, at every level.
#[test]
fn nested_unclosed_and_repeated_declarations_cost_what_their_bytes_do() {
    let each = |unit: &str| (0..30_000).map(|at| unit.replace('#', &at.to_string())).collect::<String>();
    let forms: [(&str, &str, &str, &str); 18] = [
        ("cs", "", "class C# {\n", "}"),
        ("cs", "", "namespace N# {\n", "}"),
        ("cs", "", "int F#() {\n", "}"),
        ("kt", "", "class C# {\n", "}"),
        ("kt", "", "object O# {\n", "}"),
        ("java", "", "class C# {\n", "}"),
        ("go", "package p\n", "type T# struct {\n", "}"),
        ("rb", "", "module M#\n", "end\n"),
        ("rb", "", "def f#\n", "end\n"),
        ("php", "<?php\n", "function f#() {\n", "}"),
        ("php", "<?php\n", "if (!function_exists('f#')) { function f#() {} \n", "}"),
        ("rs", "", "mod m# { use a;\n", "}"),
        ("ts", "", "namespace N# {\n", "}"),
        ("js", "", "require(a#, ", ")"),
        ("py", "", "def f#(): pass\n", ""),
        ("cpp", "", "namespace n# {\n", "}"),
        ("c", "", "struct s# {\n", "};"),
        ("cpp", "", "class C# {\n", "};"),
    ];
    let mut files = Vec::new();
    for (at, (extension, head, unit, end)) in forms.iter().enumerate() {
        let open = format!("{head}{}", each(unit));
        files.push((format!("{at}/closed.{extension}"), format!("{open}{}", end.repeat(30_000))));
        files.push((format!("{at}/torn.{extension}"), open));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let graph = build(&files);
    assert_eq!(graph.files.len(), files.len(), "every file keeps its node");
    for (path, text) in &files {
        let kept: usize = graph.file(path).unwrap().symbols.iter().map(|it| it.name.len() + it.signature.len()).sum();
        assert!(kept <= 40 * text.len() + 4_000_000, "{path}: {kept} bytes of outline for {}", text.len());
    }
    assert_eq!(graph.file("0/closed.cs").unwrap().symbols.len(), 30_000, "depth alone loses nothing");
    assert_eq!(graph.file("7/closed.rb").unwrap().symbols.len(), 30_000);
}

#[test]
fn an_outline_that_would_outgrow_its_file_is_cut_and_told() {
    let names: String = (0..60_000).map(|at| format!("a{at},")).collect();
    let go = format!("package p\nvar {names}z struct {{ {} }}\n", "field int; ".repeat(60));
    let graph = build(&[("many.go", &go), ("long.py", &format!("class {}: pass\n", "x".repeat(100_000)))]);
    let many = graph.file("many.go").unwrap();
    let kept: usize = many.symbols.iter().map(|it| it.signature.len()).sum();
    assert!(kept < 100 * go.len(), "{kept} bytes of signatures for {} of source", go.len());
    let rules: Vec<(&str, &str)> = graph.diagnostics.iter().map(|d| (d.path.as_str(), d.rule.as_str())).collect();
    assert_eq!(rules, [("many.go", "outline_budget")]);
    assert_eq!(graph.file("long.py").unwrap().symbols[0].name.chars().count(), 200, "a name has an end");
}
