//! Java and Kotlin: packages, imports by name, on demand and static, supertypes, each other.

use recon_schema::graph::Confidence::{Exact, Likely};
use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn java_sources() {
    let main = "src/main/java/com/ex/app/Main.java";
    let app = |name: &str| format!("src/main/java/com/ex/app/{name}.java");
    let lib = |name: &str| format!("src/main/java/com/ex/lib/{name}.java");
    let graph = expect::graph(&[
        (
            main,
            "package com.ex.app;\n\nimport java.util.List;\nimport com.ex.lib.Util;\nimport com.ex.lib.Outer.Inner;\nimport static com.ex.lib.Consts.LIMIT;\nimport com.ex.wild.*;\nimport org.else.*;\nimport com.ex.lib.Gone;\n\nclass Main extends Base {\n  Helper h;\n  Used u = new Used();\n  Nested n;\n  com.ex.lib.Full f;\n  <Param> void m(Shadow Local) { Local.x(); Param p; Static.call(LIMIT); }\n  class Own {}\n  Own o;\n}\n",
        ),
        (&app("Helper"), "package com.ex.app;\nclass Helper { Main m; }\n"),
        (&app("Static"), "package com.ex.app;\nclass Static { static void call(int i) {} }\n"),
        (&app("Local"), "package com.ex.app;\nclass Local {}\n"),
        (&app("Param"), "package com.ex.app;\nclass Param {}\n"),
        (&app("Own"), "package com.ex.app;\nclass Own {}\n"),
        (&app("Base"), "package com.ex.app;\nclass Base extends com.ex.lib.Deep {}\n"),
        (&app("Nested"), "package com.ex.app;\nclass Nested {}\n"),
        (&lib("Util"), "package com.ex.lib;\npublic class Util {}\n"),
        (&lib("Outer"), "package com.ex.lib;\npublic class Outer { public static class Inner {} }\n"),
        (&lib("Consts"), "package com.ex.lib;\npublic interface Consts { int LIMIT = 1; }\n"),
        (&lib("Full"), "package com.ex.lib;\npublic class Full { Consts c; }\n"),
        (&lib("Deep"), "package com.ex.lib;\npublic class Deep { public static class Nested {} }\n"),
        ("src/main/java/com/ex/wild/Used.java", "package com.ex.wild;\npublic class Used {}\n"),
        ("src/main/java/com/ex/wild/Unused.java", "package com.ex.wild;\npublic class Unused {}\n"),
        ("src/test/java/com/ex/app/HelperTest.java", "package com.ex.app;\nclass HelperTest { Helper h; }\n"),
        ("other/src/com/ex/app/Helper.java", "package com.ex.app;\nclass Helper {}\n"),
    ]);
    let (helper, base, fixed) = (app("Helper"), app("Base"), app("Static"));
    let (util, outer, consts, full, deep) = (lib("Util"), lib("Outer"), lib("Consts"), lib("Full"), lib("Deep"));
    expect::edges(
        &graph,
        &[
            (main, &util, "import", "a single import"),
            (main, &outer, "import", "an inner type stands in its outer type's file"),
            (main, &consts, "import", "a static import"),
            (main, "src/main/java/com/ex/wild/Used.java", "import", "on demand, only what is used"),
            (main, &helper, "same_package", "a type of the package; the nearer of two source sets"),
            (main, &fixed, "same_package", "a type in an expression"),
            (main, &base, "same_package", "a supertype; the variable `Local` and the parameter `Param` hide types"),
            (main, &deep, "import", "a member of a supertype goes before a type of the package"),
            (main, &full, "import", "a full name"),
            (&helper, main, "same_package", "in both directions"),
            (&base, &deep, "import", "a full name as a supertype"),
            (&full, &consts, "same_package", "a type of the package"),
            ("src/test/java/com/ex/app/HelperTest.java", &helper, "same_package", "tests share the package"),
        ],
    );
    expect::unresolved(
        &graph,
        &[
            (main, "java.util.List", StandardLibrary),
            (main, "org.else.*", External),
            (main, "com.ex.lib.Gone", Missing),
        ],
    );
    let likely: Vec<&str> =
        graph.edges.iter().filter(|edge| edge.confidence == Likely).map(|edge| edge.from.as_str()).collect();
    assert_eq!(likely, ["src/test/java/com/ex/app/HelperTest.java"], "another source set declares the name as well");
    let wild = graph.edges.iter().find(|edge| edge.to.contains("wild")).unwrap();
    assert_eq!((wild.line, wild.names.as_slice(), wild.confidence), (7, &["Used".to_owned()][..], Exact));
}

