//! The main agent's second thought: which file does what, in which order.

use recon_schema::graph::FileNode;

use super::detail::Detail;
use super::project::{Project, top_names, top_signatures};
use super::purpose;
use super::words::{Bounded, LIST, code, list};

/// The implementation plan in at most `max_chars` characters: every file in order with one clause.
pub(super) fn plan(project: &Project<'_>, detail: Detail, max_chars: usize) -> String {
    let mut text = Bounded::new(max_chars);
    text.paragraph(if is_each_after_its_own(project) {
        "The files in the order of their dependencies, each after those of them that it builds on:"
    } else {
        "The files in the order of their dependencies, each after those of them that it builds on, \
         save where files depend on each other in a ring:"
    });
    let numbered = |(at, file): (usize, &FileNode)| format!("{}. {}", at + 1, step(project, file, detail));
    let lines: Vec<String> = project.developed().enumerate().map(numbered).collect();
    text.lines(&lines, "file");
    let rings = rings(project);
    if detail >= Detail::Names && !rings.is_empty() {
        text.paragraph("These depend on each other in a ring, and are written one right after the other:");
        text.lines(&rings, "ring");
    }
    text.finish()
}

/// Whether no file of the plan builds on a later one.
fn is_each_after_its_own(project: &Project<'_>) -> bool {
    let later = |from: usize, to: &str| project.places.get(to).is_some_and(|to| *to > from);
    let goes_ahead = |file: &FileNode| {
        let from = project.places[file.path.as_str()];
        project.imports(&file.path).any(|edge| later(from, &edge.to))
    };
    !project.developed().any(goes_ahead)
}

/// Cycles of which more than one file is developed.
fn rings(project: &Project<'_>) -> Vec<String> {
    let developed = |cycle: &Vec<String>| -> Vec<String> {
        cycle.iter().filter(|path| project.is_developed(path)).map(|path| code(path)).collect()
    };
    let rings = project.graph.cycles.iter().map(developed).filter(|ring| ring.len() > 1);
    rings.map(|ring| format!("- {}", list(&ring, LIST))).collect()
}

fn step(project: &Project<'_>, file: &FileNode, detail: Detail) -> String {
    let mut step = format!("{}: {}", code(&file.path), purpose::purpose(project, file, true));
    let names = top_names(file);
    if detail >= Detail::Names && !names.is_empty() {
        step.push_str(&format!("; defines {}", list(&names, if detail >= Detail::Full { 2 * LIST } else { LIST })));
    }
    let uses = project.uses(&file.path);
    if detail >= Detail::Signatures && !uses.is_empty() {
        step.push_str(&format!("; builds on {}", list(&project.all_named(&uses), LIST)));
    }
    let signatures = top_signatures(file);
    if detail >= Detail::Full && !signatures.is_empty() {
        step.push_str(&format!("; as {}", list(&signatures, 4)));
    }
    step
}
