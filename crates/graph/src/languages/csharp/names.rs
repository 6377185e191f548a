//! Which names of a C# file may be types.
//!
//! A name counts where a type must stand, unless a type parameter of the file is called so, and
//! before a dot in an expression, unless a variable or a parameter is. What is called or stands
//! after a dot is a member.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tree_sitter::Node;

use super::Name;
use crate::syntax;

/// Longer chains of names are not looked at.
const MAX_CHAIN: usize = 16;

/// The names met so far.
pub(super) struct Names<'s> {
    source: &'s str,
    types: BTreeMap<Name, u32>,
    /// Chains in expressions, which a variable may hide.
    values: BTreeMap<Name, u32>,
    /// Variables and parameters: a field may well be called like its type.
    variables: BTreeSet<&'s str>,
    type_parameters: BTreeSet<&'s str>,
    /// Nodes that were seen as a part of a chain.
    passed: HashSet<usize>,
}

impl<'s> Names<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        let (types, values) = (BTreeMap::new(), BTreeMap::new());
        let (variables, type_parameters) = (BTreeSet::new(), BTreeSet::new());
        Self { source, types, values, variables, type_parameters, passed: HashSet::new() }
    }

    /// What the file uses, variables left out.
    pub(super) fn finish(self) -> BTreeMap<Name, u32> {
        let Self { mut types, values, variables, type_parameters, .. } = self;
        types.retain(|name, _| name.path.len() > 1 || !type_parameters.contains(name.path[0].as_str()));
        for (name, line) in values {
            let first = name.path[0].as_str();
            if !variables.contains(first) && !type_parameters.contains(first) {
                let first = types.entry(name).or_insert(line);
                *first = line.min(*first);
            }
        }
        types
    }

    /// Notes what the node itself declares or names.
    pub(super) fn visit(&mut self, node: Node<'_>, around: &str) {
        match node.kind() {
            "type_parameter" => {
                let name = node.child_by_field_name("name");
                self.type_parameters.extend(name.map(|name| syntax::text(name, self.source)));
            }
            "variable_declarator"
            | "parameter"
            | "foreach_statement"
            | "catch_declaration"
            | "declaration_pattern"
            | "declaration_expression"
            | "recursive_pattern" => {
                let name = node.child_by_field_name(if node.kind() == "foreach_statement" { "left" } else { "name" });
                self.variables.extend(name.map(|name| syntax::text(name, self.source)));
            }
            "member_access_expression" if !self.passed.contains(&node.id()) => {
                if let Some(path) = self.chain(node).filter(|path| path.len() > 1) {
                    let name = Name { around: around.to_owned(), path, attribute: false };
                    self.values.entry(name).or_insert_with(|| syntax::first_line(node));
                }
            }
            _ => {}
        }
        let holds = matches!(
            node.kind(),
            "base_list"
                | "type_argument_list"
                | "array_type"
                | "nullable_type"
                | "pointer_type"
                | "typeof_expression"
                | "constant_pattern"
                | "type_pattern"
                | "primary_constructor_base_type"
                | "explicit_interface_specifier"
        );
        let mut cursor = node.walk();
        if !cursor.goto_first_child() {
            return;
        }
        loop {
            let (child, field) = (cursor.node(), cursor.field_name());
            // The name that the operator leads to in `x is T` and `x as T` has the field `right`.
            let tested = matches!(node.kind(), "is_expression" | "as_expression") && field == Some("right");
            let attribute = node.kind() == "attribute" && field == Some("name");
            if holds || tested || attribute || matches!(field, Some("type" | "returns")) {
                self.note_type(first_operand(child), around, attribute);
            }
            if !cursor.goto_next_sibling() {
                break;
            }
        }
    }

    fn note_type(&mut self, node: Node<'_>, around: &str, attribute: bool) {
        if let Some(path) = self.chain(node) {
            let name = Name { around: around.to_owned(), path, attribute };
            self.types.entry(name).or_insert_with(|| syntax::first_line(node));
        }
    }

    /// The names of a dotted chain; none where it starts with anything but a name.
    fn chain(&mut self, node: Node<'_>) -> Option<Vec<String>> {
        let mut reversed: Vec<&str> = Vec::new();
        let mut node = node;
        loop {
            self.passed.insert(node.id());
            match node.kind() {
                "identifier" => {
                    reversed.push(syntax::text(node, self.source));
                    break;
                }
                "generic_name" => {
                    reversed.push(syntax::text(node.named_child(0)?, self.source));
                    break;
                }
                "qualified_name" | "member_access_expression" => {
                    let name = node.child_by_field_name("name")?;
                    let name = if name.kind() == "generic_name" { name.named_child(0)? } else { name };
                    reversed.push(syntax::text(name, self.source));
                    node = node.child_by_field_name("qualifier").or_else(|| node.child_by_field_name("expression"))?;
                }
                // `global::Name`
                "alias_qualified_name" => {
                    reversed.push(syntax::text(node.child_by_field_name("name")?, self.source));
                    break;
                }
                _ => return None,
            }
        }
        // Only the first names of a long chain can be namespaces and types.
        reversed.reverse();
        reversed.truncate(MAX_CHAIN);
        Some(reversed.into_iter().map(|name| name.trim_start_matches('@').to_owned()).collect())
    }
}

/// `T` of the pattern `T || …`, which the grammar takes for one expression.
fn first_operand(mut node: Node<'_>) -> Node<'_> {
    while let Some(left) = node.child_by_field_name("left").filter(|_| node.kind() == "binary_expression") {
        node = left;
    }
    node
}