#[test]
fn kotlin_and_java_together() {
    let graph = expect::graph(&[
        (
            "src/App.kt",
            "package app\n\nimport lib.Thing as Other\nimport lib.helper\nimport lib.Obj.member\nimport wild.*\nimport kotlin.math.max\n\nclass App(val s: Service) : Base() {\n    val o = Other()\n\n    fun run(shout: Int) {\n        helper(1)\n        local()\n        \"x\".slug()\n        s.close()\n        wide(topLevel)\n        inherited()\n        shout.toString()\n        Legacy.go()\n    }\n}\n",
        ),
        ("src/Local.kt", "package app\n\nfun local() = 1\nfun shout() = 2\nval topLevel = 3\n"),
        ("src/Text.kt", "package app\n\nfun String.slug() = this\nfun Service.close() = 1\n"),
        ("src/Base.kt", "package app\n\nopen class Base {\n    fun inherited() = 1\n}\n"),
        ("src/More.kt", "package app\n\nfun inherited() = 2\n"),
        ("src/Service.kt", "package app\n\ninterface Service {\n    fun close()\n}\n"),
        (
            "src/Legacy.java",
            "package app;\nclass Legacy { static void go() { LocalKt.local(); Named.f(); new App(null); } }\n",
        ),
        ("src/Renamed.kt", "@file:JvmName(\"Named\")\npackage app\n\nfun f() = 1\n"),
        ("lib/any_name.kt", "package lib\n\nclass Thing\nfun helper(i: Int) = i\n"),
        ("lib/second.kt", "package lib\n\nfun helper(s: String) = s\nobject Obj {\n    val member = 1\n}\n"),
        ("wild/w.kt", "package wild\n\nfun wide(i: Int) = i\n"),
        ("wild/unused.kt", "package wild\n\nfun unused() = 1\n"),
    ]);
    let app = "src/App.kt";
    expect::edges(
        &graph,
        &[
            (app, "lib/any_name.kt", "import", "a type by another name, in a file of any name"),
            (app, "lib/second.kt", "import", "an overload of a function, a member of an object"),
            (app, "wild/w.kt", "import", "on demand, only what is used"),
            (app, "src/Local.kt", "same_package", "a function and a property of the package; `shout` is a parameter"),
            (app, "src/Text.kt", "same_package", "an extension no type has as a member; `close` is a member"),
            (app, "src/Base.kt", "same_package", "a supertype, whose member hides the function `inherited`"),
            (app, "src/Service.kt", "same_package", "a type"),
            (app, "src/Legacy.java", "same_package", "Kotlin sees Java"),
            ("src/Legacy.java", app, "same_package", "Java sees Kotlin"),
            ("src/Legacy.java", "src/Local.kt", "same_package", "a file's functions are a class to Java"),
            ("src/Legacy.java", "src/Renamed.kt", "same_package", "which may have a name of its own"),
            ("src/Text.kt", "src/Service.kt", "same_package", "the type an extension is for"),
        ],
    );
    expect::unresolved(&graph, &[(app, "kotlin.math.max", StandardLibrary)]);
    let text = graph.edges.iter().find(|edge| edge.to == "src/Text.kt").unwrap();
    assert_eq!((text.confidence, text.names.as_slice()), (Likely, &["slug".to_owned()][..]));
}

#[test]
fn kotlin_for_several_platforms() {
    let source = "package p\n\nactual fun now() = 1\nactual class Clock\n";
    let graph = expect::graph(&[
        ("jvm/src/p/Use.kt", "package p\n\nval t = now()\nval c = Clock()\n"),
        ("jvm/src/p/Now.kt", source),
        ("native/src/p/Now.kt", source),
        ("native/test/p/Test.kt", "package q\n\nimport p.now\n\nval t = now()\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("jvm/src/p/Use.kt", "jvm/src/p/Now.kt", "same_package", "the declaration of the file's own source set"),
            ("native/test/p/Test.kt", "native/src/p/Now.kt", "import", "the nearest source set"),
        ],
    );
    let confidence: Vec<_> = graph.edges.iter().map(|edge| edge.confidence).collect();
    assert_eq!(confidence, [Exact, Likely]);
}

#[test]
fn supertypes_that_form_a_ring_end() {
    let graph = expect::graph(&[
        ("A.java", "class A extends B { X x; }\n"),
        ("B.java", "class B extends A {}\n"),
        ("X.java", "class X extends X {}\n"),
    ]);
    let found: Vec<(&str, &str)> = graph.edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str())).collect();
    assert_eq!(found, [("A.java", "B.java"), ("A.java", "X.java"), ("B.java", "A.java")]);
}

