//! What a model is shown while it writes a thought; no part of any document.

use recon_schema::graph::RepoGraph;

use super::words::{Bounded, code, list};
use super::{Place, purpose, signature, top_level};
use recon_repository::line::visible;

/// Bound of a file's hint, in characters.
const FILE_CHARS: usize = 6_000;
/// Bound of the plan's hint, in characters.
const PLAN_CHARS: usize = 12_000;

/// A file's outline and its neighbours, compact. Empty where the graph holds no such file.
pub fn hint_file(graph: &RepoGraph, path: &str) -> String {
    let Some(place) = Place::new(graph, path) else { return String::new() };
    let file = place.file;
    let mut text = Bounded::new(FILE_CHARS);
    let language = file.language.as_deref().unwrap_or("text");
    text.line(&format!("File: {} ({language}, {} lines)", visible(path), file.lines));
    text.line(&format!("Purpose: {}", purpose::purpose(graph, file, false)));
    let neighbour = |used: &super::Used<'_>| {
        let names: Vec<String> = used.names.iter().map(|name| visible(name).into_owned()).collect();
        let taken = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        format!("- {}{taken}", visible(&used.file.path))
    };
    for (title, used) in [("Imports:", place.uses()), ("Imported by:", place.users())] {
        if !used.is_empty() {
            text.line(title);
            let lines: Vec<String> = used.iter().take(24).map(neighbour).collect();
            text.lines(&lines, "file");
        }
    }
    let outside: Vec<String> = place.outside().into_iter().map(|name| visible(name).into_owned()).collect();
    if !outside.is_empty() {
        text.line(&format!("From outside: {}", list(&outside, 24)));
    }
    if !file.symbols.is_empty() {
        text.line("Outline:");
        text.lines(&outline(&place), "definition");
    }
    text.finish()
}

fn outline(place: &Place<'_>) -> Vec<String> {
    let mut depths: Vec<usize> = Vec::new();
    let line = |symbol: &recon_schema::graph::Symbol| {
        let depth = symbol.parent.and_then(|parent| depths.get(parent as usize)).map_or(0, |depth| depth + 1);
        depths.push(depth);
        let shown = if symbol.signature.is_empty() { visible(&symbol.name).into_owned() } else { signature(symbol) };
        let doc = if symbol.doc.is_empty() { String::new() } else { format!(" # {}", visible(&symbol.doc)) };
        format!("{}- {shown} [{}-{}]{doc}", "  ".repeat(depth.min(8)), symbol.start_line, symbol.end_line)
    };
    place.file.symbols.iter().map(line).collect()
}

/// All files in order with their purpose, definitions and imports, compact.
pub fn hint_plan(graph: &RepoGraph) -> String {
    let mut text = Bounded::new(PLAN_CHARS);
    text.line(&format!("Repository: {}", visible(&graph.repository.name)));
    text.line("Files, dependencies first:");
    let lines: Vec<String> =
        graph.order.iter().filter_map(|path| Place::new(graph, path)).map(|place| plan_line(&place)).collect();
    text.lines(&lines, "file");
    text.finish()
}

fn plan_line(place: &Place<'_>) -> String {
    let mut line = format!("- {}: {}", code(&place.file.path), purpose::purpose(place.graph, place.file, false));
    let names: Vec<String> = top_level(place.file).map(|symbol| visible(&symbol.name).into_owned()).collect();
    if !names.is_empty() {
        line.push_str(&format!(" | defines {}", list(&names, 8)));
    }
    let uses: Vec<String> = place.uses().iter().map(|used| visible(&used.file.path).into_owned()).collect();
    if !uses.is_empty() {
        line.push_str(&format!(" | imports {}", list(&uses, 8)));
    }
    line
}
