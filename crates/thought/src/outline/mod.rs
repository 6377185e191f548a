//! What the outline author says: thoughts composed from the syntax trees and the graph, no model.
//!
//! graph and subject → text. Every statement is read off the whole [`RepoGraph`](recon_schema::graph::RepoGraph): names, kinds,
//! signatures, documentation sentences, import edges, order. Nothing else of a file is ever quoted,
//! and a documentation sentence is cut before a run of [`DOC_RUN_BYTES`] bytes, so that only
//! [`Project::signatures`] repeat longer runs of the target (PAPER.md, definition 8).
//!
//! Thoughts come in four [`Detail`]s, each telling all that the one before tells and more: a search
//! takes them one after the other as candidates. [`Project::grounding`] is shown to a model that
//! will write the thought and is no part of a document.
//!
//! Invariants: every sentence is true of the whole graph. A file that exists and is not developed
//! (dropped, skipped, held out, beyond the limit of files) is named where a sentence needs it, by
//! its path alone and with a word that says so. That something is *not* there is said only where
//! all of the project's source was read and understood ([`sight`]). No text is longer than its
//! bound, whatever the files hold; lists are cut between items and say how many are left out.

mod definitions;
mod detail;
mod file;
mod grounding;
mod names;
mod plan;
mod project;
mod purpose;
mod requirements;
mod sight;
mod tree;
mod words;

use recon_schema::trajectory::Subject;

pub use detail::Detail;
pub(crate) use names::{Known, Names, identifiers};
pub use project::Project;
pub use words::DOC_RUN_BYTES;
use words::code;
pub(crate) use words::{list, listed};

impl Project<'_> {
    /// The outline author's thought within the level's own bound; empty where the graph holds no such file.
    pub fn thought(&self, subject: &Subject, detail: Detail) -> String {
        let max_chars = match subject {
            Subject::Requirements | Subject::Plan => 2 * detail.max_chars(),
            _ => detail.max_chars(),
        };
        self.thought_within(subject, detail, max_chars)
    }

    /// The outline author's thought in at most `max_chars` characters.
    pub fn thought_within(&self, subject: &Subject, detail: Detail, max_chars: usize) -> String {
        match subject {
            Subject::Requirements => requirements::requirements(self, detail, max_chars),
            Subject::Plan => plan::plan(self, detail, max_chars),
            Subject::Design { path }
            | Subject::Reading { path, .. }
            | Subject::Writing { path }
            | Subject::Revising { path, .. } => file::file(self, path, detail, max_chars),
        }
    }

    /// The outline author's first thought. It is brief: refinement starts from it and goes into
    /// detail where that pays.
    pub fn first(&self, subject: &Subject) -> String {
        match subject {
            Subject::Reading { path, reads } => reading(path, reads),
            Subject::Revising { path, faults } => revising(path, *faults),
            Subject::Design { path } => file::design(self, path, Detail::Brief.max_chars()),
            _ => self.thought(subject, Detail::Brief),
        }
    }

    /// A thought that says next to nothing, where even the briefest outline leaks.
    pub fn least(&self, subject: &Subject) -> String {
        match subject {
            Subject::Requirements => format!("The project is {}.", self.name()),
            Subject::Plan => "The order of the files follows their dependencies.".into(),
            _ => "This file is next.".into(),
        }
    }

    /// What a model that writes a thought is shown of the project, compact.
    pub fn grounding(&self, subject: &Subject) -> String {
        match subject.path() {
            None => grounding::project(self),
            Some(path) => grounding::file(self, path),
        }
    }

    /// The tree of the files developed, in at most `max_chars` characters.
    ///
    /// Where it would be longer, the deepest directories are folded to the number of their files;
    /// where even one level is too long, its end is cut.
    pub fn tree(&self, max_chars: usize) -> String {
        tree::tree(&self.graph.order, max_chars)
    }
}

/// The first thought about files to be read.
fn reading(path: &str, reads: &[String]) -> String {
    let before = if reads.len() == 1 { "it" } else { "them" };
    format!("{} builds on {}. I read {before} before I write it.", code(path), listed(reads))
}

/// The first thought about a draft that the tools have answered.
fn revising(path: &str, faults: u64) -> String {
    match faults {
        0 => format!("The tools find no fault in the draft of {}. I write the file as it was planned.", code(path)),
        1 => format!("The tools find a fault in the draft of {}. I write the file without it.", code(path)),
        _ => format!("The tools find {faults} faults in the draft of {}. I write the file without them.", code(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_first_reads_as_prose() {
        assert_eq!(reading("x", &["a".into()]), "`x` builds on `a`. I read it before I write it.");
        let three = ["a", "b", "c"].map(String::from);
        assert_eq!(reading("x", &three), "`x` builds on `a`, `b` and `c`. I read them before I write it.");
    }
}
