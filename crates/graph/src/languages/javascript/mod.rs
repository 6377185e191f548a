//! TypeScript and JavaScript: outlines from the syntax tree; [`imports`] reads what a module
//! names, [`resolve`] finds the files.
//!
//! Definitions are declarations wherever they stand, variables at the top level of a module, and
//! functions put on `exports` or a prototype there. JSX is read in `.jsx`, `.tsx` and `.js`.

mod component;
mod configs;
mod dialect;
mod files;
mod imports;
mod packages;
mod resolve;

use tree_sitter::Node;

use dialect::{Dialect, LANDMARKS, Meaning};
pub(crate) use imports::Import;
use resolve::Prefer;

use super::family::{Context, Family, Link, ParsedFile, Resolve};
use super::read::Read as _;
use crate::paths;
use crate::repository::Repository;
use crate::syntax::{self, Kinds, Landmarks, Visit};

/// TypeScript and JavaScript with and without JSX, declaration files, modules and scripts.
pub(crate) struct EcmaScript;

impl Family for EcmaScript {
    type Facts = Vec<Import>;

    fn names(&self) -> &'static [&'static str] {
        &["typescript", "javascript", "vue", "svelte"]
    }

    fn parse(&self, path: &str, source: &str) -> ParsedFile<Vec<Import>> {
        match self.language(path, source) {
            Some("vue" | "svelte") => {}
            // A script without extension.
            Some("typescript") if paths::extension(path).is_empty() => return parse_as("ts", source),
            _ => return parse_as(paths::extension(path), source),
        }
        let scripts = component::scripts(source);
        let mut file = parse_as(&scripts.language, &scripts.text);
        let import =
            |(line, text)| Import { line, text, computed: false, require: false, reexport: false, names: Vec::new() };
        file.facts.extend(scripts.sources.into_iter().map(import));
        file.facts.sort_by_key(|import| import.line);
        file
    }

    fn resolver<'r>(&self, context: Context<'r, Vec<Import>>) -> Box<dyn Resolve<Vec<Import>> + 'r> {
        let modules = |prefer| resolve::Modules::new(context.repository, prefer);
        let repository = context.repository;
        Box::new(Modules {
            repository,
            typescript: modules(Prefer::TypeScript),
            javascript: modules(Prefer::JavaScript),
        })
    }
}

/// Parses a script by the grammar of its extension.
fn parse_as(extension: &str, source: &str) -> ParsedFile<Vec<Import>> {
    let dialect = Dialect::of(extension);
    let Some(tree) = syntax::parse(&dialect.language, source) else { return ParsedFile::over_budget() };
    let mut file = ParsedFile { doc: file_doc(tree.root_node(), source), ..ParsedFile::default() };
    file.note_errors(tree.root_node());
    let mut outline = Outline {
        source,
        meanings: &dialect.meanings,
        landmarks: Landmarks::of(source, LANDMARKS),
        scopes: Vec::new(),
        doc: String::new(),
        exporting: None,
        declaring: None,
        file,
    };
    syntax::walk(tree.root_node(), |node, depth| outline.visit(node, depth));
    outline.file
}

/// The modules of a repository, as each of the two languages sees them.
struct Modules<'r> {
    repository: &'r Repository,
    typescript: resolve::Modules<'r>,
    javascript: resolve::Modules<'r>,
}

impl Resolve<Vec<Import>> for Modules<'_> {
    fn resolve(&self, from: &str, imports: &Vec<Import>) -> Vec<Link> {
        let text = self.repository.files.get(from).map(String::as_str).unwrap_or_default();
        let javascript = EcmaScript.language(from, text) == Some("javascript");
        let modules = if javascript { &self.javascript } else { &self.typescript };
        imports.iter().map(|import| modules.import(from, import).at(import.line)).collect()
    }
}

/// A definition the walk is inside of.
struct Scope {
    depth: usize,
    symbol: u32,
}

/// A `const`, `let` or `var` at the top level.
struct Declaring {
    depth: usize,
    constant: bool,
}

