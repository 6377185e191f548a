//! Every rule is fed a tree that breaks it, and one that does not.

use std::collections::BTreeMap;

use super::layers::{MAY_BE_UNSAFE, NO_ACCELERATOR};
use super::tree::File;
use super::{RULES, Tree};

/// The crates of the trees below, and their layers: those that rules speak of by name, and a tool.
const HOUSE: &[(&str, &[&str])] = &[
    ("0", &["schema", "mds", "kernels"]),
    ("1", &["repository", "graph", "text", "lm", "llama"]),
    ("2", &["thought", "tool", "agents", "refine", "pack", "corpus", "check", "formats", "report"]),
    ("–", &["xtask"]),
];

fn table(rows: &[(&str, &[&str])]) -> String {
    let cell = |names: &&[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
    let lines: String =
        rows.iter().map(|(layer, names)| format!("| {layer} | {} | what it does |\n", cell(names))).collect();
    format!(
        "# Architecture\n\n## The crates\n\n| Layer | crate | one |\n|---|---|---|\n{lines}\n## Next\n\n| 9 | `x` | no |\n"
    )
}

/// The house with these files in it, which stand in for files of their paths.
fn tree(files: &[(&str, String)]) -> Tree {
    let mut texts = BTreeMap::from([("ARCHITECTURE.md".to_owned(), table(HOUSE))]);
    for (layer, names) in HOUSE {
        let folder = if *layer == "–" { "tools" } else { "crates" };
        texts.extend(names.iter().map(|name| (format!("{folder}/{name}/Cargo.toml"), manifest(&[]))));
    }
    texts.extend(files.iter().map(|(path, text)| (path.to_string(), text.clone())));
    let file = |text: String| File { bytes: text.len() as u64, text };
    Tree { files: texts.into_iter().map(|(path, text)| (path, file(text))).collect() }
}

fn manifest(dependencies: &[&str]) -> String {
    let lines: String = dependencies.iter().map(|name| format!("{name}.workspace = true\n")).collect();
    format!("[dependencies]\n{lines}\n[lints]\nworkspace = true\n")
}

/// Rules broken by a tree, in the table's order.
fn broken_by(tree: &Tree) -> Vec<&'static str> {
    RULES.iter().filter(|(_, rule)| !rule(tree).is_empty()).map(|(name, _)| *name).collect()
}

fn broken(files: &[(&str, String)]) -> Vec<&'static str> {
    broken_by(&tree(files))
}

/// What the rule `layers` says of the house with these files.
fn layers(files: &[(&str, String)]) -> Vec<String> {
    let said = super::layers::layers(&tree(files));
    said.into_iter().map(|it| format!("{}: {}", it.place, it.message)).collect()
}

#[test]
fn a_tidy_tree_breaks_nothing() {
    let files = [
        ("crates/schema/Cargo.toml", manifest(&["serde"])),
        ("crates/graph/Cargo.toml", manifest(&["recon-schema"])),
        ("crates/graph/src/lib.rs", "//! Reads.\n".into()),
        ("crates/kernels/Cargo.toml", manifest(&["candle-core"])),
        ("crates/kernels/src/lib.rs", "//! Kernels.\n".into()),
        ("crates/kernels/src/rope/mod.rs", "//! Rotates.\n".into()),
        ("crates/kernels/src/rope/device.rs", "//! Launches.\n".into()),
        ("crates/kernels/tests/rope.rs", "//! Checks.\n".into()),
        ("kernels/rope.cu", "// rope\n".into()),
    ];
    assert_eq!(broken(&files), Vec::<&str>::new());
}

#[test]
fn a_crate_of_the_same_layer_is_refused() {
    let files = [("crates/text/Cargo.toml", manifest(&[])), ("crates/graph/Cargo.toml", manifest(&["recon-text"]))];
    assert_eq!(broken(&files), ["layers"]);
}

#[test]
fn a_crate_uses_lower_layers_only() {
    let uses = |name: &str, used: &str| layers(&[(&format!("crates/{name}/Cargo.toml"), manifest(&[used]))]);
    assert_eq!(uses("graph", "recon-schema"), Vec::<String>::new());
    assert_eq!(uses("graph", "recon-text"), ["crates/graph/Cargo.toml: layer 1 uses `recon-text` of layer 1"]);
    assert_eq!(uses("graph", "recon-pack"), ["crates/graph/Cargo.toml: layer 1 uses `recon-pack` of layer 2"]);
    assert_eq!(uses("graph", "recon-extras").len(), 1, "a crate that stands nowhere");
    let renamed =
        "[dependencies]\nwords = { package = \"recon-text\", path = \"../text\" }\n[lints]\nworkspace = true\n";
    assert_eq!(layers(&[("crates/graph/Cargo.toml", renamed.into())]).len(), 1, "by another name");
}

