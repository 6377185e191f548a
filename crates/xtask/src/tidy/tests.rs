//! Every rule is fed a tree that breaks it, and one that does not.

use std::collections::BTreeMap;

use super::tree::File;
use super::{RULES, Tree};

fn tree(files: &[(&str, String)]) -> Tree {
    let file = |text: &String| File { bytes: text.len() as u64, text: text.clone() };
    Tree { files: files.iter().map(|(path, text)| (path.to_string(), file(text))).collect::<BTreeMap<_, _>>() }
}

fn manifest(dependencies: &[&str]) -> String {
    let lines: String = dependencies.iter().map(|name| format!("{name}.workspace = true\n")).collect();
    format!("[dependencies]\n{lines}\n[lints]\nworkspace = true\n")
}

/// Rules broken by `files`, in the table's order.
fn broken(files: &[(&str, String)]) -> Vec<&'static str> {
    let tree = tree(files);
    RULES.iter().filter(|(_, rule)| !rule(&tree).is_empty()).map(|(name, _)| *name).collect()
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
fn an_unknown_crate_is_refused() {
    assert_eq!(broken(&[("crates/extras/Cargo.toml", manifest(&[]))]), ["layers"]);
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
    assert_eq!(broken(&[("crates/llama/src/a.rs", code("let g = loss.backward()?;"))]), ["no-autograd"]);
    let in_tests = code("#[cfg(test)]\nmod tests { fn f() { loss.backward() } }");
    assert_eq!(broken(&[("crates/llama/src/a.rs", in_tests)]), Vec::<&str>::new());
    assert_eq!(broken(&[("crates/llama/tests/a.rs", code("let g = loss.backward()?;"))]), Vec::<&str>::new());
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
