//! Python: outlines and imports from the syntax tree; [`resolve`] finds the modules.
//!
//! Imports count wherever they stand: in functions, under `TYPE_CHECKING`, in `try`; so do calls
//! that import ([`calls`]).
//! Source: the Python language reference, sections 5 and 7.11.

mod calls;
mod facts;
mod places;
mod projects;
mod resolve;
mod search;
mod stdlib;

use std::collections::HashSet;

use tree_sitter::Node;
use unicode_normalization::UnicodeNormalization as _;

use super::family::{Context, Family, ParsedFile, Resolve};
use crate::syntax::{self, Visit};
use facts::{Facts, Import};

/// Python 3, stubs included.
pub(crate) struct Python;

impl Family for Python {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["python"]
    }

    fn parse(&self, _path: &str, source: &str) -> ParsedFile<Facts> {
        let Some(tree) = syntax::parse(&tree_sitter_python::LANGUAGE.into(), source) else {
            return ParsedFile::over_budget();
        };
        let mut file = ParsedFile { doc: docstring(tree.root_node(), source), ..ParsedFile::default() };
        file.note_errors(tree.root_node());
        let mut outline = Outline { source, scopes: Vec::new(), assigned: HashSet::new(), file };
        syntax::walk(tree.root_node(), |node, depth| outline.visit(node, depth));
        calls::read(tree.root_node(), source, &mut outline.file.facts);
        outline.file
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::Modules::new(context))
    }
}

/// A definition the walk is inside of: its depth in the tree and its index in the outline.
struct Scope {
    depth: usize,
    symbol: u32,
    class: bool,
}

/// What the walk has found so far.
struct Outline<'s> {
    source: &'s str,
    scopes: Vec<Scope>,
    /// Names assigned in a scope: a second assignment defines nothing new.
    assigned: HashSet<(Option<u32>, &'s str)>,
    file: ParsedFile<Facts>,
}

impl<'s> Outline<'s> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        while self.scopes.pop_if(|scope| scope.depth >= depth).is_some() {}
        match node.kind() {
            "class_definition" | "function_definition" => {
                self.define(node, depth);
                Visit::Into
            }
            "import_statement" => {
                plain_import(node, self.source, &mut self.file);
                Visit::Over
            }
            "import_from_statement" | "future_import_statement" => {
                from_import(node, self.source, &mut self.file);
                Visit::Over
            }
            "expression_statement" => {
                if let Some(assignment) = node.named_child(0).filter(|child| child.kind() == "assignment") {
                    self.assign(assignment);
                }
                Visit::Over
            }
            "type_alias_statement" => {
                if let Some(left) = syntax::field_text(node, "left", self.source) {
                    let name = left.split('[').next().unwrap_or_default().trim();
                    self.push(name, "type", node, syntax::signature(node, None, self.source));
                }
                Visit::Over
            }
            // Statements that hold statements; an expression holds none, however deep it is.
            "module"
            | "block"
            | "decorated_definition"
            | "if_statement"
            | "elif_clause"
            | "else_clause"
            | "for_statement"
            | "while_statement"
            | "try_statement"
            | "except_clause"
            | "except_group_clause"
            | "finally_clause"
            | "with_statement"
            | "match_statement"
            | "case_clause"
            | "ERROR" => Visit::Into,
            _ => Visit::Over,
        }
    }

    fn define(&mut self, node: Node<'_>, depth: usize) {
        let Some(name) = syntax::field_text(node, "name", self.source) else { return };
        let body = node.child_by_field_name("body");
        let class = node.kind() == "class_definition";
        let kind = match (class, self.scopes.last()) {
            (true, _) => "class",
            (false, Some(scope)) if scope.class => "method",
            (false, _) => "function",
        };
        let symbol = self.push(name, kind, node, syntax::signature(node, body, self.source));
        self.file.symbols[symbol as usize].doc = body.map(|body| docstring(body, self.source)).unwrap_or_default();
        self.scopes.push(Scope { depth, symbol, class });
    }

    /// Module constants and variables, and the annotated fields of a class.
    fn assign(&mut self, assignment: Node<'_>) {
        let Some(left) = assignment.child_by_field_name("left").filter(|left| left.kind() == "identifier") else {
            return;
        };
        let name = syntax::text(left, self.source);
        let annotation =
            assignment.child_by_field_name("type").map(|node| syntax::collapse(syntax::text(node, self.source)));
        let kind = match self.scopes.last() {
            None if name.starts_with("__") => return,
            None if name.chars().any(char::is_alphabetic) && name == name.to_uppercase() => "constant",
            None => "variable",
            Some(scope) if scope.class && annotation.is_some() => "field",
            Some(_) => return,
        };
        if !self.assigned.insert((self.scopes.last().map(|scope| scope.symbol), name)) {
            return;
        }
        let signature = annotation.map_or_else(|| name.to_owned(), |annotation| format!("{name}: {annotation}"));
        self.push(name, kind, assignment, syntax::clip(&signature, syntax::SIGNATURE_CHARS));
    }

    fn push(&mut self, name: &str, kind: &str, node: Node<'_>, signature: String) -> u32 {
        let parent = self.scopes.last().map(|scope| scope.symbol);
        syntax::push_symbol(&mut self.file.symbols, name, kind, node, parent, signature)
    }
}

