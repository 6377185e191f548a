//! Ruby: outlines, what is required, and the constants used; [`resolve`] finds the files, by load
//! paths and, where a project's layout loads constants by their names, by those ([`layout`]).
//!
//! Source: the documentation of `Kernel#require`, `#require_relative` and `Module#autoload`, of
//! `Module.nesting`, the Zeitwerk README and the Rails guide on autoloading.

mod autoload;
mod facts;
mod layout;
mod places;
mod resolve;
mod stdlib;

use std::collections::HashSet;

use tree_sitter::Node;

use super::family::{Context, Family, ParsedFile, Resolve};
use super::scoped::Scoped;
use crate::syntax::{self, Visit};
use autoload::Block;
use facts::{Constant, Facts, Pushed, Require};
use places::{Base, Place, Places};

/// Ruby, with the files of its tools.
pub(crate) struct Ruby;

/// Longer chains of constants are not looked at.
const MAX_CHAIN_BYTES: usize = 512;

impl Family for Ruby {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["ruby"]
    }

    fn parse(&self, _path: &str, source: &str) -> ParsedFile<Facts> {
        let Some(tree) = syntax::parse(&tree_sitter_ruby::LANGUAGE.into(), source) else {
            return ParsedFile::over_budget();
        };
        let mut reader = Reader {
            outline: Scoped::new(source),
            passed: HashSet::new(),
            places: Places::default(),
            blocks: Vec::new(),
        };
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
    places: Places,
    /// Blocks of ActiveSupport's `autoload` around, with their depths.
    blocks: Vec<(usize, Block)>,
}

