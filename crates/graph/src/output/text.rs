//! The graph for a person at a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use recon_schema::graph::{RepoGraph, UnresolvedClass};

use recon_repository::line::{count, visible};

/// A summary, then the files in order with what each imports, then cycles and notes.
pub fn text(graph: &RepoGraph) -> String {
    let mut text = summary(graph);
    text.push_str("\norder (dependencies first)\n");
    let width = graph.order.len().to_string().len();
    for (at, path) in graph.order.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>width$}  {}", at + 1, visible(path));
        for to in graph.dependencies(path) {
            let _ = writeln!(text, "  {:>width$}    <- {}", "", visible(to));
        }
    }
    if !graph.cycles.is_empty() {
        text.push_str("\ncycles\n");
        for cycle in &graph.cycles {
            let paths: Vec<_> = cycle.iter().map(|path| visible(path)).collect();
            let _ = writeln!(text, "  {}", paths.join(", "));
        }
    }
    let missing: Vec<_> = graph.unresolved.iter().filter(|name| name.class == UnresolvedClass::Missing).collect();
    if !missing.is_empty() {
        text.push_str("\nimports of what is not there\n");
        for name in missing {
            let _ = writeln!(text, "  {}:{}: {}", visible(&name.from), name.line, visible(&name.name));
        }
    }
    if !graph.diagnostics.is_empty() {
        text.push_str("\nnotes\n");
        for note in &graph.diagnostics {
            let _ = writeln!(text, "  {}: {} [{}]", visible(&note.path), visible(&note.message), visible(&note.rule));
        }
    }
    text
}

fn summary(graph: &RepoGraph) -> String {
    let mut languages: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for file in graph.files.iter().filter(|file| file.skipped.is_none()) {
        let (files, lines) = languages.entry(file.language.as_deref().unwrap_or("other text")).or_default();
        *files += 1;
        *lines += file.lines;
    }
    let classes = |class| graph.unresolved.iter().filter(|name| name.class == class).count();
    let mut text = visible(&graph.repository.name).into_owned();
    if let Some(commit) = &graph.repository.commit {
        let _ = write!(text, " at {}", visible(commit));
    }
    text.push('\n');
    for (language, (files, lines)) in languages {
        let _ = writeln!(text, "  {language}: {}, {lines} lines", count(files, "file"));
    }
    let skipped = graph.files.iter().filter(|file| file.skipped.is_some()).count();
    let _ = writeln!(text, "  skipped: {}", count(skipped, "file"));
    let symbols: usize = graph.files.iter().map(|file| file.symbols.len()).sum();
    let _ = writeln!(text, "  definitions: {symbols}, imports inside the repository: {}", graph.edges.len());
    let _ = writeln!(
        text,
        "  imports from outside: {} of packages, {} of the standard library, {} missing, {} computed",
        classes(UnresolvedClass::External),
        classes(UnresolvedClass::StandardLibrary),
        classes(UnresolvedClass::Missing),
        classes(UnresolvedClass::Computed)
    );
    text
}