#[test]
fn hostile_sources_are_survived() {
    let blocks = format!("class D {{ void m() {{ {}{} }} }}\n", "{".repeat(20_000), "}".repeat(20_000));
    let classes = format!("package p;\n{}{}\n", "class C { int f; ".repeat(5_000), "}".repeat(5_000));
    let calls = format!("class F {{ int x = a{}; }}\n", ".b()".repeat(50_000));
    let names = format!("class G {{ int x = a{}; }}\n", ".b".repeat(50_000));
    let imports: String = (0..20_000).map(|at| format!("import p{at}.*;\n")).collect();
    let uses: String = (0..20_000).map(|at| format!("T{at} f{at};\n")).collect();
    let wide = format!("package q;\n{imports}class W {{ {uses} }}\n");
    let lambdas = format!("fun f() {{ {}{} }}\n", "{ x -> ".repeat(5_000), "}".repeat(5_000));
    let chain = format!("val v = a{}\n", "?.b()".repeat(20_000));
    let graph = expect::graph(&[
        ("D.java", &blocks),
        ("C.java", &classes),
        ("F.java", &calls),
        ("G.java", &names),
        ("W.java", &wide),
        ("l.kt", &lambdas),
        ("c.kt", &chain),
        ("torn.java", "package p;\nclass Before { void m( }\nclass { \u{0} import x.Y;\nclass After {}\n"),
        ("torn.kt", "package p\nclass Before(\nfun {{{ \u{0}\nimport\n"),
        ("empty.kt", "\u{0}"),
    ]);
    assert_eq!(graph.file("C.java").unwrap().symbols.len(), 10_000);
    assert_eq!(graph.file("torn.java").unwrap().symbols.first().unwrap().name, "Before");
}

#[test]
fn a_promise_is_kept_by_the_platform_and_packages_leave_out_what_they_share() {
    let graph = expect::graph(&[
        (
            "common/src/Clock.kt",
            "package kit\ninternal expect fun now(): Long\nexpect class Timer\nfun span() = now()\n",
        ),
        ("core/src/Clock.kt", "package kit\ninternal actual fun now(): Long = 1\nactual class Timer\n"),
        ("core/src/inner/Tick.kt", "package kit.inner\nimport kit.*\nfun tick(t: Timer) = now()\n"),
        ("web/kit/Page.kt", "package web\nimport kit.Timer\nimport kit.now\nfun page(t: Timer) = Result(now())\n"),
        ("stubs/Result.kt", "package kotlin\nclass Result(val value: Long)\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("core/src/inner/Tick.kt", "core/src/Clock.kt", "import", "the own source set's `actual`"),
            ("web/kit/Page.kt", "core/src/Clock.kt", "import", "an `actual` before an `expect`, equally far"),
            ("web/kit/Page.kt", "stubs/Result.kt", "import", "`kotlin` is imported on demand by every file"),
        ],
    );
}

#[test]
fn a_class_before_an_annotated_constructor() {
    let graph = expect::graph(&[
        ("Use.kt", "package kit\nimport kit.inner.Box\nclass Use(val box: Box)\n"),
        (
            "inner/Box.kt",
            "package kit.inner\n\nimport kit.Keep\n\n@Keep\npublic class Box\n@Keep\nprivate constructor(\n    // Of what it holds.\n    private val size: Int,\n) : Any() {\n    fun f() = 1\n}\n",
        ),
        ("Keep.kt", "package kit\nannotation class Keep\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("Use.kt", "inner/Box.kt", "import", "the class is known by its head"),
            ("inner/Box.kt", "Keep.kt", "import", "an import by name"),
        ],
    );
}

#[test]
fn functions_of_kotlin_by_their_places() {
    let graph = expect::graph(&[
        (
            "main.kt",
            "package app\nfun main() {\n  val actor = actor<Int>(1) { }\n  kit.deep.start()\n  println(\"$width of ${depth}, $actor\")\n  val size = 1\n  size.plus(1)\n}\n",
        ),
        ("actor.kt", "package app\nfun <T> actor(x: T, f: () -> Unit) = x\n"),
        ("start.kt", "package kit.deep\nfun start() {}\n"),
        ("width.kt", "package app\nval width = 1\n"),
        ("depth.kt", "package app\nval depth = 1\n"),
        ("size.kt", "package app\nval size = 1\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("main.kt", "actor.kt", "same_package", "a variable hides no function where it is called"),
            ("main.kt", "start.kt", "import", "a function written out with its package"),
            ("main.kt", "width.kt", "same_package", "a name in a string, without braces"),
            ("main.kt", "depth.kt", "same_package", "a name in a string, in braces"),
            // None to `size.kt`, which a variable hides.
        ],
    );
}
