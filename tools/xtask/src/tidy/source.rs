//! Rules about single files: size, header, names, pairs, and what must not occur.

use super::tree::File;
use super::{Tree, Violation};

const RUST_LINES_ARGUED: usize = 500;
const RUST_LINES_MAX: usize = 800;
const CUDA_LINES_MAX: usize = 600;
const SCRIPT_LINES_MAX: usize = 60;
const GOLDEN_BYTES_MAX: u64 = 4 << 20;
const NANO_BYTES_MAX: u64 = 12_000_000;

/// Files and folders of `kernels` that are no operation of their own and so need no test of their name.
const KERNEL_SUPPORT: &[&str] =
    &["lib", "attend", "device", "element", "error", "fresh", "matmul", "memory", "operand"];

fn violation(rule: &'static str, place: impl Into<String>, message: impl Into<String>) -> Violation {
    Violation { rule, place: place.into(), message: message.into() }
}

/// A room one can see whole.
pub(super) fn size(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, File { text, .. }) in &tree.files {
        let lines = text.lines().count();
        let over = |limit: usize| violation("size", path, format!("{lines} lines, at most {limit}"));
        match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "rs" if lines > RUST_LINES_MAX => violations.push(over(RUST_LINES_MAX)),
            "rs" if lines > RUST_LINES_ARGUED && !text.contains("//! Size:") => {
                let message = format!("{lines} lines: above {RUST_LINES_ARGUED} the header argues it (`//! Size: …`)");
                violations.push(violation("size", path, message));
            }
            "cu" | "cuh" if lines > CUDA_LINES_MAX => violations.push(over(CUDA_LINES_MAX)),
            "sh" | "" if path.starts_with("scripts/") && lines > SCRIPT_LINES_MAX => {
                violations.push(over(SCRIPT_LINES_MAX));
            }
            _ => {}
        }
    }
    violations
}

/// Every Rust file opens with its purpose.
pub(super) fn header(tree: &Tree) -> Vec<Violation> {
    let ours = |path: &str| (path.starts_with("crates/") || path.starts_with("tools/")) && !path.contains("/fixtures/");
    let opened = |text: &str| text.trim_start().trim_start_matches('\u{feff}').starts_with("//!");
    let bare = tree.ending(".rs").filter(|(path, file)| ours(path) && !opened(&file.text));
    bare.map(|(path, _)| violation("header", path, "the file opens with no `//!` saying its purpose")).collect()
}

/// Names that say nothing are refused.
pub(super) fn names(tree: &Tree) -> Vec<Violation> {
    const EMPTY_WORDS: &[&str] = &["util", "utils", "helper", "helpers", "manager", "misc", "common", "stuff"];
    let stem = |path: &str| path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs").to_string();
    let named = tree.ending(".rs").filter(|(path, _)| EMPTY_WORDS.contains(&stem(path).as_str()));
    named.map(|(path, _)| violation("names", path, "name the module after what it does")).collect()
}

/// `kernels/x.cu` ↔ `crates/kernels/src/x/{mod,device}.rs` ↔ `crates/kernels/tests/x.rs`; an operation is a folder.
pub(super) fn kernel_pairs(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut need = |of: &str, path: String| {
        if !tree.files.contains_key(&path) {
            violations.push(violation("kernel-pairs", of, format!("`{path}` is missing")));
        }
    };
    for path in tree.files.keys() {
        let module = path.strip_prefix("crates/kernels/src/").and_then(|it| it.strip_suffix(".rs"));
        let operation = module.map(|it| it.strip_suffix("/mod").unwrap_or(it));
        if let Some(name) = operation.filter(|name| !KERNEL_SUPPORT.contains(name) && !name.contains('/')) {
            need(path, format!("crates/kernels/src/{name}/mod.rs"));
            need(path, format!("crates/kernels/tests/{name}.rs"));
        }
        if let Some(name) = path.strip_prefix("kernels/").and_then(|it| it.strip_suffix(".cu")) {
            need(path, format!("crates/kernels/src/{name}/mod.rs"));
            need(path, format!("crates/kernels/src/{name}/device.rs"));
            need(path, format!("crates/kernels/tests/{name}.rs"));
        }
    }
    violations
}

/// Derivatives are written out; candle's autograd is a witness in tests only.
pub(super) fn no_autograd(tree: &Tree) -> Vec<Violation> {
    const AUTOGRAD: &[&str] = &["candle_core::Var", "Var::", "GradStore", ".backward()", "VarMap", "VarBuilder"];
    lines_with(tree, "no-autograd", AUTOGRAD, "autograd outside tests; write the derivative")
}

/// What says "not yet" does not land.
pub(super) fn no_stubs(tree: &Tree) -> Vec<Violation> {
    const STUBS: &[&str] =
        &[concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ign", "ore"), concat!("FIX", "ME")];
    lines_with(tree, "no-stubs", STUBS, "finish it, or leave it out")
}

/// Lines of source (its tests excluded for autograd by where they stand) that hold one of `needles`.
fn lines_with(tree: &Tree, rule: &'static str, needles: &[&str], message: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, file) in tree.ending(".rs") {
        let ours = path.starts_with("crates/") || path.starts_with("tools/");
        // The rules themselves spell what they refuse.
        if !ours || !path.contains("/src/") || path.starts_with("tools/xtask/src/tidy/") {
            continue;
        }
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, line) in code.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && needles.iter().any(|needle| line.contains(needle)) {
                violations.push(violation(rule, format!("{path}:{}", at + 1), message));
            }
        }
    }
    violations
}

/// What the repository carries stays small, and says where it comes from.
pub(super) fn assets(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let total = |prefix: &str| -> u64 {
        tree.files.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(_, file)| file.bytes).sum()
    };
    for (prefix, limit) in [("tests/goldens/", GOLDEN_BYTES_MAX), ("assets/nano/", NANO_BYTES_MAX + (2 << 20))] {
        let bytes = total(prefix);
        if bytes > limit {
            violations.push(violation("assets", prefix, format!("{bytes} bytes, at most {limit}")));
        }
    }
    match tree.files.get("assets/nano/model.safetensors") {
        Some(weights) if weights.bytes > NANO_BYTES_MAX => {
            let message = format!("{} bytes, at most {NANO_BYTES_MAX}", weights.bytes);
            violations.push(violation("assets", "assets/nano/model.safetensors", message));
        }
        Some(_) if !tree.files.contains_key("assets/nano/README.md") => {
            violations.push(violation("assets", "assets/nano", "the model has no card (README.md)"));
        }
        _ => {}
    }
    violations
}
