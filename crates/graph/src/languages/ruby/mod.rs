//! Ruby: outlines, what is required, and the constants used; [`resolve`] finds the files, by load
//! paths and, where a project's layout loads constants by their names, by those ([`layout`]).
//!
//! Source: the documentation of `Kernel#require`, `#require_relative` and `Module#autoload`, and
//! the Zeitwerk README.

mod layout;
mod resolve;
mod stdlib;

use std::collections::{BTreeMap, HashSet};

use tree_sitter::Node;

use super::scoped::Scoped;
use super::{Context, Family, ParsedFile, Resolve};
use crate::paths;
use crate::syntax::{self, Visit};

/// Ruby, with the files of its tools.
pub(crate) struct Ruby;

/// What a file says beyond its outline.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Facts {
    requires: Vec<Require>,
    /// Constants used, with the modules around them, each with its first line.
    constants: BTreeMap<Constant, u32>,
    /// Full names of the modules, classes and constants defined.
    defines: Vec<String>,
    /// Whether the file sets Zeitwerk to work.
    zeitwerk: bool,
}

/// One file asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Require {
    /// 1-based line.
    line: u32,
    path: String,
    from: Base,
    /// The constant that `autoload` promises.
    constant: Option<String>,
}

/// What a required path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// The load path.
    LoadPath,
    /// The directory of the file.
    Here,
}

/// A constant as used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Constant {
    /// Names of the modules and classes around, outermost first, as written.
    nesting: Vec<String>,
    /// `A::B::C`; empty first part where it starts at the top (`::A`).
    path: Vec<String>,
}

/// Deeper nesting is outlined and its constants are not resolved.
const MAX_NESTING: usize = 24;
/// Longer chains of constants are not looked at.
const MAX_CHAIN_BYTES: usize = 512;

impl Family for Ruby {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["ruby"]
    }

    fn of_path(&self, path: &str) -> Option<&'static str> {
        let named = matches!(paths::file_name(path), "Rakefile" | "Gemfile" | "Guardfile" | "Capfile");
        (named || matches!(paths::extension(path), "rb" | "rake" | "gemspec" | "ru")).then_some("ruby")
    }

    fn parse(&self, _path: &str, source: &str) -> ParsedFile<Facts> {
        let Some(tree) = syntax::parse(&tree_sitter_ruby::LANGUAGE.into(), source) else {
            return ParsedFile::over_budget();
        };
        let mut reader = Reader { outline: Scoped::new(source), passed: HashSet::new() };
        reader.outline.file.note_errors(tree.root_node());
        syntax::walk(tree.root_node(), |node, depth| reader.visit(node, depth));
        reader.outline.file
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::LoadPaths::new(context))
    }
}

struct Reader<'s> {
    outline: Scoped<'s, Facts>,
    /// Nodes that name what is defined, or a part of what nobody knows: no uses of a constant.
    passed: HashSet<usize>,
}