impl Reader<'_> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        self.outline.leave(depth);
        while self.blocks.pop_if(|(block, _)| *block >= depth).is_some() {}
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
            "assignment" => self.assignment(node, depth),
            "operator_assignment" => self.pushes(node),
            "binary" => self.pushes(node),
            "call" => self.call(node, depth),
            "constant" | "scope_resolution" => return self.constant(node),
            _ => {}
        }
        Visit::Into
    }

    fn module(&mut self, node: Node<'_>, depth: usize) {
        let Some(name) = node.child_by_field_name("name") else { return };
        // What stands before the last `::`, and the superclass, are looked up outside.
        let superclass = node.child_by_field_name("superclass").and_then(|superclass| superclass.named_child(0));
        let outside = [name.child_by_field_name("scope"), superclass];
        for used in outside.into_iter().flatten().filter(|used| matches!(used.kind(), "constant" | "scope_resolution"))
        {
            self.constant(used);
            self.passed.insert(used.id());
        }
        self.passed.insert(name.id());
        if superclass.is_some_and(|it| self.outline.text(it).trim_start_matches("::") == "Rails::Engine") {
            self.outline.file.facts.engine = true;
        }
        let text = syntax::one_line(self.outline.text(name));
        self.defines(&text);
        let body = node.child_by_field_name("body");
        self.outline.define(&text, node.kind(), node, depth, body);
        self.sign(node, node.child_by_field_name("superclass").or(Some(name)));
    }

    fn assignment(&mut self, node: Node<'_>, depth: usize) {
        let (Some(left), right) = (node.child_by_field_name("left"), node.child_by_field_name("right")) else { return };
        let name = self.outline.text(left);
        match (left.kind(), right) {
            ("identifier", Some(value)) => self.places.assign(name, value, self.outline.source),
            ("constant", value) if !self.outline.in_code() => {
                self.passed.insert(left.id());
                self.defines(name);
                self.outline.define(name, "constant", node, depth, value);
            }
            _ => {}
        }
    }

    /// Cuts the signature just defined after `last`: what follows has no mark of its own.
    fn sign(&mut self, node: Node<'_>, last: Option<Node<'_>>) {
        let end = last.or_else(|| node.child_by_field_name("name")).map_or(node.end_byte(), |last| last.end_byte());
        let text = self.outline.source.get(node.start_byte()..end).unwrap_or_default();
        if let Some(symbol) = self.outline.file.symbols.last_mut() {
            symbol.signature = syntax::one_line(text);
            symbol.doc = syntax::first_sentence(&symbol.doc.replace(['#'], ""));
        }
    }

    /// Notes the full name of what is defined.
    fn defines(&mut self, name: &str) {
        if self.outline.is_nameable() {
            let full = match name.strip_prefix("::") {
                Some(top) => top.to_owned(),
                None => self.outline.around().chain([name]).collect::<Vec<_>>().join("::"),
            };
            self.outline.file.facts.defines.push(full);
        }
    }

    fn call(&mut self, node: Node<'_>, depth: usize) {
        let Some(method) = syntax::field_text(node, "method", self.outline.source) else { return };
        let receiver = syntax::field_text(node, "receiver", self.outline.source);
        let arguments = node.child_by_field_name("arguments").map(syntax::named_children).unwrap_or_default();
        match (method, arguments.as_slice()) {
            ("for_gem" | "for_gem_extension", _) if receiver == Some("Zeitwerk::Loader") => {
                self.outline.file.facts.zeitwerk = true;
            }
            ("eager_load_namespace", _) => self.outline.file.facts.zeitwerk = true,
            ("push_dir", [directory, options @ ..]) => {
                let namespace = options.iter().find_map(|option| {
                    let key = syntax::field_text(*option, "key", self.outline.source)?;
                    (key.trim_matches(':') == "namespace").then(|| option.child_by_field_name("value"))?
                });
                let namespace = namespace.map_or("", |namespace| self.outline.text(namespace));
                self.push(*directory, namespace);
            }
            ("autoload_lib", _) => {
                let place = Place { base: Base::Root, path: "lib".to_owned() };
                self.outline.file.facts.pushed.push(Pushed { place, namespace: String::new() });
            }
            _ => {}
        }
        if receiver.is_some_and(|receiver| receiver != "Kernel") {
            return;
        }
        match (method, arguments.as_slice()) {
            ("require" | "require_dependency" | "load", [path, ..]) => self.require(node, *path, Base::LoadPath, None),
            ("require_relative", [path, ..]) => self.require(node, *path, Base::Here, None),
            ("autoload", [name, path, ..]) => {
                let constant = self.outline.text(*name).trim_matches([':', '"', '\'']).to_owned();
                self.require(node, *path, Base::LoadPath, Some(constant));
            }
            ("autoload", [name]) if name.kind() == "simple_symbol" && self.outline.is_nameable() => {
                let constant = self.outline.text(*name).trim_start_matches(':').to_owned();
                let around = self.outline.around().collect::<Vec<_>>().join("::");
                let path = autoload::path(&around, &constant, &self.blocks);
                let place = Place { base: Base::LoadPath, path };
                self.asks(node, place, Some(constant));
            }
            ("autoload_under" | "autoload_at", [path]) => {
                if let Some(place) = self.places.of(*path, self.outline.source) {
                    let block = if method == "autoload_at" { Block::At } else { Block::Under };
                    self.blocks.push((depth, block(place.path)));
                }
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
        if let Some(mut place) = self.places.of(path, self.outline.source) {
            if place.base == Base::LoadPath {
                place.base = base;
            }
            return self.asks(call, place, constant);
        }
        let written = syntax::expression(path, self.outline.source);
        self.outline.file.facts.computed.push((syntax::first_line(call), written));
    }

    fn asks(&mut self, call: Node<'_>, place: Place, constant: Option<String>) {
        let whole = syntax::field_text(call, "method", self.outline.source) == Some("load");
        let require = Require { line: syntax::first_line(call), place, whole, constant };
        self.outline.file.facts.requires.push(require);
    }

    /// `config.autoload_paths << directory`, `+= [directories]`, and the same of `eager_load_paths`.
    fn pushes(&mut self, node: Node<'_>) {
        let left = syntax::field_text(node, "left", self.outline.source).unwrap_or_default();
        let right = node.child_by_field_name("right");
        let Some(right) = right.filter(|_| left.ends_with("autoload_paths") || left.ends_with("eager_load_paths"))
        else {
            return;
        };
        let several = matches!(right.kind(), "array" | "string_array");
        for directory in if several { syntax::named_children(right) } else { vec![right] } {
            self.push(directory, "");
        }
    }

    fn push(&mut self, directory: Node<'_>, namespace: &str) {
        if let Some(place) = self.places.of(directory, self.outline.source) {
            let namespace = namespace.trim_start_matches("::").to_owned();
            self.outline.file.facts.pushed.push(Pushed { place, namespace });
        }
    }

    /// A constant, or a chain of them: only the whole chain is kept.
    fn constant(&mut self, node: Node<'_>) -> Visit {
        if self.passed.contains(&node.id()) {
            return Visit::Over;
        }
        let text = self.outline.text(node);
        if text.len() > MAX_CHAIN_BYTES || !self.outline.is_nameable() {
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
        let nesting = self.outline.around().map(str::to_owned).collect();
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
        let requires: Vec<_> =
            file.facts.requires.iter().map(|r| (r.line, r.place.path.as_str(), r.place.base)).collect();
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
        assert_eq!(file.facts.computed, [(7, "name".to_owned())]);
        assert_eq!(file.facts.defines, ["A::B", "A::B::C", "A::B::C::LIMIT"]);
        let constants: Vec<_> =
            file.facts.constants.iter().map(|(c, line)| (*line, c.nesting.join("/"), c.path.join("::"))).collect();
        let row = |line, nesting: &str, path: &str| (line, nesting.to_owned(), path.to_owned());
        assert_eq!(
            constants,
            [
                row(11, "", "A"),
                row(5, "", "File"),
                row(12, "A::B", "D::E"),
                row(21, "A::B/C", "::Top"),
                row(21, "A::B/C", "Foo::Bar"),
            ]
        );
    }
}
