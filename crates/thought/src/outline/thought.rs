//! The thought before a file is written.

use recon_schema::graph::{FileNode, RepoGraph, Symbol};

use super::words::{Bounded, code, count, list};
use super::{Detail, Place, Used, purpose, signature, top_level, words};

/// Names shown in one list.
const LIST: usize = 8;

/// What to think before writing `path`, within the level's own bound.
pub fn file_thought(graph: &RepoGraph, path: &str, detail: Detail) -> String {
    file_thought_within(graph, path, detail, detail.max_chars())
}

/// What to think before writing `path`, in at most `max_chars` characters.
///
/// Empty where the graph holds no such file.
pub fn file_thought_within(graph: &RepoGraph, path: &str, detail: Detail, max_chars: usize) -> String {
    let Some(place) = Place::new(graph, path) else { return String::new() };
    let mut text = Bounded::new(max_chars);
    text.paragraph(&opening(&place, detail));
    text.paragraph(&foundations(&place, detail));
    if detail >= Detail::Full {
        let apis: Vec<String> = place.uses().iter().flat_map(called).collect();
        if !apis.is_empty() {
            text.paragraph("What it will call there:");
            text.lines(&apis, "signature");
        }
    }
    if detail >= Detail::Names {
        text.paragraph(&dependents(&place));
    }
    match detail {
        Detail::Brief => text.paragraph(&brief_definitions(place.file)),
        _ if place.file.symbols.is_empty() => {}
        _ => {
            text.paragraph("In order, the file holds:");
            text.lines(&definitions(place.file, detail), "definition");
        }
    }
    text.finish()
}

fn opening(place: &Place<'_>, detail: Detail) -> String {
    let mut opening =
        format!("Next is {}: {}.", code(&place.file.path), purpose::purpose(place.graph, place.file, true));
    opening = opening.replace("….", "…");
    if detail >= Detail::Full {
        let lines = usize::try_from(place.file.lines).unwrap_or(usize::MAX);
        opening.push_str(&format!(" It comes to about {}.", count(lines, "line")));
    }
    opening
}

/// What the file builds on: files first, then what comes from outside.
fn foundations(place: &Place<'_>, detail: Detail) -> String {
    let uses = place.uses();
    let mut sentences = Vec::new();
    if !uses.is_empty() {
        let files: Vec<String> = uses.iter().map(|used| with_names(used, detail >= Detail::Names, "for")).collect();
        sentences.push(format!("It builds on {}.", list(&files, LIST)));
    } else if place.file.language.is_some() {
        sentences.push("It builds on no other file of the project.".to_owned());
    }
    if detail >= Detail::Names {
        let outside: Vec<String> = place.outside().into_iter().map(code).collect();
        if !outside.is_empty() {
            sentences.push(format!("From outside it needs {}.", list(&outside, LIST)));
        }
    }
    sentences.join(" ")
}

fn with_names(used: &Used<'_>, names: bool, word: &str) -> String {
    let taken: Vec<String> = used.names.iter().map(|name| code(name)).collect();
    if names && !taken.is_empty() {
        format!("{} ({word} {})", code(&used.file.path), list(&taken, LIST))
    } else {
        code(&used.file.path)
    }
}

/// The signatures of the names a file takes from another; where none is known, its public face.
fn called(used: &Used<'_>) -> Vec<String> {
    let file = used.file;
    let line = |symbol: &Symbol| format!("- {}: {}", code(&file.path), code(&signature(symbol)));
    let named: Vec<String> =
        top_level(file).filter(|symbol| used.names.contains(symbol.name.as_str())).map(line).collect();
    if named.is_empty() {
        top_level(file).filter(|symbol| symbol.kind != "module").take(4).map(line).collect()
    } else {
        named
    }
}

fn dependents(place: &Place<'_>) -> String {
    let users = place.users();
    let (tests, users): (Vec<&Used<'_>>, Vec<&Used<'_>>) =
        users.iter().partition(|user| purpose::is_test(&user.file.path));
    let mut sentences = Vec::new();
    if !users.is_empty() {
        let files: Vec<String> = users.iter().map(|user| with_names(user, true, "which takes")).collect();
        sentences.push(format!("Others depend on it: {}.", list(&files, LIST)));
    }
    if !tests.is_empty() {
        let files: Vec<String> = tests.iter().map(|test| code(&test.file.path)).collect();
        sentences.push(format!("It is tested by {}.", list(&files, LIST)));
    }
    sentences.join(" ")
}

fn brief_definitions(file: &FileNode) -> String {
    let mut names: Vec<String> = top_level(file).map(|symbol| code(&symbol.name)).collect();
    names.dedup();
    if names.is_empty() { String::new() } else { format!("It defines {}.", list(&names, 2 * LIST)) }
}

/// One line for each definition, indented by nesting; overloads that look alike share a line.
fn definitions(file: &FileNode, detail: Detail) -> Vec<String> {
    let mut depths: Vec<usize> = Vec::with_capacity(file.symbols.len());
    let mut lines: Vec<(String, usize)> = Vec::with_capacity(file.symbols.len());
    for symbol in &file.symbols {
        let depth = symbol.parent.and_then(|parent| depths.get(parent as usize)).map_or(0, |depth| depth + 1);
        depths.push(depth);
        let line = format!("{}- {}", "  ".repeat(depth.min(8)), definition(symbol, detail));
        match lines.last_mut().filter(|(last, _)| *last == line) {
            Some((_, times)) => *times += 1,
            None => lines.push((line, 1)),
        }
    }
    let told = |(line, times)| if times == 1 { line } else { format!("{line}, {times} times") };
    lines.into_iter().map(told).collect()
}

fn definition(symbol: &Symbol, detail: Detail) -> String {
    if detail < Detail::Signatures || symbol.signature.is_empty() {
        return format!("{} {}", symbol.kind, code(&symbol.name));
    }
    // A signature that opens with a keyword tells its kind itself.
    let plain = matches!(symbol.kind.as_str(), "field" | "variant" | "constant" | "variable");
    let kind = if plain { format!("{} ", symbol.kind) } else { String::new() };
    let mut line = format!("{kind}{}", code(&signature(symbol)));
    if detail >= Detail::Full {
        let length = symbol.end_line.saturating_sub(symbol.start_line) as usize + 1;
        if length > 1 {
            line.push_str(&format!(", {}", count(length, "line")));
        }
        if !symbol.doc.is_empty() {
            line.push_str(&format!(": {}", words::doc_run(&symbol.doc)));
        }
    }
    line
}
