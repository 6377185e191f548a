//! Go: outlines from the syntax tree; [`names`] reads what a file uses, [`modules`] knows the
//! import paths, [`resolve`] finds the files.
//!
//! Source: the Go specification, "Declarations and scope", "Packages" and "Import declarations";
//! the Go modules reference.

mod modules;
mod names;
mod resolve;

use recon_schema::graph::Symbol;
use tree_sitter::Node;

use super::family::{Context, Family, ParsedFile, Resolve};
use crate::syntax::{self, Leading, Visit};
use names::{Names, Uses};

/// Go.
pub(crate) struct Go;

/// What a file says beyond its outline.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The name in the package clause.
    package: String,
    /// Whether the file is built only on its own (`//go:build ignore`).
    ignored: bool,
    imports: Vec<Import>,
    uses: Uses,
}

/// One import specification.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    /// 1-based line.
    line: u32,
    path: String,
    /// The name before the path: an alias, `.` or `_`.
    alias: Option<String>,
}

impl Family for Go {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["go"]
    }

    fn parse(&self, _path: &str, source: &str) -> ParsedFile<Facts> {
        let Some(tree) = syntax::parse(&tree_sitter_go::LANGUAGE.into(), source) else {
            return ParsedFile::over_budget();
        };
        let mut file = ParsedFile::<Facts>::default();
        file.note_errors(tree.root_node());
        let mut outline = Outline { source, scopes: Vec::new(), leading: Leading::default(), file };
        let mut names = Names::new(source);
        syntax::walk(tree.root_node(), |node, depth| {
            names.visit(node, depth);
            outline.visit(node, depth)
        });
        let mut file = outline.file;
        file.facts.uses = names.finish();
        file
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::Packages::new(context))
    }
}

/// A definition the walk is inside of.
struct Scope {
    depth: usize,
    symbol: u32,
    /// Whether what is declared inside is no part of the outline, as in a function.
    function: bool,
}

/// What the walk has found so far.
struct Outline<'s> {
    source: &'s str,
    scopes: Vec<Scope>,
    leading: Leading,
    file: ParsedFile<Facts>,
}

impl Outline<'_> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        while self.scopes.pop_if(|scope| scope.depth >= depth).is_some() {}
        if self.leading.see(node, self.source) {
            let text = syntax::text(node, self.source);
            self.file.facts.ignored |= text.trim() == "//go:build ignore" && self.file.facts.package.is_empty();
            return Visit::Over;
        }
        match node.kind() {
            "package_clause" => {
                let name = node.named_child(0).map(|name| syntax::text(name, self.source));
                self.file.facts.package = name.unwrap_or_default().to_owned();
                self.file.doc = self.leading.take(node);
            }
            "import_spec" => self.import(node),
            _ if self.scopes.last().is_some_and(|scope| scope.function) => {}
            "function_declaration" => self.define(node, depth, "function", ""),
            "method_declaration" | "method_elem" => self.define(node, depth, "method", ""),
            "type_spec" | "type_alias" => self.define(node, depth, type_kind(node), "type "),
            "const_spec" => self.define(node, depth, "constant", "const "),
            "var_spec" => self.define(node, depth, "variable", "var "),
            "field_declaration" => self.define(node, depth, "field", ""),
            _ => {}
        }
        Visit::Into
    }

    fn import(&mut self, node: Node<'_>) {
        let Some(path) = syntax::field_text(node, "path", self.source) else { return };
        let path = path.trim_matches(['"', '`']).to_owned();
        let alias = syntax::field_text(node, "name", self.source).map(str::to_owned);
        self.file.facts.imports.push(Import { line: syntax::first_line(node), path, alias });
    }

    /// Adds what `node` defines, one symbol for each name.
    fn define(&mut self, node: Node<'_>, depth: usize, kind: &str, keyword: &str) {
        let mut cursor = node.walk();
        let names: Vec<Node<'_>> = node.children_by_field_name("name", &mut cursor).filter(Node::is_named).collect();
        let doc = self.leading.take(node);
        let body = match kind {
            "function" | "method" => node.child_by_field_name("body"),
            "struct" | "interface" => node.child_by_field_name("type").and_then(brace),
            _ => node.child_by_field_name("value"),
        };
        let signature = syntax::signature(node, body, self.source);
        let signature = format!("{keyword}{}", signature.trim_end_matches([' ', '=']));
        let parent = self.scopes.last().map(|scope| scope.symbol);
        for name in names {
            let name = syntax::text(name, self.source);
            if name == "_" {
                continue;
            }
            let symbols: &mut Vec<Symbol> = &mut self.file.symbols;
            let symbol = syntax::push_symbol(symbols, name, kind, node, parent, signature.clone());
            symbols[symbol as usize].doc.clone_from(&doc);
            // What stands in a value or in a type without a name is no declaration of the package.
            let closed = matches!(kind, "function" | "method" | "constant" | "variable");
            if kind != "field" {
                self.scopes.push(Scope { depth, symbol, function: closed });
            }
        }
    }
}

