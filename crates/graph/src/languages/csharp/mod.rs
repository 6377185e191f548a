//! C#: outlines, the `using` directives and the names that may be types; [`names`] finds those,
//! [`projects`] reads which project sees which, [`resolve`] finds the files.
//!
//! Source: the C# language specification, 7.8 "Namespace and type names" and 14 "Namespaces".

mod names;
mod projects;
mod resolve;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tree_sitter::{Node, TreeCursor};

use super::family::{Context, Family, ParsedFile, Resolve};
use super::scoped::Scoped;
use crate::syntax::{self, Kinds, Visit};

/// C#.
pub(crate) struct CSharp;

/// What a file says beyond its outline.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Facts {
    usings: Vec<Using>,
    /// Namespaces declared, in full.
    namespaces: Vec<String>,
    /// Types defined, in full.
    defines: Vec<String>,
    /// Names that may be types, by where they stand, each with its first line.
    names: BTreeMap<Name, u32>,
}

/// One `using` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Using {
    /// 1-based line.
    line: u32,
    /// The namespace it stands in, `""` for the file.
    within: String,
    target: String,
    /// The name given to the target.
    alias: Option<String>,
    /// Whether the target is a type whose members are used.
    statics: bool,
    /// Whether it serves the whole project.
    global: bool,
}

/// A name that may be a type's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// The namespace and types around, in full.
    around: String,
    /// Its segments.
    path: Vec<String>,
    /// Whether it stands where only an attribute can.
    attribute: bool,
}

impl Family for CSharp {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["csharp"]
    }

    fn parse(&self, _path: &str, source: &str) -> ParsedFile<Facts> {
        let Some(tree) = syntax::parse(&tree_sitter_c_sharp::LANGUAGE.into(), source) else {
            return ParsedFile::over_budget();
        };
        let mut reader = Reader {
            outline: Scoped::new(source),
            names: names::Names::new(source),
            recovered: (0, String::new()),
            recovering: Recovering::default(),
        };
        reader.outline.file.note_errors(tree.root_node());
        syntax::walk_cursor(tree.root_node(), |cursor, depth| reader.visit(cursor, depth));
        let Reader { mut outline, names, .. } = reader;
        outline.file.facts.names = names.finish();
        for symbol in &mut outline.file.symbols {
            symbol.doc = without_tags(&symbol.doc);
        }
        outline.file
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::Types::new(context))
    }
}

/// What a kind of node is to the outline.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Comment,
    Using,
    Namespace,
    /// A namespace that reaches over its siblings.
    FileNamespace,
    /// The word before a name, which also stands before what the grammar did not accept.
    Keyword,
    Fields,
    /// A definition of this kind.
    Definition(&'static str),
    Nothing,
}

static MEANINGS: LazyLock<Kinds<Meaning>> =
    LazyLock::new(|| Kinds::of(&tree_sitter_c_sharp::LANGUAGE.into(), Meaning::of));

impl Meaning {
    fn of(kind: &str) -> Self {
        match kind {
            "using_directive" => Self::Using,
            "namespace_declaration" => Self::Namespace,
            "file_scoped_namespace_declaration" => Self::FileNamespace,
            "namespace" | "class" | "struct" | "interface" | "enum" => Self::Keyword,
            "field_declaration" | "event_field_declaration" => Self::Fields,
            "class_declaration" => Self::Definition("class"),
            "struct_declaration" => Self::Definition("struct"),
            "interface_declaration" => Self::Definition("interface"),
            "enum_declaration" => Self::Definition("enum"),
            "record_declaration" | "record_struct_declaration" => Self::Definition("record"),
            "delegate_declaration" => Self::Definition("delegate"),
            "method_declaration" => Self::Definition("method"),
            "constructor_declaration" => Self::Definition("constructor"),
            "property_declaration" | "event_declaration" => Self::Definition("property"),
            "enum_member_declaration" => Self::Definition("variant"),
            comment if comment.ends_with("comment") => Self::Comment,
            _ => Self::Nothing,
        }
    }
}

