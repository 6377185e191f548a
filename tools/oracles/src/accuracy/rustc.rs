//! Rust against the compiler's own name resolution, read from its tree of resolved paths (HIR).
//!
//! `rustc -Zunpretty=hir-tree` prints every path of the crate with its place in the source and
//! the definition it resolves to, re-exports followed and globs expanded. A definition belongs to
//! the file of the innermost module it stands in. Paths that a macro's own text made
//! (a syntax context other than 0) are left out, as are method calls, which are no paths.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use recon_outside::folder::fresh;
use recon_outside::program::{self, cargo};

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use super::record::Edge;
use crate::tools::Tools;

pub(super) struct Rustc;

const fn krate(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Crates, name, version, sha256, folder: "", landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark { core: "src/util/primitives.rs", entry: "src/lib.rs" }),
        ..krate("regex-automata", "0.4.13", "5276caf25ac86c8d810222b3dbb938e512c55c6831a10f3e6ed1c93b84041f1c")
    },
    krate("csv", "1.4.0", "52cd9d68cf7efc6ddfaaee42e7288d3a99d613d4b50f76ce9827ae0c6e14f938"),
    krate("globset", "0.4.18", "52dfc19153a48bde0cbd630453615c8151bce3a5adfac7a0aebfbf0a1e1f57e3"),
    krate("hashbrown", "0.16.0", "5419bdc4f6a9207fbeba6d11b604d481addf78ecd10c11ad51e76c2f6482748d"),
    krate("http", "1.3.1", "f4a85d31aea989eead29a3aaf9e1115a180df8282431156e533de47660892565"),
    krate("semver", "1.0.27", "d767eb0aabc880b29956c35734170f26ed551a859dbd361d140cdbeca61ab1e2"),
    krate("winnow", "0.7.13", "21a0236b59786fed61e2a80582dd500fe61f18b5dca67a4a067d0bc9039339cf"),
];

const HELD_OUT: &[Package] = &[
    krate("aho-corasick", "1.1.5", "c982642fa9e8606056828ee9a8505737230110bb1099153c79efe865c59d12ba"),
    krate("indexmap", "2.14.2", "cc4e190f5d26ca7051642629da2c52fc03bde85a03197c99408dcd291734c855"),
    krate("itertools", "0.15.0", "8b4baf93f58d4425749ca49a51c50ebab072c5df6994d08fed93541c331481dc"),
    krate("minijinja", "3.1.0", "509eeb2603a84eccabb4d75f6ec8ba23b46bbf441aaeb863d6b83a5887fd51e4"),
    krate("petgraph", "0.8.3", "8701b58ea97060d5e5b155d383a69952a60943f0e6dfe30b04c287beb0b27455"),
    krate("rhai", "1.19.0", "61797318be89b1a268a018a92a7657096d83f3ecb31418b9e9c16dcbb043b702"),
];

