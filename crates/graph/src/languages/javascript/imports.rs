//! What one node of a module imports: `import`, `export … from`, `require`, dynamic `import`,
//! `import x = require()`, and `/// <reference path>`.
//!
//! A call whose first argument is no literal is kept as what it is written as: it imports
//! something, and only a run can tell what.

use tree_sitter::Node;

use crate::syntax;

/// The string of an ECMAScript import, export, `require` or dynamic import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// 1-based line.
    pub(super) line: u32,
    /// The string as written, or the expression that makes it.
    pub(super) text: String,
    /// Whether `text` is an expression.
    pub(super) computed: bool,
    /// Whether `require` asked for it.
    pub(super) require: bool,
    /// Whether what it names is exported again.
    pub(super) reexport: bool,
    /// The names bound.
    pub(super) names: Vec<String>,
}

/// The import that `node` itself makes, if it makes one.
pub(super) fn of(node: Node<'_>, source: &str) -> Option<Import> {
    if node.kind() == "call_expression" {
        return call(node, source);
    }
    let (text, require, reexport, names) = match node.kind() {
        "import_statement" => import_statement(node, source)?,
        "export_statement" => {
            let text = literal(node.child_by_field_name("source")?, source)?;
            (text, false, true, exported(node, source))
        }
        "comment" => (reference(syntax::text(node, source))?, false, false, Vec::new()),
        _ => return None,
    };
    Some(Import { line: syntax::first_line(node), text, computed: false, require, reexport, names })
}

type Parts = (String, bool, bool, Vec<String>);

fn import_statement(node: Node<'_>, source: &str) -> Option<Parts> {
    let children = syntax::named_children(node);
    if let Some(clause) = children.iter().find(|child| child.kind() == "import_require_clause") {
        let text = literal(clause.child_by_field_name("source")?, source)?;
        return Some((text, true, false, Vec::new()));
    }
    let text = literal(node.child_by_field_name("source")?, source)?;
    let clause = children.into_iter().find(|child| child.kind() == "import_clause");
    let mut names = Vec::new();
    for part in clause.map(syntax::named_children).unwrap_or_default() {
        match part.kind() {
            "identifier" => names.push("default".to_owned()),
            "namespace_import" => names.push("*".to_owned()),
            _ => names.extend(specifiers(part, source)),
        }
    }
    Some((text, false, false, names))
}

/// The names of an `export … from`.
fn exported(node: Node<'_>, source: &str) -> Vec<String> {
    let clause = syntax::named_children(node).into_iter().find(|child| child.kind() == "export_clause");
    clause.map_or_else(|| vec!["*".to_owned()], |clause| specifiers(clause, source))
}

/// The original names in `{ a, b as c }`.
fn specifiers(list: Node<'_>, source: &str) -> Vec<String> {
    let name = |child: Node<'_>| syntax::field_text(child, "name", source).map(str::to_owned);
    syntax::named_children(list).into_iter().filter_map(name).collect()
}

fn call(node: Node<'_>, source: &str) -> Option<Import> {
    let function = node.child_by_field_name("function")?;
    let require = function.kind() == "identifier" && syntax::text(function, source) == "require";
    if !require && function.kind() != "import" {
        return None;
    }
    let arguments = syntax::named_children(node.child_by_field_name("arguments")?);
    let argument = arguments.into_iter().find(|argument| argument.kind() != "comment")?;
    let literal = literal(argument, source);
    let computed = literal.is_none();
    let text = literal.unwrap_or_else(|| syntax::expression(argument, source));
    Some(Import { line: syntax::first_line(node), text, computed, require, reexport: false, names: Vec::new() })
}

/// The value of a string that needs no evaluation.
fn literal(node: Node<'_>, source: &str) -> Option<String> {
    let plain = match node.kind() {
        "string" => true,
        "template_string" => !syntax::named_children(node).iter().any(|part| part.kind() == "template_substitution"),
        _ => false,
    };
    let text = syntax::text(node, source);
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    (plain && !inner.contains('\\')).then(|| inner.to_owned())
}

/// The path of a `/// <reference path="…" />`; it is relative even without a leading dot.
fn reference(comment: &str) -> Option<String> {
    let directive = comment.strip_prefix("///")?.trim_start().strip_prefix("<reference")?;
    let value = directive.split_once("path=")?.1;
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let path = value[1..].split(quote).next()?;
    Some(if path.starts_with('.') { path.to_owned() } else { format!("./{path}") })
}

#[cfg(test)]
mod tests {
    use super::super::super::family::Family as _;
    use super::super::EcmaScript;
    use super::*;

    fn found(path: &str, source: &str) -> Vec<(u32, String, bool, bool, String)> {
        let row = |import: Import| (import.line, import.text, import.require, import.reexport, import.names.join(","));
        EcmaScript.parse(path, source).facts.into_iter().map(row).collect()
    }

    #[test]
    fn the_first_argument_counts_and_what_cannot_be_followed_is_kept() {
        let source = "\
import(/* webpackChunkName: \"k\" */ './k.js');
require( /* c */ // d
  \"x\" /* e */);
import('./l.json', { with: { type: 'json' } });
require(name);
import(`./${x}`);
require(a + './b');
require();
";
        let row = |import: Import| (import.line, import.text, import.computed);
        let found: Vec<_> = EcmaScript.parse("x.js", source).facts.into_iter().map(row).collect();
        let expected = [
            (1, "./k.js", false),
            (2, "x", false),
            (4, "./l.json", false),
            (5, "name", true),
            (6, "`./${x}`", true),
            (7, "a + './b'", true),
        ];
        assert_eq!(found, expected.map(|(line, text, computed)| (line, text.to_owned(), computed)));
    }

    #[test]
    fn every_form_of_import_is_found_and_nothing_else() {
        let source = "\
/// <reference path=\"globals.d.ts\" />
import a, { b as c, type D } from './one';
import * as ns from \"two\";
import './side';
import type { T } from './types';
import eq = require('./eq');
export { x as y, z } from './three';
export * from './four';
export const q = 1;
const lazy = () => import(`./five`);
const old = require('./six');
const no = [other('./seven'), obj.require('./eight')];
";
        let row = |line, text: &str, require, reexport, names: &str| {
            (line, text.to_owned(), require, reexport, names.to_owned())
        };
        let expected = [
            row(1, "./globals.d.ts", false, false, ""),
            row(2, "./one", false, false, "default,b,D"),
            row(3, "two", false, false, "*"),
            row(4, "./side", false, false, ""),
            row(5, "./types", false, false, "T"),
            row(6, "./eq", true, false, ""),
            row(7, "./three", false, true, "x,z"),
            row(8, "./four", false, true, "*"),
            row(10, "./five", false, false, ""),
            row(11, "./six", true, false, ""),
        ];
        assert_eq!(found("x.ts", source), expected);
        let script = "const a = require('a');\nif (b) { require(\"./b\"); }\n";
        assert_eq!(found("x.cjs", script), [row(1, "a", true, false, ""), row(2, "./b", true, false, "")]);
    }
}