/// Where a walk stands among what the grammar did not accept. A node asked for its parent is looked
/// for from the root, which deep syntax makes too many steps; the walk has been there.
#[derive(Debug, Default)]
struct Recovering {
    /// Errors the walk is inside of: depth and node.
    errors: Vec<(usize, usize)>,
    /// A keyword directly in an error whose name is still to come, with its depth.
    head: Option<(usize, Head)>,
}

/// A keyword that heads a definition.
#[derive(Debug, Clone, Copy)]
struct Head {
    namespace: bool,
    error: usize,
}

impl Recovering {
    /// Follows the walk to a node; the keyword whose name it is.
    fn enter(&mut self, node: Node<'_>, depth: usize) -> Option<Head> {
        while self.errors.pop_if(|(at, _)| *at >= depth).is_some() {}
        if node.is_error() {
            self.errors.push((depth, node.id()));
        }
        match self.head {
            Some((at, head)) if at == depth && node.is_named() => {
                self.head = None;
                Some(head)
            }
            Some((at, _)) if at > depth => {
                self.head = None;
                None
            }
            _ => None,
        }
    }

    /// Sees a keyword.
    fn see(&mut self, keyword: Node<'_>, depth: usize) {
        if let Some(&(_, error)) = self.errors.last().filter(|(at, _)| at + 1 == depth) {
            self.head = Some((depth, Head { namespace: keyword.kind() == "namespace", error }));
        }
    }
}

struct Reader<'s> {
    outline: Scoped<'s, Facts>,
    names: names::Names<'s>,
    /// The error of the grammar that a namespace was last recovered from, and that namespace.
    recovered: (usize, String),
    recovering: Recovering,
}