impl Reader<'_> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        self.outline.leave(depth);
        if self.outline.leading.see(node, self.outline.source) {
            return Visit::Over;
        }
        match node.kind() {
            "class" | "module" => self.module(node, depth),
            "method" | "singleton_method" if !self.outline.in_code() => {
                if let Some(name) = node.child_by_field_name("name") {
                    let kind = if self.outline.nesting() == 0 { "function" } else { "method" };
                    let parameters = node.child_by_field_name("parameters");
                    let name = self.outline.text(name);
                    self.outline.define(name, kind, node, depth, None);
                    self.sign(node, parameters);
                }
            }
            "assignment" => {
                let left = node.child_by_field_name("left").filter(|left| left.kind() == "constant");
                if let Some(left) = left.filter(|_| !self.outline.in_code()) {
                    self.passed.insert(left.id());
                    let name = self.outline.text(left);
                    let full = self.full(name);
                    self.outline.file.facts.defines.push(full);
                    self.outline.define(name, "constant", node, depth, node.child_by_field_name("right"));
                }
            }
            "call" => self.call(node),
            "constant" | "scope_resolution" => return self.constant(node),
            _ => {}
        }
        Visit::Into
    }

    fn module(&mut self, node: Node<'_>, depth: usize) {
        let Some(name) = node.child_by_field_name("name") else { return };
        self.passed.insert(name.id());
        let text = syntax::collapse(self.outline.text(name));
        let full = self.full(&text);
        self.outline.file.facts.defines.push(full);
        let body = node.child_by_field_name("body");
        self.outline.define(&text, node.kind(), node, depth, body);
        self.sign(node, node.child_by_field_name("superclass").or(Some(name)));
    }

    /// Cuts the signature just defined after `last`: what follows has no mark of its own.
    fn sign(&mut self, node: Node<'_>, last: Option<Node<'_>>) {
        let end = last.or_else(|| node.child_by_field_name("name")).map_or(node.end_byte(), |last| last.end_byte());
        let text = self.outline.source.get(node.start_byte()..end).unwrap_or_default();
        if let Some(symbol) = self.outline.file.symbols.last_mut() {
            symbol.signature = syntax::clip(&syntax::collapse(text), syntax::SIGNATURE_CHARS);
            symbol.doc = syntax::first_sentence(&symbol.doc.replace(['#'], ""));
        }
    }

    fn full(&self, name: &str) -> String {
        match name.strip_prefix("::") {
            Some(top) => top.to_owned(),
            None => self.outline.around().chain([name]).collect::<Vec<_>>().join("::"),
        }
    }

    fn call(&mut self, node: Node<'_>) {
        let Some(method) = syntax::field_text(node, "method", self.outline.source) else { return };
        let receiver = syntax::field_text(node, "receiver", self.outline.source);
        if receiver == Some("Zeitwerk::Loader") && method.starts_with("for_gem") || method == "eager_load_namespace" {
            self.outline.file.facts.zeitwerk = true;
        }
        if receiver.is_some_and(|receiver| receiver != "Kernel") {
            return;
        }
        let arguments = node.child_by_field_name("arguments").map(syntax::named_children).unwrap_or_default();
        match (method, arguments.as_slice()) {
            ("require" | "require_dependency" | "load", [path, ..]) => self.require(node, *path, Base::LoadPath, None),
            ("require_relative", [path, ..]) => self.require(node, *path, Base::Here, None),
            ("autoload", [name, path, ..]) => {
                let constant = self.outline.text(*name).trim_matches([':', '"', '\'']).to_owned();
                self.require(node, *path, Base::LoadPath, Some(constant));
            }
            ("attr_reader" | "attr_accessor" | "attr_writer", names) if !self.outline.in_code() => {
                for name in names.iter().filter(|name| name.kind() == "simple_symbol") {
                    let name = self.outline.text(*name).trim_start_matches(':');
                    // No depth reaches below this one: nothing is inside a field.
                    self.outline.define(name, "field", node, usize::MAX, None);
                    self.outline.leave(usize::MAX);
                }
            }
            _ => {}
        }
    }

    fn require(&mut self, call: Node<'_>, path: Node<'_>, base: Base, constant: Option<String>) {
        let text = self.outline.text(path);
        let expanded = text.strip_prefix("File.expand_path(").or_else(|| text.strip_prefix("File.join("));
        let (path, from) = match (path.kind(), expanded) {
            ("string", _) => {
                let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
                match inner.strip_prefix("#{__dir__}/") {
                    Some(rest) => (rest.to_owned(), Base::Here),
                    None => (inner.to_owned(), base),
                }
            }
            (_, Some(arguments)) => {
                let parts: Vec<&str> = arguments.trim_end_matches(')').split(',').map(str::trim).collect();
                let literal = |part: &str| part.trim_matches(['"', '\'']).to_owned();
                match parts.as_slice() {
                    [path, "__dir__"] => (literal(path), Base::Here),
                    ["__dir__", path] => (literal(path), Base::Here),
                    // The file counts as a directory there.
                    [path, "__FILE__"] => (format!("_/{}", literal(path)), Base::Here),
                    _ => return,
                }
            }
            _ => return,
        };
        if path.contains("#{") || path.contains(['(', '\n']) {
            return;
        }
        self.outline.file.facts.requires.push(Require { line: syntax::first_line(call), path, from, constant });
    }

    /// A constant, or a chain of them: only the whole chain is kept.
    fn constant(&mut self, node: Node<'_>) -> Visit {
        if self.passed.contains(&node.id()) {
            return Visit::Over;
        }
        let text = self.outline.text(node);
        if text.len() > MAX_CHAIN_BYTES || self.outline.nesting() > MAX_NESTING {
            return Visit::Over;
        }
        let path: Vec<String> = text.split("::").map(|part| part.trim().to_owned()).collect();
        let plain = |part: &String| {
            part.chars().next().is_some_and(char::is_uppercase) && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        let rest = if path.first().is_some_and(String::is_empty) { &path[1..] } else { &path[..] };
        if rest.is_empty() || !rest.iter().all(plain) {
            // `something.else::Name`: what the receiver is, nobody knows here.
            self.passed.extend(node.child_by_field_name("name").map(|name| name.id()));
            return Visit::Into;
        }
        let nesting = self.outline.around().flat_map(|name| name.split("::")).map(str::to_owned).collect();
        let constant = Constant { nesting, path };
        self.outline.file.facts.constants.entry(constant).or_insert_with(|| syntax::first_line(node));
        Visit::Over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_requires_and_constants() {
        let source = "\
# frozen_string_literal: true
require_relative \"a/b\"
require 'json'
autoload :Foo, \"x/foo\"
require File.expand_path('../q', __FILE__)
require \"#{__dir__}/z\"
require name

# A thing.
# More.
module A::B
  class C < D::E
    LIMIT = 1
    attr_reader :x, :y
    def self.make(a, b = 1) = new
    class << self
      def other; end
    end
    # Goes.
    def go!(x)
      ::Top.new(Foo::Bar, self.class::NAME)
      def inner; end
    end
  end
end
";
        let file = Ruby.parse("x.rb", source);
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        let expected = [
            ("A::B", "module", 11, 25, None),
            ("C", "class", 12, 24, Some(0)),
            ("LIMIT", "constant", 13, 13, Some(1)),
            ("x", "field", 14, 14, Some(1)),
            ("y", "field", 14, 14, Some(1)),
            ("make", "method", 15, 15, Some(1)),
            ("other", "method", 17, 17, Some(1)),
            ("go!", "method", 20, 23, Some(1)),
        ];
        assert_eq!(found, expected);
        assert_eq!(file.symbols[0].doc, "A thing.");
        assert_eq!(file.symbols[1].signature, "class C < D::E");
        assert_eq!((file.symbols[7].signature.as_str(), file.symbols[7].doc.as_str()), ("def go!(x)", "Goes."));
        let requires: Vec<_> = file.facts.requires.iter().map(|r| (r.line, r.path.as_str(), r.from)).collect();
        assert_eq!(
            requires,
            [
                (2, "a/b", Base::Here),
                (3, "json", Base::LoadPath),
                (4, "x/foo", Base::LoadPath),
                (5, "_/../q", Base::Here),
                (6, "z", Base::Here),
            ]
        );
        assert_eq!(file.facts.defines, ["A::B", "A::B::C", "A::B::C::LIMIT"]);
        let constants: Vec<_> =
            file.facts.constants.iter().map(|(c, line)| (*line, c.nesting.join("/"), c.path.join("::"))).collect();
        let row = |line, nesting: &str, path: &str| (line, nesting.to_owned(), path.to_owned());
        assert_eq!(
            constants,
            [row(5, "", "File"), row(21, "A/B/C", "::Top"), row(12, "A/B/C", "D::E"), row(21, "A/B/C", "Foo::Bar"),]
        );
    }
}
