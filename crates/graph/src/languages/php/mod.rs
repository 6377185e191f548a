//! PHP: outlines, and every name of a class, function or constant written out in full, as the
//! namespace and the `use` declarations around it say; [`composer`] reads how classes are loaded,
//! [`resolve`] finds the files.
//!
//! Source: the PHP manual, "Namespaces" (name resolution rules) and "include".

mod composer;
mod resolve;

use std::collections::{BTreeMap, HashMap};

use tree_sitter::Node;

use super::family::{Context, Family, ParsedFile, Resolve};
use super::scoped::Scoped;
use crate::syntax::{self, Visit};

/// PHP, mixed with text or not.
pub(crate) struct Php;

/// What a name is the name of: each kind has names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Class,
    Function,
    Constant,
}

/// A name that a file gives a meaning.
#[derive(Debug, PartialEq, Eq)]
struct Definition {
    kind: Kind,
    name: String,
    /// Whether it stands under a question whether the name has a meaning already: then it may be
    /// PHP's own, or a dependency's.
    guarded: bool,
}

/// What a file says beyond its outline. Names are written in full, `\` between their parts.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// What the file defines.
    defines: Vec<Definition>,
    /// `use` declarations, with their lines.
    uses: Vec<(u32, Kind, String)>,
    /// Names used, each with its first line.
    names: BTreeMap<(Kind, String), u32>,
    /// Literal paths of `include` and `require`; whether `__DIR__` stands before them.
    includes: Vec<(u32, String, bool)>,
    /// Paths of such that only a run can tell, as written.
    computed: Vec<(u32, String)>,
}

impl Family for Php {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["php"]
    }

    fn parse(&self, _path: &str, source: &str) -> ParsedFile<Facts> {
        let Some(tree) = syntax::parse(&tree_sitter_php::LANGUAGE_PHP.into(), source) else {
            return ParsedFile::over_budget();
        };
        let mut reader = Reader {
            outline: Scoped::new(source),
            namespace: String::new(),
            aliases: HashMap::new(),
            guards: Vec::new(),
        };
        reader.outline.file.note_errors(tree.root_node());
        syntax::walk(tree.root_node(), |node, depth| reader.visit(node, depth));
        reader.outline.file
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::Names::new(context))
    }
}

struct Reader<'s> {
    outline: Scoped<'s, Facts>,
    namespace: String,
    /// What the `use` declarations of the namespace call things; class names in lower case.
    aliases: HashMap<(Kind, String), String>,
    /// Conditions around that ask whether a name has a meaning, with their depths.
    guards: Vec<(usize, String)>,
}

/// Deeper expressions of a path are not read.
const MAX_PLACE_DEPTH: usize = 16;
/// Of a longer condition only the beginning is read.
const MAX_CONDITION_BYTES: usize = 1_024;
/// Questions inside of more questions are not asked.
const MAX_GUARDS: usize = 16;

/// Functions that ask whether a name has a meaning.
const QUESTIONS: [&str; 5] = ["function_exists", "defined", "class_exists", "interface_exists", "trait_exists"];