#[test]
fn a_tool_uses_any_crate_and_no_crate_of_the_product_uses_it() {
    assert_eq!(layers(&[("tools/xtask/Cargo.toml", manifest(&["recon-pack", "recon-schema"]))]), Vec::<String>::new());
    let used = layers(&[("crates/pack/Cargo.toml", manifest(&["xtask"]))]);
    assert_eq!(used, ["crates/pack/Cargo.toml: uses `xtask`, which is a tool"]);
}

#[test]
fn the_table_and_the_crates_are_the_same() {
    assert_eq!(broken(&[("crates/extras/Cargo.toml", manifest(&[]))]), ["layers"], "a crate without a row");
    assert_eq!(broken(&[("tools/extras/Cargo.toml", manifest(&[]))]), ["layers"], "a tool without a row");
    let with = |row: (&'static str, &'static [&'static str])| {
        let rows: Vec<_> = HOUSE.iter().copied().chain([row]).collect();
        layers(&[("ARCHITECTURE.md", table(&rows))])
    };
    assert_eq!(with(("3", &["comm"])), ["crates/comm: the table names `comm`, but there is no such crate"]);
    assert_eq!(with(("–", &["oracles"])).len(), 1, "a tool that is not there");
    assert_eq!(with(("2", &["schema"])).len(), 1, "a crate of two layers");
    assert_eq!(with(("upper", &["train"])).len(), 1, "a layer that is none");
    assert_eq!(with(("3", &[])).len(), 1, "a row without a crate");
}

#[test]
fn a_crate_lies_where_its_layer_says() {
    let moved: Vec<_> = HOUSE.iter().map(|(layer, names)| (if *layer == "–" { "3" } else { *layer }, *names)).collect();
    let said = layers(&[("ARCHITECTURE.md", table(&moved))]);
    assert_eq!(said, ["tools/xtask/Cargo.toml: the table has `xtask` in crates/"]);
}

#[test]
fn a_page_without_its_table_is_refused() {
    let said = layers(&[("ARCHITECTURE.md", "# Architecture\n\n## The rooms\n".into())]);
    assert!(said.iter().any(|it| it.starts_with("ARCHITECTURE.md:1: no row of a table")), "{said:?}");
}

#[test]
fn rules_speak_of_crates_that_the_table_has() {
    for name in NO_ACCELERATOR.iter().chain(MAY_BE_UNSAFE) {
        let mut tree = tree(&[]);
        let without: String = tree.files["ARCHITECTURE.md"].text.replace(&format!("`{name}`"), "`renamed`");
        tree.files.insert("ARCHITECTURE.md".into(), File { bytes: 0, text: without });
        let rule = if MAY_BE_UNSAFE.contains(name) { "lints" } else { "no-accelerator" };
        assert_eq!(broken_by(&tree).iter().filter(|it| **it != "layers").collect::<Vec<_>>(), [&rule], "{name}");
    }
}

#[test]
fn candle_behind_another_crate_is_found() {
    let files = [
        ("crates/schema/Cargo.toml", manifest(&["candle-core"])),
        ("crates/graph/Cargo.toml", manifest(&["recon-schema"])),
    ];
    let tree = tree(&files);
    let found = super::layers::no_accelerator(&tree);
    let places: Vec<_> = found.iter().map(|it| it.place.as_str()).collect();
    assert_eq!(places, ["crates/graph/Cargo.toml", "crates/schema/Cargo.toml"]);
}

#[test]
fn a_target_dependency_counts() {
    let text = "[target.'cfg(unix)'.dependencies]\ncudarc = \"1\"\n[lints]\nworkspace = true\n";
    assert_eq!(broken(&[("crates/lm/Cargo.toml", text.into())]), ["no-accelerator"]);
}

#[test]
fn lints_of_ones_own_need_a_reason() {
    assert_eq!(broken(&[("crates/lm/Cargo.toml", "[dependencies]\n".into())]), ["lints"]);
    assert_eq!(broken(&[("crates/kernels/Cargo.toml", "[dependencies]\n".into())]), Vec::<&str>::new());
}

#[test]
fn long_files_are_argued_then_refused() {
    let lines = |count: usize, header: &str| format!("{header}\n{}", "fn f() {}\n".repeat(count));
    assert_eq!(broken(&[("crates/lm/src/a.rs", lines(500, "//! A."))]), ["size"]);
    assert_eq!(broken(&[("crates/lm/src/a.rs", lines(500, "//! A.\n//! Size: one table."))]), Vec::<&str>::new());
    assert_eq!(broken(&[("crates/lm/src/a.rs", lines(900, "//! A.\n//! Size: one table."))]), ["size"]);
    assert_eq!(broken(&[("kernels/x.cuh", lines(601, "//"))]), ["size"]);
    assert_eq!(broken(&[("scripts/x.sh", lines(61, "#!"))]), ["size"]);
}

#[test]
fn a_file_without_a_header_is_refused() {
    assert_eq!(broken(&[("crates/lm/src/a.rs", "use std::fs;\n".into())]), ["header"]);
}

#[test]
fn empty_names_are_refused() {
    assert_eq!(broken(&[("crates/lm/src/utils.rs", "//! All sorts.\n".into())]), ["names"]);
}

#[test]
fn a_kernel_without_its_pair_is_refused() {
    assert_eq!(broken(&[("crates/kernels/src/rope/mod.rs", "//! Rotates.\n".into())]), ["kernel-pairs"]);
    let tested = ("crates/kernels/tests/rope.rs", "//! Checks.\n".into());
    assert_eq!(broken(&[("crates/kernels/src/rope.rs", "//! Rotates.\n".into()), tested]), ["kernel-pairs"]);
    assert_eq!(broken(&[("kernels/rope.cu", String::new())]), ["kernel-pairs"]);
}

#[test]
fn autograd_is_a_witness_only() {
    let code = |body: &str| format!("//! A.\n{body}\n");
    assert_eq!(broken(&[("crates/llama/src/a.rs", code("fn f() { let g = loss.backward()?; }"))]), ["no-autograd"]);
    let in_tests = code("#[cfg(test)]\nmod tests { fn f() { loss.backward() } }");
    assert_eq!(broken(&[("crates/llama/src/a.rs", in_tests)]), Vec::<&str>::new());
    assert_eq!(
        broken(&[("crates/llama/tests/a.rs", code("fn f() { let g = loss.backward()?; }"))]),
        Vec::<&str>::new()
    );
}

#[test]
fn stubs_are_refused() {
    let stub = format!("//! A.\nfn f() {{ {}) }}\n", concat!("todo", "!("));
    assert_eq!(broken(&[("crates/llama/src/a.rs", stub)]), ["no-stubs"]);
}

#[test]
fn assets_stay_small_and_have_a_card() {
    assert_eq!(broken(&[("tests/goldens/x.bin", "x".repeat((4 << 20) + 1))]), ["assets"]);
    assert_eq!(broken(&[("assets/nano/model.safetensors", "x".into())]), ["assets"]);
}

#[test]
fn what_is_public_says_something_unless_it_is_a_field_or_a_variant() {
    let bare = |code: &str| broken(&[("crates/lm/src/a.rs", format!("//! A.\n{code}\n"))]);
    for code in [
        "pub fn f() {}",
        "pub struct S;",
        "pub const C: u8 = 1;",
        "pub mod inner {}",
        "pub(crate) struct S;\nimpl S { pub fn f() {} }",
        "/// T.\npub trait T { fn f(); }",
    ] {
        assert_eq!(bare(code), ["docs"], "{code}");
    }
    for code in [
        "/// S.\npub struct S { pub path: String }",
        "/// E.\npub enum E { Left { at: u8 }, Right }",
        "pub(crate) fn f() {}",
        "pub use std::fs::File;",
        "pub mod other;",
        "struct S;\nimpl std::fmt::Display for S { fn fmt() {} }",
        "#[cfg(test)]\nmod tests { pub fn f() {} }",
    ] {
        assert_eq!(bare(code), Vec::<&str>::new(), "{code}");
    }
}

#[test]
fn every_rule_that_stands_here_is_reached() {
    let circle = [
        ("crates/lm/src/lib.rs", "//! L.\nmod a;\nmod b;\n".to_owned()),
        ("crates/lm/src/a.rs", "//! A.\nuse crate::b::B;\n/// A.\npub struct A;\n".to_owned()),
        ("crates/lm/src/b.rs", "//! B.\nuse crate::a::A;\n/// B.\npub struct B;\n".to_owned()),
    ];
    assert_eq!(broken(&circle), ["no-circles"]);
}
