//! Reads a Kotlin file: its outline, and the names in it that may mean declarations of other files.

use std::collections::HashSet;

use tree_sitter::Node;

use super::super::family::ParsedFile;
use super::{Facts, Import, Outline, dotted, note};
use crate::paths;
use crate::syntax::{self, Visit};

pub(super) fn parse(path: &str, source: &str) -> ParsedFile<Facts> {
    let Some(tree) = syntax::parse(&tree_sitter_kotlin_ng::LANGUAGE.into(), source) else {
        return ParsedFile::over_budget();
    };
    let mut reader = Reader { outline: Outline::new(source), passed: HashSet::new(), errors: Vec::new(), head: None };
    reader.outline.file.note_errors(tree.root_node());
    syntax::walk(tree.root_node(), |node, depth| reader.visit(node, depth));
    let mut file = reader.outline.file;
    let main = file.symbols.iter().find(|symbol| symbol.parent.is_none() && symbol.name == paths::stem(path));
    file.doc = main.map_or(String::new(), |symbol| symbol.doc.clone());
    file.facts.facade.get_or_insert_with(|| facade(paths::stem(path)));
    file
}

/// The class Java sees for a file without `@file:JvmName`.
fn facade(stem: &str) -> String {
    let mut name: String = stem.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    if let Some(first) = name.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    name + "Kt"
}

struct Reader<'s> {
    outline: Outline<'s>,
    /// Nodes that declare a name or were counted with their parent.
    passed: HashSet<usize>,
    /// Depths of the errors the walk is inside of.
    errors: Vec<usize>,
    /// A keyword directly in an error whose name is still to come, with its depth.
    head: Option<(usize, &'static str)>,
}

