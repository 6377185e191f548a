//! What declares modules: `mod`, its attributes, and calls of macros that hold items.
//!
//! A node of the walk → imports and events of the file. Where items stand, arguments of a macro that a parser of items
//! accepts are read as if they stood there, the blocks after the conditions of `cfg_if!` too; else what
//! looks like a module or a path in them counts as one. Invariant: arguments are read again at most
//! [`MAX_MACROS`] macros deep.

use tree_sitter::{Node, Tree};

use super::facts::{Event, FileModule, Import, InlineModule, MAX_DEPTH, Target, What};
use super::{Outline, Pending, Scope, uses};
use crate::syntax::{self, Visit};

/// Macros inside of each other whose arguments are read as items.
const MAX_MACROS: usize = 4;

impl Outline<'_> {
    pub(super) fn attribute(&mut self, node: Node<'_>) {
        let Some(attribute) = node.named_child(0) else { return };
        let name = attribute.named_child(0).map_or("", |name| syntax::text(name, self.source));
        let conditional = name == "cfg_attr";
        let arguments = || attribute.child_by_field_name("arguments").map_or("", |it| syntax::text(it, self.source));
        match name {
            "path" => {
                let value = attribute.child_by_field_name("value").map(|value| syntax::text(value, self.source));
                self.pending.paths.extend(value.map(uses::literal));
                self.pending.always = true;
            }
            "cfg_attr" => self.pending.paths.extend(uses::path_values(arguments())),
            _ => {}
        }
        let says = |word: &str| name == word || (conditional && arguments().contains(word));
        self.pending.macro_use |= says("macro_use");
        self.pending.macro_export |= says("macro_export");
    }

    pub(super) fn within(&self) -> Vec<InlineModule> {
        self.scopes.iter().filter_map(|scope| scope.module.clone()).collect()
    }

    pub(super) fn event(&mut self, at: usize, what: What) {
        self.file.facts.events.push(Event { at, what });
    }

    pub(super) fn declare(&mut self, at: usize, line: u32, module: FileModule, declared: bool, macro_use: bool) {
        let import = self.file.facts.imports.len();
        self.file.facts.imports.push(Import { line, target: Target::Module { module, declared } });
        self.event(at, What::Declare { import, macro_use });
    }

    pub(super) fn module(&mut self, node: Node<'_>, depth: usize) -> Visit {
        let pending = std::mem::take(&mut self.pending);
        let Some(name) = syntax::field_text(node, "name", self.source).map(uses::plain) else { return Visit::Into };
        let body = node.child_by_field_name("body");
        if body.is_none() && self.scopes.len() > MAX_DEPTH {
            return Visit::Over;
        }
        if body.is_none() {
            let module = FileModule { name, paths: pending.paths, always: pending.always, within: self.within() };
            let declared = self.inside_macros == 0;
            self.declare(node.start_byte(), syntax::first_line(node), module, declared, pending.macro_use);
            return Visit::Over;
        }
        let symbol = self.push(&name, "module", node, body, &pending.doc);
        self.event(node.start_byte(), What::Open);
        self.event(node.end_byte(), What::Close { macro_use: pending.macro_use });
        let path = pending.paths.into_iter().next();
        let explicit = path.is_some();
        let module = InlineModule { directory: path.unwrap_or_else(|| name.clone()), name, explicit };
        self.scopes.push(Scope { depth, symbol: Some(symbol), methods: false, module: Some(module) });
        Visit::Into
    }

    /// A call of a macro: a file included, or items and modules among its arguments.
    pub(super) fn call(&mut self, node: Node<'_>, depth: usize) -> Visit {
        let name = syntax::field_text(node, "macro", self.source).unwrap_or_default();
        let name = uses::plain(name.rsplit("::").next().unwrap_or_default().trim());
        let tokens = syntax::named_children(node).into_iter().rfind(|child| child.kind() == "token_tree");
        let line = syntax::first_line(node);
        if let ("include", Some(tokens)) = (name.as_str(), tokens) {
            if let Some((path, from_package)) = uses::included_path(syntax::text(tokens, self.source)) {
                let within = self.within();
                self.file.facts.imports.push(Import { line, target: Target::Include { path, from_package, within } });
            }
            return Visit::Over;
        }
        // Where items stand, a macro may be given items.
        if let Some(tokens) = tokens.filter(|_| self.scopes.iter().all(|scope| scope.module.is_some())) {
            self.pending = Pending::default();
            if self.scopes.len() <= MAX_DEPTH && self.items(tokens, depth) {
                return Visit::Over;
            }
            let arguments = uses::named_arguments(tokens, self.source);
            if !arguments.is_empty() || tokens.named_child_count() == 0 {
                let within = self.within();
                self.file.facts.imports.push(Import { line, target: Target::Call { name, arguments, within } });
            }
        }
        if self.landmarks.stand_in(node) { Visit::Into } else { Visit::Over }
    }

    /// Reads the arguments of a macro as items, or the blocks after its conditions (`cfg_if!`); whether they
    /// are such.
    fn items(&mut self, tokens: Node<'_>, depth: usize) -> bool {
        let text = syntax::text(tokens, self.source);
        if self.inside_macros >= MAX_MACROS || !(text.contains("mod ") || text.contains("use ")) {
            return false;
        }
        let is_block = |node: &Node<'_>| syntax::text(*node, self.source).starts_with('{');
        let mut cursor = tokens.walk();
        let first = tokens.children(&mut cursor).skip(1).find(|child| !child.kind().ends_with("comment"));
        let conditional = first.is_some_and(|first| syntax::text(first, self.source) == "if");
        let blocks: Vec<Node<'_>> = if conditional {
            syntax::named_children(tokens).into_iter().filter(is_block).collect()
        } else {
            vec![tokens]
        };
        let parse = |block: &Node<'_>| syntax::parse_inside(&tree_sitter_rust::LANGUAGE.into(), self.source, *block);
        let trees: Option<Vec<Tree>> =
            blocks.iter().map(|block| parse(block).filter(|tree| !tree.root_node().has_error())).collect();
        let Some(trees) = trees else { return false };
        self.inside_macros += 1;
        for tree in trees {
            syntax::walk(tree.root_node(), |inner, below| self.visit(inner, depth + 1 + below));
            self.pending = Pending::default();
        }
        self.inside_macros -= 1;
        true
    }
}
