//! What a model is shown while it writes a thought; no part of any document.

use recon_repository::line::visible;
use recon_schema::graph::{FileNode, Symbol};

use super::project::{Neighbour, Project, signature, top_level};
use super::purpose;
use super::words::{Bounded, LIST, code, list};

/// Bound of a file's grounding, in characters.
const FILE_CHARS: usize = 6_000;
/// Bound of the project's grounding, in characters.
const PROJECT_CHARS: usize = 12_000;

/// A file's outline and its neighbours. Empty where the graph holds no such file.
pub(super) fn file(project: &Project<'_>, path: &str) -> String {
    let Some(file) = project.graph.file(path) else { return String::new() };
    let mut text = Bounded::new(FILE_CHARS);
    let language = file.language.as_deref().unwrap_or("text");
    text.line(&format!("File: {} ({language}, {} lines)", visible(path), file.lines));
    text.line(&format!("Purpose: {}", purpose::purpose(project, file, false)));
    for (title, neighbours) in [("Imports:", project.uses(path)), ("Imported by:", project.users(path))] {
        if !neighbours.is_empty() {
            text.line(title);
            let lines: Vec<String> = neighbours.iter().take(24).map(|it| neighbour(project, it)).collect();
            text.lines(&lines, "file");
        }
    }
    let outside: Vec<String> = project.outside(path).into_iter().map(|name| visible(name).into_owned()).collect();
    if !outside.is_empty() {
        text.line(&format!("From outside: {}", list(&outside, 24)));
    }
    if !file.symbols.is_empty() {
        text.line("Outline:");
        text.lines(&outline(file), "definition");
    }
    text.finish()
}

fn neighbour(project: &Project<'_>, Neighbour { file, names }: &Neighbour<'_>) -> String {
    let path = visible(&file.path);
    if let Some(standing) = project.standing(file) {
        return format!("- {path} ({standing})");
    }
    let names: Vec<String> = names.iter().map(|name| visible(name).into_owned()).collect();
    let taken = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    format!("- {path}{taken}")
}

fn outline(file: &FileNode) -> Vec<String> {
    let mut depths: Vec<usize> = Vec::new();
    let line = |symbol: &Symbol| {
        let depth = symbol.parent.and_then(|parent| depths.get(parent as usize)).map_or(0, |depth| depth + 1);
        depths.push(depth);
        let shown = if symbol.signature.is_empty() { visible(&symbol.name).into_owned() } else { signature(symbol) };
        let doc = if symbol.doc.is_empty() { String::new() } else { format!(" # {}", visible(&symbol.doc)) };
        format!("{}- {shown} [{}-{}]{doc}", "  ".repeat(depth.min(8)), symbol.start_line, symbol.end_line)
    };
    file.symbols.iter().map(line).collect()
}

/// All files developed, in order, with their purpose, definitions and imports.
pub(super) fn project(project: &Project<'_>) -> String {
    let mut text = Bounded::new(PROJECT_CHARS);
    text.line(&format!("Repository: {}", visible(project.name())));
    text.line("Files, dependencies first:");
    let lines: Vec<String> = project.developed().map(|file| plan_line(project, file)).collect();
    text.lines(&lines, "file");
    text.finish()
}

fn plan_line(project: &Project<'_>, file: &FileNode) -> String {
    let mut line = format!("- {}: {}", code(&file.path), purpose::purpose(project, file, false));
    let names: Vec<String> = top_level(file).map(|symbol| visible(&symbol.name).into_owned()).collect();
    if !names.is_empty() {
        line.push_str(&format!(" | defines {}", list(&names, LIST)));
    }
    let named = |used: &Neighbour<'_>| match project.standing(used.file) {
        None => visible(&used.file.path).into_owned(),
        Some(standing) => format!("{} ({standing})", visible(&used.file.path)),
    };
    let uses: Vec<String> = project.uses(&file.path).iter().map(named).collect();
    if !uses.is_empty() {
        line.push_str(&format!(" | imports {}", list(&uses, LIST)));
    }
    line
}
