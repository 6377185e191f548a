//! The definitions of a C or C++ file.
//!
//! Code that a macro made unreadable leaves ERROR nodes, and may pull what follows into the body
//! of a function: a function inside of a function is taken for one at the top level.

use recon_schema::graph::Symbol;
use tree_sitter::Node;

use super::super::family::ParsedFile;
use super::includes::Facts;
use crate::syntax::{self, Leading, Visit};

/// Longest chain of declarators around a name that is followed.
const MAX_DECLARATORS: usize = 64;

pub(super) fn read(root: Node<'_>, source: &str, header: bool) -> ParsedFile<Facts> {
    let mut file = ParsedFile { doc: file_doc(root, source), ..ParsedFile::default() };
    file.note_errors(root);
    let mut outline = Outline { source, header, scopes: Vec::new(), leading: Leading::default(), outer: None, file };
    syntax::walk(root, |node, depth| outline.visit(node, depth));
    outline.file
}

/// What kind of definition the walk is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Function,
    Type,
    Namespace,
}

struct Scope {
    depth: usize,
    symbol: u32,
    inside: Inside,
}

struct Outline<'s, 't> {
    source: &'s str,
    header: bool,
    scopes: Vec<Scope>,
    leading: Leading,
    /// The `template <…>` or `typedef` around the node that follows, and its depth.
    outer: Option<(Node<'t>, usize)>,
    file: ParsedFile<Facts>,
}

impl<'t> Outline<'_, 't> {
    fn visit(&mut self, node: Node<'t>, depth: usize) -> Visit {
        while self.scopes.pop_if(|scope| scope.depth >= depth).is_some() {}
        if self.outer.is_some_and(|(_, outer)| depth <= outer) {
            self.outer = None;
        }
        if self.leading.see(node, self.source) {
            return Visit::Over;
        }
        let inside = self.scopes.last().map(|scope| scope.inside);
        match node.kind() {
            "function_definition" if inside == Some(Inside::Function) => {
                self.scopes.retain(|scope| scope.inside == Inside::Namespace);
                self.function(node, depth);
            }
            "function_definition" => self.function(node, depth),
            _ if inside == Some(Inside::Function) => {}
            "template_declaration" if self.outer.is_none() => self.outer = Some((node, depth)),
            "type_definition" => {
                self.typedef(node);
                self.outer = Some((node, depth));
            }
            "namespace_definition" => self.container(node, depth, "namespace", Inside::Namespace),
            "class_specifier" => self.container(node, depth, "class", Inside::Type),
            "struct_specifier" => self.container(node, depth, "struct", Inside::Type),
            "union_specifier" => self.container(node, depth, "union", Inside::Type),
            "enum_specifier" => self.container(node, depth, "enum", Inside::Type),
            "enumerator" => self.plain(node, "variant", node.child_by_field_name("value")),
            "alias_declaration" => self.plain(node, "type", None),
            "concept_definition" => self.plain(node, "concept", None),
            "preproc_def" if node.child_by_field_name("value").is_some() => {
                self.plain(node, "macro", node.child_by_field_name("value"));
            }
            "preproc_function_def" => self.plain(node, "macro", node.child_by_field_name("value")),
            "field_declaration" => self.declaration(node, "field"),
            "declaration" => self.declaration(node, "variable"),
            _ => {}
        }
        // The parts of an expression define nothing; those of a body may, see above.
        if node.kind().ends_with("_expression") { Visit::Over } else { Visit::Into }
    }

    fn function(&mut self, node: Node<'t>, depth: usize) {
        let Some((name, _)) = node.child_by_field_name("declarator").and_then(|it| self.declared(it)) else { return };
        // What a macro left behind may look like a function with the name of a statement.
        if matches!(name.as_str(), "if" | "for" | "while" | "switch" | "return" | "else" | "do" | "sizeof") {
            return;
        }
        let member = self.scopes.last().is_some_and(|scope| scope.inside == Inside::Type) || name.contains("::");
        let symbol =
            self.push(&name, if member { "method" } else { "function" }, node, node.child_by_field_name("body"));
        self.scopes.push(Scope { depth, symbol, inside: Inside::Function });
    }

    /// A type or namespace with a body; without one it is only named.
    fn container(&mut self, node: Node<'t>, depth: usize, kind: &str, inside: Inside) {
        let Some(body) = node.child_by_field_name("body") else { return };
        let name = match syntax::field_text(node, "name", self.source) {
            Some(name) => syntax::collapse(name),
            None if inside == Inside::Namespace => "(anonymous)".to_owned(),
            // The name of `typedef struct { … } name;`.
            None => match self.outer.and_then(|(outer, _)| outer.child_by_field_name("declarator")) {
                Some(name) if name.kind() == "type_identifier" => syntax::text(name, self.source).to_owned(),
                _ => return,
            },
        };
        let symbol = self.push(&name, kind, node, Some(body));
        self.scopes.push(Scope { depth, symbol, inside });
    }