/// The first sentence of the string that opens a module or a block.
fn docstring(body: Node<'_>, source: &str) -> String {
    let mut cursor = body.walk();
    let first = body.named_children(&mut cursor).find(|child| child.kind() != "comment");
    let string = first
        .filter(|statement| statement.kind() == "expression_statement")
        .and_then(|statement| statement.named_child(0))
        .filter(|child| child.kind() == "string");
    let Some(string) = string else { return String::new() };
    let text = syntax::text(string, source);
    let quotes = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let mark = if quotes.starts_with("\"\"\"") || quotes.starts_with("'''") { 3 } else { 1 };
    let inner = quotes.get(mark..quotes.len().saturating_sub(mark)).unwrap_or_default();
    syntax::first_sentence(inner)
}

fn plain_import(node: Node<'_>, source: &str, file: &mut ParsedFile<Facts>) {
    for child in syntax::named_children(node) {
        let module = module_name(child, source);
        if !module.is_empty() {
            file.facts.imports.push(Import { line: syntax::first_line(child), level: 0, module, names: None });
        }
    }
}

fn from_import(node: Node<'_>, source: &str, file: &mut ParsedFile<Facts>) {
    let future = node.kind() == "future_import_statement";
    let module_node = node.child_by_field_name("module_name");
    let (level, module) = match module_node {
        _ if future => (0, vec!["__future__".to_owned()]),
        None => return,
        Some(relative) if relative.kind() == "relative_import" => {
            let text = syntax::text(relative, source);
            let level = text.chars().take_while(|c| *c == '.' || c.is_whitespace()).filter(|c| *c == '.').count();
            let dotted = syntax::named_children(relative).into_iter().find(|child| child.kind() == "dotted_name");
            (level, dotted.map(|dotted| module_name(dotted, source)).unwrap_or_default())
        }
        Some(dotted) => (0, module_name(dotted, source)),
    };
    let mut names = Vec::new();
    for child in syntax::named_children(node) {
        match child.kind() {
            "wildcard_import" => names.push("*".to_owned()),
            "dotted_name" | "aliased_import" if Some(child.id()) != module_node.map(|node| node.id()) => {
                names.extend(module_name(child, source).first().cloned());
            }
            _ => {}
        }
    }
    file.facts.imports.push(Import { line: syntax::first_line(node), level, module, names: Some(names) });
}

/// An identifier as Python compares it: in normal form KC (PEP 3131).
fn identifier(written: &str) -> String {
    if written.is_ascii() { written.to_owned() } else { written.nfkc().collect() }
}

/// The segments of a dotted name, without its alias.
fn module_name(node: Node<'_>, source: &str) -> Vec<String> {
    let dotted = if node.kind() == "aliased_import" { node.child_by_field_name("name") } else { Some(node) };
    let Some(dotted) = dotted.filter(|dotted| dotted.kind() == "dotted_name") else { return Vec::new() };
    syntax::named_children(dotted).into_iter().map(|part| identifier(syntax::text(part, source))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(source: &str) -> Vec<(String, String, u32, u32, Option<u32>)> {
        let file = Python.parse("x.py", source);
        file.symbols.into_iter().map(|s| (s.name, s.kind, s.start_line, s.end_line, s.parent)).collect()
    }

    #[test]
    fn definitions_have_exact_spans_and_parents() {
        let source = "\
\"\"\"About it. More.\"\"\"
LIMIT = 3
@cache
def top(a,
        b=1) -> int:
    def inner():
        pass
    return a

class Box(Base):
    size: int = 0

    async def open(self):
        '''Opens it.'''
        return 1
";
        let expected = [
            ("LIMIT", "constant", 2, 2, None),
            ("top", "function", 4, 8, None),
            ("inner", "function", 6, 7, Some(1)),
            ("Box", "class", 10, 15, None),
            ("size", "field", 11, 11, Some(3)),
            ("open", "method", 13, 15, Some(3)),
        ];
        let expected: Vec<_> =
            expected.into_iter().map(|(n, k, s, e, p)| (n.to_owned(), k.to_owned(), s, e, p)).collect();
        assert_eq!(outline(source), expected);
        let file = Python.parse("x.py", source);
        assert_eq!(file.doc, "About it.");
        assert_eq!(file.symbols[1].signature, "def top(a, b=1) -> int");
        assert_eq!(file.symbols[5].signature, "async def open(self)");
        assert_eq!(file.symbols[5].doc, "Opens it.");
    }

    #[test]
    fn imports_are_found_wherever_they_stand() {
        let source = "\
from __future__ import annotations
import a.b as c, d
from .. import e
from ...f.g import (h as i,
    j)
def k():
    if TYPE_CHECKING:
        from . import *
    try:
        import l
    except ImportError:
        l = None
";
        let py = |line, level, module: &[&str], names: Option<&[&str]>| Import {
            line,
            level,
            module: module.iter().map(|s| (*s).to_owned()).collect(),
            names: names.map(|names| names.iter().map(|s| (*s).to_owned()).collect()),
        };
        let expected = [
            py(1, 0, &["__future__"], Some(&["annotations"])),
            py(2, 0, &["a", "b"], None),
            py(2, 0, &["d"], None),
            py(3, 2, &[], Some(&["e"])),
            py(4, 3, &["f", "g"], Some(&["h", "j"])),
            py(8, 1, &[], Some(&["*"])),
            py(10, 0, &["l"], None),
        ];
        assert_eq!(Python.parse("x.py", source).facts.imports, expected);
    }
}