impl Reader<'_> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        self.outline.leave(depth);
        while self.guards.pop_if(|(guard, _)| *guard >= depth).is_some() {}
        if self.outline.leading.see(node, self.outline.source) {
            return Visit::Over;
        }
        match node.kind() {
            "namespace_definition" => {
                self.namespace = syntax::field_text(node, "name", self.outline.source).unwrap_or_default().to_owned();
                self.aliases.clear();
            }
            "namespace_use_declaration" => {
                self.use_declaration(node);
                return Visit::Over;
            }
            "include_expression" | "include_once_expression" | "require_expression" | "require_once_expression" => {
                self.include(node);
                self.constants(node);
            }
            "if_statement" => {
                let condition = syntax::field_text(node, "condition", self.outline.source).unwrap_or_default();
                let condition = condition.get(..MAX_CONDITION_BYTES).unwrap_or(condition);
                if self.guards.len() < MAX_GUARDS && QUESTIONS.iter().any(|question| condition.contains(question)) {
                    self.guards.push((depth, condition.to_owned()));
                }
            }
            "function_call_expression" => {
                let function = node.child_by_field_name("function");
                self.name(Kind::Function, function);
                if function.is_some_and(|function| self.outline.text(function) == "define") {
                    self.defined_constant(node);
                }
            }
            "scoped_call_expression" | "scoped_property_access_expression" => {
                self.name(Kind::Class, node.child_by_field_name("scope"));
            }
            "object_creation_expression" | "class_constant_access_expression" | "named_type" | "attribute" => {
                self.name(Kind::Class, node.named_child(0));
            }
            "base_clause" | "class_interface_clause" | "use_declaration" => {
                for child in syntax::named_children(node) {
                    self.name(Kind::Class, Some(child));
                }
            }
            "binary_expression" => {
                if syntax::field_text(node, "operator", self.outline.source) == Some("instanceof") {
                    self.name(Kind::Class, node.child_by_field_name("right"));
                } else {
                    self.constants(node);
                }
            }
            kind if VALUES.contains(&kind) => self.constants(node),
            kind => {
                if matches!(kind, "const_element" | "enum_case" | "property_element") {
                    self.constants(node);
                }
                self.declaration(node, depth, kind);
            }
        }
        Visit::Into
    }

    fn declaration(&mut self, node: Node<'_>, depth: usize, node_kind: &str) {
        let kind = match node_kind {
            "class_declaration" => "class",
            "interface_declaration" => "interface",
            "trait_declaration" => "trait",
            "enum_declaration" => "enum",
            "function_definition" => "function",
            "method_declaration" => "method",
            "enum_case" => "variant",
            "const_element" => "constant",
            "property_element" | "property_promotion_parameter" => "field",
            _ => return,
        };
        if self.outline.in_code() && node_kind != "property_promotion_parameter" {
            return;
        }
        let Some(name) = node.child_by_field_name("name").or_else(|| node.named_child(0)) else { return };
        let name = self.outline.text(name).trim_start_matches('$');
        let top = self.outline.nesting() == 0;
        let full = self.in_namespace(name);
        match kind {
            "class" | "interface" | "trait" | "enum" => self.defines(Kind::Class, full),
            "function" => self.defines(Kind::Function, full),
            "constant" if top => self.defines(Kind::Constant, full),
            _ => {}
        }
        let body = node.child_by_field_name("body").or_else(|| node.child_by_field_name("value"));
        self.outline.define(name, kind, node, depth, body);
    }

    /// `define('NAME', …)` makes a constant of exactly that name.
    fn defined_constant(&mut self, call: Node<'_>) {
        let argument = call.child_by_field_name("arguments").and_then(|arguments| arguments.named_child(0));
        if let Some(name) = argument.and_then(|argument| self.literal(argument.named_child(0)?)) {
            let name = name.trim_start_matches('\\').to_owned();
            self.defines(Kind::Constant, name);
        }
    }

    fn defines(&mut self, kind: Kind, name: String) {
        let asked = |(_, condition): &(usize, String)| {
            condition.split(['\'', '"']).skip(1).step_by(2).any(|literal| literal.trim_start_matches('\\') == name)
        };
        let guarded = self.guards.iter().any(asked);
        self.outline.file.facts.defines.push(Definition { kind, name, guarded });
    }

    /// Bare names among what a node is made of are constants; the name it declares is none.
    fn constants(&mut self, node: Node<'_>) {
        let declared = match node.kind() {
            "const_element" | "enum_case" => node.named_child(0),
            _ => node.child_by_field_name("name"),
        };
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor).filter(|child| Some(*child) != declared) {
            self.name(Kind::Constant, Some(child));
        }
    }

    fn in_namespace(&self, name: &str) -> String {
        if self.namespace.is_empty() { name.to_owned() } else { format!("{}\\{name}", self.namespace) }
    }

    /// Notes a name by what it means here.
    fn name(&mut self, kind: Kind, node: Option<Node<'_>>) {
        let Some(node) = node.filter(|node| matches!(node.kind(), "name" | "qualified_name" | "relative_name")) else {
            return;
        };
        let written = self.outline.text(node);
        let plain = written.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '\\'));
        if !plain || matches!(written.to_ascii_lowercase().as_str(), "self" | "static" | "parent") {
            return;
        }
        let full = self.full(kind, written);
        self.outline.file.facts.names.entry((kind, full)).or_insert_with(|| syntax::first_line(node));
    }

    fn full(&self, kind: Kind, written: &str) -> String {
        if let Some(absolute) = written.strip_prefix('\\') {
            return absolute.to_owned();
        }
        if written.len() > 10 && written[..10].eq_ignore_ascii_case("namespace\\") {
            return self.in_namespace(&written[10..]);
        }
        match written.split_once('\\') {
            // The first part of a longer name is always an alias of a namespace or class.
            Some((first, rest)) => match self.aliases.get(&key(Kind::Class, first)) {
                Some(alias) => format!("{alias}\\{rest}"),
                None => self.in_namespace(written),
            },
            None => self.aliases.get(&key(kind, written)).cloned().unwrap_or_else(|| self.in_namespace(written)),
        }
    }

    fn use_declaration(&mut self, node: Node<'_>) {
        let text = self.outline.text(node);
        let (mut kind, mut prefix) = (kind_of(text, "use"), String::new());
        let mut clauses = Vec::new();
        for child in syntax::named_children(node) {
            match child.kind() {
                "namespace_use_clause" => clauses.push(child),
                "namespace_name" => prefix = format!("{}\\", self.outline.text(child).trim_matches('\\')),
                "namespace_use_group" => clauses.extend(syntax::named_children(child)),
                _ => {}
            }
        }
        let of_all = kind;
        for clause in clauses {
            let children = syntax::named_children(clause);
            let Some(name) = children.iter().find(|child| matches!(child.kind(), "name" | "qualified_name")) else {
                continue;
            };
            if of_all == Kind::Class {
                // `use A\{function f, const C, D}` says it for each.
                kind = kind_of(self.outline.text(clause), "");
            }
            let full = format!("{prefix}{}", self.outline.text(*name).trim_start_matches('\\'));
            let last = full.rsplit('\\').next().unwrap_or_default().to_owned();
            let alias = syntax::field_text(clause, "alias", self.outline.source).map_or(last, str::to_owned);
            self.aliases.insert(key(kind, &alias), full.clone());
            self.outline.file.facts.uses.push((syntax::first_line(clause), kind, full));
        }
    }

    /// A path that is a literal, or put together from literals and the file's own place.
    fn include(&mut self, node: Node<'_>) {
        let Some(argument) = node.named_child(0) else { return };
        let line = syntax::first_line(node);
        match self.place(argument, 0) {
            Some((path, here)) if !path.is_empty() => self.outline.file.facts.includes.push((line, path, here)),
            Some(_) => {}
            None => {
                let written = syntax::expression(argument, self.outline.source);
                self.outline.file.facts.computed.push((line, written));
            }
        }
    }

    /// A path, and whether it starts at the directory of the file.
    fn place(&self, node: Node<'_>, depth: usize) -> Option<(String, bool)> {
        if depth > MAX_PLACE_DEPTH {
            return None;
        }
        if let Some(path) = self.literal(node) {
            return Some((path.to_owned(), false));
        }
        match (node.kind(), self.outline.text(node)) {
            ("parenthesized_expression", _) => self.place(node.named_child(0)?, depth + 1),
            ("name", "__DIR__") => Some((String::new(), true)),
            // The file counts as a directory that `dirname` leaves.
            ("name", "__FILE__") => Some(("/_".to_owned(), true)),
            ("name", "DIRECTORY_SEPARATOR") => Some(("/".to_owned(), false)),
            ("binary_expression", _) => {
                let (left, here) = self.place(node.child_by_field_name("left")?, depth + 1)?;
                let (right, again) = self.place(node.child_by_field_name("right")?, depth + 1)?;
                let joins = syntax::field_text(node, "operator", self.outline.source) == Some(".");
                (joins && !again).then(|| (left + &right, here))
            }
            ("function_call_expression", _) => {
                let arguments = syntax::named_children(node.child_by_field_name("arguments")?);
                let (mut path, here) = self.place(arguments.first()?.named_child(0)?, depth + 1)?;
                let levels: usize = match syntax::field_text(node, "function", self.outline.source)? {
                    "realpath" | "\\realpath" => 0,
                    "dirname" | "\\dirname" => {
                        arguments.get(1).map_or(Ok(1), |it| self.outline.text(*it).parse()).ok()?
                    }
                    _ => return None,
                };
                for _ in 0..levels.min(MAX_PLACE_DEPTH) {
                    match path.strip_suffix("/_") {
                        Some(directory) => path = directory.to_owned(),
                        None => path.push_str("/.."),
                    }
                }
                Some((path, here))
            }
            _ => None,
        }
    }

    fn literal(&self, node: Node<'_>) -> Option<&str> {
        let text = self.outline.text(node);
        let inner = text.get(1..text.len().checked_sub(1)?)?;
        let plain = matches!(node.kind(), "string" | "encapsed_string") && !inner.contains(['$', '{', '"', '\'']);
        plain.then_some(inner)
    }
}

