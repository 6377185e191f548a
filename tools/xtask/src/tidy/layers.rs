//! Which crate may use which: ARCHITECTURE.md's table against the manifests, both ways.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Layer, Table};
use super::tree::Member;
use super::{Tree, Violation};

/// Crates that link neither candle nor CUDA, directly or through another crate.
pub(super) const NO_ACCELERATOR: &[&str] = &[
    "schema",
    "mds",
    "repository",
    "graph",
    "text",
    "lm",
    "thought",
    "tool",
    "agents",
    "refine",
    "pack",
    "corpus",
    "check",
    "formats",
    "report",
];

/// Crates that may contain `unsafe`, and so have lints of their own: calls into matrix products and devices.
pub(super) const MAY_BE_UNSAFE: &[&str] = &["kernels"];

/// Names of packages in `[dependencies]`, build and target dependencies included; tests may use anything.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let sections = ["dependencies", "build-dependencies"];
    let package = |key: &String, value: &toml::Value| {
        let renamed = value.get("package").and_then(toml::Value::as_str);
        renamed.unwrap_or(key).to_owned()
    };
    let of = |table: &toml::Table| -> Vec<String> {
        let tables = sections.iter().filter_map(|name| table.get(*name)?.as_table());
        tables.flatten().map(|(key, value)| package(key, value)).collect()
    };
    let mut names: BTreeSet<String> = of(manifest).into_iter().collect();
    for target in manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|it| it.values()) {
        names.extend(target.as_table().map(of).unwrap_or_default());
    }
    names
}

/// What each member depends on, by the name of its folder.
fn all_dependencies(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    tree.members().into_iter().map(|member| (member.name.to_owned(), dependencies(&tree.manifest(&member)))).collect()
}

/// The member that a package's name speaks of; packages of members are called `recon-FOLDER`, or as their folder is.
fn sibling<'a>(table: &Table, package: &'a str) -> Option<&'a str> {
    let name = package.strip_prefix("recon-").unwrap_or(package);
    (package != name || table.layer(name).is_some()).then_some(name)
}

fn at_manifest(rule: &'static str, member: &Member<'_>, message: String) -> Violation {
    Violation { rule, place: member.manifest(), message }
}

/// A crate uses only lower layers, never its own; the table has every crate, and only crates.
pub(super) fn layers(tree: &Tree) -> Vec<Violation> {
    let table = Table::read(tree);
    let mut violations = table.faults().to_vec();
    let members = tree.members();
    for member in &members {
        match table.layer(member.name) {
            None => violations.push(at_manifest(
                "layers",
                member,
                format!("`{}` stands in no row of the table", member.name),
            )),
            Some(layer) if layer.folder() != member.folder => {
                let message = format!("the table has `{}` in {}/", member.name, layer.folder());
                violations.push(at_manifest("layers", member, message));
            }
            Some(own) => violations.extend(upward(tree, &table, member, own)),
        }
    }
    for (name, layer) in table.rows() {
        if !members.iter().any(|member| member.name == name) {
            let message = format!("the table names `{name}`, but there is no such crate");
            violations.push(Violation { rule: "layers", place: format!("{}/{name}", layer.folder()), message });
        }
    }
    violations
}

/// Dependencies of one crate that are on no lower layer.
fn upward(tree: &Tree, table: &Table, member: &Member<'_>, own: Layer) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in dependencies(&tree.manifest(member)) {
        let Some(used) = sibling(table, &package) else { continue };
        let wrong = match (own, table.layer(used)) {
            (_, None) => format!("uses `{package}`, which stands in no row of the table"),
            (Layer::Product(_), Some(Layer::Tool)) => format!("uses `{package}`, which is a tool"),
            (Layer::Product(own), Some(Layer::Product(layer))) if layer >= own => {
                format!("layer {own} uses `{package}` of layer {layer}")
            }
            _ => continue,
        };
        violations.push(at_manifest("layers", member, wrong));
    }
    violations
}

/// Synthesis above the model's seam links no tensor library.
pub(super) fn no_accelerator(tree: &Tree) -> Vec<Violation> {
    let table = Table::read(tree);
    let mut violations = table.lacks("no-accelerator", NO_ACCELERATOR);
    let used = all_dependencies(tree);
    for member in tree.members().iter().filter(|member| NO_ACCELERATOR.contains(&member.name)) {
        let (mut seen, mut queue) = (BTreeSet::new(), vec![member.name]);
        while let Some(at) = queue.pop() {
            if !seen.insert(at) {
                continue;
            }
            for dependency in used.get(at).into_iter().flatten() {
                if dependency.starts_with("candle") || dependency == "cudarc" {
                    let message = format!("links `{dependency}` through `{at}`");
                    violations.push(at_manifest("no-accelerator", member, message));
                }
                queue.extend(sibling(&table, dependency));
            }
        }
    }
    violations
}

/// Every crate inherits the workspace's lints, which forbid `unsafe`, or is one that argues it.
pub(super) fn lints(tree: &Tree) -> Vec<Violation> {
    let mut violations = Table::read(tree).lacks("lints", MAY_BE_UNSAFE);
    for member in tree.members() {
        let manifest = tree.manifest(&member);
        let lints = manifest.get("lints").and_then(toml::Value::as_table);
        let inherits = lints.is_some_and(|it| it.get("workspace") == Some(&toml::Value::Boolean(true)));
        if !inherits && !MAY_BE_UNSAFE.contains(&member.name) {
            let message = "does not inherit the workspace's lints (`[lints] workspace = true`)".to_string();
            violations.push(at_manifest("lints", &member, message));
        }
    }
    violations
}
