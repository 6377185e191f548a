//! The grammars of JavaScript and TypeScript, and what their kinds of node are to the outline.

use std::sync::LazyLock;

use tree_sitter::Language;

use crate::syntax::Kinds;

/// A grammar and what its kinds of node mean.
pub(super) struct Dialect {
    pub(super) language: Language,
    pub(super) meanings: Kinds<Meaning>,
}

impl Dialect {
    fn new(language: Language) -> Self {
        Self { meanings: Kinds::of(&language, Meaning::of), language }
    }

    /// That of a file's extension, or of the name a component gives its script.
    pub(super) fn of(extension: &str) -> &'static Self {
        static TSX: LazyLock<Dialect> = LazyLock::new(|| Dialect::new(tree_sitter_typescript::LANGUAGE_TSX.into()));
        static TYPESCRIPT: LazyLock<Dialect> =
            LazyLock::new(|| Dialect::new(tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()));
        static JAVASCRIPT: LazyLock<Dialect> = LazyLock::new(|| Dialect::new(tree_sitter_javascript::LANGUAGE.into()));
        match extension {
            "tsx" => &TSX,
            "ts" | "mts" | "cts" | "typescript" => &TYPESCRIPT,
            _ => &JAVASCRIPT,
        }
    }
}

/// What a node of a kind is to the walk.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Comment,
    Import,
    Export,
    Call,
    Variables,
    Variable,
    Expression,
    EnumBody,
    Definition(&'static str),
    /// It may hold any of these.
    Items,
    /// It holds one of these only where a landmark stands.
    Code,
    Nothing,
}

/// Outside of what [`Meaning::Items`] hold, a definition stands in braces; a call imports only by
/// these names; a comment counts that documents or refers.
pub(super) const LANDMARKS: &[&str] = &["{", "require", "import", "/**", "///"];

impl Meaning {
    fn of(kind: &str) -> Self {
        match kind {
            "comment" => Self::Comment,
            "import_statement" => Self::Import,
            "export_statement" => Self::Export,
            "call_expression" => Self::Call,
            "lexical_declaration" | "variable_declaration" => Self::Variables,
            "variable_declarator" => Self::Variable,
            "expression_statement" => Self::Expression,
            "enum_body" => Self::EnumBody,
            "string" | "regex" => Self::Nothing,
            "function_declaration" | "generator_function_declaration" | "function_signature" => {
                Self::Definition("function")
            }
            "class_declaration" | "abstract_class_declaration" => Self::Definition("class"),
            "method_definition" | "method_signature" | "abstract_method_signature" => Self::Definition("method"),
            "public_field_definition" | "field_definition" | "property_signature" => Self::Definition("field"),
            "interface_declaration" => Self::Definition("interface"),
            "type_alias_declaration" => Self::Definition("type"),
            "enum_declaration" => Self::Definition("enum"),
            "internal_module" | "module" => Self::Definition("module"),
            "program" | "ambient_declaration" => Self::Items,
            _ => Self::Code,
        }
    }
}