fn type_kind(spec: Node<'_>) -> &'static str {
    match spec.child_by_field_name("type").map(|definition| definition.kind()) {
        Some("struct_type") => "struct",
        Some("interface_type") => "interface",
        _ => "type",
    }
}

/// Where the members of a struct or an interface start.
fn brace(definition: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = definition.walk();
    definition.children(&mut cursor).find(|child| matches!(child.kind(), "{" | "field_declaration_list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_have_exact_spans_and_parents() {
        let source = "\
// Copyright somebody.

//go:build linux

// Package box holds things. More.
package box

const A, B = 1, 2 // trailing, of A

const (
	// C counts.
	C = iota
	D
)

// T is a pair.
// Of things.
type T[K any] struct {
	a, b int // both
	Emb
}

type I interface {
	// M does.
	M(x int) error
}
type Al = other.T

// F runs
// it. Twice.
func F[K any](a int,
	b string) (r T[int]) {
	var local = 1
	type inner struct{ x int }
	return
}
func (t *T[K]) Meth(k K) { t.a = 1 }
var V, _ = G()
var W = []struct{ x int }{{1}}
var X = func() { var local int; type inner struct{} }
";
        let expected = [
            ("A", "constant", 8, 8, None),
            ("B", "constant", 8, 8, None),
            ("C", "constant", 12, 12, None),
            ("D", "constant", 13, 13, None),
            ("T", "struct", 18, 21, None),
            ("a", "field", 19, 19, Some(4)),
            ("b", "field", 19, 19, Some(4)),
            ("I", "interface", 23, 26, None),
            ("M", "method", 25, 25, Some(7)),
            ("Al", "type", 27, 27, None),
            ("F", "function", 31, 36, None),
            ("Meth", "method", 37, 37, None),
            ("V", "variable", 38, 38, None),
            ("W", "variable", 39, 39, None),
            ("X", "variable", 40, 40, None),
        ];
        let file = Go.parse("x.go", source);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        assert_eq!(found, expected);
        assert_eq!((file.doc.as_str(), file.facts.package.as_str()), ("Package box holds things.", "box"));
        let symbol = |at: usize| (file.symbols[at].signature.as_str(), file.symbols[at].doc.as_str());
        assert_eq!(symbol(0), ("const A, B", ""));
        assert_eq!(symbol(2), ("const C", "C counts."));
        assert_eq!(symbol(3), ("const D", ""));
        assert_eq!(symbol(4), ("type T[K any] struct", "T is a pair."));
        assert_eq!(symbol(5), ("a, b int", ""));
        assert_eq!(symbol(7), ("type I interface", ""));
        assert_eq!(symbol(8), ("M(x int) error", "M does."));
        assert_eq!(symbol(9), ("type Al = other.T", ""));
        assert_eq!(symbol(10), ("func F[K any](a int, b string) (r T[int])", "F runs it."));
        assert_eq!(symbol(11), ("func (t *T[K]) Meth(k K)", ""));
    }

    #[test]
    fn imports_keep_their_names() {
        let source = "package x\nimport \"C\"\nimport (\n\tm \"math\"\n\t. `strings`\n\t_ \"embed\"\n)\n";
        let import =
            |line, path: &str, alias: Option<&str>| Import { line, path: path.into(), alias: alias.map(str::to_owned) };
        let expected = [
            import(2, "C", None),
            import(4, "math", Some("m")),
            import(5, "strings", Some(".")),
            import(6, "embed", Some("_")),
        ];
        assert_eq!(Go.parse("x.go", source).facts.imports, expected);
    }
}
