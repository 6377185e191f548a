//! What calls and assignments say about imports: `importlib.import_module` and `__import__` with
//! literals, and directories put on `sys.path`.
//!
//! Syntax tree → [`Import`]s as if they were written as statements, and the places searched.
//! Invariant: a call whose argument only a run can tell is kept as it is written.
//!
//! Source: the documentation of `importlib.import_module`, `__import__`, `sys.path` and `site`.

use std::collections::HashSet;

use tree_sitter::Node;

use super::facts::{Facts, Import, Searched};
use super::places::{Places, arguments, called, keyword};
use crate::syntax::{self, Visit};

/// What a source without any of these says nothing of the kind.
const MARKS: [&str; 5] = ["import_module", "__import__", "sys.path", "addsitedir", "from sys import"];

/// Reads the calls of a file.
pub(super) fn read(root: Node<'_>, source: &str, facts: &mut Facts) {
    if !MARKS.iter().any(|mark| source.contains(mark)) {
        return;
    }
    let importers = ["import_module", "importlib.import_module"].map(str::to_owned);
    let mut calls = Calls { source, places: Places::default(), importers: importers.into(), facts };
    syntax::walk(root, |node, _| {
        calls.visit(node);
        Visit::Into
    });
    // A stable sort: what stands on one line keeps its order.
    facts.imports.sort_by_key(|import| import.line);
}

struct Calls<'s, 'f> {
    source: &'s str,
    places: Places,
    /// What `importlib.import_module` is called here.
    importers: HashSet<String>,
    facts: &'f mut Facts,
}

impl Calls<'_, '_> {
    fn visit(&mut self, node: Node<'_>) {
        match node.kind() {
            "aliased_import" => self.alias(node),
            "assignment" => self.assignment(node),
            "augmented_assignment" if self.is_search_path(node.child_by_field_name("left")) => {
                self.search_all(node.child_by_field_name("right"), false);
            }
            "call" => self.call(node),
            _ => {}
        }
    }

    fn text(&self, node: Node<'_>) -> &str {
        syntax::text(node, self.source)
    }

    fn alias(&mut self, node: Node<'_>) {
        let name = syntax::field_text(node, "name", self.source);
        let alias = syntax::field_text(node, "alias", self.source).unwrap_or_default();
        match name {
            Some("importlib") => self.importers.insert(format!("{alias}.import_module")),
            Some("import_module") => self.importers.insert(alias.to_owned()),
            _ => false,
        };
    }

    fn assignment(&mut self, node: Node<'_>) {
        let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right")) else {
            return;
        };
        match left.kind() {
            "identifier" => self.places.assign(syntax::text(left, self.source), right, self.source),
            // `sys.path[:0] = […]`, `sys.path[0] = …`.
            "subscript" if self.is_search_path(left.child_by_field_name("value")) => self.search_all(Some(right), true),
            "attribute" if self.is_search_path(Some(left)) => self.search_all(Some(right), true),
            _ => {}
        }
    }

    fn is_search_path(&self, node: Option<Node<'_>>) -> bool {
        let text = node.map(|node| self.text(node)).unwrap_or_default();
        text == "sys.path" || (text == "path" && self.source.contains("from sys import"))
    }

    fn call(&mut self, node: Node<'_>) {
        let (Some(function), Some(name)) = (node.child_by_field_name("function"), called(node, self.source)) else {
            return;
        };
        let arguments = arguments(node);
        let on_path = self.is_search_path(function.child_by_field_name("object"));
        match (name, arguments.as_slice()) {
            ("insert", [_, place]) if on_path => self.search(*place, true),
            ("append", [place]) if on_path => self.search(*place, false),
            ("extend", [places]) if on_path => self.search_all(Some(*places), false),
            ("addsitedir", [place, ..]) => self.search(*place, false),
            ("__import__", [module, ..]) => self.built_in(node, *module, &arguments),
            (_, positional) if self.importers.contains(self.text(function)) => {
                let named = |name: &str| keyword(node, name, self.source);
                if let Some(module) = positional.first().copied().or_else(|| named("name")) {
                    self.import_module(node, module, positional.get(1).copied().or_else(|| named("package")));
                }
            }
            _ => {}
        }
    }

    fn import_module(&mut self, call: Node<'_>, module: Node<'_>, package: Option<Node<'_>>) {
        let Some(text) = literal(module, self.source) else { return self.computed(module) };
        let dotted = text.trim_start_matches('.');
        let level = text.len() - dotted.len();
        let Some(mut module) = segments(dotted) else { return };
        if level == 0 {
            return self.push(call, 0, module, None);
        }
        match package.map(|package| (package, literal(package, self.source).and_then(|name| segments(&name)))) {
            Some((_, Some(mut around))) if level <= around.len() => {
                around.truncate(around.len() + 1 - level);
                around.append(&mut module);
                self.push(call, 0, around, None);
            }
            // The own package, by name.
            Some((package, None)) if matches!(self.text(package), "__package__" | "__spec__.parent" | "__name__") => {
                self.push(call, level, module, None);
            }
            // With a computed package, or with none, which is an error.
            _ => self.computed(call),
        }
    }

    /// `__import__(name, globals, locals, fromlist, level)`.
    fn built_in(&mut self, call: Node<'_>, module: Node<'_>, arguments: &[Node<'_>]) {
        let named = |at: usize, name: &str| arguments.get(at).copied().or_else(|| keyword(call, name, self.source));
        let level = match named(4, "level") {
            None => 0,
            Some(level) => match self.text(level).parse::<usize>() {
                Ok(level) => level,
                Err(_) => return self.computed(call),
            },
        };
        let names = named(3, "fromlist").map(syntax::named_children).unwrap_or_default();
        let names: Vec<String> = names.into_iter().filter_map(|name| literal(name, self.source)).collect();
        let Some(text) = literal(module, self.source) else { return self.computed(module) };
        let module = if text.is_empty() && level > 0 { Some(Vec::new()) } else { segments(&text) };
        if let Some(module) = module {
            self.push(call, level, module, Some(names).filter(|names| !names.is_empty()));
        }
    }

    fn computed(&mut self, expression: Node<'_>) {
        let written = syntax::expression(expression, self.source);
        self.facts.computed.push((syntax::first_line(expression), written));
    }

    fn push(&mut self, call: Node<'_>, level: usize, module: Vec<String>, names: Option<Vec<String>>) {
        self.facts.imports.push(Import { line: syntax::first_line(call), level, module, names });
    }

    fn search(&mut self, place: Node<'_>, first: bool) {
        if let Some(place) = self.places.of(place, self.source) {
            self.facts.searched.push(Searched { place, first });
        }
    }

    /// Every element of the lists in an expression, or the expression itself.
    fn search_all(&mut self, places: Option<Node<'_>>, first: bool) {
        let Some(places) = places else { return };
        let mut lists = 0;
        let mut elements = Vec::new();
        syntax::walk(places, |node, _| match node.kind() {
            "list" | "tuple" => {
                lists += 1;
                elements.extend(syntax::named_children(node));
                Visit::Over
            }
            "binary_operator" | "parenthesized_expression" => Visit::Into,
            _ => Visit::Over,
        });
        if lists == 0 {
            elements.push(places);
        }
        for element in elements {
            self.search(element, first);
        }
    }
}

