//! An outline in the making: the definitions a walk is inside of, each with its full name.
//!
//! For languages whose definitions nest as their syntax does and whose names are joined from the
//! names around them (namespaces, modules, classes).

use tree_sitter::Node;

use super::family::ParsedFile;
use crate::syntax::{self, Leading};

/// A definition or namespace the walk is inside of.
struct Scope {
    depth: usize,
    /// The innermost definition here.
    symbol: Option<u32>,
    /// The name as written, a part of the full names inside.
    name: String,
    /// Whether it is code that runs: what is declared inside is local.
    code: bool,
}

/// The outline of a file while it is made.
pub(super) struct Scoped<'s, F> {
    pub(super) source: &'s str,
    pub(super) leading: Leading,
    pub(super) file: ParsedFile<F>,
    scopes: Vec<Scope>,
    /// How many of the scopes are code.
    code: usize,
}

/// Nobody names what is nested deeper: it is outlined, and no file is thought to mean it.
pub(super) const MAX_NESTING: usize = 24;

impl<'s, F: Default> Scoped<'s, F> {
    /// An outline with nothing in it.
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, leading: Leading::default(), file: ParsedFile::default(), scopes: Vec::new(), code: 0 }
    }

    /// Leaves what does not reach down to `depth`.
    pub(super) fn leave(&mut self, depth: usize) {
        while let Some(scope) = self.scopes.pop_if(|scope| scope.depth >= depth) {
            self.code -= usize::from(scope.code);
        }
    }

    /// Whether what is declared here is local.
    pub(super) fn in_code(&self) -> bool {
        self.code > 0
    }

    /// How many definitions and namespaces the walk is inside of.
    pub(super) fn nesting(&self) -> usize {
        self.scopes.len()
    }

    /// Whether names are kept of what is declared here.
    pub(super) fn is_nameable(&self) -> bool {
        self.nesting() <= MAX_NESTING
    }

    /// The names around, outermost first.
    pub(super) fn around(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.scopes.iter().filter(|scope| !scope.code).map(|scope| scope.name.as_str())
    }

    /// Enters a namespace that is no definition.
    pub(super) fn enter(&mut self, name: &str, depth: usize) {
        let symbol = self.symbol();
        self.scopes.push(Scope { depth, symbol, name: name.to_owned(), code: false });
    }

    /// The definition the walk is directly inside of.
    fn symbol(&self) -> Option<u32> {
        self.scopes.last().and_then(|scope| scope.symbol)
    }

    /// Adds a definition; what the walk finds inside belongs to it.
    pub(super) fn define(&mut self, name: &str, kind: &str, node: Node<'_>, depth: usize, body: Option<Node<'_>>) {
        let parent = self.symbol();
        let signature = syntax::signature(node, body, self.source);
        let signature = signature.trim_end_matches([' ', '=', '>', ';']).to_owned();
        let doc = self.leading.take(node);
        let symbol = syntax::push_symbol(&mut self.file.symbols, name, kind, node, parent, signature);
        self.file.symbols[symbol as usize].doc = doc;
        let code = matches!(kind, "function" | "method" | "constructor" | "property");
        self.code += usize::from(code);
        self.scopes.push(Scope { depth, symbol: Some(symbol), name: name.to_owned(), code });
    }

    /// The source text of a node.
    pub(super) fn text(&self, node: Node<'_>) -> &'s str {
        syntax::text(node, self.source)
    }
}
