//! The main agent's first thought: what the project is to be.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use recon_repository::paths;
use recon_schema::graph::{FileNode, UnresolvedClass};

use super::detail::Detail;
use super::project::{Project, package_of, top_level, top_signatures};
use super::purpose;
use super::words::{Bounded, LIST, code, count, doc_run, list, split};

/// The project's requirements in at most `max_chars` characters.
pub(super) fn requirements(project: &Project<'_>, detail: Detail, max_chars: usize) -> String {
    let mut text = Bounded::new(max_chars);
    text.paragraph(&scale(project));
    let parts = parts(project, detail);
    if !parts.is_empty() {
        text.paragraph("Its parts, with the source files developed here:");
        text.lines(&parts, "part");
    }
    if detail >= Detail::Names {
        let central = central(project, detail);
        if !central.is_empty() {
            text.paragraph("Of the files developed here, others need these most:");
            text.lines(&central, "file");
        }
    }
    if detail >= Detail::Signatures {
        text.paragraph(&unimported(project));
    }
    if detail >= Detail::Full {
        text.paragraph(&outside(project));
    }
    text.finish()
}

/// Name, languages and size of what is developed, and how much exists beside it.
fn scale(project: &Project<'_>) -> String {
    let developed: Vec<&FileNode> = project.developed().collect();
    let mut languages: BTreeMap<&str, usize> = BTreeMap::new();
    for language in developed.iter().filter_map(|file| file.language.as_deref()) {
        *languages.entry(language).or_default() += 1;
    }
    let mut by_size: Vec<(&str, usize)> = languages.into_iter().collect();
    by_size.sort_by_key(|(language, files)| (Reverse(*files), *language));
    let mut told: Vec<String> =
        by_size.iter().map(|(name, files)| format!("{} of {name}", count(*files, "file"))).collect();
    let other = developed.iter().filter(|file| file.language.is_none()).count();
    if other > 0 {
        told.push(count(other, "other file"));
    }
    let lines: u64 = developed.iter().map(|file| file.lines).sum();
    let mut text = format!(
        "The project is {}. Developed here: {}; {} in all.",
        code(project.name()),
        list(&told, told.len()),
        count(usize::try_from(lines).unwrap_or(usize::MAX), "line")
    );
    let beside = project.graph.files.len() - developed.len();
    if beside > 0 {
        let verb = if beside == 1 { "exists" } else { "exist" };
        text.push_str(&format!(" Beside them {} {verb} without being developed here.", count(beside, "file")));
    }
    text
}

/// The directories that hold source, with what they are for.
fn parts(project: &Project<'_>, detail: Detail) -> Vec<String> {
    let mut directories: BTreeMap<&str, Vec<&FileNode>> = BTreeMap::new();
    for file in project.developed().filter(|file| file.language.is_some()) {
        directories.entry(paths::parent(&file.path)).or_default().push(file);
    }
    directories.into_iter().map(|(directory, files)| part(directory, files, detail)).collect()
}

fn part(directory: &str, mut files: Vec<&FileNode>, detail: Detail) -> String {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let name = if directory.is_empty() { "the root".to_owned() } else { code(&format!("{directory}/")) };
    let mut line = format!("- {name}: {}", count(files.len(), "file"));
    match face(&files).filter(|face| !face.doc.is_empty()) {
        Some(face) => line.push_str(&format!(", {}", doc_run(&face.doc))),
        None => {
            let mut stems: Vec<String> = files.iter().map(|file| split(paths::stem(&file.path))).collect();
            stems.dedup();
            line.push_str(&format!(" for {}", list(&stems, LIST)));
        }
    }
    if detail >= Detail::Names {
        let names: Vec<String> = files
            .iter()
            .flat_map(|file| top_level(file))
            .filter(|symbol| symbol.kind != "module")
            .map(|symbol| code(&symbol.name))
            .collect();
        if !names.is_empty() {
            line.push_str(&format!("; with {}", list(&names, LIST)));
        }
    }
    line
}

/// The file that speaks for a directory.
fn face<'g>(files: &[&'g FileNode]) -> Option<&'g FileNode> {
    let speaks = |file: &&&FileNode| {
        matches!(
            paths::file_name(&file.path),
            "__init__.py" | "lib.rs" | "mod.rs" | "main.rs" | "index.ts" | "index.js"
        )
    };
    files.iter().find(speaks).copied()
}

/// Of the files developed, those with most importers in the whole project, most first.
fn central(project: &Project<'_>, detail: Detail) -> Vec<String> {
    let counted = project.developed().map(|file| (file, project.users(&file.path).len()));
    let mut ranked: Vec<(&FileNode, usize)> = counted.filter(|(_, from)| *from > 1).collect();
    ranked.sort_by_key(|(file, from)| (Reverse(*from), &file.path));
    let describe = |(file, from): (&FileNode, usize)| {
        let purpose = purpose::purpose(project, file, true);
        let mut line = format!("- {}: {purpose}, needed by {}", code(&file.path), count(from, "file"));
        let offers = top_signatures(file);
        if detail >= Detail::Signatures && !offers.is_empty() {
            line.push_str(&format!("; it offers {}", list(&offers, 4)));
        }
        line
    };
    ranked.into_iter().take(LIST).map(describe).collect()
}

/// Source files that no other file imports, tests left out; empty where an importer may be unseen.
fn unimported(project: &Project<'_>) -> String {
    if !project.sight.sees_all_importers() {
        return String::new();
    }
    let files: Vec<String> = project
        .developed()
        .filter(|file| file.language.is_some() && !purpose::is_test(&file.path))
        .filter(|file| project.users(&file.path).is_empty())
        .map(|file| code(&file.path))
        .collect();
    if files.is_empty() { String::new() } else { format!("No other file imports these: {}.", list(&files, LIST)) }
}

/// The packages that the files developed here use from outside, most used first.
fn outside(project: &Project<'_>) -> String {
    if !project.sight.sees_all_files() {
        return String::new();
    }
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let external = project.graph.unresolved.iter().filter(|name| name.class == UnresolvedClass::External);
    for name in external.filter(|name| project.is_developed(&name.from)) {
        users.entry(package_of(&name.name)).or_default().insert(&name.from);
    }
    let mut ranked: Vec<(&str, usize)> = users.into_iter().map(|(name, from)| (name, from.len())).collect();
    ranked.sort_by_key(|(name, from)| (Reverse(*from), *name));
    let names: Vec<String> = ranked.into_iter().map(|(name, _)| code(name)).collect();
    match names.len() {
        0 => String::new(),
        _ => format!("From outside, the files developed here use {}.", list(&names, 2 * LIST)),
    }
}
