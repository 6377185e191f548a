//! The main agent's thoughts: what the project is to be, and the order of its files.

use std::collections::{BTreeMap, BTreeSet};

use recon_schema::graph::{FileNode, RepoGraph, UnresolvedClass};

use super::words::{Bounded, code, count, list};
use super::{Detail, Place, package_of, purpose, signature, top_level};
use recon_repository::line::visible;
use recon_repository::paths;

/// Names shown in one list.
const LIST: usize = 8;

/// The project's requirements, within twice the level's own bound.
pub fn requirements(graph: &RepoGraph, detail: Detail) -> String {
    requirements_within(graph, detail, 2 * detail.max_chars())
}

/// The project's requirements in at most `max_chars` characters.
pub fn requirements_within(graph: &RepoGraph, detail: Detail, max_chars: usize) -> String {
    let mut text = Bounded::new(max_chars);
    text.paragraph(&scale(graph));
    let parts = parts(graph, detail);
    if !parts.is_empty() {
        text.paragraph("Its parts:");
        text.lines(&parts, "part");
    }
    if detail >= Detail::Names {
        let central = central(graph, detail);
        if !central.is_empty() {
            text.paragraph("Most of it rests on these files, so they must be right first:");
            text.lines(&central, "file");
        }
    }
    if detail >= Detail::Signatures {
        text.paragraph(&entrances(graph));
    }
    if detail >= Detail::Full {
        text.paragraph(&outside(graph));
    }
    text.finish()
}

/// The implementation plan, within twice the level's own bound.
pub fn plan(graph: &RepoGraph, detail: Detail) -> String {
    plan_within(graph, detail, 2 * detail.max_chars())
}

/// The implementation plan in at most `max_chars` characters: every file in order, dependencies
/// first, with one clause.
pub fn plan_within(graph: &RepoGraph, detail: Detail, max_chars: usize) -> String {
    let mut text = Bounded::new(max_chars);
    text.paragraph("The files in the order of their dependencies, so that each finds what it builds on:");
    let lines: Vec<String> = graph
        .order
        .iter()
        .enumerate()
        .filter_map(|(at, path)| Some(format!("{}. {}", at + 1, step(graph, path, detail)?)))
        .collect();
    text.lines(&lines, "file");
    if detail >= Detail::Names && !graph.cycles.is_empty() {
        let rings: Vec<String> = graph
            .cycles
            .iter()
            .map(|cycle| list(&cycle.iter().map(|path| code(path)).collect::<Vec<_>>(), LIST))
            .collect();
        text.paragraph(&format!(
            "These import each other and are written one right after the other: {}.",
            list(&rings, 4)
        ));
    }
    text.finish()
}

fn step(graph: &RepoGraph, path: &str, detail: Detail) -> Option<String> {
    let place = Place::new(graph, path)?;
    let mut step = format!("{}: {}", code(path), purpose::purpose(graph, place.file, true));
    let names: Vec<String> = top_level(place.file).map(|symbol| code(&symbol.name)).collect();
    if detail >= Detail::Names && !names.is_empty() {
        step.push_str(&format!("; defines {}", list(&names, if detail >= Detail::Full { 2 * LIST } else { LIST })));
    }
    if detail >= Detail::Signatures {
        let uses: Vec<String> = place.uses().iter().map(|used| code(&used.file.path)).collect();
        if !uses.is_empty() {
            step.push_str(&format!("; builds on {}", list(&uses, LIST)));
        }
    }
    if detail >= Detail::Full {
        let signatures: Vec<String> = top_level(place.file)
            .filter(|symbol| symbol.kind != "module")
            .map(|symbol| code(&signature(symbol)))
            .collect();
        if !signatures.is_empty() {
            step.push_str(&format!("; as {}", list(&signatures, 4)));
        }
    }
    Some(step)
}

/// Name, languages and size.
fn scale(graph: &RepoGraph) -> String {
    let kept: Vec<&FileNode> = graph.order.iter().filter_map(|path| graph.file(path)).collect();
    let mut languages: BTreeMap<&str, usize> = BTreeMap::new();
    for language in kept.iter().filter_map(|file| file.language.as_deref()) {
        *languages.entry(language).or_default() += 1;
    }
    let mut by_size: Vec<(&str, usize)> = languages.into_iter().collect();
    by_size.sort_by_key(|(language, files)| (std::cmp::Reverse(*files), *language));
    let told: Vec<String> =
        by_size.iter().map(|(name, files)| format!("{} of {name}", count(*files, "file"))).collect();
    let lines: u64 = kept.iter().map(|file| file.lines).sum();
    let other = kept.iter().filter(|file| file.language.is_none()).count();
    let mut sentence = format!("The project is {}: {}", code(&graph.repository.name), list(&told, LIST));
    if other > 0 {
        sentence.push_str(&format!(", with {}", count(other, "other file")));
    }
    sentence.push_str(&format!(", {} in all.", count(usize::try_from(lines).unwrap_or(usize::MAX), "line")));
    sentence
}