    fn typedef(&mut self, node: Node<'t>) {
        let anonymous = node.child_by_field_name("type").is_some_and(|definition| {
            definition.child_by_field_name("body").is_some() && definition.child_by_field_name("name").is_none()
        });
        let Some(declarator) = node.child_by_field_name("declarator").filter(|_| !anonymous) else { return };
        let body = node.child_by_field_name("type").and_then(|definition| definition.child_by_field_name("body"));
        if let Some((name, _)) = self.declared(declarator) {
            self.push(&name, "type", node, body);
        }
    }

    /// Names declared by a statement at the top level, in a namespace or in a type.
    fn declaration(&mut self, node: Node<'t>, kind: &str) {
        // `struct s { … } name;` is told by the struct.
        if node.child_by_field_name("type").is_some_and(|it| it.child_by_field_name("body").is_some()) {
            return;
        }
        let member = self.scopes.last().is_some_and(|scope| scope.inside == Inside::Type);
        let mut cursor = node.walk();
        let declarators: Vec<Node<'t>> = node.children_by_field_name("declarator", &mut cursor).collect();
        let constant = syntax::named_children(node).iter().any(|child| {
            child.kind() == "type_qualifier" && matches!(syntax::text(*child, self.source), "const" | "constexpr")
        });
        for declarator in declarators {
            let Some((name, function)) = self.declared(declarator) else { continue };
            let kind = match (function, member) {
                (true, true) => "method",
                // A prototype tells something only where others read it.
                (true, false) if self.header => "function",
                (true, false) => continue,
                (false, true) => "field",
                (false, false) if constant => "constant",
                (false, false) => kind,
            };
            let body = declarator.child_by_field_name("value").or_else(|| node.child_by_field_name("default_value"));
            self.push(&name, kind, node, body);
        }
    }

    fn plain(&mut self, node: Node<'t>, kind: &str, body: Option<Node<'t>>) {
        if let Some(name) = syntax::field_text(node, "name", self.source) {
            let name = name.to_owned();
            self.push(&name, kind, node, body);
        }
    }

    /// The name inside a declarator, and whether a function is declared by it.
    fn declared(&self, declarator: Node<'t>) -> Option<(String, bool)> {
        let mut node = declarator;
        let mut function = false;
        for _ in 0..MAX_DECLARATORS {
            match node.kind() {
                "identifier"
                | "field_identifier"
                | "type_identifier"
                | "operator_name"
                | "destructor_name"
                | "qualified_identifier"
                | "operator_cast"
                | "template_function" => {
                    let name = syntax::collapse(syntax::text(node, self.source));
                    return (!name.is_empty()).then_some((name, function));
                }
                "function_declarator" => function = true,
                // `(*name)(…)` is a pointer to a function.
                "pointer_declarator" | "parenthesized_declarator" => function &= node.kind() != "pointer_declarator",
                _ => {}
            }
            node = node.child_by_field_name("declarator").or_else(|| node.named_child(0))?;
        }
        None
    }

    fn push(&mut self, name: &str, kind: &str, node: Node<'t>, body: Option<Node<'t>>) -> u32 {
        let whole = self.outer.take().filter(|(outer, _)| outer.kind() == "template_declaration");
        let node = whole.map_or(node, |(outer, _)| outer);
        let doc = self.leading.take(node);
        let parent = self.scopes.last().map(|scope| scope.symbol);
        let signature = syntax::signature(node, body, self.source);
        let signature = signature.trim_end_matches([' ', '=']).to_owned();
        let symbols: &mut Vec<Symbol> = &mut self.file.symbols;
        let symbol = syntax::push_symbol(symbols, name, kind, node, parent, signature);
        symbols[symbol as usize].doc = doc.trim_start_matches("@brief ").trim_start_matches("\\brief ").to_owned();
        symbol
    }
}

/// The first sentence of the comment that opens the file and is neither a licence nor the comment
/// of the first definition.
fn file_doc(root: Node<'_>, source: &str) -> String {
    let mut text = String::new();
    let mut end_row = 0;
    let mut cursor = root.walk();
    let mut children = root.named_children(&mut cursor).peekable();
    while let Some(comment) = children.next_if(|child| child.kind() == "comment") {
        let start = comment.start_position().row;
        if text.is_empty() || start > end_row + 1 {
            if let Some(sentence) = spoken(&text) {
                return sentence;
            }
            text.clear();
        }
        syntax::push_comment(&mut text, syntax::text(comment, source));
        end_row = comment.end_position().row;
    }
    let apart = children.peek().is_none_or(|next| {
        next.kind().starts_with("preproc") && next.kind() != "preproc_def" || next.start_position().row > end_row + 1
    });
    spoken(&text).filter(|_| apart || text.contains("@file") || text.contains("\\file")).unwrap_or_default()
}