impl Oracle for Rustc {
    fn language(&self) -> &'static str {
        "rust"
    }

    fn witness(&self) -> &'static str {
        "the compiler (`cargo rustc --lib -- -Zunpretty=hir-tree`, the toolchain's own rustc)"
    }

    fn compared(&self) -> &'static str {
        "*paths*: pairs (file of the path, file that defines what the path resolves to) over every path of the library that rustc resolved, re-exports followed and globs expanded; method calls, names of macros (the tree has none) and paths written by macros are not paths of the file, and of a glob only what it serves counts, not the module it names. rustc sees one configuration, so an edge of recon that rustc does not have counts against it only where rustc saw a path on its line. *modules*: `mod` declarations, declaring and declared file."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn held_out(&self) -> &'static [Package] {
        HELD_OUT
    }

    fn install(&self, _tools: &Tools) -> anyhow::Result<()> {
        Ok(())
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let hir = Hir::read(&hir_tree(tools, subject)?);
        let (mut paths, mut modules) = (Edges::new(), Edges::new());
        for (file, line, target) in &hir.paths {
            if let Some(to) = hir.file_of(target).filter(|to| to != file) {
                paths.entry((file.clone(), to)).or_insert(*line);
            }
        }
        for (module, file) in hir.modules.iter().filter(|(module, _)| !module.is_empty()) {
            let above = module.rsplit_once("::").map_or("", |(above, _)| above);
            if let Some(parent) = hir.modules.get(above).filter(|parent| *parent != file) {
                modules.insert((parent.clone(), file.clone()), 0);
            }
        }
        let files: BTreeSet<&String> = hir.modules.values().collect();
        // The module a glob names is neither right nor wrong: what counts is what it serves.
        let globs: BTreeSet<(String, String)> =
            hir.globs.iter().filter_map(|(file, target)| Some((file.clone(), hir.file_of(target)?))).collect();
        let named = |pair: &(String, String)| globs.contains(pair) && !paths.contains_key(pair);
        let is_module = |edge: &Edge| edge.kind == "module";
        let inside = |edge: &Edge| files.contains(&edge.from) && files.contains(&edge.to);
        let seen = |edge: &Edge| hir.lines.contains(&(edge.from.clone(), edge.line));
        // rustc resolves a macro's name before it makes the tree, so the tree has no path for it.
        let is_call = |edge: &Edge| {
            let text = subject.line(&edge.from, edge.line);
            let called = |name: &String| text.contains(&format!("{name}!")) && !text.contains("use ");
            !edge.names.is_empty() && edge.names.iter().all(called)
        };
        let counts = |edge: &Edge| !is_module(edge) && inside(edge) && seen(edge) && !is_call(edge);
        let mut ours = subject.ours("rust", counts);
        ours.retain(|pair, _| !named(pair));
        // An edge that is in the record for another line (under another configuration, or as the
        // `mod` that declares the file) is in the record.
        let all = subject.ours("rust", inside);
        ours.extend(all.into_iter().filter(|(pair, _)| paths.contains_key(pair)));
        Ok(vec![
            Comparison { what: "paths", ours, theirs: paths },
            Comparison {
                what: "modules",
                ours: subject.ours("rust", |edge| is_module(edge) && inside(edge)),
                theirs: modules,
            },
        ])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, line, ours, .. } = *difference;
        let text = subject.line(from, line);
        let is_use = text.contains("use ");
        match ours {
            true if text.contains('*') => "a glob: recon's guess at what it serves",
            true => "a name that recon finds in another configuration's alternative (`cfg`)",
            false if is_use => "a `use` recon resolves elsewhere or not at all",
            false => "a name behind a `use` in the argument of a macro (`cfg_if!`), or one recon does not follow",
        }
        .to_owned()
    }
}

/// The compiler's tree of the package's library, with its default features.
fn hir_tree(tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<String> {
    let copy = tools.work.join("rustc").join(subject.package.name);
    fresh(&copy)?;
    program::run(Command::new("cp").arg("-R").arg(subject.directory.join(".")).arg(&copy))?;
    // Without a workspace of its own, cargo would look for one above.
    let manifest = copy.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)?;
    std::fs::write(&manifest, format!("{text}\n[workspace]\n"))?;
    let mut command = cargo();
    command.args(["rustc", "--quiet", "--lib", "--target-dir"]).arg(tools.work.join("rustc/target"));
    // The only use of an unstable option: nothing is built with it, the tree is printed.
    command.args(["--", "-Zunpretty=hir-tree", "--cap-lints", "allow"]).env("RUSTC_BOOTSTRAP", "1");
    program::output(command.current_dir(&copy))
}

/// What the printed tree says about names.
#[derive(Debug, Default)]
struct Hir {
    /// Files by module path, `""` for the root.
    modules: BTreeMap<String, String>,
    /// File, line and resolved definition of every path.
    paths: BTreeSet<(String, u32, String)>,
    /// File and module of every glob.
    globs: BTreeSet<(String, String)>,
    /// Lines with a path on them.
    lines: BTreeSet<(String, u32)>,
}