/// Nodes whose bare names are constants; declarations and comparisons by `instanceof` aside.
const VALUES: [&str; 31] = [
    "argument",
    "array_element_initializer",
    "arrow_function",
    "assignment_expression",
    "augmented_assignment_expression",
    "case_statement",
    "cast_expression",
    "conditional_expression",
    "echo_statement",
    "error_suppression_expression",
    "exit_statement",
    "expression_statement",
    "foreach_statement",
    "for_statement",
    "match_condition_list",
    "match_conditional_expression",
    "match_default_expression",
    "parenthesized_expression",
    "print_intrinsic",
    "property_initializer",
    "property_promotion_parameter",
    "return_statement",
    "sequence_expression",
    "simple_parameter",
    "static_variable_declaration",
    "subscript_expression",
    "throw_expression",
    "unary_op_expression",
    "variadic_unpacking",
    "while_statement",
    "yield_expression",
];

/// The kind that stands after `keyword` in a `use`.
fn kind_of(text: &str, keyword: &str) -> Kind {
    match text.strip_prefix(keyword).unwrap_or(text).split_whitespace().next() {
        Some("function") => Kind::Function,
        Some("const") => Kind::Constant,
        _ => Kind::Class,
    }
}

/// Names of classes and functions know no case.
fn key(kind: Kind, name: &str) -> (Kind, String) {
    (kind, if kind == Kind::Constant { name.to_owned() } else { name.to_lowercase() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_have_exact_spans_and_names_are_written_out() {
        let source = "\
<?php
namespace App\\Models;
use Foo\\Bar, Foo\\Baz as Q;
use Foo\\{One, Sub\\Two as T, function helper};
/** A user. More. */
abstract class User extends Model implements \\Countable {
    use Shared;
    const LIMIT = 1;
    private ?Bar $b = null;
    /** Goes. */
    public function go(int $a, T|One $x): ?Result
    {
        return new Bar(Q\\Deep::class, namespace\\Here::y(), helper(), strlen('x'));
    }
}
interface I extends J {}
enum Suit: string { case Hearts = 'H'; }
function free(): void { try { } catch (\\Exc $e) { } }
const TOP = 1;
";
        let file = Php.parse("x.php", source);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        let expected = [
            ("User", "class", 6, 15, None),
            ("LIMIT", "constant", 8, 8, Some(0)),
            ("b", "field", 9, 9, Some(0)),
            ("go", "method", 11, 14, Some(0)),
            ("I", "interface", 16, 16, None),
            ("Suit", "enum", 17, 17, None),
            ("Hearts", "variant", 17, 17, Some(5)),
            ("free", "function", 18, 18, None),
            ("TOP", "constant", 19, 19, None),
        ];
        assert_eq!(found, expected);
        assert_eq!(file.symbols[0].signature, "abstract class User extends Model implements \\Countable");
        assert_eq!(file.symbols[3].signature, "public function go(int $a, T|One $x): ?Result");
        assert_eq!((file.symbols[0].doc.as_str(), file.symbols[3].doc.as_str()), ("A user.", "Goes."));
        let names: Vec<&str> = file.facts.names.keys().map(|(_, name)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "App\\Models\\Here",
                "App\\Models\\J",
                "App\\Models\\Model",
                "App\\Models\\Result",
                "App\\Models\\Shared",
                "Countable",
                "Exc",
                "Foo\\Bar",
                "Foo\\Baz\\Deep",
                "Foo\\One",
                "Foo\\Sub\\Two",
                "App\\Models\\strlen",
                "Foo\\helper",
            ]
        );
    }
}