impl Reader<'_> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        self.outline.leave(depth);
        self.follow(node, depth);
        if self.outline.leading.see(node, self.outline.source) {
            return Visit::Over;
        }
        match node.kind() {
            "package_header" => {
                let name = node.named_child(0).map(|name| dotted(self.outline.text(name)).join("."));
                self.outline.file.facts.package = name.unwrap_or_default();
                return Visit::Over;
            }
            "import" => {
                self.import(node);
                return Visit::Over;
            }
            "file_annotation" => {
                let text = self.outline.text(node);
                let name = text.split_once("JvmName(\"").and_then(|(_, rest)| rest.split('"').next());
                self.outline.file.facts.facade = name.map(str::to_owned).or(self.outline.file.facts.facade.take());
            }
            "class" | "interface" | "object" if !node.is_named() => {
                // The head of a type whose body the grammar did not accept.
                let in_error = self.errors.last().is_some_and(|error| error + 1 == depth);
                let kinds = ["class", "interface", "object"].into_iter();
                self.head = kinds.filter(|_| in_error).find(|kind| *kind == node.kind()).map(|kind| (depth, kind));
            }
            "infix_expression" => self.infix(node, depth),
            "call_expression" => self.invocation(node),
            "string_literal" | "multiline_string_literal" => self.template(node),
            "user_type" => self.user_type(node),
            "navigation_expression" => return self.navigation(node),
            "identifier" => self.name(node),
            "type_parameter" => self.first(node, |facts, name| facts.own_types.insert(name)),
            "parameter" | "variable_declaration" | "catch_block" | "setter" => {
                self.first(node, |facts, name| facts.variables.insert(name));
            }
            "class_parameter" => self.class_parameter(node, depth),
            "value_argument" if has_token(node, "=") => self.first(node, |_, _| false),
            "delegation_specifier" => self.supertype(node),
            "anonymous_initializer" | "lambda_literal" if !self.outline.in_code() => {
                self.outline.scopes.push((depth, None, true));
            }
            "property_declaration" if !self.outline.in_code() => self.property(node, depth),
            kind => self.declaration(node, depth, kind),
        }
        Visit::Into
    }

    /// Follows the walk past errors. A node asked for its parent or sibling is looked for from the
    /// root, which deep syntax makes too many steps.
    fn follow(&mut self, node: Node<'_>, depth: usize) {
        while self.errors.pop_if(|error| *error >= depth).is_some() {}
        if node.is_error() {
            self.errors.push(depth);
        }
        if self.head.is_some_and(|(at, _)| at > depth || (at == depth && node.is_named()))
            && let Some((at, keyword)) = self.head.take()
            && at == depth
        {
            self.headed(keyword, node, depth);
        }
    }

    /// `class Name` before an annotated constructor, which the grammar takes for a call of the
    /// function `class`; no function can be called so.
    fn infix(&mut self, node: Node<'_>, depth: usize) {
        let words = syntax::named_children(node);
        if let [.., keyword, name] = words.as_slice()
            && let kind @ ("class" | "interface" | "object") = self.outline.text(*keyword)
        {
            self.headed(kind, *name, depth);
        }
    }

    fn headed(&mut self, kind: &str, name: Node<'_>, depth: usize) {
        if name.kind() == "identifier" && !self.outline.in_code() {
            self.passed.insert(name.id());
            let text = self.outline.text(name).trim_matches('`');
            self.outline.define(text, kind, name, depth, None);
        }
    }

    fn declaration(&mut self, node: Node<'_>, depth: usize, node_kind: &str) {
        let in_type = self.outline.scopes.iter().any(|(_, symbol, _)| symbol.is_some());
        let kind = match node_kind {
            "class_declaration" => class_kind(node, self.outline.source),
            "object_declaration" | "companion_object" => "object",
            "function_declaration" if in_type => "method",
            "function_declaration" => "function",
            "secondary_constructor" => "constructor",
            "enum_entry" => "variant",
            "type_alias" => "type",
            _ => return,
        };
        let named = node.child_by_field_name("name").or_else(|| node.child_by_field_name("type"));
        let named = named.or_else(|| node.named_child(0)).filter(|name| name.kind() == "identifier");
        self.passed.extend(named.map(|name| name.id()));
        let name = match (named, node_kind) {
            (Some(name), _) => self.outline.text(name).trim_matches('`'),
            (None, "companion_object") => "Companion",
            (None, "secondary_constructor") => "constructor",
            (None, _) => return,
        };
        if self.outline.in_code() {
            let types = matches!(kind, "class" | "interface" | "enum" | "annotation" | "object");
            let facts = &mut self.outline.file.facts;
            let local = if types { &mut facts.own_types } else { &mut facts.variables };
            local.insert(name.to_owned());
            return;
        }
        let inside = ["class_body", "enum_class_body", "function_body", "block", "value_arguments"];
        let body = syntax::named_children(node).into_iter().find(|child| inside.contains(&child.kind()));
        self.outline.define(name, kind, node, depth, body);
    }

    /// A property outside of functions; its accessors and initialisers are code.
    fn property(&mut self, node: Node<'_>, depth: usize) {
        let children = syntax::named_children(node);
        let single = children.iter().filter(|child| child.kind() == "variable_declaration");
        let several = children.iter().filter(|child| child.kind() == "multi_variable_declaration");
        let names: Vec<Node<'_>> =
            single.copied().chain(several.flat_map(|all| syntax::named_children(*all))).collect();
        let end = names.last().map_or(0, Node::end_byte);
        let body = children.into_iter().find(|child| child.start_byte() >= end && child.kind() != "type_constraints");
        for name in names.iter().filter_map(|declared| declared.named_child(0)) {
            if name.kind() == "identifier" {
                self.outline.leave(depth);
                let text = self.outline.text(name).trim_matches('`');
                self.outline.define(text, "property", node, depth, body);
            }
        }
    }

    /// A parameter of a primary constructor, a property where it says `val` or `var`.
    fn class_parameter(&mut self, node: Node<'_>, depth: usize) {
        let Some(name) = syntax::named_children(node).into_iter().find(|child| child.kind() == "identifier") else {
            return;
        };
        self.passed.insert(name.id());
        let text = self.outline.text(name).trim_matches('`');
        self.outline.file.facts.variables.insert(text.to_owned());
        if !self.outline.in_code() && (has_token(node, "val") || has_token(node, "var")) {
            self.outline.define(text, "property", node, depth, None);
        }
    }

    fn import(&mut self, node: Node<'_>) {
        let children = syntax::named_children(node);
        let Some(name) = children.iter().find(|child| child.kind() == "qualified_identifier") else { return };
        let path = dotted(self.outline.text(*name));
        let wildcard = self.outline.text(node).trim_end().ends_with('*');
        let alias =
            children.iter().find(|child| child.kind() == "identifier").map(|it| self.outline.text(*it).to_owned());
        let import = Import { line: syntax::first_line(node), path, wildcard, alias };
        self.outline.file.facts.imports.push(import);
    }

    fn user_type(&mut self, node: Node<'_>) {
        let parts: Vec<Node<'_>> =
            syntax::named_children(node).into_iter().filter(|child| child.kind() == "identifier").collect();
        self.passed.extend(parts.iter().map(Node::id));
        let chain = parts.iter().map(|part| self.outline.text(*part).trim_matches('`').to_owned()).collect();
        note(&mut self.outline.file.facts.types, chain, syntax::first_line(node));
    }

    /// `a.b.c` is one chain; of any other, the last name is a member.
    fn navigation(&mut self, node: Node<'_>) -> Visit {
        let line = syntax::first_line(node);
        let chain = dotted(self.outline.text(node));
        if !chain.is_empty() {
            let facts = &mut self.outline.file.facts;
            for member in &chain[1..] {
                facts.calls.entry(member.clone()).or_insert(line);
            }
            if !matches!(chain[0].as_str(), "this" | "super") {
                note(&mut facts.values, chain, line);
            }
            return Visit::Over;
        }
        let member = syntax::named_children(node).into_iter().skip(1).last();
        if let Some(member) = member.filter(|member| member.kind() == "identifier") {
            self.passed.insert(member.id());
            let name = self.outline.text(member).trim_matches('`').to_owned();
            self.outline.file.facts.calls.entry(name).or_insert(line);
        }
        Visit::Into
    }

    fn invocation(&mut self, node: Node<'_>) {
        if let Some(name) = node.named_child(0).filter(|name| name.kind() == "identifier") {
            let text = self.outline.text(name).trim_matches('`').to_owned();
            self.outline.file.facts.invoked.entry(text).or_insert_with(|| syntax::first_line(name));
        }
    }

    /// `$name` in a string, which the grammar leaves in pieces of text.
    fn template(&mut self, node: Node<'_>) {
        let mut dollar = false;
        for piece in syntax::named_children(node).into_iter().filter(|piece| piece.kind() == "string_content") {
            let text = self.outline.text(piece);
            let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if dollar && name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name != "this" {
                note(&mut self.outline.file.facts.values, vec![name], syntax::first_line(piece));
            }
            dollar = text == "$";
        }
    }

    fn name(&mut self, node: Node<'_>) {
        if !self.passed.remove(&node.id()) {
            let name = self.outline.text(node).trim_matches('`').to_owned();
            note(&mut self.outline.file.facts.values, vec![name], syntax::first_line(node));
        }
    }

    /// The first identifier directly in `node`, which declares a name.
    fn first(&mut self, node: Node<'_>, keep: impl FnOnce(&mut Facts, String) -> bool) {
        let mut cursor = node.walk();
        let Some(name) = node.named_children(&mut cursor).find(|child| child.kind() == "identifier") else { return };
        self.passed.insert(name.id());
        let text = self.outline.text(name).trim_matches('`').to_owned();
        keep(&mut self.outline.file.facts, text);
    }

    fn supertype(&mut self, node: Node<'_>) {
        let mut named = node.named_child(0);
        while let Some(inner) = named.filter(|it| matches!(it.kind(), "constructor_invocation" | "explicit_delegation"))
        {
            named = inner.named_child(0);
        }
        let Some(named) = named.filter(|it| it.kind() == "user_type") else { return };
        let text = self.outline.text(named);
        let chain = dotted(text.split('<').next().unwrap_or_default());
        self.outline.extend(chain);
    }
}