/// The value of a string that needs no evaluation.
pub(super) fn literal(node: Node<'_>, source: &str) -> Option<String> {
    let mut value = String::new();
    let strings = match node.kind() {
        "string" => vec![node],
        "concatenated_string" => syntax::named_children(node),
        _ => return None,
    };
    for part in strings.into_iter().flat_map(syntax::named_children) {
        match part.kind() {
            "string_start" | "string_end" => {}
            "string_content" if part.named_child_count() == 0 => value.push_str(syntax::text(part, source)),
            _ => return None,
        }
    }
    (!value.contains('\\')).then_some(value)
}

/// The parts of a dotted name, if it is one.
pub(super) fn segments(dotted: &str) -> Option<Vec<String>> {
    let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    dotted.split('.').all(is_name).then(|| dotted.split('.').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::family::Family as _;
    use super::super::Python;

    #[test]
    fn calls_with_literals_are_imports() {
        let source = "\
import importlib as il
from importlib import import_module as load
il.import_module('a.b')
load(name='.c', package='p.q')
load('..d', 'p.q')
load('.e', __package__)
load('.lost')
load('.lost', package)
load(f'{x}.lost')
__import__('f.g')
__import__('h', globals(), locals(), ['i', 'j'], 1)
__import__('k', fromlist=('l',))
other.import_module('lost')
";
        let file = Python.parse("x.py", source);
        let row = |import: &super::Import| {
            (import.line, import.level, import.module.join("."), import.names.clone().unwrap_or_default().join(","))
        };
        let found: Vec<_> = file.facts.imports.iter().map(row).skip(2).collect();
        let row = |line, level, module: &str, names: &str| (line, level, module.to_owned(), names.to_owned());
        let expected = [
            row(3, 0, "a.b", ""),
            row(4, 0, "p.q.c", ""),
            row(5, 0, "p.d", ""),
            row(6, 1, "e", ""),
            row(10, 0, "f.g", ""),
            row(11, 1, "h", "i,j"),
            row(12, 0, "k", "l"),
        ];
        assert_eq!(found, expected);
        let computed: Vec<(u32, &str)> =
            file.facts.computed.iter().map(|(line, written)| (*line, written.as_str())).collect();
        assert_eq!(computed, [(7, "load('.lost')"), (8, "load('.lost', package)"), (9, "f'{x}.lost'")]);
    }

    #[test]
    fn directories_on_the_path_are_read_in_their_usual_forms() {
        let forms = [
            ("sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))", Some("a/lib")),
            ("sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))", Some("a")),
            ("sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'src'))", Some("a/src")),
            ("sys.path.insert(0, str(pathlib.Path(__file__).parents[1].joinpath('x', 'y')))", Some("a/x/y")),
            ("here = os.path.dirname(__file__)\nsys.path.append(here + '/../z')", Some("a/z")),
            ("HERE = Path(__file__).parent\nsys.path += [f'{HERE}/w']", Some("a/b/w")),
            ("sys.path[:0] = [os.path.split(os.path.realpath(__file__))[0]]", Some("a/b")),
            ("sys.path = [osp.join(osp.dirname(__file__), os.pardir)] + sys.path", Some("a")),
            ("site.addsitedir(os.path.dirname(__file__) + '/v')", Some("a/b/v")),
            ("from sys import path\npath.append(dirname(__file__))", Some("a/b")),
            ("sys.path.insert(0, os.environ['X'])", None),
            ("sys.path.insert(0, os.path.join(os.path.dirname(__file__), name))", None),
            ("sys.path.insert(0, '/usr/lib')", None),
            ("sys.path.append(os.path.join(os.path.dirname(__file__), '../../../..'))", None),
        ];
        for (source, expected) in forms {
            let searched = Python.parse("a/b/x.py", &format!("import sys\n{source}\n")).facts.searched;
            let found = searched.first().and_then(|searched| searched.place.directory("a/b"));
            assert_eq!(found.as_deref(), expected, "{source}");
        }
    }
}