impl Reader<'_> {
    fn visit(&mut self, cursor: &TreeCursor<'_>, depth: usize) -> Visit {
        let node = cursor.node();
        self.outline.leave(depth);
        if let Some(head) = self.recovering.enter(node, depth) {
            self.recover(head, node, depth);
        }
        let meaning = MEANINGS.get(node).unwrap_or(Meaning::Nothing);
        if self.outline.leading.see_as(node, matches!(meaning, Meaning::Comment), self.outline.source) {
            return Visit::Over;
        }
        match meaning {
            Meaning::Using => {
                self.using(node);
                return Visit::Over;
            }
            Meaning::Namespace | Meaning::FileNamespace => {
                let name =
                    syntax::field_text(node, "name", self.outline.source).map(syntax::collapse).unwrap_or_default();
                let over_siblings = matches!(meaning, Meaning::FileNamespace);
                let depth = if over_siblings { depth.saturating_sub(1) } else { depth };
                self.outline.leave(depth);
                self.outline.enter(&name, depth);
                self.declares_namespace();
            }
            Meaning::Keyword => self.recovering.see(node, depth),
            Meaning::Fields if !self.outline.in_code() => self.fields(node, depth),
            Meaning::Definition(kind) if !self.outline.in_code() => self.define(node, depth, kind),
            Meaning::Comment | Meaning::Fields | Meaning::Definition(_) | Meaning::Nothing => {}
        }
        let outline = &self.outline;
        let around = || joined(outline.around());
        self.names.visit(cursor, depth, outline.is_nameable().then_some(&around));
        Visit::Into
    }

    fn around(&self) -> String {
        joined(self.outline.around())
    }

    /// The head of a namespace or type whose body the grammar did not accept all of: what follows
    /// stands inside. A second type counts as the first one's neighbour.
    fn recover(&mut self, Head { namespace, error }: Head, name: Node<'_>, depth: usize) {
        if !matches!(name.kind(), "identifier" | "qualified_name") || !self.outline.is_nameable() {
            return;
        }
        let name = syntax::one_line(self.outline.text(name));
        if namespace {
            // It reaches over what the grammar put beside the error.
            self.outline.enter(&name, depth.saturating_sub(2));
            let full = self.declares_namespace();
            self.recovered = (error, full);
            return;
        }
        let (of, namespace) = &self.recovered;
        let next = *of == error && self.around() != *namespace;
        let full = if next { format!("{namespace}.{name}") } else { self.full(&name) };
        self.outline.file.facts.defines.push(full);
        if !next {
            self.outline.enter(&name, depth.saturating_sub(1));
        }
    }

    /// Notes the namespace just entered; its full name.
    fn declares_namespace(&mut self) -> String {
        if !self.outline.is_nameable() {
            return String::new();
        }
        let full = self.around();
        self.outline.file.facts.namespaces.push(full.clone());
        full
    }

    fn full(&self, name: &str) -> String {
        joined(self.outline.around().chain([name]))
    }

    fn define(&mut self, node: Node<'_>, depth: usize, kind: &str) {
        let Some(name) = node.child_by_field_name("name") else { return };
        let name = self.outline.text(name);
        let is_type = matches!(kind, "class" | "struct" | "interface" | "enum" | "record" | "delegate");
        if is_type && self.outline.is_nameable() {
            let full = self.full(name);
            self.outline.file.facts.defines.push(full);
        }
        let mut body = node.child_by_field_name("body").or_else(|| node.child_by_field_name("accessors"));
        body = body.or_else(|| node.child_by_field_name("value"));
        // Attributes stand before the declaration and say nothing of its form.
        self.outline.define(name, kind, node, depth, body);
        self.sign(node, body);
    }

    /// One declaration may define several fields.
    fn fields(&mut self, node: Node<'_>, depth: usize) {
        let declaration = syntax::named_children(node).into_iter().find(|child| child.kind() == "variable_declaration");
        for declarator in declaration.map(syntax::named_children).unwrap_or_default() {
            let Some(name) = declarator.child_by_field_name("name") else { continue };
            if declarator.kind() == "variable_declarator" {
                self.outline.leave(depth);
                let name = self.outline.text(name);
                self.outline.define(name, "field", node, depth, None);
                let signature = self.outline.text(node).split(['=', ';']).next().unwrap_or_default();
                let signature = syntax::one_line(signature);
                if let Some(symbol) = self.outline.file.symbols.last_mut() {
                    symbol.signature = signature;
                }
            }
        }
    }

    /// The signature just defined without the attributes before it.
    fn sign(&mut self, node: Node<'_>, body: Option<Node<'_>>) {
        let attributes = syntax::named_children(node).into_iter().rfind(|child| child.kind() == "attribute_list");
        let Some(start) = attributes.map(|last| last.end_byte()) else { return };
        let end = body.map_or(node.end_byte(), |body| body.start_byte());
        let text = syntax::one_line(self.outline.source.get(start..end).unwrap_or_default());
        if let Some(symbol) = self.outline.file.symbols.last_mut() {
            text.trim_end_matches([' ', '=', '>', ';', '{']).clone_into(&mut symbol.signature);
        }
    }

    fn using(&mut self, node: Node<'_>) {
        let text = syntax::collapse(self.outline.text(node));
        let text = text.trim_end_matches(';').trim();
        let (global, text) = strip_word(text, "global");
        let (_, text) = strip_word(text, "using");
        let (statics, text) = strip_word(text, "static");
        let (_, text) = strip_word(text, "unsafe");
        let (alias, target) = match text.split_once('=') {
            Some((alias, target)) => (Some(alias.trim().to_owned()), target.trim()),
            None => (None, text),
        };
        // Type arguments say nothing of the file a type stands in.
        let target = target.split('<').next().unwrap_or_default().replace(' ', "");
        let target = target.strip_prefix("global::").unwrap_or(&target).to_owned();
        let line = syntax::first_line(node);
        if !self.outline.is_nameable() {
            return;
        }
        let within = self.around();
        self.outline.file.facts.usings.push(Using { line, within, target, alias, statics, global });
    }
}

fn joined<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(".")
}

