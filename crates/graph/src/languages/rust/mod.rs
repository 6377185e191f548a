//! Rust: outlines, module declarations and paths from the syntax tree; [`resolve`] builds the
//! module tree and finds the files.
//!
//! Paths count in `use`, `extern crate`, expressions and types; in the arguments of a macro, which
//! are not syntax yet, what looks like a path counts as one. Where items stand and the arguments are items, they are
//! read as such. [`macros`] knows where a macro is used without a path.
//! Source: the Rust reference, "Modules", "Use declarations" and "Paths".

mod cargo;
mod facts;
mod globs;
mod items;
mod macros;
mod modules;
mod names;
mod resolve;
mod uses;

use std::sync::LazyLock;

use tree_sitter::Node;

use super::family::{Context, Family, ParsedFile, Resolve};
use crate::syntax::{self, Kinds, Landmarks, Visit};
use facts::{Facts, FileModule, Import, InlineModule, MAX_DEPTH, Macro, Target, What};

/// Rust, all editions since 2018.
pub(crate) struct Rust;

impl Family for Rust {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["rust"]
    }

    fn parse(&self, _path: &str, source: &str) -> ParsedFile<Facts> {
        let Some(tree) = syntax::parse(&tree_sitter_rust::LANGUAGE.into(), source) else {
            return ParsedFile::over_budget();
        };
        let mut file = ParsedFile::default();
        file.note_errors(tree.root_node());
        let mut outline = Outline {
            source,
            landmarks: Landmarks::of(source, LANDMARKS),
            scopes: Vec::new(),
            pending: Pending::default(),
            inner_doc: String::new(),
            inside_macros: 0,
            file,
        };
        syntax::walk(tree.root_node(), |node, depth| outline.visit(node, depth));
        outline.file.doc = syntax::first_sentence(&outline.inner_doc);
        let glob = |import: &Import| match &import.target {
            Target::Path { segments, .. } => segments.last().is_some_and(|last| last == "*"),
            Target::Module { .. } | Target::Include { .. } | Target::Call { .. } => false,
        };
        if outline.file.facts.imports.iter().any(glob) {
            outline.file.facts.mentions = uses::mentions(tree.root_node(), source);
        }
        outline.file.facts.events.extend(macros::uses(source));
        outline.file.facts.events.sort_by_key(|event| event.at);
        outline.file
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::ModuleTree::new(context))
    }
}

/// What stands before an item and belongs to it.
#[derive(Default)]
struct Pending {
    doc: String,
    paths: Vec<String>,
    /// Whether a `#[path]` holds under every condition.
    always: bool,
    macro_use: bool,
    macro_export: bool,
}

/// An item the walk is inside of.
struct Scope {
    depth: usize,
    symbol: Option<u32>,
    /// Whether functions directly inside are methods.
    methods: bool,
    module: Option<InlineModule>,
}