/// What the walk has found so far.
struct Outline<'s> {
    source: &'s str,
    meanings: &'static Kinds<Meaning>,
    landmarks: Landmarks,
    scopes: Vec<Scope>,
    /// The documentation comment that waits for its definition.
    doc: String,
    /// Depth of the `export` statement the walk is directly inside of.
    exporting: Option<usize>,
    /// The declaration at the top level the walk is inside of.
    declaring: Option<Declaring>,
    file: ParsedFile<Vec<Import>>,
}

impl Outline<'_> {
    fn visit(&mut self, node: Node<'_>, depth: usize) -> Visit {
        while self.scopes.pop_if(|scope| scope.depth >= depth).is_some() {}
        if self.exporting.is_some_and(|export| depth <= export) {
            self.exporting = None;
        }
        if self.declaring.as_ref().is_some_and(|declaring| depth <= declaring.depth) {
            self.declaring = None;
        }
        // An error is of no kind, and may hold anything.
        let meaning = self.meanings.get(node).unwrap_or(Meaning::Items);
        if matches!(meaning, Meaning::Comment | Meaning::Import | Meaning::Export | Meaning::Call) {
            self.file.facts.extend(imports::of(node, self.source));
        }
        match meaning {
            Meaning::Comment => {
                let text = syntax::text(node, self.source);
                if text.starts_with("/**") {
                    self.doc = comment_text(text);
                }
                return Visit::Over;
            }
            Meaning::Import => {
                self.doc.clear();
                return Visit::Over;
            }
            Meaning::Nothing => return Visit::Over,
            Meaning::Export => self.exporting = Some(depth),
            Meaning::Variables if self.at_top(depth) => {
                let constant = syntax::field_text(node, "kind", self.source) == Some("const");
                self.declaring = Some(Declaring { depth, constant });
            }
            Meaning::Variable => self.variable(node, depth),
            Meaning::Expression if depth == 1 => self.assignment(node, depth),
            Meaning::EnumBody => self.variants(node),
            Meaning::Definition(kind) => self.define(node, depth, kind),
            Meaning::Items | Meaning::Code | Meaning::Call | Meaning::Variables | Meaning::Expression => {
                if depth == 1 {
                    // Any other statement takes the comment before it.
                    self.doc.clear();
                }
                if !matches!(meaning, Meaning::Items) && !self.landmarks.stand_in(node) {
                    return Visit::Over;
                }
            }
        }
        Visit::Into
    }

    /// Whether a declaration at this depth stands at the top level of the module.
    fn at_top(&self, depth: usize) -> bool {
        depth == 1 || (depth == 2 && self.exporting == Some(1))
    }

    fn define(&mut self, node: Node<'_>, depth: usize, kind: &str) {
        let Some(name) =
            syntax::field_text(node, "name", self.source).or_else(|| syntax::field_text(node, "property", self.source))
        else {
            return;
        };
        let value = node.child_by_field_name("value").filter(|_| kind != "type");
        let method = kind == "field" && value.is_some_and(|value| is_function(value.kind()));
        let body = node.child_by_field_name("body").or(value);
        let name = name.trim_matches(['"', '\'']).to_owned();
        let symbol = self.push(&name, if method { "method" } else { kind }, node, body);
        self.scopes.push(Scope { depth, symbol });
    }

    /// A name declared by `const`, `let` or `var` at the top level.
    fn variable(&mut self, declarator: Node<'_>, depth: usize) {
        let Some(declaring) = self.declaring.as_ref().filter(|declaring| declaring.depth + 1 == depth) else { return };
        let constant = declaring.constant;
        let Some(name) = declarator.child_by_field_name("name").filter(|name| name.kind() == "identifier") else {
            return;
        };
        let value = declarator.child_by_field_name("value");
        let kind = match value.map(|value| value.kind()) {
            Some(value) if is_function(value) => "function",
            Some("class") => "class",
            _ if constant => "constant",
            _ => "variable",
        };
        let body = value.map(|value| value.child_by_field_name("body").unwrap_or(value));
        let symbol = self.push(syntax::text(name, self.source), kind, declarator, body);
        self.scopes.push(Scope { depth, symbol });
    }

    /// `exports.name = function`, `module.exports.name = …`, `Type.prototype.name = …`.
    fn assignment(&mut self, node: Node<'_>, depth: usize) {
        let assignment = node.named_child(0).filter(|child| child.kind() == "assignment_expression");
        let parts = assignment.and_then(|a| Some((a.child_by_field_name("left")?, a.child_by_field_name("right")?)));
        let Some((left, right)) = parts else { return };
        let class = right.kind() == "class";
        if left.kind() != "member_expression" || !(class || is_function(right.kind())) {
            return;
        }
        let (Some(object), Some(property)) =
            (syntax::field_text(left, "object", self.source), syntax::field_text(left, "property", self.source))
        else {
            return;
        };
        let kind = match (class, object.ends_with(".prototype")) {
            (true, _) => "class",
            (false, true) => "method",
            (false, false) => "function",
        };
        // `module.exports = …` names the module itself.
        let name = if object == "module" && property == "exports" { "exports" } else { property }.to_owned();
        let body = right.child_by_field_name("body");
        let symbol = self.push(&name, kind, assignment.unwrap_or(node), body);
        self.scopes.push(Scope { depth, symbol });
    }

    fn variants(&mut self, body: Node<'_>) {
        for member in syntax::named_children(body) {
            let name = member.child_by_field_name("name").unwrap_or(member);
            if name.kind() == "comment" {
                continue;
            }
            let name = syntax::text(name, self.source).trim_matches(['"', '\'']).to_owned();
            self.push(&name, "variant", member, member.child_by_field_name("value"));
        }
    }

    fn push(&mut self, name: &str, kind: &str, node: Node<'_>, body: Option<Node<'_>>) -> u32 {
        let parent = self.scopes.last().map(|scope| scope.symbol);
        let signature = syntax::signature(node, body, self.source);
        let signature = signature.trim_end_matches("=>").trim_end_matches([' ', '=']).to_owned();
        let symbol = syntax::push_symbol(&mut self.file.symbols, name, kind, node, parent, signature);
        self.file.symbols[symbol as usize].doc = syntax::first_sentence(&std::mem::take(&mut self.doc));
        symbol
    }
}

