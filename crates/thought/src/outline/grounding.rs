//! What a model is shown while it writes a thought; no part of any document.

use recon_repository::line::visible;
use recon_schema::graph::{FileNode, Symbol};

use super::project::{Neighbour, Project, signature, top_level};
use super::purpose;
use super::words::{Bounded, LIST, code, count, list};

/// Bound of a file's grounding, in characters.
const FILE_CHARS: usize = 6_000;
/// Bound of the project's grounding, in characters.
const PROJECT_CHARS: usize = 12_000;
/// Files named in one sentence.
const NEIGHBOURS: usize = 24;
/// Members named in one sentence.
const MEMBERS: usize = 24;

/// What is known of a file and its neighbours, in sentences: a small model writes as it is written to.
/// Empty where the graph holds no such file.
pub(super) fn file(project: &Project<'_>, path: &str) -> String {
    let Some(file) = project.graph.file(path) else { return String::new() };
    let mut text = Bounded::new(FILE_CHARS);
    let language = file.language.as_deref().unwrap_or("text");
    let purpose = purpose::purpose(project, file, false);
    text.line(&format!("{} is a {language} file of {}: {purpose}.", code(path), count(file.lines as usize, "line")));
    let uses = project.uses(path);
    if !uses.is_empty() {
        let taken: Vec<String> = uses.iter().take(NEIGHBOURS).map(|it| taken(project, it)).collect();
        text.line(&format!("It takes {}.", list(&taken, NEIGHBOURS)));
    }
    let users = project.users(path);
    if !users.is_empty() {
        text.line(&format!("It is used by {}.", list(&project.all_named(&users), NEIGHBOURS)));
    }
    let outside: Vec<String> = project.outside(path).into_iter().map(code).collect();
    if !outside.is_empty() {
        text.line(&format!("From outside it needs {}.", list(&outside, NEIGHBOURS)));
    }
    text.lines(&definitions(file), "definition");
    text.finish()
}

/// `a` and `b` from `file.py`.
fn taken(project: &Project<'_>, used: &Neighbour<'_>) -> String {
    let names: Vec<String> = used.names.iter().map(|name| code(name)).collect();
    let what = if names.is_empty() { "what it needs".to_owned() } else { list(&names, LIST) };
    format!("{what} from {}", project.named(used.file))
}

/// A sentence for each definition at the top level, with its members.
fn definitions(file: &FileNode) -> Vec<String> {
    let values = |kind: &str| matches!(kind, "constant" | "variable" | "field" | "property" | "variant");
    let shown = |symbol: &Symbol| match symbol.signature.is_empty() || values(&symbol.kind) {
        true => code(&symbol.name),
        false => code(&signature(symbol)),
    };
    let doc = |symbol: &Symbol| match symbol.doc.is_empty() {
        true => String::new(),
        false => format!(" ({})", visible(&symbol.doc).trim_end_matches('.')),
    };
    let sentence = |(at, symbol): (usize, &Symbol)| {
        let members = file.symbols.iter().filter(|member| member.parent == u32::try_from(at).ok());
        let members: Vec<String> = members.map(|member| format!("{}{}", shown(member), doc(member))).collect();
        let with = if members.is_empty() { String::new() } else { format!(", with {}", list(&members, MEMBERS)) };
        // A signature says its kind itself.
        let kind = if symbol.signature.is_empty() { format!("the {} ", symbol.kind) } else { String::new() };
        format!("It defines {kind}{}{}{with}.", shown(symbol), doc(symbol))
    };
    let (plain, told): (Vec<(usize, &Symbol)>, Vec<_>) =
        file.symbols.iter().enumerate().filter(|(_, it)| it.parent.is_none()).partition(|(_, it)| values(&it.kind));
    let plain: Vec<String> = plain.into_iter().map(|(_, symbol)| code(&symbol.name)).collect();
    let values = (!plain.is_empty()).then(|| format!("It sets {}.", list(&plain, MEMBERS)));
    values.into_iter().chain(told.into_iter().map(sentence)).collect()
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
    let mut line = format!("- {}: {}.", code(&file.path), purpose::purpose(project, file, false));
    let names: Vec<String> = top_level(file).map(|symbol| code(&symbol.name)).collect();
    if !names.is_empty() {
        line.push_str(&format!(" It defines {}.", list(&names, LIST)));
    }
    let uses = project.uses(&file.path);
    if !uses.is_empty() {
        line.push_str(&format!(" It builds on {}.", list(&project.all_named(&uses), LIST)));
    }
    line
}