/// What a node of a kind is to the walk.
#[derive(Clone, Copy)]
enum Meaning {
    Comment,
    Attribute,
    Module,
    Use,
    ExternCrate,
    Implementation,
    Path,
    MacroArguments,
    Call,
    Definition(&'static str),
    /// It may hold any of these.
    Items,
    /// It holds one of these only where a landmark stands.
    Code,
    Nothing,
}

static MEANINGS: LazyLock<Kinds<Meaning>> =
    LazyLock::new(|| Kinds::of(&tree_sitter_rust::LANGUAGE.into(), Meaning::of));

/// Outside of items, an item stands in braces, a path has colons, a macro may be given `mod`, and
/// `include!` may stand anywhere.
const LANDMARKS: &[&str] = &["{", "::", "mod", "include!"];

impl Meaning {
    fn of(kind: &str) -> Self {
        match kind {
            "line_comment" | "block_comment" => Self::Comment,
            "attribute_item" => Self::Attribute,
            "mod_item" => Self::Module,
            "use_declaration" => Self::Use,
            "extern_crate_declaration" => Self::ExternCrate,
            "impl_item" => Self::Implementation,
            "scoped_identifier" | "scoped_type_identifier" => Self::Path,
            "token_tree" => Self::MacroArguments,
            "string_literal" | "raw_string_literal" | "visibility_modifier" => Self::Nothing,
            "function_item" | "function_signature_item" => Self::Definition("function"),
            "struct_item" => Self::Definition("struct"),
            "enum_item" => Self::Definition("enum"),
            "union_item" => Self::Definition("union"),
            "trait_item" => Self::Definition("trait"),
            "type_item" | "associated_type" => Self::Definition("type"),
            "const_item" => Self::Definition("constant"),
            "static_item" => Self::Definition("static"),
            "macro_definition" => Self::Definition("macro"),
            "field_declaration" => Self::Definition("field"),
            "enum_variant" => Self::Definition("variant"),
            "macro_invocation" => Self::Call,
            "source_file" | "expression_statement" => Self::Items,
            _ => Self::Code,
        }
    }
}

/// What the walk has found so far.
struct Outline<'s> {
    source: &'s str,
    landmarks: Landmarks,
    scopes: Vec<Scope>,
    pending: Pending,
    inner_doc: String,
    /// How many macros deep the walk reads arguments as items.
    inside_macros: usize,
    file: ParsedFile<Facts>,
}

