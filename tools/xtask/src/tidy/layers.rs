//! Which crate may use which: the table of ARCHITECTURE.md, as data.

use std::collections::BTreeSet;

use super::{Tree, Violation};

/// Layer of each crate; a crate uses only lower layers.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["schema", "mds", "kernels", "comm"]),
    (1, &["graph", "text", "lm", "llama", "checkpoint"]),
    (2, &["engine", "remote", "agents", "refine", "pack", "corpus", "formats"]),
    (3, &["train", "eval", "report"]),
    (4, &["cli", "nano"]),
];

/// Tasks stand beside the layers and use no crate of the workspace.
const OUTSIDE: &[&str] = &["xtask"];

/// Crates that link neither candle nor CUDA, directly or through another crate.
const NO_ACCELERATOR: &[&str] =
    &["schema", "mds", "graph", "text", "lm", "remote", "agents", "refine", "pack", "corpus", "formats", "report"];

/// Crates that may contain `unsafe`, and why.
const MAY_BE_UNSAFE: &[(&str, &str)] = &[
    ("kernels", "calls into matrix products and devices"),
    ("comm", "calls into MPI and NCCL"),
    ("checkpoint", "maps weight files into memory"),
];

fn layer_of(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, names)| names.contains(&name)).map(|(layer, _)| *layer)
}

/// Keys of `[dependencies]`, build and target dependencies included; tests may use anything.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let sections = ["dependencies", "build-dependencies"];
    let of = |table: &toml::Table| -> Vec<String> {
        sections.iter().filter_map(|name| table.get(*name)?.as_table()).flat_map(|it| it.keys().cloned()).collect()
    };
    let mut names: BTreeSet<String> = of(manifest).into_iter().collect();
    for target in manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|it| it.values()) {
        names.extend(target.as_table().map(of).unwrap_or_default());
    }
    names
}

fn siblings(tree: &Tree, name: &str) -> Vec<String> {
    let all = dependencies(&tree.manifest(name));
    all.iter().filter_map(|it| it.strip_prefix("recon-").map(String::from)).collect()
}

fn at_manifest(rule: &'static str, name: &str, message: String) -> Violation {
    Violation { rule, place: format!("crates/{name}/Cargo.toml"), message }
}

/// A crate uses only lower layers, never its own.
pub(super) fn layers(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for name in tree.crates().into_iter().filter(|name| !OUTSIDE.contains(name)) {
        let Some(own) = layer_of(name) else {
            violations.push(at_manifest("layers", name, format!("`{name}` stands in no layer; add it to the table")));
            continue;
        };
        for used in siblings(tree, name) {
            match layer_of(&used) {
                Some(layer) if layer < own => {}
                other => {
                    let layer = other.map_or("no layer".into(), |layer| format!("layer {layer}"));
                    violations.push(at_manifest("layers", name, format!("layer {own} uses `recon-{used}` of {layer}")));
                }
            }
        }
    }
    violations
}

/// Synthesis above the model's seam links no tensor library.
pub(super) fn no_accelerator(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for name in tree.crates().into_iter().filter(|name| NO_ACCELERATOR.contains(name)) {
        let (mut seen, mut queue) = (BTreeSet::new(), vec![name.to_string()]);
        while let Some(at) = queue.pop() {
            if !seen.insert(at.clone()) {
                continue;
            }
            for dependency in dependencies(&tree.manifest(&at)) {
                if dependency.starts_with("candle") || dependency == "cudarc" {
                    let message = format!("links `{dependency}` through `recon-{at}`");
                    violations.push(at_manifest("no-accelerator", name, message));
                }
            }
            queue.extend(siblings(tree, &at));
        }
    }
    violations
}

/// Every crate inherits the workspace's lints, which forbid `unsafe`, or is one that argues it.
pub(super) fn lints(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for name in tree.crates() {
        let manifest = tree.manifest(name);
        let lints = manifest.get("lints").and_then(toml::Value::as_table);
        let inherits = lints.is_some_and(|it| it.get("workspace") == Some(&toml::Value::Boolean(true)));
        if !inherits && !MAY_BE_UNSAFE.iter().any(|(allowed, _)| *allowed == name) {
            let message = "does not inherit the workspace's lints (`[lints] workspace = true`)".to_string();
            violations.push(at_manifest("lints", name, message));
        }
    }
    violations
}
