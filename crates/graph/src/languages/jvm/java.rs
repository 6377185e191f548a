//! Reads a Java file: its outline, and the names in it that may mean types of other files.

use std::collections::{HashMap, HashSet};

use tree_sitter::Node;

use super::super::family::ParsedFile;
use super::{Facts, Import, Outline, dotted, note};
use crate::syntax::{self, Visit};

pub(super) fn parse(source: &str) -> ParsedFile<Facts> {
    let Some(tree) = syntax::parse(&tree_sitter_java::LANGUAGE.into(), source) else {
        return ParsedFile::over_budget();
    };
    let mut reader = Reader { outline: Outline::new(source), passed: HashSet::new(), names: HashMap::new() };
    reader.outline.file.note_errors(tree.root_node());
    syntax::walk(tree.root_node(), |node, depth| reader.visit(node, depth));
    let mut file = reader.outline.file;
    for ((name, is_type), line) in reader.names {
        let chains = if is_type { &mut file.facts.types } else { &mut file.facts.values };
        // The same name may have been noted as an annotation further down.
        chains.entry(vec![name.to_owned()]).and_modify(|at| *at = line.min(*at)).or_insert(line);
    }
    file.doc = file.symbols.iter().find(|symbol| symbol.parent.is_none()).map_or(String::new(), |it| it.doc.clone());
    file
}

struct Reader<'s> {
    outline: Outline<'s>,
    /// Nodes that declare a name or were counted with their parent.
    passed: HashSet<usize>,
    /// Names that stand alone, and whether as a type; the line of their first use.
    names: HashMap<(&'s str, bool), u32>,
}