impl Outline<'_> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        while self.scopes.pop_if(|scope| scope.depth >= depth).is_some() {}
        // An error is of no kind, and may hold anything.
        match MEANINGS.get(node).unwrap_or(Meaning::Items) {
            Meaning::Comment => self.comment(node, depth),
            Meaning::Attribute => self.attribute(node),
            Meaning::Module => return self.module(node, depth),
            Meaning::Use => self.use_declaration(node),
            Meaning::ExternCrate => {
                let name = syntax::field_text(node, "name", self.source).unwrap_or_default();
                let leaf = uses::Leaf {
                    line: syntax::first_line(node),
                    segments: vec![name.to_owned()],
                    alias: syntax::field_text(node, "alias", self.source).map(str::to_owned),
                };
                if std::mem::take(&mut self.pending).macro_use {
                    let name = uses::plain(name);
                    self.event(node.start_byte(), What::Extern(name));
                }
                self.path(leaf, true, is_public(node));
            }
            Meaning::Implementation => return self.implementation(node, depth),
            Meaning::Path => {
                for (line, segments) in uses::whole(node, self.source) {
                    self.path(uses::Leaf { line, segments, alias: None }, false, false);
                }
            }
            Meaning::MacroArguments => {
                for (line, name, paths) in uses::modules_in_tokens(node, self.source) {
                    let module = FileModule { name, paths, always: false, within: self.within() };
                    self.declare(node.start_byte(), line, module, false, false);
                }
                for (line, segments) in uses::in_tokens(node, self.source) {
                    self.path(uses::Leaf { line, segments, alias: None }, false, false);
                }
            }
            Meaning::Call => return self.call(node, depth),
            Meaning::Nothing => {}
            Meaning::Definition(kind) => return self.define(node, depth, kind),
            Meaning::Items => return Visit::Into,
            Meaning::Code => return if self.landmarks.stand_in(node) { Visit::Into } else { Visit::Over },
        }
        Visit::Over
    }

    /// Keeps documentation: `//!` of the file, `///` of the item that follows.
    fn comment(&mut self, node: Node<'_>, depth: usize) {
        let text = syntax::text(node, self.source);
        if node.child_by_field_name("inner").is_some() {
            // Depth 1: directly in the file, so it speaks of the file.
            if depth == 1 {
                append_comment(&mut self.inner_doc, text);
            }
        } else if node.child_by_field_name("outer").is_some() {
            append_comment(&mut self.pending.doc, text);
        }
    }

    fn implementation(&mut self, node: Node<'_>, depth: usize) -> Visit {
        let pending = std::mem::take(&mut self.pending);
        let of = |field| syntax::field_text(node, field, self.source).map(syntax::collapse);
        let Some(subject) = of("type") else { return Visit::Into };
        let name = of("trait").map_or_else(|| subject.clone(), |implemented| format!("{implemented} for {subject}"));
        let symbol = self.push(&name, "impl", node, node.child_by_field_name("body"), &pending.doc);
        self.scopes.push(Scope { depth, symbol: Some(symbol), methods: true, module: None });
        Visit::Into
    }

    fn define(&mut self, node: Node<'_>, depth: usize, kind: &str) -> Visit {
        let pending = std::mem::take(&mut self.pending);
        let Some(name) = syntax::field_text(node, "name", self.source).map(str::to_owned) else { return Visit::Into };
        let method = kind == "function" && self.scopes.last().is_some_and(|scope| scope.methods);
        let body = node.child_by_field_name("body").filter(|body| body.kind() != "ordered_field_declaration_list");
        // The value of a constant is its body; a macro has only rules.
        let body = body.or_else(|| node.child_by_field_name("value"));
        let symbol = self.push(&name, if method { "method" } else { kind }, node, body, &pending.doc);
        if kind == "macro" {
            self.file.symbols[symbol as usize].signature = format!("macro_rules! {name}");
            let made = Macro::of(node, self.source, uses::plain(&name), pending.macro_export);
            self.event(node.start_byte(), What::Define(made.name.clone()));
            self.file.facts.macros.push(made);
            return Visit::Over;
        }
        self.scopes.push(Scope { depth, symbol: Some(symbol), methods: kind == "trait", module: None });
        Visit::Into
    }

    fn push(&mut self, name: &str, kind: &str, node: Node<'_>, body: Option<Node<'_>>, doc: &str) -> u32 {
        let parent = self.scopes.iter().rev().find_map(|scope| scope.symbol);
        let signature = syntax::signature(node, body, self.source);
        let signature = signature.trim_end_matches([' ', '=']).to_owned();
        let symbol = syntax::push_symbol(&mut self.file.symbols, name, kind, node, parent, signature);
        self.file.symbols[symbol as usize].doc = syntax::first_sentence(doc);
        symbol
    }

    fn use_declaration(&mut self, node: Node<'_>) {
        self.pending = Pending::default();
        let Some(argument) = node.child_by_field_name("argument") else { return };
        let public = is_public(node);
        for leaf in uses::flatten(argument, self.source) {
            self.path(leaf, true, public);
        }
    }

    fn path(&mut self, leaf: uses::Leaf, declared: bool, public: bool) {
        let uses::Leaf { line, segments, alias } = leaf;
        if self.scopes.len() > MAX_DEPTH || segments.len() > MAX_DEPTH {
            return;
        }
        let within = self.scopes.iter().filter_map(|scope| Some(scope.module.as_ref()?.name.clone())).collect();
        self.file
            .facts
            .imports
            .push(Import { line, target: Target::Path { segments, alias, within, declared, public } });
    }
}

fn is_public(node: Node<'_>) -> bool {
    syntax::named_children(node).iter().any(|child| child.kind() == "visibility_modifier")
}