fn strip_word<'t>(text: &'t str, word: &str) -> (bool, &'t str) {
    match text.strip_prefix(word).filter(|rest| rest.starts_with(char::is_whitespace)) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    }
}

/// The text of a documentation comment without its XML.
fn without_tags(doc: &str) -> String {
    let mut text = String::with_capacity(doc.len());
    let mut rest = doc;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, next) = after.split_once('>').unwrap_or((after, ""));
        // `<see cref="T:A.B"/>` stands for a name.
        if let Some(name) = tag.split_once("cref=\"").and_then(|(_, value)| value.split('"').next()) {
            text.push_str(name.rsplit(['.', ':']).next().unwrap_or_default());
        }
        rest = next;
    }
    text.push_str(rest);
    syntax::first_sentence(&text.replace("summary>", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_have_exact_spans_and_parents() {
        let source = "\
global using System.Text;
using static Foo.Bar;
using P = Foo.Project<int>;
namespace A.B
{
    using C.D;
    /// <summary>
    /// A <see cref=\"Thing\"/> of use. More.
    /// </summary>
    [Serializable]
    public partial class Thing<T> : Base, IFace<Other> where T : Cons
    {
        private readonly Field _f = new Field(), _g;
        public int Prop { get; set; } = X.Y;
        public Thing(Arg a) : base(a) { }
        public Ret Go<U>(Param p, List<Item> i)
        {
            var x = new Made();
            Static.Call(x.Member.Deep);
            Outer.Space.Type.Make();
            if (x is Pat q) { Simple(); }
            return typeof(Ty);
        }
        enum Kind { One, Two = 2 }
    }
    record R(int A);
}
";
        let file = CSharp.parse("x.cs", source);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        let expected = [
            ("Thing", "class", 10, 25, None),
            ("_f", "field", 13, 13, Some(0)),
            ("_g", "field", 13, 13, Some(0)),
            ("Prop", "property", 14, 14, Some(0)),
            ("Thing", "constructor", 15, 15, Some(0)),
            ("Go", "method", 16, 23, Some(0)),
            ("Kind", "enum", 24, 24, Some(0)),
            ("One", "variant", 24, 24, Some(6)),
            ("Two", "variant", 24, 24, Some(6)),
            ("R", "record", 26, 26, None),
        ];
        assert_eq!(found, expected);
        assert_eq!(file.symbols[0].signature, "public partial class Thing<T> : Base, IFace<Other> where T : Cons");
        assert_eq!(file.symbols[5].signature, "public Ret Go<U>(Param p, List<Item> i)");
        assert_eq!(file.symbols[0].doc, "A Thing of use.");
        assert_eq!(file.facts.namespaces, ["A.B"]);
        assert_eq!(file.facts.defines, ["A.B.Thing", "A.B.Thing.Kind", "A.B.R"]);
        let usings: Vec<_> = file
            .facts
            .usings
            .iter()
            .map(|u| (u.within.as_str(), u.target.as_str(), u.alias.as_deref(), u.statics, u.global))
            .collect();
        assert_eq!(
            usings,
            [
                ("", "System.Text", None, false, true),
                ("", "Foo.Bar", None, true, false),
                ("", "Foo.Project", Some("P"), false, false),
                ("A.B", "C.D", None, false, false),
            ]
        );
        let names: Vec<String> = file.facts.names.keys().map(|name| name.path.join(".")).collect();
        for name in
            ["Base", "IFace", "Other", "Cons", "Field", "Arg", "Ret", "Param", "List", "Item", "Made", "Pat", "Ty"]
        {
            assert!(names.iter().any(|found| found == name), "{name} is a type: {names:?}");
        }
        for name in ["Static.Call", "Outer.Space.Type.Make", "X.Y", "Serializable"] {
            assert!(names.iter().any(|found| found == name), "{name} may be one: {names:?}");
        }
        for name in ["Simple", "x.Member.Deep", "x", "Go", "T", "Prop"] {
            assert!(!names.iter().any(|found| found == name), "{name} is none: {names:?}");
        }
    }
}
