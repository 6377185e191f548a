//! Which names of a C# file may be types.
//!
//! A name counts where a type must stand, unless a type parameter of the file is called so, and
//! before a dot in an expression, unless a variable or a parameter is. What is called or stands
//! after a dot is a member.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroU16;
use std::sync::LazyLock;

use tree_sitter::{Language, Node, TreeCursor};

use super::Name;
use crate::syntax::{self, Kinds};

/// Longer chains of names are not looked at.
const MAX_CHAIN: usize = 16;

/// What a kind of node says of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    TypeParameter,
    /// Declares the variable in its field `name`.
    Variable,
    /// Declares the variable in its field `left`.
    Loop,
    Member,
    /// Whatever stands in it may be a type.
    Holder,
    /// `x is T`, `x as T`: the name that the operator leads to has the field `right`.
    Test,
    Attribute,
    Nothing,
}

impl Meaning {
    fn of(kind: &str) -> Self {
        match kind {
            "type_parameter" => Self::TypeParameter,
            "variable_declarator"
            | "parameter"
            | "catch_declaration"
            | "declaration_pattern"
            | "declaration_expression"
            | "recursive_pattern" => Self::Variable,
            "foreach_statement" => Self::Loop,
            "member_access_expression" => Self::Member,
            "base_list"
            | "type_argument_list"
            | "array_type"
            | "nullable_type"
            | "pointer_type"
            | "typeof_expression"
            | "constant_pattern"
            | "type_pattern"
            | "primary_constructor_base_type"
            | "explicit_interface_specifier" => Self::Holder,
            "is_expression" | "as_expression" => Self::Test,
            "attribute" => Self::Attribute,
            _ => Self::Nothing,
        }
    }
}

/// The grammar's numbers.
struct Grammar {
    meanings: Kinds<Meaning>,
    /// Fields in which a type stands, whatever has them.
    types: [Option<NonZeroU16>; 2],
    right: Option<NonZeroU16>,
    name: Option<NonZeroU16>,
}

static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    let language: Language = tree_sitter_c_sharp::LANGUAGE.into();
    let field = |name: &str| language.field_id_for_name(name);
    let types = [field("type"), field("returns")];
    Grammar { meanings: Kinds::of(&language, Meaning::of), types, right: field("right"), name: field("name") }
});

/// The names met so far.
pub(super) struct Names<'s> {
    source: &'s str,
    /// What the nodes are that the walk is inside of.
    above: Vec<Meaning>,
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
        Self { source, above: Vec::new(), types, values, variables, type_parameters, passed: HashSet::new() }
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

    /// Notes what the node declares and names, and whether it may be a type where it stands. `around` gives the names
    /// around it; nothing is noted without.
    pub(super) fn visit(&mut self, cursor: &TreeCursor<'_>, depth: usize, around: Option<&impl Fn() -> String>) {
        let (node, grammar) = (cursor.node(), &*GRAMMAR);
        let meaning = grammar.meanings.get(node).unwrap_or(Meaning::Nothing);
        self.above.truncate(depth);
        let parent = self.above.last().copied().unwrap_or(Meaning::Nothing);
        self.above.push(meaning);
        let Some(around) = around else { return };
        let field = cursor.field_id();
        let attribute = parent == Meaning::Attribute && field == grammar.name;
        let typed =
            field.is_some() && (grammar.types.contains(&field) || (parent == Meaning::Test && field == grammar.right));
        if typed || attribute || parent == Meaning::Holder {
            self.note_type(first_operand(node), around, attribute);
        }
        let declared = match meaning {
            Meaning::TypeParameter | Meaning::Variable => node.child_by_field_name("name"),
            Meaning::Loop => node.child_by_field_name("left"),
            Meaning::Member if !self.passed.contains(&node.id()) => {
                if let Some(path) = self.chain(node).filter(|path| path.len() > 1) {
                    let name = Name { around: around(), path, attribute: false };
                    self.values.entry(name).or_insert_with(|| syntax::first_line(node));
                }
                None
            }
            _ => None,
        };
        let declared = declared.map(|name| syntax::text(name, self.source));
        if meaning == Meaning::TypeParameter {
            self.type_parameters.extend(declared);
        } else {
            self.variables.extend(declared);
        }
    }

    fn note_type(&mut self, node: Node<'_>, around: &impl Fn() -> String, attribute: bool) {
        if let Some(path) = self.chain(node) {
            let name = Name { around: around(), path, attribute };
            self.types.entry(name).or_insert_with(|| syntax::first_line(node));
        }
    }

    /// The names of a dotted chain; none where it starts with anything but a name.
    fn chain(&mut self, node: Node<'_>) -> Option<Vec<String>> {
        let mut reversed: Vec<&str> = Vec::new();
        let mut node = node;
        loop {
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
                    self.passed.insert(node.id());
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
