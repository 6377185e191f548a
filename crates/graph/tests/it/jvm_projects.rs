//! Java and Kotlin: which of several declarations the build files choose, inherited member types,
//! files without text.

use recon_graph::Repository;
use recon_schema::graph::Confidence::{Exact, Likely};
use recon_schema::graph::SkipReason;

use crate::expect;

fn pom(head: &str, dependencies: &[(&str, &str)]) -> String {
    let all: String = dependencies
        .iter()
        .map(|(artifact, version)| {
            format!("<dependency><groupId>g</groupId><artifactId>{artifact}</artifactId>{version}</dependency>")
        })
        .collect();
    format!("<project>{head}<dependencies>{all}</dependencies></project>\n")
}

const CLASS: &str = "package p;\npublic class A {}\n";
const USE: &str = "package q;\nimport p.A;\npublic class T { A a; }\n";

#[test]
fn maven_dependencies_choose_between_twins() {
    let parent = |version: &str| {
        format!("<parent><groupId>g</groupId><artifactId>parent</artifactId><version>{version}</version></parent>")
    };
    let child = |version: &str, name: &str| format!("{}<artifactId>{name}</artifactId>", parent(version));
    let root = "<groupId>g</groupId><artifactId>parent</artifactId><version>1-${kind}</version><properties><kind>jre</kind></properties><dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>other</artifactId><version>2</version></dependency></dependencies></dependencyManagement>";
    let other =
        |version: &str| format!("<groupId>g</groupId><artifactId>other</artifactId><version>{version}</version>");
    let files = [
        ("pom.xml", pom(root, &[])),
        ("zlib/pom.xml", pom(&child("1-jre", "lib"), &[])),
        ("zlib/src/p/A.java", CLASS.into()),
        (
            "android/pom.xml",
            pom("<groupId>g</groupId><artifactId>parent</artifactId><version>1-android</version>", &[]),
        ),
        ("android/lib/pom.xml", pom(&child("1-android", "lib"), &[])),
        ("android/lib/src/p/A.java", CLASS.into()),
        // By version, through the parent's.
        ("android/use/pom.xml", pom(&child("1-android", "use"), &[("lib", "<version>${project.version}</version>")])),
        ("android/use/src/q/T.java", USE.into()),
        ("near/lib/pom.xml", pom(&other("1"), &[])),
        ("near/lib/src/p/A.java", CLASS.into()),
        ("far/lib/pom.xml", pom(&other("2"), &[])),
        ("far/lib/src/p/A.java", CLASS.into()),
        // By the version that the parent manages, although another stands nearer.
        (
            "near/use/pom.xml",
            pom(
                &format!(
                    "{}<artifactId>u</artifactId>",
                    parent("1-jre").replace("</parent>", "<relativePath>../../pom.xml</relativePath></parent>")
                ),
                &[("other", "")],
            ),
        ),
        ("near/use/src/q/T.java", USE.into()),
        // Through another project.
        (
            "via/pom.xml",
            pom(
                "<groupId>g</groupId><artifactId>via</artifactId><version>1</version>",
                &[("use", "<version>1-android</version>")],
            ),
        ),
        ("via/src/q/U.java", "package r;\nimport p.A;\nclass U { A a; }\n".into()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let graph = expect::graph(&files);
    expect::edges(
        &graph,
        &[
            ("android/use/src/q/T.java", "android/lib/src/p/A.java", "import", "artifact and version"),
            ("near/use/src/q/T.java", "far/lib/src/p/A.java", "import", "a managed version goes before nearness"),
            ("via/src/q/U.java", "android/lib/src/p/A.java", "import", "a dependency of a dependency"),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Exact), "a build file decides");
}

#[test]
fn gradle_projects_choose_between_twins() {
    let graph = expect::graph(&[
        (
            "settings.gradle.kts",
            "include(\":a\", \":b\") // , \":c\"\ninclude(\":deep:user-one\")\nproject(\":b\").projectDir = file(\"moved/bb\")\n",
        ),
        ("a/build.gradle.kts", "plugins { }\n"),
        ("a/src/main/java/p/A.java", CLASS),
        ("moved/bb/build.gradle", "dependencies { }\n"),
        ("moved/bb/src/main/java/p/A.java", CLASS),
        (
            "deep/user-one/build.gradle",
            "dependencies {\n  // implementation project(':a')\n  implementation project(path: ':b', configuration: 'x')\n}\n",
        ),
        ("deep/user-one/src/main/java/q/T.java", USE),
        ("deep/user-two/build.gradle.kts", "dependencies { api(projects.a) }\n"),
        ("deep/user-two/src/main/kotlin/q/K.kt", "package q\nimport p.A\nclass K(val a: A)\n"),
        ("deep/user-three/build.gradle.kts", "dependencies { api(projects.deep.userOne) }\n"),
        ("deep/user-three/src/main/kotlin/q/L.kt", "package r\nimport p.A\nclass L(val a: A)\n"),
    ]);
    expect::edges(
        &graph,
        &[
            (
                "deep/user-one/src/main/java/q/T.java",
                "moved/bb/src/main/java/p/A.java",
                "import",
                "a project that settings move",
            ),
            ("deep/user-two/src/main/kotlin/q/K.kt", "a/src/main/java/p/A.java", "import", "a type-safe accessor"),
            (
                "deep/user-three/src/main/kotlin/q/L.kt",
                "moved/bb/src/main/java/p/A.java",
                "import",
                "a dependency of a dependency",
            ),
        ],
    );
}

#[test]
fn without_build_files_the_nearest_is_meant_and_a_tie_is_none() {
    let graph = expect::graph(&[
        ("one/src/p/A.java", CLASS),
        ("one/tests/q/T.java", USE),
        ("two/deep/src/p/A.java", CLASS),
        ("three/q/T.java", USE),
        ("x/p/B.java", "package p;\npublic class B {}\n"),
        ("y/p/B.java", "package p;\npublic class B {}\n"),
        ("z/q/U.java", "package q;\nimport p.B;\nclass U { B b; }\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("one/tests/q/T.java", "one/src/p/A.java", "import", "a folder in common"),
            ("three/q/T.java", "one/src/p/A.java", "import", "fewer steps"),
        ],
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Likely));
}

#[test]
fn member_types_are_found_where_they_are_declared() {
    let graph = expect::graph(&[
        (
            "p/Base.java",
            "package p;\npublic class Base { public enum Order { UP } public static class Form { public static class Part {} } }\n",
        ),
        ("p/Sub.java", "package p;\npublic class Sub extends Base {}\n"),
        ("p/Outer.java", "package p;\npublic class Outer { public static class In extends Sub {} }\n"),
        ("p/Face.java", "package p;\npublic interface Face { class Note {} }\n"),
        ("p/Leaf.java", "package p;\npublic class Leaf extends Outer.In { Form f; class Own { Order o; } }\n"),
        (
            "q/Use.java",
            "package q;\nimport p.Sub;\nimport p.Outer;\nclass Use { Object o = Sub.Order.UP; Outer.In.Form.Part part; }\n",
        ),
        ("q/Anon.java", "package q;\nimport p.Face;\nclass Anon { Object o = new Face() { Note note; }; }\n"),
        ("q/Still.java", "package q;\nimport static p.Sub.Form;\nclass Still { Form f; }\n"),
        ("q/Circle.java", "package q;\nclass Circle extends Ring { Gone g; Ring.Gone h; }\n"),
        ("q/Ring.java", "package q;\nclass Ring extends Circle {}\n"),
    ]);
    let (same, import) = ("same_package", "import");
    expect::edges(
        &graph,
        &[
            ("p/Sub.java", "p/Base.java", same, "a supertype"),
            ("p/Outer.java", "p/Sub.java", same, "the supertype of a nested type"),
            ("p/Leaf.java", "p/Outer.java", same, "a supertype that is nested"),
            ("p/Leaf.java", "p/Base.java", import, "a member three supertypes up, from a nested type too"),
            ("q/Use.java", "p/Sub.java", import, "the type that is named"),
            ("q/Use.java", "p/Outer.java", import, "the type around the nested one"),
            ("q/Use.java", "p/Base.java", import, "the type that declares the member"),
            ("q/Anon.java", "p/Face.java", import, "a member of what a class without a name extends"),
            ("q/Still.java", "p/Sub.java", import, "the type of a static import"),
            ("q/Still.java", "p/Base.java", import, "the member type it brings in"),
            ("q/Circle.java", "q/Ring.java", same, "types may extend each other in a circle and it ends"),
            ("q/Ring.java", "q/Circle.java", same, "and back"),
        ],
    );
}

#[test]
fn files_without_text_are_known_by_their_paths() {
    let mut repository = Repository::from_files(
        "fixture",
        [
            ("src/p/Made.java", "package p;\npublic class Made {}\n"),
            ("src/p/Use.java", "package p;\nclass Use { Made m; }\n"),
            ("src/r/s/Lone.java", "package r.s;\npublic class Lone {}\n"),
            ("src/q/Far.java", "package q;\nimport p.Made;\nimport r.s.Lone;\nclass Far { Made m; Lone l; }\n"),
        ],
    );
    repository.skip("src/p/Made.java", SkipReason::Generated);
    repository.skip("src/r/s/Lone.java", SkipReason::TooLarge);
    let graph = recon_graph::build(&repository);
    assert_eq!(graph.dependencies("src/p/Use.java"), ["src/p/Made.java"], "a file beside it");
    assert_eq!(
        graph.dependencies("src/q/Far.java"),
        ["src/p/Made.java", "src/r/s/Lone.java"],
        "by the folders of a package"
    );
    assert!(graph.edges.iter().all(|edge| edge.confidence == Likely), "a path tells, but only likely");
}

#[test]
fn hostile_build_files_are_survived() {
    let deep = "<project>".to_owned() + &"<a>".repeat(50_000);
    let circle = pom(
        "<artifactId>c</artifactId><version>${v}</version><parent><artifactId>c</artifactId><relativePath>pom.xml</relativePath></parent><properties><v>${v}${v}</v></properties>",
        &[("c", "<version>${v}</version>")],
    );
    let settings = "include(".to_owned() + &(0..20_000).map(|at| format!("':p{at}',")).collect::<String>();
    let graph = expect::graph(&[
        ("deep/pom.xml", &deep),
        ("circle/pom.xml", &circle),
        ("torn/pom.xml", "<project><dependencies><dependency><artifactId>x</dependency"),
        ("settings.gradle", &settings),
        ("build.gradle", "project( project(':p1'\n/* \"never closed"),
        ("circle/src/p/A.java", CLASS),
        ("deep/src/p/A.java", CLASS),
        ("circle/test/q/T.java", USE),
    ]);
    assert_eq!(graph.dependencies("circle/test/q/T.java"), ["circle/src/p/A.java"], "the own project");
}
