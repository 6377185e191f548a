//! What differs between languages: how a file is outlined, and which file an import names.
//!
//! A [`Family`] is one or more languages that import each other. It turns one file's text into a
//! [`ParsedFile`] without looking at any other file, so files parse in parallel; its [`Resolve`]
//! then sees all of them and answers what each one imports by the languages' own rules. What a
//! file says about its imports is a type of the family's own.
//!
//! Invariant: neither parsing nor resolving fails; what is not understood is a diagnostic or an
//! unresolved name.

use std::collections::BTreeMap;

use recon_schema::graph::{Confidence, Symbol, UnresolvedClass};

use crate::repository::{Repository, language};

/// Languages this crate can read, whose files import each other by common rules.
pub(crate) trait Family: Sync {
    /// What a file says beyond its outline: what it imports, in the terms of its language.
    type Facts: Default + Send + Sync;

    /// The names of the languages in the record, lower case.
    fn names(&self) -> &'static [&'static str];

    /// The family's language of a file of this path, as far as a path can tell.
    fn of_path(&self, path: &str) -> Option<&'static str> {
        language::of_path(path).filter(|name| self.names().contains(name))
    }

    /// Outline and facts of one file.
    fn parse(&self, path: &str, source: &str) -> ParsedFile<Self::Facts>;

    /// Answers imports in one repository.
    fn resolver<'r>(&self, context: Context<'r, Self::Facts>) -> Box<dyn Resolve<Self::Facts> + 'r>;
}

/// What one file says about itself.
#[derive(Debug, Default)]
pub(crate) struct ParsedFile<F> {
    /// The language, where the content decides it and not the path.
    pub(crate) language: Option<&'static str>,
    /// First sentence of the file's own documentation.
    pub(crate) doc: String,
    /// Definitions in source order.
    pub(crate) symbols: Vec<Symbol>,
    /// What it says about its imports.
    pub(crate) facts: F,
    /// Pairs of rule and message.
    pub(crate) diagnostics: Vec<(&'static str, String)>,
}

impl<F: Default> ParsedFile<F> {
    /// A file whose syntax was not parsed within its budget.
    pub(super) fn over_budget() -> Self {
        let message = "parsing was given up, the file takes more steps than its size allows".to_owned();
        Self { diagnostics: vec![("parse_budget", message)], ..Self::default() }
    }

    /// Records that not all of the file was looked at.
    pub(super) fn note_spent(&mut self) {
        let message = "reading was given up, the file takes more steps than its size allows; the outline is incomplete";
        self.diagnostics.push(("outline_budget", message.to_owned()));
    }

    /// Records that some of the syntax was not understood.
    pub(super) fn note_errors(&mut self, root: tree_sitter::Node<'_>) {
        if root.has_error() {
            let message = "the grammar did not accept all of the file; the outline may be incomplete".to_owned();
            self.diagnostics.push(("syntax_error", message));
        }
    }
}

/// What a resolver may look at.
pub(crate) struct Context<'r, F> {
    /// All files.
    pub(crate) repository: &'r Repository,
    /// What each file of the family says.
    pub(crate) parsed: &'r BTreeMap<&'r str, ParsedFile<F>>,
}

impl<F> Clone for Context<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Context<'_, F> {}

/// Finds the files that imports name.
pub(crate) trait Resolve<F>: Sync {
    /// All that the file `from` names, in the order of its text.
    fn resolve(&self, from: &str, facts: &F) -> Vec<Link>;
}

/// One thing a file names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// 1-based line.
    pub(crate) line: u32,
    /// What is named.
    pub(crate) resolution: Resolution,
}

/// One thing an import names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// A file of the repository.
    File {
        /// Its path.
        to: String,
        /// The kind of edge.
        kind: &'static str,
        /// How sure that is.
        confidence: Confidence,
        /// The names bound from it.
        names: Vec<String>,
    },
    /// Nothing in the repository.
    Unresolved {
        /// The name, as a reader of the language would write it.
        name: String,
        /// What it most likely is.
        class: UnresolvedClass,
    },
}

impl Resolution {
    /// What only a run can tell, as it is written.
    pub(super) fn computed(written: &str) -> Self {
        Self::Unresolved { name: written.to_owned(), class: UnresolvedClass::Computed }
    }

    /// The same, named on this line.
    pub(super) fn at(self, line: u32) -> Link {
        Link { line, resolution: self }
    }
}