impl<'s> Reader<'s> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        self.outline.leave(depth);
        if self.outline.leading.see(node, self.outline.source) {
            return Visit::Over;
        }
        match node.kind() {
            "package_declaration" => {
                let name = syntax::named_children(node).into_iter().rfind(|child| child.kind().ends_with("identifier"));
                self.outline.file.facts.package = name.map(|it| self.dotted(it).join(".")).unwrap_or_default();
                return Visit::Over;
            }
            "import_declaration" => {
                self.import(node);
                return Visit::Over;
            }
            "type_identifier" | "identifier" => self.name(node),
            "scoped_type_identifier" | "scoped_identifier" | "field_access" => return self.chain(node),
            "annotation" | "marker_annotation" => self.annotation(node),
            "method_invocation" | "labeled_statement" | "break_statement" | "continue_statement"
            | "element_value_pair" | "method_reference" => self.pass_labels(node),
            "type_parameter" => {
                if let Some(name) = node.named_child(0).filter(|name| name.kind() == "type_identifier") {
                    self.passed.insert(name.id());
                    self.outline.file.facts.own_types.insert(self.outline.text(name).to_owned());
                }
            }
            "superclass" | "super_interfaces" | "extends_interfaces" => self.supers(node),
            "object_creation_expression" => self.anonymous(node),
            "inferred_parameters" => self.variables(&syntax::named_children(node)),
            "lambda_expression" => {
                let only = node.child_by_field_name("parameters").filter(|it| it.kind() == "identifier");
                self.variables(only.as_slice());
            }
            "field_declaration" | "constant_declaration" if !self.outline.in_code() => self.fields(node, depth),
            kind => self.declaration(node, depth, kind),
        }
        Visit::Into
    }

    /// What declares a name.
    fn declaration(&mut self, node: Node<'_>, depth: usize, node_kind: &str) {
        let kind = match node_kind {
            "class_declaration" => "class",
            "interface_declaration" => "interface",
            "enum_declaration" => "enum",
            "record_declaration" => "record",
            "annotation_type_declaration" => "annotation",
            "method_declaration" | "annotation_type_element_declaration" => "method",
            "constructor_declaration" | "compact_constructor_declaration" => "constructor",
            "enum_constant" => "variant",
            "formal_parameter"
            | "catch_formal_parameter"
            | "enhanced_for_statement"
            | "resource"
            | "variable_declarator"
            | "instanceof_expression"
            | "type_pattern"
            | "record_pattern_component" => "variable",
            _ => return,
        };
        let Some(name) = node.child_by_field_name("name") else { return };
        self.passed.insert(name.id());
        let text = self.outline.text(name);
        if matches!(kind, "variable" | "variant") {
            self.outline.file.facts.variables.insert(text.to_owned());
        }
        let is_type = matches!(kind, "class" | "interface" | "enum" | "record" | "annotation");
        if self.outline.in_code() {
            if is_type {
                self.outline.file.facts.own_types.insert(text.to_owned());
            }
            return;
        }
        match kind {
            "variable" => {}
            _ => {
                let body = node.child_by_field_name("body");
                self.outline.define(text, kind, node, depth, body.or_else(|| node.child_by_field_name("arguments")));
            }
        }
    }

    /// The declaration says type and modifiers, its declarators the names.
    fn fields(&mut self, node: Node<'_>, depth: usize) {
        let mut cursor = node.walk();
        let declarators: Vec<Node<'_>> = node.children_by_field_name("declarator", &mut cursor).collect();
        for declarator in declarators {
            self.outline.leave(depth);
            let Some(name) = declarator.child_by_field_name("name") else { continue };
            let name = self.outline.text(name);
            self.outline.define(name, "field", node, depth, declarator.child_by_field_name("value"));
        }
    }

    fn import(&mut self, node: Node<'_>) {
        let children = syntax::named_children(node);
        let Some(name) = children.iter().find(|child| child.kind().ends_with("identifier")) else { return };
        let wildcard = children.iter().any(|child| child.kind() == "asterisk");
        let import = Import { line: syntax::first_line(node), path: self.dotted(*name), wildcard, alias: None };
        self.outline.file.facts.imports.push(import);
    }

    fn dotted(&self, node: Node<'_>) -> Vec<String> {
        dotted(self.outline.text(node))
    }

    fn name(&mut self, node: Node<'_>) {
        if self.passed.remove(&node.id()) {
            return;
        }
        let is_type = node.kind() == "type_identifier";
        self.names.entry((self.outline.text(node), is_type)).or_insert_with(|| syntax::first_line(node));
    }

    /// A dotted name is one chain; where it starts with something else, its names are members.
    fn chain(&mut self, node: Node<'_>) -> Visit {
        let chain = self.dotted(node);
        if !chain.is_empty() {
            let facts = &mut self.outline.file.facts;
            let chains = if node.kind() == "field_access" { &mut facts.values } else { &mut facts.types };
            if chain[0] != "this" && chain[0] != "super" {
                note(chains, chain, syntax::first_line(node));
            }
            return Visit::Over;
        }
        if let Some(member) = syntax::named_children(node).pop() {
            self.passed.insert(member.id());
        }
        Visit::Into
    }

    fn annotation(&mut self, node: Node<'_>) {
        let Some(name) = node.child_by_field_name("name") else { return };
        self.passed.insert(name.id());
        let chain = self.dotted(name);
        note(&mut self.outline.file.facts.types, chain, syntax::first_line(name));
    }

    /// Identifiers that are methods, labels or keys.
    fn pass_labels(&mut self, node: Node<'_>) {
        let label = match node.kind() {
            "method_invocation" => node.child_by_field_name("name"),
            "element_value_pair" => node.child_by_field_name("key"),
            "method_reference" => syntax::named_children(node).into_iter().skip(1).last(),
            _ => node.named_child(0),
        };
        self.passed.extend(label.filter(|label| label.kind() == "identifier").map(|label| label.id()));
    }

    fn variables(&mut self, names: &[Node<'_>]) {
        for name in names.iter().filter(|name| name.kind() == "identifier") {
            self.passed.insert(name.id());
            self.outline.file.facts.variables.insert(self.outline.text(*name).to_owned());
        }
    }

    /// A class without a name sees the members of what it extends.
    fn anonymous(&mut self, node: Node<'_>) {
        let has_body = syntax::named_children(node).iter().any(|child| child.kind() == "class_body");
        let Some(named) = node.child_by_field_name("type").filter(|_| has_body) else { return };
        let named = if named.kind() == "generic_type" { named.named_child(0).unwrap_or(named) } else { named };
        let chain = self.dotted(named);
        if !chain.is_empty() {
            self.outline.file.facts.supers.insert((Vec::new(), chain));
        }
    }

    fn supers(&mut self, node: Node<'_>) {
        for child in syntax::named_children(node) {
            let listed = if child.kind() == "type_list" { syntax::named_children(child) } else { vec![child] };
            for named in listed {
                let named = if named.kind() == "generic_type" { named.named_child(0).unwrap_or(named) } else { named };
                let chain = self.dotted(named);
                self.outline.extend(chain);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_have_exact_spans_and_parents() {
        let source = "\
/* Copyright somebody. */
package com.ex.app;

/**
 * Holds {@code T}s. More.
 */
@Ann(x = 1)
public class Foo<T extends Bar> extends Base implements I1 {
  private static final int K = Other.V, L = 2;
  enum E { A, B(1) { void q() {} }; int z; }
  record R(int a) { }
  interface In { void m(); }
  @interface Mark { String value() default \"\"; }
  public Foo(Param p) throws Exc { super(p); }
  /** Gets. */
  <U> List<U> get(int i) {
    class Local { int x; }
    return new Anon() { public void run() {} };
  }
}
";
        let expected = [
            ("Foo", "class", 7, 20, None),
            ("K", "field", 9, 9, Some(0)),
            ("L", "field", 9, 9, Some(0)),
            ("E", "enum", 10, 10, Some(0)),
            ("A", "variant", 10, 10, Some(3)),
            ("B", "variant", 10, 10, Some(3)),
            ("q", "method", 10, 10, Some(5)),
            ("z", "field", 10, 10, Some(3)),
            ("R", "record", 11, 11, Some(0)),
            ("In", "interface", 12, 12, Some(0)),
            ("m", "method", 12, 12, Some(9)),
            ("Mark", "annotation", 13, 13, Some(0)),
            ("value", "method", 13, 13, Some(11)),
            ("Foo", "constructor", 14, 14, Some(0)),
            ("get", "method", 16, 19, Some(0)),
        ];
        let file = parse(source);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        assert_eq!(found, expected);
        assert_eq!((file.doc.as_str(), file.facts.package.as_str()), ("Holds Ts.", "com.ex.app"));
        let signature = |at: usize| file.symbols[at].signature.as_str();
        assert_eq!(file.symbols[0].doc, "Holds Ts.");
        assert_eq!(signature(0), "@Ann(x = 1) public class Foo<T extends Bar> extends Base implements I1");
        assert_eq!(signature(1), "private static final int K");
        assert_eq!(signature(13), "public Foo(Param p) throws Exc");
        assert_eq!((signature(14), file.symbols[14].doc.as_str()), ("<U> List<U> get(int i)", "Gets."));
    }

    #[test]
    fn names_fall_into_types_and_values() {
        let source = "\
package p;
import static a.b.Util.max;
import a.b.*;
class Foo<T> extends Base<Arg> implements q.Face {
  Inner f = Static.make(Konst.X, local);
  void m(Param p) {
    label: for (Item item : p.items) { break label; }
    new a.full.Name(); Map.Entry<K, V> me = this.f.g; f.call().then(Klass::method);
    try (Res r = Open.it()) {} catch (Ex1 | Ex2 e) {}
    if (o instanceof Pat pat) { x -> x.y; (b, c) -> b; }
    @Mark(key = Value.A) Object o = (Cast) Outer.Inner.deep();
  }
}
";
        let facts = parse(source).facts;
        let joined = |chains: &super::super::Chains| chains.keys().map(|chain| chain.join(".")).collect::<Vec<_>>();
        let types = [
            "Arg",
            "Base",
            "Cast",
            "Ex1",
            "Ex2",
            "Inner",
            "Item",
            "K",
            "Map.Entry",
            "Mark",
            "Object",
            "Param",
            "Pat",
            "Res",
            "V",
            "a.full.Name",
            "q.Face",
        ];
        assert_eq!(joined(&facts.types), types);
        let values =
            ["Klass", "Konst.X", "Open", "Outer.Inner", "Static", "Value.A", "b", "f", "local", "o", "p.items", "x.y"];
        assert_eq!(joined(&facts.values), values);
        let variables = ["b", "c", "e", "f", "item", "me", "o", "p", "pat", "r", "x"];
        assert_eq!(facts.variables.iter().map(String::as_str).collect::<Vec<_>>(), variables);
        assert_eq!(facts.own_types.iter().collect::<Vec<_>>(), ["T"]);
        assert_eq!(facts.supers.len(), 2);
        let import = |line, path: &str, wildcard| Import {
            line,
            path: path.split('.').map(str::to_owned).collect(),
            wildcard,
            alias: None,
        };
        assert_eq!(facts.imports, [import(2, "a.b.Util.max", false), import(3, "a.b", true)]);
    }
}