fn class_kind(node: Node<'_>, source: &str) -> &'static str {
    let modifiers = syntax::named_children(node).into_iter().find(|child| child.kind() == "modifiers");
    let modifiers: Vec<&str> =
        modifiers.map(syntax::named_children).unwrap_or_default().iter().map(|it| syntax::text(*it, source)).collect();
    if has_token(node, "interface") {
        "interface"
    } else if modifiers.contains(&"enum") {
        "enum"
    } else if modifiers.contains(&"annotation") {
        "annotation"
    } else {
        "class"
    }
}

fn has_token(node: Node<'_>, token: &str) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
@file:JvmName(\"Tools\")
package com.ex.app

import com.ex.lib.*
import com.ex.lib.Thing as Other

/** Holds [T]s. More. */
data class Foo<T : Bar>(val a: Int, b: Baz = Def.X) : Base<Arg>(1), I1 {
    val p: String by lazy { Inner.x }

    companion object {
        const val K = 1
        fun make(): Foo = Foo(1)
    }

    enum class E(val q: Int) {
        A(1),
        B(2);
    }

    init {
        val local = setup(key = 1)
    }

    constructor(x: Long) : this(x.toInt())

    fun <U> get(i: Int): List<U>? {
        when (x) {
            is Typ -> 1
        }
        return i.map { e -> e?.f(Konst.Deep) }
    }
}

fun Rec.ext(x: Param): Ret = x.foo()

fun interface Sam {
    fun run()
}

typealias Al = Map<String, Foo>
val (d1, d2) = pair
object O
annotation class Mark
";

    #[test]
    fn definitions_have_exact_spans_and_parents() {
        let expected = [
            ("Foo", "class", 8, 33, None),
            ("a", "property", 8, 8, Some(0)),
            ("p", "property", 9, 9, Some(0)),
            ("Companion", "object", 11, 14, Some(0)),
            ("K", "property", 12, 12, Some(3)),
            ("make", "method", 13, 13, Some(3)),
            ("E", "enum", 16, 19, Some(0)),
            ("q", "property", 16, 16, Some(6)),
            ("A", "variant", 17, 17, Some(6)),
            ("B", "variant", 18, 18, Some(6)),
            ("constructor", "constructor", 25, 25, Some(0)),
            ("get", "method", 27, 32, Some(0)),
            ("ext", "function", 35, 35, None),
            ("Sam", "interface", 37, 39, None),
            ("run", "method", 38, 38, Some(13)),
            ("Al", "type", 41, 41, None),
            ("d1", "property", 42, 42, None),
            ("d2", "property", 42, 42, None),
            ("O", "object", 43, 43, None),
            ("Mark", "annotation", 44, 44, None),
        ];
        let file = parse("src/Foo.kt", SOURCE);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(file.doc, "Holds [T]s.");
        let signature = |at: usize| file.symbols[at].signature.as_str();
        assert_eq!(signature(0), "data class Foo<T : Bar>(val a: Int, b: Baz = Def.X) : Base<Arg>(1), I1");
        assert_eq!(signature(4), "const val K");
        assert_eq!(signature(11), "fun <U> get(i: Int): List<U>?");
        assert_eq!(signature(12), "fun Rec.ext(x: Param): Ret");
    }

    #[test]
    fn names_fall_into_types_values_and_calls() {
        let facts = parse("src/Foo.kt", SOURCE).facts;
        let joined = |chains: &super::super::Chains| chains.keys().map(|chain| chain.join(".")).collect::<Vec<_>>();
        let types = [
            "Arg", "Bar", "Base", "Baz", "Foo", "I1", "Int", "JvmName", "List", "Long", "Map", "Param", "Rec", "Ret",
            "String", "Typ", "U",
        ];
        assert_eq!(joined(&facts.types), types);
        let values =
            ["Def.X", "Foo", "Inner.x", "Konst.Deep", "e", "i.map", "lazy", "pair", "setup", "x", "x.foo", "x.toInt"];
        assert_eq!(joined(&facts.values), values);
        assert_eq!(facts.calls.keys().collect::<Vec<_>>(), ["Deep", "X", "f", "foo", "map", "toInt", "x"]);
        let names = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&facts.variables), "K a b d1 d2 e i local p q x");
        assert_eq!(names(&facts.own_types), "T U");
        assert_eq!((facts.facade.as_deref(), facts.package.as_str()), (Some("Tools"), "com.ex.app"));
        assert_eq!(facts.supers.len(), 2);
        let imports: Vec<_> =
            facts.imports.iter().map(|it| (it.line, it.path.join("."), it.wildcard, it.alias.as_deref())).collect();
        let expected =
            [(4, "com.ex.lib".to_owned(), true, None), (5, "com.ex.lib.Thing".to_owned(), false, Some("Other"))];
        assert_eq!(imports, expected);
    }
}