/// Appends the text of a documentation comment, its marks taken off.
fn append_comment(doc: &mut String, comment: &str) {
    let lines = match comment.strip_prefix("/*") {
        Some(block) => block.trim_start_matches(['*', '!']).trim_end_matches("*/"),
        None => comment.trim_start_matches('/').trim_start_matches('!'),
    };
    for line in lines.lines() {
        doc.push_str(line.trim().trim_start_matches("* "));
        doc.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_have_exact_spans_and_parents() {
        let source = "\
//! About it.
//! More.

/// A pair. Of things.
#[derive(Debug)]
pub struct Pair<T>(pub T, T);

impl<T> Pair<T>
where
    T: Copy,
{
    const SIZE: usize = 2;
    /// First
    /// of them.
    pub fn first(&self) -> T {
        fn inner() {}
        self.0
    }
}
impl Clone for Pair<u8> { fn clone(&self) -> Self { *self } }
mod deep { pub(crate) trait Open { type Out; fn open(&self); } }
enum E { A { x: u8 }, B }
macro_rules! m { () => {} }
";
        let expected = [
            ("Pair", "struct", 6, 6, None),
            ("Pair<T>", "impl", 8, 19, None),
            ("SIZE", "constant", 12, 12, Some(1)),
            ("first", "method", 15, 18, Some(1)),
            ("inner", "function", 16, 16, Some(3)),
            ("Clone for Pair<u8>", "impl", 20, 20, None),
            ("clone", "method", 20, 20, Some(5)),
            ("deep", "module", 21, 21, None),
            ("Open", "trait", 21, 21, Some(7)),
            ("Out", "type", 21, 21, Some(8)),
            ("open", "method", 21, 21, Some(8)),
            ("E", "enum", 22, 22, None),
            ("A", "variant", 22, 22, Some(11)),
            ("x", "field", 22, 22, Some(12)),
            ("B", "variant", 22, 22, Some(11)),
            ("m", "macro", 23, 23, None),
        ];
        let file = Rust.parse("x.rs", source);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(file.doc, "About it.");
        let signature = |at: usize| file.symbols[at].signature.as_str();
        assert_eq!(signature(0), "pub struct Pair<T>(pub T, T)");
        assert_eq!(signature(1), "impl<T> Pair<T> where T: Copy,");
        assert_eq!(signature(2), "const SIZE: usize");
        assert_eq!(signature(3), "pub fn first(&self) -> T");
        assert_eq!(file.symbols[0].doc, "A pair.");
        assert_eq!(file.symbols[3].doc, "First of them.");
    }

    #[test]
    fn modules_and_paths_are_found_wherever_they_stand() {
        let source = "\
#[path = \"odd/place.rs\"]
mod moved;
mod plain;
pub use self::plain::{Thing as Other, inner::{self, *}};
mod inline {
    mod file;
    fn f() { crate::a::b::<u8>::g(); let x: super::T<y::Z>::V = m!(y, crate::c::d(1)); }
}
extern crate sibling;
";
        let inline = InlineModule { name: "inline".into(), directory: "inline".into(), explicit: false };
        let module = |name: &str, path: Option<&str>, within: Vec<InlineModule>| {
            let paths = path.map(str::to_owned).into_iter().collect();
            let module = FileModule { name: name.into(), paths, always: path.is_some(), within };
            Target::Module { module, declared: true }
        };
        let path = |text: &str, within: &[&str], declared, public| Target::Path {
            segments: text.split("::").map(str::to_owned).collect(),
            alias: (text == "self::plain::Thing").then(|| "Other".to_owned()),
            within: within.iter().map(|s| (*s).to_owned()).collect(),
            declared,
            public,
        };
        let expected = vec![
            (2, module("moved", Some("odd/place.rs"), vec![])),
            (3, module("plain", None, vec![])),
            (4, path("self::plain::Thing", &[], true, true)),
            (4, path("self::plain::inner", &[], true, true)),
            (4, path("self::plain::inner::*", &[], true, true)),
            (6, module("file", None, vec![inline])),
            (7, path("crate::a::b::g", &["inline"], false, false)),
            (7, path("super::T::V", &["inline"], false, false)),
            (7, path("y::Z", &["inline"], false, false)),
            (7, path("crate::c::d", &["inline"], false, false)),
            (9, path("sibling", &[], true, false)),
        ];
        let found: Vec<_> = Rust.parse("x.rs", source).facts.imports.into_iter().map(|i| (i.line, i.target)).collect();
        assert_eq!(found, expected);
    }
}
