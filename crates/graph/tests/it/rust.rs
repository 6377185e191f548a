//! Rust: a workspace with a path attribute, nested modules, sibling crates and targets.

use recon_schema::graph::UnresolvedClass::{External, Missing, StandardLibrary};

use crate::expect;

#[test]
fn a_workspace() {
    let graph = expect::graph(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\"]\n[workspace.dependencies]\nbase-kit = { path = \"crates/base\" }\n",
        ),
        ("crates/base/Cargo.toml", "[package]\nname = \"base-kit\"\n"),
        (
            "crates/base/src/lib.rs",
            "mod shapes;\npub mod io;\n#[path = \"odd/spot.rs\"]\nmod moved;\npub use shapes::Circle;\nuse std::fmt;\npub struct Root;\n",
        ),
        ("crates/base/src/shapes/mod.rs", "mod circle;\npub use self::circle::Circle;\nuse super::io::read;\n"),
        (
            "crates/base/src/shapes/circle.rs",
            "use crate::{Root, io::{self, write as w}};\nuse super::super::moved::Spot;\nuse serde::Serialize;\npub struct Circle;\n",
        ),
        ("crates/base/src/io.rs", "mod file;\nmod inner { mod leaf; use super::super::Root; }\nmod gone;\n"),
        ("crates/base/src/io/file.rs", "pub fn f() -> crate::moved::Spot { crate::shapes::Circle::new() }\n"),
        ("crates/base/src/io/inner/leaf.rs", "use super::super::file;\n"),
        ("crates/base/src/odd/spot.rs", "mod near;\npub struct Spot;\n"),
        ("crates/base/src/odd/near.rs", "pub fn n() {}\n"),
        (
            "crates/app/Cargo.toml",
            "[package]\nname = \"app\"\n[dependencies]\nbase-kit.workspace = true\nkit2 = { package = \"other\", path = \"../other\" }\nanyhow = \"1\"\n",
        ),
        (
            "crates/app/src/main.rs",
            "use base_kit::io::read;\nuse app::run;\nuse anyhow::Result;\nfn main() { kit2::go(); }\n",
        ),
        ("crates/app/src/lib.rs", "pub fn run() {}\n"),
        ("crates/app/tests/all.rs", "mod common;\nuse app::run;\nuse common::setup;\n"),
        ("crates/app/tests/common/mod.rs", "pub fn setup() { base_kit::io::write(); }\n"),
        ("crates/app/build.rs", "fn main() {}\n"),
        ("crates/other/Cargo.toml", "[package]\nname = \"other\"\n[lib]\nname = \"renamed\"\npath = \"entry.rs\"\n"),
        ("crates/other/entry.rs", "pub fn go() {}\n"),
    ]);
    let base = |rest: &str| format!("crates/base/src/{rest}");
    let b = [
        ("lib.rs", "shapes/mod.rs", "module", "`mod x;` is x/mod.rs where x.rs is not"),
        ("lib.rs", "io.rs", "module", "`mod x;` is x.rs"),
        ("lib.rs", "odd/spot.rs", "module", "#[path] is relative to the file's directory"),
        ("lib.rs", "shapes/mod.rs", "reexport", "a `use` may start at a child module"),
        ("shapes/mod.rs", "shapes/circle.rs", "module", "modules of a mod.rs stand beside it"),
        ("shapes/mod.rs", "shapes/circle.rs", "reexport", "`self` is the current module"),
        ("shapes/mod.rs", "io.rs", "import", "`super` is the parent module"),
        ("shapes/circle.rs", "lib.rs", "import", "an item of the crate's root"),
        ("shapes/circle.rs", "io.rs", "import", "`self` in braces is the module itself"),
        ("shapes/circle.rs", "odd/spot.rs", "import", "`super` twice, then a module moved by #[path]"),
        ("io.rs", "io/file.rs", "module", "modules of io.rs stand in io/"),
        ("io.rs", "io/inner/leaf.rs", "module", "an inline module adds a directory"),
        ("io.rs", "lib.rs", "import", "`super` in an inline module counts that module"),
        ("io/file.rs", "odd/spot.rs", "import", "a path in a type"),
        ("io/file.rs", "shapes/mod.rs", "import", "a path in an expression"),
        ("io/inner/leaf.rs", "io/file.rs", "import", "`super` twice out of an inline module"),
        ("odd/spot.rs", "odd/near.rs", "module", "a file reached by #[path] looks beside itself"),
    ]
    .map(|(from, to, kind, rule)| (base(from), base(to), kind, rule));
    let mut expected: Vec<expect::Expected<'_>> =
        b.iter().map(|(from, to, kind, rule)| (from.as_str(), to.as_str(), *kind, *rule)).collect();
    let (io, main) = (base("io.rs"), "crates/app/src/main.rs");
    expected.extend([
        (main, io.as_str(), "import", "hyphens become underscores, the workspace gives the path"),
        (main, "crates/app/src/lib.rs", "import", "a binary uses its own library by name"),
        (main, "crates/other/entry.rs", "import", "a dependency may be renamed, a library may stand elsewhere"),
        ("crates/app/tests/all.rs", "crates/app/tests/common/mod.rs", "module", "a test is a crate root"),
        ("crates/app/tests/all.rs", "crates/app/tests/common/mod.rs", "import", "a path from a child module"),
        ("crates/app/tests/all.rs", "crates/app/src/lib.rs", "import", "a test uses the library by name"),
        ("crates/app/tests/common/mod.rs", io.as_str(), "import", "modules of a test see its dependencies"),
    ]);
    expect::edges(&graph, &expected);
    expect::unresolved(
        &graph,
        &[
            (main, "anyhow::Result", External),
            ("crates/base/src/io.rs", "mod gone", Missing),
            ("crates/base/src/lib.rs", "std::fmt", StandardLibrary),
            ("crates/base/src/shapes/circle.rs", "serde::Serialize", External),
        ],
    );
}

#[test]
fn a_file_that_declares_itself_ends() {
    let graph = expect::graph(&[
        ("Cargo.toml", "[package]\nname = \"x\"\n"),
        ("src/lib.rs", "#[path = \"lib.rs\"]\nmod again;\n#[path = \"../../outside.rs\"]\nmod out;\n"),
    ]);
    expect::edges(&graph, &[]);
    expect::unresolved(&graph, &[("src/lib.rs", "mod out", Missing)]);
}

#[test]
fn local_names_are_no_packages() {
    let graph = expect::graph(&[
        ("Cargo.toml", "[package]\nname = \"x\"\n"),
        (
            "src/lib.rs",
            "mod kinds;\nuse kinds::Kind;\nuse Kind::*;\nenum Own { A }\nuse Own::A;\nfn f() { Own::g(); u32::from(1u8); other::h(); }\n",
        ),
        ("src/kinds.rs", "pub enum Kind { One }\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/lib.rs", "src/kinds.rs", "module", "`mod`"),
            ("src/lib.rs", "src/kinds.rs", "import", "a `use` through a child module"),
        ],
    );
    expect::unresolved(&graph, &[]);
}

#[test]
fn sources_without_a_manifest_have_a_root_by_convention() {
    let graph = expect::graph(&[
        ("src/main.rs", "mod a;\n"),
        ("src/a.rs", "pub fn f() { crate::main(); }\n"),
        ("src/orphan.rs", "use crate::a::f;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/main.rs", "src/a.rs", "module", "`mod`"),
            ("src/a.rs", "src/main.rs", "import", "`crate` is the conventional root"),
            ("src/orphan.rs", "src/a.rs", "import", "a file no `mod` names still sits in its package"),
        ],
    );
}
