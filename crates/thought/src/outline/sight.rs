//! What the graph may have missed: where something was not read, nothing is said to be absent.
//!
//! Three things hide an import. A source file may not have been read (too large, over the budget,
//! unreadable, not UTF-8, ambiguous, a link, or not even listed). A file may have been read and not
//! wholly understood. An import may name a file that should be here and was not found.

use std::collections::HashSet;

use recon_repository::language;
use recon_schema::graph::{Diagnostic, FileNode, RepoGraph, SkipReason, UnresolvedClass};

/// What is known to be unknown.
pub(super) struct Sight<'g> {
    /// Source of the project was left unread.
    unread: bool,
    /// Files of which some imports may not have been seen.
    unclear: HashSet<&'g str>,
    /// Files with an import that should be here and is not.
    missing: HashSet<&'g str>,
}

impl<'g> Sight<'g> {
    pub(super) fn new(graph: &'g RepoGraph) -> Self {
        let unclear = graph.diagnostics.iter().filter(|it| matches!(it.rule.as_str(), "syntax_error" | "parse_budget"));
        let missing = graph.unresolved.iter().filter(|name| name.class == UnresolvedClass::Missing);
        Self {
            unread: graph.files.iter().any(is_unread_source)
                || graph.diagnostics.iter().any(|it| hides_files(graph, it)),
            unclear: unclear.map(|it| it.path.as_str()).collect(),
            missing: missing.map(|name| name.from.as_str()).collect(),
        }
    }

    /// Whether a file without an edge is known to import no file of the project.
    pub(super) fn sees_imports_of(&self, path: &str) -> bool {
        !self.unread && !self.unclear.contains(path) && !self.missing.contains(path)
    }

    /// Whether a file without an importer is known to have none.
    pub(super) fn sees_all_importers(&self) -> bool {
        !self.unread && self.unclear.is_empty() && self.missing.is_empty()
    }

    /// Whether a name that was found nowhere is known to come from outside.
    pub(super) fn sees_all_files(&self) -> bool {
        !self.unread
    }
}

/// A file in a known language whose text nobody looked at.
fn is_unread_source(file: &FileNode) -> bool {
    let unread = matches!(
        file.skipped,
        Some(
            SkipReason::OverBudget
                | SkipReason::TooLarge
                | SkipReason::Unreadable
                | SkipReason::NotUtf8
                | SkipReason::Ambiguous
                | SkipReason::Link
        )
    );
    unread && language::of_path(&file.path).is_some()
}

/// Whether a diagnostic says that files exist which the graph does not list.
fn hides_files(graph: &RepoGraph, diagnostic: &Diagnostic) -> bool {
    let path = diagnostic.path.as_str();
    match diagnostic.rule.as_str() {
        "not_listed" => true,
        // A refused name; without a path it stands for several.
        "path_not_utf8" | "unsafe_path" => path.is_empty() || language::of_path(path).is_some(),
        // A folder that could not be listed; a file is in the graph itself.
        "unreadable" => graph.file(path).is_none(),
        // Parsed in vain, so its names are unknown to others.
        "parse_budget" => true,
        _ => false,
    }
}