fn is_function(kind: &str) -> bool {
    matches!(kind, "arrow_function" | "function_expression" | "generator_function")
}

/// The text of a comment, its marks taken off.
fn comment_text(comment: &str) -> String {
    let block = comment.strip_prefix("/*").map(|rest| rest.trim_end_matches("*/"));
    let lines = block.unwrap_or(comment).lines();
    lines.map(|line| line.trim().trim_start_matches(['*', '/']).trim()).collect::<Vec<_>>().join("\n")
}

/// The first sentence about the module: a leading comment that names the file or is followed by
/// an import, so that the comment of a first definition is not taken for it.
fn file_doc(root: Node<'_>, source: &str) -> String {
    let mut cursor = root.walk();
    let mut children = root.named_children(&mut cursor).skip_while(|child| child.kind() == "hash_bang_line").peekable();
    while let Some(comment) = children.next_if(|child| child.kind() == "comment") {
        let text = comment_text(syntax::text(comment, source));
        let tagged =
            ["@fileoverview", "@file", "@packageDocumentation", "@module"].into_iter().find(|tag| text.contains(tag));
        let licence = ["copyright", "license", "eslint", "@ts-", "@jsx", "use strict"];
        let about_code = licence.iter().any(|word| text.to_lowercase().contains(word));
        let before_import = children.peek().is_some_and(|next| matches!(next.kind(), "import_statement" | "comment"));
        if tagged.is_some() || (before_import && !about_code && !text.starts_with("<reference")) {
            let said = match tagged {
                Some(tag) if matches!(tag, "@fileoverview" | "@file") => text.replace(tag, ""),
                _ => text,
            };
            return syntax::first_sentence(&said);
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static str, &'static str, u32, u32, Option<u32>);

    fn check(file: &ParsedFile<Vec<Import>>, expected: &[Row]) {
        let found: Vec<_> = file
            .symbols
            .iter()
            .map(|s| (s.name.as_str(), s.kind.as_str(), s.start_line, s.end_line, s.parent))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn typescript_definitions_have_exact_spans_and_parents() {
        let source = "\
/** @file Draws things. More. */
import x from './x';

/** Adds. */
export function add(a: number,
  b = 1): number {
  function inner() {}
  return a;
}
export default class Box<T> extends Base implements Face {
  private size: number = 0;
  handler = (e: Event) => { go(); };
  constructor(readonly a: string) { super(); }
  /** Opens. */
  async open(): Promise<void> {}
}
export const LIMIT = 3, twice = (n: number): number => n * 2;
let counter;
interface Face { width: number; area(scale: number): number }
type Pair = [Face, Face];
enum Color { Red, Green = 'g' }
declare module 'other' { export function f(): void }
namespace Inner { export class C {} }
describe('x', () => { const hidden = 1; });
";
        let file = EcmaScript.parse("x.ts", source);
        check(
            &file,
            &[
                ("add", "function", 5, 9, None),
                ("inner", "function", 7, 7, Some(0)),
                ("Box", "class", 10, 16, None),
                ("size", "field", 11, 11, Some(2)),
                ("handler", "method", 12, 12, Some(2)),
                ("constructor", "method", 13, 13, Some(2)),
                ("open", "method", 15, 15, Some(2)),
                ("LIMIT", "constant", 17, 17, None),
                ("twice", "function", 17, 17, None),
                ("counter", "variable", 18, 18, None),
                ("Face", "interface", 19, 19, None),
                ("width", "field", 19, 19, Some(10)),
                ("area", "method", 19, 19, Some(10)),
                ("Pair", "type", 20, 20, None),
                ("Color", "enum", 21, 21, None),
                ("Red", "variant", 21, 21, Some(14)),
                ("Green", "variant", 21, 21, Some(14)),
                ("other", "module", 22, 22, None),
                ("f", "function", 22, 22, Some(17)),
                ("Inner", "module", 23, 23, None),
                ("C", "class", 23, 23, Some(19)),
            ],
        );
        assert_eq!(file.doc, "Draws things.");
        let signature = |at: usize| file.symbols[at].signature.as_str();
        assert_eq!(signature(0), "function add(a: number, b = 1): number");
        assert_eq!(signature(2), "class Box<T> extends Base implements Face");
        assert_eq!(signature(6), "async open(): Promise<void>");
        assert_eq!(signature(8), "twice = (n: number): number");
        assert_eq!(signature(13), "type Pair = [Face, Face]");
        assert_eq!((file.symbols[0].doc.as_str(), file.symbols[6].doc.as_str()), ("Adds.", "Opens."));
        assert!(file.diagnostics.is_empty(), "the grammar knows all of this");
    }

    #[test]
    fn javascript_definitions_of_both_module_systems() {
        let source = "\
#!/usr/bin/env node
/** Makes one. */
exports.make = function (a) { return a; };
module.exports = class Thing {};
Thing.prototype.run = () => <p>hi</p>;
var old = 1;
class K { static #hidden() {} go() {} }
";
        let file = EcmaScript.parse("x.js", source);
        check(
            &file,
            &[
                ("make", "function", 3, 3, None),
                ("exports", "class", 4, 4, None),
                ("run", "method", 5, 5, None),
                ("old", "variable", 6, 6, None),
                ("K", "class", 7, 7, None),
                ("#hidden", "method", 7, 7, Some(4)),
                ("go", "method", 7, 7, Some(4)),
            ],
        );
        assert_eq!(file.doc, "", "the comment of the first definition is not the file's");
        assert_eq!(file.symbols[0].doc, "Makes one.");
    }
}