/// The file that speaks for a directory.
fn face<'g>(files: &[&'g FileNode]) -> Option<&'g FileNode> {
    let speaks = |file: &&&FileNode| {
        matches!(
            paths::file_name(&file.path),
            "__init__.py" | "lib.rs" | "mod.rs" | "main.rs" | "index.ts" | "index.js"
        )
    };
    files.iter().filter(speaks).min_by_key(|file| (file.path.matches('/').count(), &file.path)).copied()
}

/// The directories that hold source, with what they are for.
fn parts(graph: &RepoGraph, detail: Detail) -> Vec<String> {
    let mut directories: BTreeMap<&str, Vec<&FileNode>> = BTreeMap::new();
    for file in graph.order.iter().filter_map(|path| graph.file(path)).filter(|file| file.language.is_some()) {
        directories.entry(paths::parent(&file.path)).or_default().push(file);
    }
    let describe = |(directory, mut files): (&str, Vec<&FileNode>)| {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let name = if directory.is_empty() { "the root".to_owned() } else { code(&format!("{directory}/")) };
        let mut line = format!("- {name}: {}", count(files.len(), "file"));
        match face(&files).filter(|face| !face.doc.is_empty()) {
            Some(face) => line.push_str(&format!(", {}", visible(&face.doc).trim_end_matches('.'))),
            None => {
                let stems: Vec<String> =
                    files.iter().map(|file| super::words::split(paths::stem(&file.path))).collect();
                line.push_str(&format!(" for {}", list(&stems, LIST)));
            }
        }
        if detail >= Detail::Names {
            let names: Vec<String> = files
                .iter()
                .flat_map(|file| top_level(file))
                .filter(|s| s.kind != "module")
                .map(|s| code(&s.name))
                .collect();
            if !names.is_empty() {
                line.push_str(&format!("; with {}", list(&names, LIST)));
            }
        }
        line
    };
    directories.into_iter().map(describe).collect()
}

/// The files with most importers, most first.
fn central(graph: &RepoGraph, detail: Detail) -> Vec<String> {
    let mut importers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in &graph.edges {
        importers.entry(&edge.to).or_default().insert(&edge.from);
    }
    let mut ranked: Vec<(&str, usize)> = importers.iter().map(|(path, from)| (*path, from.len())).collect();
    ranked.retain(|(path, from)| *from > 1 && graph.file(path).is_some_and(|file| file.skipped.is_none()));
    ranked.sort_by_key(|(path, from)| (std::cmp::Reverse(*from), *path));
    let describe = |(path, from): (&str, usize)| {
        let file = graph.file(path)?;
        let mut line =
            format!("- {}: {}, needed by {}", code(path), purpose::purpose(graph, file, true), count(from, "file"));
        if detail >= Detail::Signatures {
            let offers: Vec<String> = top_level(file)
                .filter(|symbol| symbol.kind != "module")
                .map(|symbol| code(&signature(symbol)))
                .collect();
            if !offers.is_empty() {
                line.push_str(&format!("; it offers {}", list(&offers, 4)));
            }
        }
        Some(line)
    };
    ranked.into_iter().take(LIST).filter_map(describe).collect()
}

/// Source files that no other file imports, tests left out.
fn entrances(graph: &RepoGraph) -> String {
    let imported: BTreeSet<&str> = graph.edges.iter().map(|edge| edge.to.as_str()).collect();
    let entrances: Vec<String> = graph
        .order
        .iter()
        .filter(|path| !imported.contains(path.as_str()) && !purpose::is_test(path))
        .filter(|path| graph.file(path).is_some_and(|file| file.language.is_some()))
        .map(|path| code(path))
        .collect();
    if entrances.is_empty() { String::new() } else { format!("It is entered at {}.", list(&entrances, LIST)) }
}

/// The packages used from outside, most used first.
fn outside(graph: &RepoGraph) -> String {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in graph.unresolved.iter().filter(|name| name.class == UnresolvedClass::External) {
        users.entry(package_of(&name.name)).or_default().insert(&name.from);
    }
    let mut ranked: Vec<(&str, usize)> = users.into_iter().map(|(name, from)| (name, from.len())).collect();
    ranked.sort_by_key(|(name, from)| (std::cmp::Reverse(*from), *name));
    let names: Vec<String> = ranked.into_iter().map(|(name, _)| code(name)).collect();
    if names.is_empty() { String::new() } else { format!("From outside it uses {}.", list(&names, 2 * LIST)) }
}
