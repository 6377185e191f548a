//! Who is imported by many, and who by nobody.

use std::cmp::Reverse;

use recon_schema::graph::FileNode;

use super::words::{code, count, list};
use super::{Detail, LIST, Project, purpose, top_signatures};

/// Of the files developed, those with most importers in the whole project, most first.
pub(super) fn central(project: &Project<'_>, detail: Detail) -> Vec<String> {
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
pub(super) fn unimported(project: &Project<'_>) -> String {
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
