//! The thought before a file is written.

use recon_schema::graph::{FileNode, Symbol};

use super::definitions::{definitions, edge_cases};
use super::detail::Detail;
use super::project::{Neighbour, Project, signature, top_level, top_names};
use super::purpose;
use super::words::{Bounded, LIST, code, count, list};

/// What to think before writing `path`, in at most `max_chars` characters.
///
/// Empty where the graph holds no such file.
pub(super) fn file(project: &Project<'_>, path: &str, detail: Detail, max_chars: usize) -> String {
    let Some(file) = project.graph.file(path) else { return String::new() };
    let mut text = Bounded::new(max_chars);
    text.paragraph(&opening(project, file, detail));
    text.paragraph(&foundations(project, file, detail));
    if detail >= Detail::Names {
        text.paragraph(&dependents(project, path));
    }
    match detail {
        Detail::Brief => text.paragraph(&brief_definitions(file)),
        _ if file.symbols.is_empty() => {}
        _ => {
            text.sentences(&definitions(file, detail));
            text.paragraph(&edge_cases(file));
        }
    }
    text.finish()
}

/// What to think of the design of `path` before anything is read, in at most `max_chars` characters.
///
/// Empty where the graph holds no such file.
pub(super) fn design(project: &Project<'_>, path: &str, max_chars: usize) -> String {
    let Some(file) = project.graph.file(path) else { return String::new() };
    let mut text = Bounded::new(max_chars);
    text.paragraph(&opening(project, file, Detail::Brief));
    text.paragraph(&foundations(project, file, Detail::Brief));
    text.finish()
}

fn opening(project: &Project<'_>, file: &FileNode, detail: Detail) -> String {
    let mut opening = format!("Next is {}: {}.", code(&file.path), purpose::purpose(project, file, true));
    opening = opening.replace("….", "…");
    if detail >= Detail::Full {
        let lines = usize::try_from(file.lines).unwrap_or(usize::MAX);
        opening.push_str(&format!(" It comes to {}.", count(lines, "line")));
    }
    opening
}

/// What the file builds on: files first, then what comes from outside.
fn foundations(project: &Project<'_>, file: &FileNode, detail: Detail) -> String {
    let uses = project.uses(&file.path);
    let mut sentences = Vec::new();
    if !uses.is_empty() {
        let named = |used: &Neighbour<'_>| match detail {
            Detail::Brief => project.named(used.file),
            _ => project.named_with(used, "for"),
        };
        sentences.push(format!("It builds on {}.", list(&uses.iter().map(named).collect::<Vec<_>>(), LIST)));
    } else if file.language.is_some() && project.sight.sees_imports_of(&file.path) {
        sentences.push("It builds on no other file of the project.".to_owned());
    }
    let outside: Vec<String> = project.outside(&file.path).into_iter().map(code).collect();
    if detail >= Detail::Names && !outside.is_empty() && project.sight.sees_all_files() {
        sentences.push(format!("From outside it needs {}.", list(&outside, LIST)));
    }
    if detail >= Detail::Full {
        // Of a file that is not developed nothing is told but its path.
        let developed = uses.iter().filter(|used| project.is_developed(&used.file.path));
        sentences.extend(developed.filter_map(found));
    }
    sentences.join(" ")
}

/// The signatures of the names a file takes from another; where none is known, some of its public face.
fn found(used: &Neighbour<'_>) -> Option<String> {
    let signed = || top_level(used.file).filter(|symbol| !symbol.signature.is_empty());
    let quoted = |symbol: &Symbol| code(&signature(symbol));
    let named: Vec<String> = signed().filter(|it| used.names.contains(it.name.as_str())).map(quoted).collect();
    let face = || signed().filter(|symbol| symbol.kind != "module").take(4).map(quoted).collect();
    let found = if named.is_empty() { face() } else { named };
    (!found.is_empty()).then(|| format!("In {} it finds {}.", code(&used.file.path), list(&found, LIST)))
}

fn dependents(project: &Project<'_>, path: &str) -> String {
    let users = project.users(path);
    let (tests, users): (Vec<&Neighbour<'_>>, Vec<&Neighbour<'_>>) =
        users.iter().partition(|user| purpose::is_test(&user.file.path));
    let mut sentences = Vec::new();
    if !users.is_empty() {
        let files: Vec<String> = users.iter().map(|user| project.named_with(user, "which takes")).collect();
        sentences.push(format!("Others depend on it: {}.", list(&files, LIST)));
    }
    if !tests.is_empty() {
        let files: Vec<String> = tests.iter().map(|test| project.named(test.file)).collect();
        sentences.push(format!("Tests import it: {}.", list(&files, LIST)));
    }
    sentences.join(" ")
}

fn brief_definitions(file: &FileNode) -> String {
    let names = top_names(file);
    if names.is_empty() { String::new() } else { format!("It defines {}.", list(&names, 2 * LIST)) }
}