impl Hir {
    fn read(text: &str) -> Self {
        let mut hir = Self::default();
        let mut owner = String::new();
        // The place of the path whose resolution is being read.
        let mut place: Option<(String, u32)> = None;
        let mut opened = false;
        // The last path, until it is known whether a glob ends it.
        let mut last: Vec<(String, u32, String)> = Vec::new();
        for line in text.lines() {
            if line.starts_with("DefId(") {
                owner = local_path(line).unwrap_or_default();
                continue;
            }
            let line = line.trim_start();
            if let Some(span) = line.strip_prefix("inner_span: ") {
                if let Some((file, _)) = position(span) {
                    hir.modules.entry(owner.clone()).or_insert(file);
                }
            } else if line.ends_with("Path {") {
                opened = true;
                hir.paths.extend(last.drain(..));
            } else if line == "Glob," {
                hir.globs.extend(last.drain(..).map(|(file, _, module)| (file, module)));
            } else if opened {
                opened = false;
                place = line.strip_prefix("span: ").filter(|span| span.contains("(#0)")).and_then(position);
                hir.lines.extend(place.clone());
            } else if line.starts_with("segments: ") {
                place = None;
            } else if let (Some((file, line_number)), Some(definition)) = (&place, local_path(line)) {
                last.push((file.clone(), *line_number, definition));
            }
        }
        hir.paths.extend(last);
        hir
    }

    /// The file of the innermost module that holds a definition.
    fn file_of(&self, definition: &str) -> Option<String> {
        let mut module = definition;
        loop {
            if let Some(file) = self.modules.get(module) {
                return Some(file.clone());
            }
            module = module.rsplit_once("::").map_or("", |(above, _)| above);
        }
    }
}

/// `a::b` of `DefId(0:7 ~ name[hash]::a::b)`, `""` for the root; none for another crate's.
fn local_path(line: &str) -> Option<String> {
    let at = line.find("DefId(0:")?;
    let (_, path) = line[at..].split_once(" ~ ")?;
    let path = &path[..path.rfind(')')?];
    let path = path.split(") =>").next()?;
    Some(path.split_once("]::").map_or("", |(_, inner)| inner).to_owned())
}

/// File and line of `src/a.rs:3:5: 3:20 (#0)`; none in another crate, whose files rustc names from the root on.
fn position(span: &str) -> Option<(String, u32)> {
    let mut parts = span.split(':');
    let file = parts.next().filter(|file| file.ends_with(".rs") && !file.starts_with('/'))?;
    Some((file.to_owned(), parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_tree_gives_modules_and_resolved_paths() {
        let text = "\
DefId(0:0 ~ p[5af8]) => OwnerNodes {
                    inner_span: src/lib.rs:1:1: 7:54 (#0),
DefId(0:3 ~ p[5af8]::error) => OwnerNodes {
                    inner_span: src/error.rs:1:1: 1:56 (#0),
DefId(0:7 ~ p[5af8]::x) => OwnerNodes {
    path: Path {
        span: src/lib.rs:4:5: 4:20 (#0),
        res: Def(
            Enum,
            DefId(0:13 ~ p[5af8]::error::Error),
        ),
        segments: [
            res: DefId(0:14 ~ p[5af8]::other),
    Path {
        span: src/lib.rs:5:5: 5:20 (#3),
            DefId(0:15 ~ p[5af8]::error::Made),
        segments: [
    Path {
        span: src/lib.rs:6:5: 6:20 (#0),
            DefId(2:15 ~ core[5af8]::Option),
        segments: [
    Path {
        span: src/lib.rs:7:5: 7:20 (#0),
        res: PerNS {
            type_ns: Some(
                DefId(0:3 ~ p[5af8]::error),
        segments: [
    },
    Glob,
";
        let hir = Hir::read(text);
        assert_eq!(hir.paths, BTreeSet::from([("src/lib.rs".to_owned(), 4, "error::Error".to_owned())]));
        assert_eq!(hir.globs, BTreeSet::from([("src/lib.rs".to_owned(), "error".to_owned())]));
        assert_eq!(hir.lines.len(), 3, "the macro's path is on no line of the file");
        assert_eq!(hir.file_of("error::Error::Io::{constructor#0}").as_deref(), Some("src/error.rs"));
        assert_eq!(hir.file_of("x").as_deref(), Some("src/lib.rs"));
    }
}
