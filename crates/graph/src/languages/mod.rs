//! What differs between languages: how a file is outlined, and which file an import names.
//!
//! A [`Language`] turns one file's text into a [`ParsedFile`] without looking at any other file,
//! so files parse in parallel; its [`Resolve`] then sees all of them and answers imports by the
//! language's own rules. A new language is one module here and one line in [`ALL`].
//!
//! Invariant: neither parsing nor resolving fails; what is not understood is a diagnostic or an
//! unresolved name.

mod javascript;
mod python;
mod rust;

use std::collections::BTreeMap;

use recon_schema::graph::{Confidence, Symbol, UnresolvedClass};

use crate::repository::Repository;

/// A programming language this crate can read.
pub(crate) trait Language: Sync {
    /// The name in the record, lower case.
    fn name(&self) -> &'static str;

    /// Whether a file of this path is written in it.
    fn owns(&self, path: &str) -> bool;

    /// Outline and imports of one file.
    fn parse(&self, path: &str, source: &str) -> ParsedFile;

    /// Answers imports of this language in one repository.
    fn resolver<'r>(&self, context: Context<'r>) -> Box<dyn Resolve + 'r>;
}

/// Every language, asked in this order.
pub(crate) const ALL: [&dyn Language; 4] =
    [&python::Python, &rust::Rust, &javascript::TypeScript, &javascript::JavaScript];

/// The language of a file of this path; none for other text.
pub(crate) fn of_path(path: &str) -> Option<&'static dyn Language> {
    ALL.into_iter().find(|language| language.owns(path))
}

/// The names of all languages.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|language| language.name()).collect()
}

/// What one file says about itself.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ParsedFile {
    /// First sentence of the file's own documentation.
    pub(crate) doc: String,
    /// Definitions in source order.
    pub(crate) symbols: Vec<Symbol>,
    /// Imports in source order.
    pub(crate) imports: Vec<Import>,
    /// Pairs of rule and message.
    pub(crate) diagnostics: Vec<(&'static str, String)>,
}

impl ParsedFile {
    /// A file whose syntax was not parsed within its budget.
    fn over_budget() -> Self {
        let message = "parsing was given up, the file takes more steps than its size allows".to_owned();
        Self { diagnostics: vec![("parse_budget", message)], ..Self::default() }
    }

    /// Records that some of the syntax was not understood.
    fn note_errors(&mut self, root: tree_sitter::Node<'_>) {
        if root.has_error() {
            let message = "the grammar did not accept all of the file; the outline may be incomplete".to_owned();
            self.diagnostics.push(("syntax_error", message));
        }
    }
}

/// One import as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// 1-based line.
    pub(crate) line: u32,
    /// What is imported.
    pub(crate) target: Target,
}

/// What an import names, in the terms of its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `import a.b` and `from ..a import b, c`.
    Python {
        /// Leading dots; 0 for an absolute import.
        level: usize,
        /// The dotted module, possibly empty after dots.
        module: Vec<String>,
        /// Names after `import` of a `from` statement; none for a plain import.
        names: Option<Vec<String>>,
    },
    /// `mod name;`.
    RustModule {
        /// The module's name.
        name: String,
        /// The value of `#[path]`.
        path: Option<String>,
        /// The inline modules it stands in.
        within: Vec<InlineModule>,
    },
    /// A path in `use`, `extern crate` or an expression.
    RustPath {
        /// The segments, `*` and the alias left out.
        segments: Vec<String>,
        /// Names of the inline modules it stands in.
        within: Vec<String>,
        /// Whether it may name a crate or module without saying so (`use`, not an expression).
        declared: bool,
        /// Whether the name is visible outside (`pub use`).
        public: bool,
    },
    /// The string of an ECMAScript import, export, `require` or dynamic import.
    Specifier {
        /// The string as written.
        text: String,
        /// Whether `require` asked for it.
        require: bool,
        /// Whether what it names is exported again.
        reexport: bool,
        /// The names bound.
        names: Vec<String>,
    },
}

/// An inline `mod name { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InlineModule {
    /// Its name.
    pub(crate) name: String,
    /// The directory its own file modules are looked for in: the name, or the value of `#[path]`.
    pub(crate) directory: String,
    /// Whether `directory` was given by `#[path]`.
    pub(crate) explicit: bool,
}

/// What a resolver may look at.
#[derive(Clone, Copy)]
pub(crate) struct Context<'r> {
    /// All files.
    pub(crate) repository: &'r Repository,
    /// What each parsed file says.
    pub(crate) parsed: &'r BTreeMap<&'r str, ParsedFile>,
}

/// Finds the files that imports name.
pub(crate) trait Resolve: Sync {
    /// All that `import` in `from` names.
    fn resolve(&self, from: &str, import: &Import) -> Vec<Resolution>;
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