/// The first sentence of a comment, unless it is a licence or an editor's line.
fn spoken(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    if ["copyright", "licen", "spdx", "all rights reserved", "-*-"].iter().any(|word| lower.contains(word)) {
        return None;
    }
    let plain: Vec<&str> = text
        .lines()
        .map(|line| line.trim_start_matches("@brief ").trim_start_matches("\\brief "))
        .filter(|line| !line.starts_with("@file") && !line.starts_with("\\file"))
        .collect();
    Some(syntax::first_sentence(&plain.join("\n"))).filter(|sentence| !sentence.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::super::family::Family as _;
    use super::super::C;

    type Row = (&'static str, &'static str, u32, u32, Option<u32>);

    fn check(path: &str, source: &str, expected: &[Row]) -> super::ParsedFile<super::Facts> {
        let file = C.parse(path, source);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        assert_eq!(found, expected);
        file
    }

    #[test]
    fn c_definitions_have_exact_spans() {
        let source = "\
/* Copyright somebody. */

/* Reads things. More. */
#include \"a.h\"
#define GUARD
#define MAX 10
#define SQ(x) ((x)*(x))
struct s { int x; };
enum e { A, B = 2 };
typedef struct { int q; } anon_t;
typedef int (*fn_t)(int);
static const int arr[] = {1, 2};
int *f(int a);
/* Finds it. Twice. */
API_EXPORT int *f(int a)
{
    int local;
    return 0;
}
int x, *y = 0;
";
        let expected = [
            ("MAX", "macro", 6, 6, None),
            ("SQ", "macro", 7, 7, None),
            ("s", "struct", 8, 8, None),
            ("x", "field", 8, 8, Some(2)),
            ("e", "enum", 9, 9, None),
            ("A", "variant", 9, 9, Some(4)),
            ("B", "variant", 9, 9, Some(4)),
            ("anon_t", "struct", 10, 10, None),
            ("q", "field", 10, 10, Some(7)),
            ("fn_t", "type", 11, 11, None),
            ("arr", "constant", 12, 12, None),
            ("f", "function", 15, 19, None),
            ("x", "variable", 20, 20, None),
            ("y", "variable", 20, 20, None),
        ];
        let file = check("x.c", source, &expected);
        assert_eq!(file.doc, "Reads things.");
        assert_eq!(file.symbols[11].signature, "API_EXPORT int *f(int a)");
        assert_eq!(file.symbols[11].doc, "Finds it.");
        assert_eq!(file.symbols[1].signature, "#define SQ(x)");
    }

    #[test]
    fn cpp_definitions_have_exact_spans_and_parents() {
        let source = "\
/** @file x.h
 *  @brief About it. More. */
#pragma once
namespace a::b {
/// Boxes. Things.
template <typename T>
class Box : public Base<T> {
public:
  Box(int x);
  int get() const { return x_; }
  bool operator==(const Box& o) const;
  template <class U> void put(U u);
  struct Inner { int y; };
private:
  int x_ = 0;
};
enum class E : int { A };
using Al = int;
int proto(int a);
}
template <typename T>
Box<T>::Box(int x) : x_(x) {}
";
        let expected = [
            ("a::b", "namespace", 4, 20, None),
            ("Box", "class", 6, 16, Some(0)),
            ("Box", "method", 9, 9, Some(1)),
            ("get", "method", 10, 10, Some(1)),
            ("operator==", "method", 11, 11, Some(1)),
            ("put", "method", 12, 12, Some(1)),
            ("Inner", "struct", 13, 13, Some(1)),
            ("y", "field", 13, 13, Some(6)),
            ("x_", "field", 15, 15, Some(1)),
            ("E", "enum", 17, 17, Some(0)),
            ("A", "variant", 17, 17, Some(9)),
            ("Al", "type", 18, 18, Some(0)),
            ("proto", "function", 19, 19, Some(0)),
            ("Box<T>::Box", "method", 21, 22, None),
        ];
        let file = check("x.h", source, &expected);
        assert_eq!((file.language, file.doc.as_str()), (Some("cpp"), "About it."));
        assert_eq!(file.symbols[1].signature, "template <typename T> class Box : public Base<T>");
        assert_eq!(file.symbols[1].doc, "Boxes.");
    }

    #[test]
    fn code_that_macros_broke_keeps_what_is_readable() {
        let source = "\
BEGIN_DECLS
int before(void) { return 1; }
#ifdef A
int f(int a) {
#else
int f(long a) {
#endif
  return MACRO(struct x, +);
}
int after(void) { return 2; }
";
        let file = C.parse("x.c", source);
        let names: Vec<&str> = file.symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        assert!(names.contains(&"before") && names.contains(&"after") && names.contains(&"f"), "{names:?}");
        assert!(file.symbols.iter().all(|symbol| symbol.parent.is_none()));
    }
}
