//! Rust: a workspace with a path attribute, nested modules, sibling crates and targets.

use recon_schema::graph::Confidence;
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
        ("lib.rs", "shapes/circle.rs", "reexport", "a `use` starts at a child module, which re-exports the item"),
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
        ("io/file.rs", "shapes/circle.rs", "import", "a path in an expression names the definition"),
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
fn re_exports_are_followed_to_the_definition() {
    let graph = expect::graph(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"user\"]\n[package]\nname = \"kit\"\n"),
        (
            "src/lib.rs",
            "mod error;\nmod deep;\npub use std::fmt;\npub mod prelude;\nmod traits;\npub use error::{Error, Kind as Sort};\npub use deep::*;\nuse deep::hidden as private;\npub struct Here;\n",
        ),
        ("src/error.rs", "pub enum Error { Io }\npub enum Kind { A }\n"),
        ("src/deep.rs", "mod inner;\npub use inner::Far;\npub fn near() {}\npub fn hidden() {}\nuse crate::Error;\n"),
        ("src/deep/inner.rs", "pub struct Far;\nuse super::super::Sort;\nfn f() { crate::private(); crate::Here; }\n"),
        (
            "src/prelude.rs",
            "pub use crate::{Error, Far};\npub use crate::deep;\nuse crate::fmt::Debug;\nuse crate::made;\n",
        ),
        (
            "src/traits.rs",
            "#[macro_export]\nmacro_rules! made { () => {} }\ncfg_if! { if #[cfg(unix)] { mod unix; mod absent; } }\npub trait Ext { fn ext(&self) {} }\nuse super::*;\nfn t(e: Error) -> Far { near() }\n",
        ),
        ("src/traits/unix.rs", "use super::Ext;\n"),
        ("user/Cargo.toml", "[package]\nname = \"user\"\n[dependencies]\nkit = { path = \"..\" }\n"),
        (
            "user/src/main.rs",
            "use kit::prelude::*;\nuse kit::Far as Away;\nmod loops;\nmod bare;\nfn main() { let a: Away; deep::near(); vec![kit::Error::Io]; }\n",
        ),
        (
            "user/src/loops.rs",
            "pub use crate::bare::*;\npub use self::x::*;\nmod x { pub use super::*; pub use crate::loops::y::Z; }\n",
        ),
        (
            "user/src/bare.rs",
            "pub use crate::loops::*;\nuse crate::loops::Nothing;\n#[derive(Clone)]\npub struct Seen;\n",
        ),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/lib.rs", "src/error.rs", "module", "`mod`"),
            ("src/lib.rs", "src/deep.rs", "module", "`mod`"),
            ("src/lib.rs", "src/prelude.rs", "module", "`mod`"),
            ("src/lib.rs", "src/traits.rs", "module", "`mod`"),
            ("src/lib.rs", "src/error.rs", "reexport", "a re-export names the definition"),
            ("src/lib.rs", "src/deep.rs", "reexport", "a glob that is a re-export names the module"),
            ("src/lib.rs", "src/deep.rs", "import", "a private `use`"),
            ("src/deep.rs", "src/deep/inner.rs", "module", "`mod`"),
            ("src/deep.rs", "src/deep/inner.rs", "reexport", "an item of a child"),
            ("src/deep.rs", "src/error.rs", "import", "`crate::Error` is defined in error.rs, not in lib.rs"),
            ("src/deep/inner.rs", "src/error.rs", "import", "through `super::super` and a new name"),
            ("src/deep/inner.rs", "src/deep.rs", "import", "through a private name of an ancestor"),
            ("src/deep/inner.rs", "src/lib.rs", "import", "an item that lib.rs itself defines"),
            ("src/prelude.rs", "src/error.rs", "reexport", "two re-exports on the way"),
            ("src/prelude.rs", "src/deep/inner.rs", "reexport", "a glob and a re-export on the way"),
            ("src/prelude.rs", "src/deep.rs", "reexport", "a module may be re-exported"),
            (
                "src/prelude.rs",
                "src/traits.rs",
                "import",
                "an exported macro stands at the root and is defined elsewhere",
            ),
            (
                "src/traits.rs",
                "src/traits/unix.rs",
                "module",
                "`mod` in the argument of a macro, where the file is there",
            ),
            ("src/traits/unix.rs", "src/traits.rs", "import", "such a module has its place in the tree"),
            ("src/traits.rs", "src/error.rs", "import", "the glob serves `Error`"),
            ("src/traits.rs", "src/deep/inner.rs", "import", "the glob serves `Far`, by a glob of its own"),
            ("src/traits.rs", "src/deep.rs", "import", "the glob serves `near`"),
            ("user/src/main.rs", "src/deep.rs", "import", "a prelude of another crate serves the module `deep`"),
            ("user/src/main.rs", "src/deep/inner.rs", "import", "a name by `as`"),
            ("user/src/main.rs", "src/error.rs", "import", "a path in the arguments of a macro"),
            ("user/src/main.rs", "user/src/loops.rs", "module", "`mod`"),
            ("user/src/main.rs", "user/src/bare.rs", "module", "`mod`"),
            ("user/src/loops.rs", "user/src/bare.rs", "reexport", "a glob that is a re-export names the module"),
            ("user/src/bare.rs", "user/src/loops.rs", "reexport", "globs may go in a circle"),
            ("user/src/bare.rs", "user/src/loops.rs", "import", "a name nothing explains stays with its module"),
        ],
    );
    expect::unresolved(
        &graph,
        &[("src/lib.rs", "std::fmt", StandardLibrary), ("src/prelude.rs", "crate::fmt::Debug", StandardLibrary)],
    );
    let error = graph.edges.iter().find(|edge| edge.from == "src/deep.rs" && edge.to == "src/error.rs").unwrap();
    assert_eq!((error.names.as_slice(), error.confidence), (&["Error".to_owned()][..], Confidence::Exact));
    assert!(!graph.cycles.concat().iter().any(|path| path == "src/error.rs"), "a leaf joins no cycle");
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
